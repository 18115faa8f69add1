package stompserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"baton/node/broker"
	"baton/node/stomp"
)

// Authenticator decides who may connect.
type Authenticator interface {
	// Authenticate returns an error if login and passcode are not accepted. Its
	// text is not shown to the client. It may block; it must not log passcodes.
	Authenticate(login, passcode string) error
}

// Config of a server. Listener and Broker must be set; the zero value of any
// other field means its default.
type Config struct {
	Listener net.Listener // the server closes it
	Broker   *broker.Broker
	Auth     Authenticator // nil accepts any login

	Limits stomp.Limits // of frames after CONNECT

	ConnectTimeout           time.Duration // from accept to a whole CONNECT; 30 s
	WriteTimeout             time.Duration // a write that makes no progress; 30 s
	LingerTimeout            time.Duration // for the client to read our last frame; 1 s
	HeartBeatFloor           time.Duration // never more often than this; 100 ms
	HeartBeatGrace           float64       // silence is a fault after interval times this; 2
	MaxConnections           int           // 10000
	MaxConnectionsPerAddress int           // 0: no limit of its own
	MaxSubscriptions         int           // per connection; 1000
	BodyMemory               int64         // bytes, for bodies above 64 KiB that are being received, each counted twice; 256 MiB
	MaxOutput                int           // bytes waiting to be written, per connection; 1 MiB and one message
	OutputMemory             int64         // bytes waiting to be written, of all connections, but for 16 KiB of each; 256 MiB
	Prefetch                 int           // if the client names none; 1000
	ServerName               string        // "baton"

	// Admit says why a new connection is turned away, in one sentence for the
	// client, or nil. It runs on the goroutine that accepts. May be nil.
	Admit func(net.Conn) error
	// OnFirstReceipt is called once, when the first receipt for a committed SEND
	// is on its way. It runs on the proposer's goroutine: it must not block.
	OnFirstReceipt func()
	Logger         *slog.Logger // nil discards
}

func (c Config) withDefaults() Config {
	c.Limits = c.Limits.WithDefaults()
	for _, f := range []struct {
		p *time.Duration
		v time.Duration
	}{
		{&c.ConnectTimeout, 30 * time.Second}, {&c.WriteTimeout, 30 * time.Second},
		{&c.LingerTimeout, time.Second}, {&c.HeartBeatFloor, 100 * time.Millisecond},
	} {
		if *f.p == 0 {
			*f.p = f.v
		}
	}
	for _, f := range []struct {
		p *int
		v int
	}{
		{&c.MaxConnections, 10000}, {&c.MaxSubscriptions, 1000}, {&c.MaxOutput, 1 << 20}, {&c.Prefetch, 1000},
	} {
		if *f.p == 0 {
			*f.p = f.v
		}
	}
	if c.BodyMemory == 0 {
		c.BodyMemory = 256 << 20
	}
	if c.OutputMemory == 0 {
		c.OutputMemory = 256 << 20
	}
	if c.HeartBeatGrace == 0 {
		c.HeartBeatGrace = 2
	}
	if c.ServerName == "" {
		c.ServerName = "baton"
	}
	if c.OnFirstReceipt == nil {
		c.OnFirstReceipt = func() {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports the first value that cannot work.
func (c Config) Validate() error {
	if c.Listener == nil || c.Broker == nil {
		return errors.New("stompserver: config lacks Listener or Broker")
	}
	if c.Limits.Body > broker.BodyMax {
		return fmt.Errorf("stompserver: config: body limit is %d bytes, at most %d", c.Limits.Body, broker.BodyMax)
	}
	if d := c.withDefaults(); d.BodyMemory < BodyCopies*int64(d.Limits.Body) {
		return fmt.Errorf("stompserver: config: BodyMemory is %d, must be at least %d: %d for each byte of the largest body", d.BodyMemory, BodyCopies*d.Limits.Body, BodyCopies)
	}
	if d := c.withDefaults(); d.OutputMemory < OutputBodies*int64(d.Limits.Body) {
		return fmt.Errorf("stompserver: config: OutputMemory is %d, must be at least %d: %d of the largest bodies", d.OutputMemory, OutputBodies*d.Limits.Body, OutputBodies)
	}
	if c.HeartBeatGrace != 0 && c.HeartBeatGrace < 1 {
		return fmt.Errorf("stompserver: config: heart-beat grace is %g, must be at least 1", c.HeartBeatGrace)
	}
	for _, d := range []time.Duration{c.ConnectTimeout, c.WriteTimeout, c.LingerTimeout, c.HeartBeatFloor} {
		if d < 0 {
			return fmt.Errorf("stompserver: config: a timeout is %s, must not be negative", d)
		}
	}
	for _, n := range []int{c.MaxConnections, c.MaxConnectionsPerAddress, c.MaxSubscriptions, c.MaxOutput, c.Prefetch} {
		if n < 0 {
			return fmt.Errorf("stompserver: config: a limit is %d, must not be negative", n)
		}
	}
	return nil
}
