package zktest

import (
	"context"
	"os"
	"testing"
	"time"

	"baton/zkclient/ensemble"
	"baton/zkclient/ensemble/porttest"
)

// RequireEnv is the environment variable that, set to 1, makes Real and
// Ensemble fail instead of skip where ZooKeeper is not installed.
const RequireEnv = "BATON_REQUIRE_ZOOKEEPER"

// startTimeout is patient: servers take 1 to 6 s, and more on a loaded machine.
const startTimeout = 180 * time.Second

// Real starts a single ZooKeeper server of the Debian package on a loopback
// port and returns its address once it serves. The test is skipped where Java
// or ZooKeeper is not installed, unless RequireEnv says to fail. The server
// ends with the test.
func Real(t testing.TB) string {
	t.Helper()
	return Ensemble(t, 1).Addresses()[0]
}

// Ensemble starts that many real ZooKeeper servers and returns when all serve.
// It skips like Real, and the servers end with the test, which may kill, pause
// and start them meanwhile.
func Ensemble(t testing.TB, servers int) *ensemble.Ensemble {
	t.Helper()
	if _, err := ensemble.Find(); err != nil {
		if os.Getenv(RequireEnv) == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	e, err := ensemble.Open(ensemble.Config{
		Servers: servers, Dir: t.TempDir(), BasePort: FreeBase(t, servers),
		Properties: []string{
			"zookeeper.extendedTypesEnabled=true", // nodes with a time to live
			"znode.container.checkIntervalMs=500",
		},
	})
	if err != nil {
		t.Fatalf("open ZooKeeper: %v", err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("stop ZooKeeper: %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err = e.Start(); err == nil {
		err = e.Await(ctx)
	}
	if err != nil {
		t.Fatalf("start ZooKeeper: %v", err)
	}
	return e
}

// FreeBase returns a base port for that many servers; see ensemble.PortsAt.
func FreeBase(t testing.TB, servers int) int {
	t.Helper()
	return porttest.Base(t, 10*servers)
}

// Word asks a server a four-letter word and returns what it says until it
// closes the connection. timeout bounds the whole exchange.
func Word(address, word string, timeout time.Duration) (string, error) {
	return ensemble.Ask(context.Background(), address, word, timeout)
}
