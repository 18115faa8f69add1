package zktest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"baton/zkclient/ensemble"
)

// RequireEnv is the environment variable that, set to 1, makes Real and
// Ensemble fail instead of skip where ZooKeeper is not installed.
const RequireEnv = "BATON_REQUIRE_ZOOKEEPER"

// startTimeout is patient: servers take 1 to 6 s, and more on a loaded machine.
const startTimeout = 90 * time.Second

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
	var failed error
	for range 3 { // another process may take a port before a server does
		e, err := startEnsemble(t, servers)
		if err == nil {
			return e
		}
		failed = err
	}
	t.Fatalf("start ZooKeeper: %v", failed)
	return nil
}

func startEnsemble(t testing.TB, servers int) (*ensemble.Ensemble, error) {
	base, err := FreeBase(servers)
	if err != nil {
		return nil, err
	}
	e, err := ensemble.Open(ensemble.Config{
		Servers: servers, Dir: t.TempDir(), BasePort: base,
		Properties: []string{
			"zookeeper.extendedTypesEnabled=true", // nodes with a time to live
			"znode.container.checkIntervalMs=500",
		},
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err = e.Start(); err == nil {
		err = e.Await(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("stop ZooKeeper: %v", err)
		}
	})
	return e, nil
}

// given counts the bases given out, so that one test binary never gives the
// same ports to two servers that are still to be started.
var given atomic.Int64

// FreeBase returns a base port at which an ensemble's ports are free, from a
// range that the kernel gives to no dialled connection.
func FreeBase(servers int) (int, error) {
	const first, step, count = 12000, 80, 100
	for range count {
		base := first + step*((os.Getpid()*13+int(given.Add(1)))%count)
		free := true
		for _, p := range ensemble.PortsOf(base, servers) {
			ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Number)))
			if free = free && err == nil; err == nil {
				ln.Close()
			}
		}
		if free {
			return base, nil
		}
	}
	return 0, fmt.Errorf("no free ports from %d on", first)
}

// Word asks a server a four-letter word and returns what it says until it
// closes the connection. timeout bounds the whole exchange.
func Word(address, word string, timeout time.Duration) (string, error) {
	return ensemble.Ask(context.Background(), address, word, timeout)
}
