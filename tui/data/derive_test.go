package data_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/tui/data"
	"baton/tui/tuitest"
)

func TestHealth(t *testing.T) {
	want := map[string]data.Health{
		"healthy": data.HealthHealthy, "catching-up": data.HealthDegraded, "failover": data.HealthFailover,
		"failed-over": data.HealthDegraded, "no-quorum": data.HealthNoQuorum, "zk-down": data.HealthZKDown,
		"paused": data.HealthDegraded, "stale": data.HealthUnreached, "attached": data.HealthHealthy,
		"starting": data.HealthStarting, "empty": data.HealthUnknown, "five": data.HealthHealthy,
	}
	for _, st := range tuitest.States() {
		if h, ok := want[st.Name]; ok {
			require.Equal(t, h.Word(), st.Snap.Health.Word(), st.Name)
		}
	}
}

func TestRisk(t *testing.T) {
	cases := []struct {
		state, action, target string
		sentences             int
	}{
		{"healthy", data.ActionKill, "n1", 2},
		{"healthy", data.ActionKill, "n2", 0},
		{"healthy", data.ActionTransfer, "n1", 0},
		{"healthy", data.ActionStart, "n1", 0},
		{"healthy", data.ActionKill, "zookeeper", 1},
		{"failed-over", data.ActionPause, "n3", 1},
		{"failed-over", data.ActionKill, "n1", 0},
		{"five", data.ActionKill, "n4", 0},
		{"healthy", data.ActionKill, "nobody", 0},
	}
	states := map[string]*data.Snapshot{}
	for _, s := range tuitest.States() {
		states[s.Name] = s.Snap
	}
	ensemble := *states["healthy"]
	ensemble.Processes = slices.DeleteFunc(slices.Clone(ensemble.Processes), func(p data.Process) bool { return p.Kind == data.KindZooKeeper })
	for _, name := range []string{"zookeeper1", "zookeeper2", "zookeeper3"} {
		ensemble.Processes = append(ensemble.Processes, data.Process{Name: name, Kind: data.KindZooKeeper, State: data.ProcessRunning})
	}
	require.Contains(t, ensemble.Risk(data.ActionKill, "zookeeper1")[0], "2 of 3 ZooKeeper servers stay", "the other two go on")
	ensemble.Processes[len(ensemble.Processes)-1].State = data.ProcessExited
	require.Len(t, ensemble.Risk(data.ActionKill, "zookeeper1"), 1, "the last one is no quorum")
	for _, c := range cases {
		got := states[c.state].Risk(c.action, c.target)
		require.Len(t, got, c.sentences, "%s: %s %s: %q", c.state, c.action, c.target, got)
	}
}
