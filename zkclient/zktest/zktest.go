// Package zktest starts ZooKeeper servers for tests: the embedded one of
// zkclient/devserver, and the real one of the Debian package. Its own tests
// run one script of operations against both and compare what clients see.
package zktest

import (
	"testing"
	"time"

	"baton/zkclient/devserver"
)

// Session timeouts that both servers grant.
const (
	MinSessionTimeout = 200 * time.Millisecond
	MaxSessionTimeout = 60 * time.Second
)

// Dev starts the embedded server in memory on a free loopback port and returns
// its address. It ends with the test.
func Dev(t testing.TB) string {
	t.Helper()
	return StartDev(t, devserver.Config{}).Addr()
}

// StartDev starts the embedded server with a configuration whose address and
// timeouts, if not given, are those of Dev. It ends with the test unless the
// test closes it before.
func StartDev(t testing.TB, cfg devserver.Config) *devserver.Server {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.MinSessionTimeout == 0 {
		cfg.MinSessionTimeout = MinSessionTimeout
	}
	if cfg.MaxSessionTimeout == 0 {
		cfg.MaxSessionTimeout = MaxSessionTimeout
	}
	server, err := devserver.Start(cfg)
	if err != nil {
		t.Fatalf("start embedded server: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close embedded server: %v", err)
		}
	})
	return server
}
