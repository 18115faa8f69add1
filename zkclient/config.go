package zkclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	// DataMax is the largest data of one node that this client writes, in bytes.
	// Servers refuse 1 MiB per request, path and access list included, by
	// closing the connection.
	DataMax = 512 << 10

	sessionTimeoutDefault = 4 * time.Second
	sessionTimeoutMin     = 100 * time.Millisecond
	sessionTimeoutMax     = 10 * time.Minute
	userDefault           = "baton"
)

// Config says how to reach ZooKeeper. The zero value plus Servers works.
type Config struct {
	// Servers are the addresses, host:port; the port may be left out (2181).
	// Names are resolved anew for each attempt to connect.
	Servers []string
	// SessionTimeout is asked for; the server may grant another. Default 4 s.
	// Below 2 s a busy machine loses sessions without any fault.
	SessionTimeout time.Duration
	// User and Password, if a password is set, authenticate every session by
	// digest, and nodes created are accessible to that user only. The password
	// travels in clear: use it on loopback or a private network. User defaults
	// to "baton".
	User, Password string
	// RefusedLimit is how long a session that servers refuse to take back is kept
	// before it is given up for a new one. Default max(2*SessionTimeout, 5 s).
	RefusedLimit time.Duration
	// Dial opens the connection to one resolved address. Default net.Dialer;
	// tests inject faults and operators TLS here.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Logger gets one line per change of state, and the library's chatter at
	// debug level. Default: discard.
	Logger *slog.Logger
	// Listener is called with the newest state after each change, on a goroutine
	// of the client's own; states that follow quickly are merged. It may be nil.
	// Close waits for a running call.
	Listener func(State)
}

func (c Config) withDefaults() Config {
	c.Servers = zk.FormatServers(slices.Clone(c.Servers))
	if c.SessionTimeout == 0 {
		c.SessionTimeout = sessionTimeoutDefault
	}
	if c.User == "" {
		c.User = userDefault
	}
	if c.RefusedLimit == 0 {
		c.RefusedLimit = max(2*c.SessionTimeout, 5*time.Second)
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate says what is wrong with the configuration, defaults applied.
func (c Config) Validate() error {
	c = c.withDefaults()
	if len(c.Servers) == 0 {
		return errors.New("zkclient: no ZooKeeper server given")
	}
	for _, s := range c.Servers {
		if host, port, err := net.SplitHostPort(s); err != nil || host == "" || port == "" {
			return fmt.Errorf("zkclient: ZooKeeper address %q is not host:port", s)
		}
	}
	if c.SessionTimeout < sessionTimeoutMin || c.SessionTimeout > sessionTimeoutMax {
		return fmt.Errorf("zkclient: session timeout %v is not within %v and %v", c.SessionTimeout, sessionTimeoutMin, sessionTimeoutMax)
	}
	if strings.Contains(c.User, ":") {
		return fmt.Errorf("zkclient: ZooKeeper user %q contains a colon", c.User)
	}
	if c.RefusedLimit < 0 {
		return fmt.Errorf("zkclient: refused limit %v is negative", c.RefusedLimit)
	}
	return nil
}

// acl is what new nodes get.
func (c Config) acl() []zk.ACL {
	if c.Password == "" {
		return zk.WorldACL(zk.PermAll)
	}
	return zk.AuthACL(zk.PermAll)
}

// ensemble names the servers for error texts.
func (c Config) ensemble() string { return strings.Join(c.Servers, ",") }
