package devserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Config says where and how a Server serves. The zero value serves on
// 127.0.0.1:2181 in memory.
type Config struct {
	// Listen is the TCP address; port 0 takes a free one. Default
	// "127.0.0.1:2181".
	Listen string
	// DataDir keeps the tree and the sessions over a restart. It is made if
	// needed and used by one server at a time. Empty means in memory only.
	DataDir string
	// MinSessionTimeout and MaxSessionTimeout bound what clients ask for.
	// Defaults 100 ms and 60 s.
	MinSessionTimeout time.Duration
	MaxSessionTimeout time.Duration
	// MaxConnections is the number of connections served at once; more are
	// closed at once. Default 1000.
	MaxConnections int
	// MaxQueuedBytes is how much may wait to be read by one client before its
	// connection is cut. Default 16 MiB; at least 2 MiB.
	MaxQueuedBytes int
	// HandshakeTimeout bounds the time between the start of a connection and its
	// first packet, WriteTimeout the time a client may take to read anything.
	// Defaults 10 s each.
	HandshakeTimeout time.Duration
	WriteTimeout     time.Duration
	// ReapInterval is how often emptied containers and outlived nodes with a
	// time to live are looked for. Default 1 minute, as in ZooKeeper.
	ReapInterval time.Duration
	// SnapshotBytes is the length of the log after which a snapshot replaces
	// it. Default 16 MiB.
	SnapshotBytes int64
	// Logger gets one line per change of state; nil discards them.
	Logger *slog.Logger
}

// ErrConfig says that a Config makes no sense; the text says which field.
var ErrConfig = errors.New("devserver: bad configuration")

func (c Config) withDefaults() Config {
	setDefault(&c.Listen, "127.0.0.1:2181")
	setDefault(&c.MinSessionTimeout, 100*time.Millisecond)
	setDefault(&c.MaxSessionTimeout, 60*time.Second)
	setDefault(&c.MaxConnections, 1000)
	setDefault(&c.MaxQueuedBytes, 16<<20)
	setDefault(&c.HandshakeTimeout, 10*time.Second)
	setDefault(&c.WriteTimeout, 10*time.Second)
	setDefault(&c.ReapInterval, time.Minute)
	setDefault(&c.SnapshotBytes, 16<<20)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports the first field that makes no sense, after defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("%w: Listen %q: want host:port: %w", ErrConfig, c.Listen, err)
	}
	switch {
	case c.MinSessionTimeout < 10*time.Millisecond || c.MinSessionTimeout > c.MaxSessionTimeout:
		return fmt.Errorf("%w: MinSessionTimeout %v: want 10ms to MaxSessionTimeout %v", ErrConfig, c.MinSessionTimeout, c.MaxSessionTimeout)
	case c.MaxSessionTimeout > 24*time.Hour:
		return fmt.Errorf("%w: MaxSessionTimeout %v: want at most 24h", ErrConfig, c.MaxSessionTimeout)
	case c.MaxConnections < 1:
		return fmt.Errorf("%w: MaxConnections %d: want at least 1", ErrConfig, c.MaxConnections)
	case c.MaxQueuedBytes < 2<<20:
		return fmt.Errorf("%w: MaxQueuedBytes %d: want at least 2 MiB", ErrConfig, c.MaxQueuedBytes)
	case c.HandshakeTimeout < 0 || c.WriteTimeout < 0:
		return fmt.Errorf("%w: HandshakeTimeout %v, WriteTimeout %v: want more than 0", ErrConfig, c.HandshakeTimeout, c.WriteTimeout)
	case c.ReapInterval < time.Millisecond:
		return fmt.Errorf("%w: ReapInterval %v: want at least 1ms", ErrConfig, c.ReapInterval)
	case c.SnapshotBytes < 0:
		return fmt.Errorf("%w: SnapshotBytes %d: want more than 0", ErrConfig, c.SnapshotBytes)
	}
	return nil
}
