// Package load sends and receives messages through the failover client at a
// given rate and enters every one of them into a ledger. Each producer and
// each consumer has a connection of its own, as separate programs would.
//
// A producer waits for the receipt of one message before it sends the next. A
// send that ends in doubt is sent again until it is receipted, under the same
// duplicate-suppression id: what arrives twice was stored twice.
// Every producer sends to one queue; the order of its messages is judged if
// that queue has one consumer.
//
// Threads: one runProducer per producer, one runSample, and the clients'. All
// end in Close.
package load

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Config of a load. Addresses are required.
type Config struct {
	Addresses []string // of the nodes' STOMP listeners
	Login     string
	Passcode  string

	Rate      float64  // messages per second, all producers together; 0 = none
	Producers int      // default 4
	Consumers int      // shared out over the queues in turn; default 1 per queue
	Queues    []string // default demo.orders; producers are shared out in turn
	BodySize  int      // bytes; default 256
	Prefetch  int      // default 100

	// OnReceipt hears of every receipt: when its connection was made and when it came.
	OnReceipt func(connectedAt, at time.Time)
	Logger    *slog.Logger
}

const (
	bodyMax      = 16 << 20
	producersMax = 1024
)

func (c Config) withDefaults() Config {
	if c.Producers <= 0 {
		c.Producers = 4
	}
	if len(c.Queues) == 0 {
		c.Queues = []string{"demo.orders"}
	}
	if c.Consumers <= 0 {
		c.Consumers = len(c.Queues)
	}
	if c.BodySize <= 0 {
		c.BodySize = 256
	}
	if c.Prefetch <= 0 {
		c.Prefetch = 100
	}
	if c.OnReceipt == nil {
		c.OnReceipt = func(time.Time, time.Time) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports what makes the configuration unusable.
func (c Config) Validate() error {
	switch {
	case c.Rate < 0:
		return fmt.Errorf("load: rate %v is negative", c.Rate)
	case c.BodySize > bodyMax:
		return fmt.Errorf("load: body of %d bytes is above %d", c.BodySize, bodyMax)
	case c.Producers > producersMax || c.Consumers > producersMax:
		return fmt.Errorf("load: more than %d producers or consumers", producersMax)
	case c.Consumers > 0 && c.Consumers < len(c.Queues):
		return fmt.Errorf("load: %d consumers cannot drain %d queues", c.Consumers, len(c.Queues))
	}
	for _, q := range c.Queues {
		if q == "" || strings.ContainsAny(q, "/,*>\n\r\x00") {
			return fmt.Errorf("load: %q cannot name a queue", q)
		}
	}
	return nil
}
