package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"
)

var (
	// ErrInDoubt says that the connection was lost, or patience ended, after the
	// message was handed over and before its receipt: it may be stored or not.
	ErrInDoubt = errors.New("client: in doubt: no receipt for what was sent")
	// ErrNoServer says that no address served within the time given.
	ErrNoServer = errors.New("client: no server")
	// ErrClosed says that Close was called.
	ErrClosed = errors.New("client: closed")
	// ErrRefused says that the server answered ERROR.
	ErrRefused = errors.New("client: refused by the server")
	// ErrStale says that the message came over a connection that is gone: it
	// cannot be acknowledged any more and will be delivered again.
	ErrStale = errors.New("client: message of a lost connection")
	// ErrURI says that a broker address cannot be understood.
	ErrURI = errors.New("client: bad broker address")
)

// Config of a client. Only Addresses are required.
type Config struct {
	Addresses []string // host:port of every node, in any order
	Login     string
	Passcode  string
	VHost     string // default: the host of the address
	ClientID  string // needed for durable subscriptions only

	InitialReconnectDelay time.Duration // default 10 ms
	MaxReconnectDelay     time.Duration // default 1 s
	MaxReconnectAttempts  int           // per address and outage, 0 = no limit
	Timeout               time.Duration // wait for a server in Send and Subscribe, 0 = as long as their context

	ConnectTimeout time.Duration // TCP and CONNECTED together; default 1 s
	ReceiptTimeout time.Duration // then a send is in doubt; default 30 s
	ProbeAfter     time.Duration // overdue receipt: ask the other addresses; default 300 ms
	IdleProbe      time.Duration // the same when only heart-beats came for so long; 0 = never
	HeartBeat      time.Duration // asked for, both ways; default 1 s, negative = none
	Resend         bool          // Send: send again what ended in doubt, stored once, until the context ends

	OnConnect    func(server string, at time.Time) // called in order, must not block
	OnDisconnect func(server string, err error)
	Dial         func(ctx context.Context, network, address string) (net.Conn, error)
	Logger       *slog.Logger
}

func (c Config) withDefaults() Config {
	def := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.InitialReconnectDelay, 10*time.Millisecond)
	def(&c.MaxReconnectDelay, time.Second)
	def(&c.ConnectTimeout, time.Second)
	def(&c.ReceiptTimeout, 30*time.Second)
	def(&c.ProbeAfter, 300*time.Millisecond)
	def(&c.HeartBeat, time.Second)
	c.MaxReconnectDelay = max(c.MaxReconnectDelay, c.InitialReconnectDelay)
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports what makes the configuration unusable.
func (c Config) Validate() error {
	if len(c.Addresses) == 0 {
		return fmt.Errorf("%w: no address", ErrURI)
	}
	for _, a := range c.Addresses {
		if err := checkAddress(a); err != nil {
			return err
		}
	}
	for _, s := range []string{c.Login, c.Passcode, c.VHost, c.ClientID} {
		if strings.ContainsAny(s, "\r\n\x00") {
			return fmt.Errorf("client: login, passcode, host and client id cannot hold a line break or NUL")
		}
	}
	if c.InitialReconnectDelay < 0 || c.MaxReconnectDelay < 0 || c.MaxReconnectAttempts < 0 || c.ProbeAfter < 0 {
		return fmt.Errorf("client: delays and attempts cannot be negative")
	}
	return nil
}
