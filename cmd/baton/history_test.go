package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/demo"
	"baton/demo/cluster"
	"baton/demo/cluster/clustertest"
)

// TestAllDisksLost wipes every member: nobody may begin a new history but an
// operator, who is told how.
func TestAllDisksLost(t *testing.T) {
	c := launch(t, func(cfg *cluster.Config) { cfg.DataDir = t.TempDir() })
	run := func(args ...string) outcome {
		return baton(t, "", append(args, "--zk", strings.Join(c.ZooKeeper(), ","), "--zk-path", c.ZKPath())...)
	}
	o := baton(t, "before", "send", "orders", "--uri", uri(c))
	require.Zero(t, o.code, o.stderr)
	healthy := func() status {
		await(t, "status is healthy", func() bool { o = run("status", "--json"); return o.code == 0 })
		return statusJSON(t, o, 0)
	}
	before := healthy()

	require.NoError(t, c.KillAll())
	for _, n := range c.NodeNames() {
		require.NoError(t, os.RemoveAll(filepath.Join(c.DataDir(), n)))
	}
	require.NoError(t, c.StartAll())
	await(t, "status names the way out", func() bool {
		o := run("status")
		return o.code == 2 && strings.Contains(o.stdout, "baton form --discard-history")
	})
	run("form").refused(t, 2, "say so with --discard-history")
	o = run("form", "--discard-history")
	require.Zero(t, o.code, o.stderr)
	require.Contains(t, o.stdout, "the cluster begins anew above epoch ")
	require.NoError(t, c.WaitHealthy(within(t)))
	after := healthy()
	require.Greater(t, after.Epoch, before.Epoch, "no epoch is used twice")

	o = baton(t, "after", "send", "orders", "--uri", uri(c))
	require.Zero(t, o.code, o.stderr)
	require.Equal(t, map[string]int{"after": 1}, drain(t, c, "orders"))
}

func TestBenchCatchUp(t *testing.T) {
	o := batonWithin(t, 3*patience, nil, "", "bench", "catchup", "--bytes", "32MiB", "--measure", "1s", "--json", "--base-port", strconv.Itoa(clustertest.FreeBase(t)))
	require.Zero(t, o.code, o.stderr)
	var r demo.CatchUpReport
	require.NoError(t, json.Unmarshal([]byte(o.stdout), &r))
	require.GreaterOrEqual(t, r.Behind, uint64(32<<20))
	require.GreaterOrEqual(t, r.Bytes, r.Behind)
	require.Positive(t, r.Rate)
	require.Positive(t, r.Before)
	require.Positive(t, r.During)
	require.True(t, r.ChainsEqual)
	require.Zero(t, r.Lost)
	for _, bad := range []string{"12", "two", "-1", "3TB"} {
		baton(t, "", "bench", "catchup", "--bytes", bad).refused(t, 2)
	}
}
