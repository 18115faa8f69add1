package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/demo/cluster"
	"baton/node/nodetest"
)

// Limits stand in the configuration file, on the command line and in the
// environment, and hold on a running cluster.
func TestLimitsAreSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node.yaml")
	require.NoError(t, os.WriteFile(file, []byte("max-body: 1KiB\nmax-subscriptions: 2\nmax-transaction-size: 2KiB\n"), 0o600))
	c := launch(t, func(cfg *cluster.Config) {
		cfg.NodeArgs = []string{"--config", file, "--max-transactions", "1"}
		cfg.Env = append(cfg.Env, "BATON_MAX_CONNECTIONS_PER_ADDRESS=3")
	})
	a, b := connect(t, c), connect(t, c)
	consume(t, a, "/queue/1")
	consume(t, a, "/queue/2")
	require.ErrorContains(t, a.Ask("SUBSCRIBE", "", "id:3", "destination:/queue/3"), "too many subscriptions on this connection, at most 2")
	require.NoError(t, a.Ask("BEGIN", "", "transaction:t"))
	require.ErrorContains(t, a.Ask("BEGIN", "", "transaction:u"), "1 are open on this connection, which is the limit")
	kib := strings.Repeat("x", 1024)
	require.NoError(t, a.Ask("SEND", kib, "destination:/queue/1", "transaction:t"))
	require.ErrorContains(t, a.Ask("SEND", kib, "destination:/queue/1", "transaction:t"), "at most 2048 fit into one")
	require.NoError(t, b.Ask("SEND", kib, "destination:/queue/3"))
	require.ErrorContains(t, b.Ask("SEND", kib+"x", "destination:/queue/3"), "frame exceeds a limit")
	await(t, "no more than three are served", func() bool { // the one whose frame was too large may still be leaving
		conn, err := nodetest.Dial([]string{stompOf(t, c, leaderOf(t, c))})
		if err == nil {
			t.Cleanup(conn.Close)
		}
		return err != nil && strings.Contains(err.Error(), "too many connections")
	})

	for content, want := range map[string]string{
		"max-body: 1GiB\nbody-memory: 2GiB\noutput-memory: 2GiB": "--max-body is 1073741824, at most 104857600: more does not fit into the log",
		"\n\nmax-body: plenty":      "line 3",
		"\nbody-memory: 1MiB":       "--body-memory is 1048576, which is less than 33554432",
		"max-transactions: -1":      "--max-transactions is negative",
		"max-bodies: 1KiB":          `there is no option "max-bodies"`,
		"connect-timeout: 1 minute": "line 1",
	} {
		bad := filepath.Join(t.TempDir(), "bad.yaml")
		require.NoError(t, os.WriteFile(bad, []byte(content), 0o600))
		baton(t, "", "node", "--id", "n1", "--data-dir", t.TempDir(), "--zk", "127.0.0.1:1", "--config", bad).refused(t, 2, want)
	}
	require.Contains(t, baton(t, "", "node", "--help").stdout, "--max-transaction-size bytes        largest transaction (default 64MiB)")
}
