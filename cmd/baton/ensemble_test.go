package main_test

import (
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/demo/cluster/clustertest"
	"baton/zkclient/ensemble"
	"baton/zkclient/zktest"
)

// TestDemoOnARealEnsemble runs the program against three real ZooKeeper
// servers: one is killed, then the one that leads them together with the leader
// of Baton, and after that all of them are away for a while.
func TestDemoOnARealEnsemble(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three Java processes")
	}
	if _, err := ensemble.Find(); err != nil {
		if os.Getenv(zktest.RequireEnv) == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	o := batonWithin(t, 5*patience, nil, "", "demo", "--headless", "--json", "--for", "14s", "--rate", "200", "--zk", "ensemble",
		"--election-timeout", silence.String(),
		"--base-port", strconv.Itoa(clustertest.FreeBase(t)), "--fault",
		"kill-zookeeper:1@1s,start-zookeeper@3s,kill-zookeeper:leader@6s,kill-leader@6s,restart@8s,start-zookeeper@8s,stop-zookeeper@11s,start-zookeeper@12s")
	require.Zero(t, o.code, o.stderr)
	var r struct {
		Receipted, Lost, Refused int
		Failovers                []struct{ Cause string }
		Faults                   []struct{ Name, Node, Error string }
	}
	require.NoError(t, json.Unmarshal([]byte(o.stdout), &r), o.stdout)
	require.NotZero(t, r.Receipted)
	require.Zero(t, r.Lost)
	require.Zero(t, r.Refused, "no producer hears an error")
	require.Len(t, r.Failovers, 1, "only Baton's own leader was lost: %s", o.stdout)
	require.Contains(t, r.Failovers[0].Cause, "kill n")
	require.Len(t, r.Faults, 8)
	for _, f := range r.Faults {
		require.Empty(t, f.Error, f.Name)
	}
	i := slices.IndexFunc(r.Faults[1:], func(f struct{ Name, Node, Error string }) bool { return f.Name == "kill-zookeeper" })
	require.True(t, strings.HasPrefix(r.Faults[1+i].Node, "zookeeper"), "the leader is named: %v", r.Faults)
}

// TestZooKeeperCommandRunsRealServers serves an ensemble to others.
func TestZooKeeperCommandRunsRealServers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three Java processes")
	}
	if _, err := ensemble.Find(); err != nil {
		if os.Getenv(zktest.RequireEnv) == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	base := zktest.FreeBase(t, 3)
	p := start(t, "zk", "--ensemble", "3", "--listen", "127.0.0.1:"+strconv.Itoa(base), "--data-dir", t.TempDir())
	at, ok := strings.CutPrefix(p.line(t), "listening on ")
	require.True(t, ok)
	require.Len(t, strings.Split(at, ","), 3)
	baton(t, "", "status", "--zk", at, "--zk-path", "/x").refused(t, 3, "there is no cluster at /x")
}
