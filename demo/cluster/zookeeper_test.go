package cluster_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo/cluster"
	"baton/node/supervisor"
	"baton/zkclient/ensemble"
	"baton/zkclient/zktest"
)

func requireZooKeeper(t *testing.T) {
	t.Helper()
	if _, err := ensemble.Find(); err != nil {
		if os.Getenv(zktest.RequireEnv) == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

func modes(c *cluster.Cluster) map[string]int {
	out := map[string]int{}
	for _, p := range c.Processes() {
		if p.Kind == cluster.KindOfZooKeeper {
			out[p.Mode]++
		}
	}
	return out
}

// wantModes waits: a server that is slow to answer is not known for a moment.
func wantModes(t *testing.T, c *cluster.Cluster, want map[string]int) {
	t.Helper()
	require.Eventually(t, func() bool { return maps.Equal(want, modes(c)) }, patience, 10*time.Millisecond, "want %v", want)
}

// TestRealEnsemble breaks and mends the servers of an ensemble, one, the leader
// and all of them.
func TestRealEnsemble(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three Java processes")
	}
	requireZooKeeper(t)
	cfg := config(t, "")
	cfg.Ensemble, cfg.DataDir = 3, t.TempDir()
	c := launch(t, cfg)
	require.Len(t, c.Processes(), 6)
	require.Equal(t, []string{"zookeeper1", "zookeeper2", "zookeeper3"}, []string{c.Processes()[0].Name, c.Processes()[1].Name, c.Processes()[2].Name})
	wantModes(t, c, map[string]int{"leader": 1, "follower": 2})
	require.Len(t, c.ZooKeeper(), 3)
	require.Len(t, c.Links(), 6+3*3, "each node has its own way to each server")
	require.Equal(t, "/baton/demo", c.ZKPath())
	require.FileExists(t, cfg.DataDir+"/zookeeper2/zoo.cfg")
	require.FileExists(t, cfg.DataDir+"/zookeeper2.log")

	require.Equal(t, "zookeeper2", inject(t, c, "stop-zookeeper:2"))
	require.Equal(t, supervisor.StateExited, process(c, "zookeeper2").State)
	require.Equal(t, "zookeeper2", inject(t, c, "start-zookeeper:2"))
	require.Equal(t, supervisor.StateRunning, process(c, "zookeeper2").State, "start waits until it serves")

	first := inject(t, c, "kill-zookeeper:leader")
	require.Equal(t, supervisor.StateExited, process(c, first).State)
	second := inject(t, c, "pause-zookeeper:leader")
	require.NotEqual(t, first, second)
	require.Equal(t, supervisor.StatePaused, process(c, second).State)
	inject(t, c, "resume")
	require.Equal(t, supervisor.StateRunning, process(c, second).State)

	inject(t, c, "start-zookeeper")
	require.Equal(t, supervisor.StateRunning, process(c, first).State)
	inject(t, c, "pause-zookeeper")
	wantModes(t, c, map[string]int{"": 3})
	inject(t, c, "resume-zookeeper")
	inject(t, c, "kill-zookeeper")
	inject(t, c, "start-zookeeper:1")
	require.Eventually(t, func() bool { return process(c, "zookeeper1").Mode == "no quorum" }, patience, 10*time.Millisecond,
		"one of three was not waited for, for it cannot serve")
	inject(t, c, "start-zookeeper")
	wantModes(t, c, map[string]int{"leader": 1, "follower": 2})
	inject(t, c, "stop-zookeeper")
	inject(t, c, "start-zookeeper")
	inject(t, c, "kill:zookeeper3")
	require.NoError(t, c.WaitHealthy(within(t)), "nodes are judged, not ZooKeeper")
}

func TestRealEnsembleCannotStart(t *testing.T) {
	requireZooKeeper(t)
	cfg := config(t, "")
	cfg.Ensemble = 3
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", cfg.BasePort+18))
	require.NoError(t, err)
	defer ln.Close()
	_, err = cluster.Launch(within(t), cfg)
	require.ErrorIs(t, err, cluster.ErrPortTaken)
	require.ErrorContains(t, err, fmt.Sprintf("%d (elections of ZooKeeper server 2)", cfg.BasePort+18))
	require.ErrorContains(t, err, "--base-port ")
}

func TestZooKeeperFaults(t *testing.T) {
	three, external := cluster.Config{Ensemble: 3}, cluster.Config{ZooKeeper: []string{"h:1"}}
	for _, c := range []struct {
		fault string
		cfg   cluster.Config
		want  error
	}{
		{"stop-zookeeper", cluster.Config{}, nil},
		{"pause-zookeeper", cluster.Config{}, nil},
		{"stop-zookeeper:1", cluster.Config{}, cluster.ErrFault},
		{"stop-zookeeper:1", three, nil},
		{"kill-zookeeper:leader", three, nil},
		{"start-zookeeper:leader", three, cluster.ErrUnknownNode},
		{"start-zookeeper:4", three, cluster.ErrUnknownNode},
		{"kill-zookeeper:n1", three, cluster.ErrUnknownNode},
		{"kill:zookeeper2", three, nil},
		{"kill:zookeeper", three, cluster.ErrUnknownNode},
		{"cut:zookeeper2", three, cluster.ErrUnknownNode},
		{"kill:zookeeper2", cluster.Config{}, cluster.ErrUnknownNode},
		{"pause-zookeeper:1", external, cluster.ErrExternal},
		{"kill:zookeeper", external, cluster.ErrExternal},
	} {
		plan, err := cluster.ParseFaults(c.fault + "@1s")
		require.NoError(t, err, c.fault)
		require.Equal(t, c.fault+"@1s", plan[0].String())
		if err := c.cfg.CheckFault(plan[0]); c.want == nil {
			require.NoError(t, err, c.fault)
		} else {
			require.ErrorIs(t, err, c.want, c.fault)
		}
	}
	require.ErrorIs(t, cluster.Config{Ensemble: 2}.Validate(), ensemble.ErrConfig)
	require.ErrorContains(t, cluster.Config{Ensemble: 3, ZooKeeper: []string{"h:1"}}.Validate(), "not both")
}
