package demo_test

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo"
	"baton/demo/cluster"
	"baton/demo/cluster/clustertest"
	"baton/demo/load"
)

func TestMain(m *testing.M) {
	if os.Getenv(clustertest.Env) != "" {
		os.Exit(clustertest.Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func plan(t *testing.T, d time.Duration, faults, quirks string) demo.Config {
	f, err := cluster.ParseFaults(faults)
	require.NoError(t, err)
	return demo.Config{
		Cluster: cluster.Config{Binary: os.Args[0], Env: []string{clustertest.Env + "=on," + quirks}, BasePort: clustertest.FreeBase(t), StopTimeout: 2 * time.Second},
		Load:    load.Config{Rate: 400}, For: d, Faults: f, Progress: func(s string) { t.Log(s) },
	}
}

func run(t *testing.T, cfg demo.Config) demo.Report {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	r, err := demo.Headless(ctx, cfg)
	require.NoError(t, err)
	t.Log("\n" + r.Text())
	return r
}

func TestKillAndRestart(t *testing.T) {
	r := run(t, plan(t, 2*time.Second, "kill-leader@500ms,restart@1s,transfer@1500ms", ""))
	require.NoError(t, r.Err())
	require.Greater(t, r.Receipted, uint64(30))
	require.Zero(t, r.Lost+r.Duplicates+r.OutOfOrder+r.Phantom+r.Corrupt)
	require.Equal(t, r.Receipted+r.Recovered, r.Received)
	require.True(t, r.Drained && r.Healthy && r.ChainsEqual)
	require.Len(t, r.Failovers, 2)
	f := r.Failovers[0]
	require.Equal(t, "kill "+f.LeaderBefore, f.Cause)
	require.NotEqual(t, f.LeaderBefore, f.LeaderAfter)
	require.NotNil(t, f.FirstReceiptMS)
	require.LessOrEqual(t, *f.DetectedMS, *f.SealedMS)
	require.LessOrEqual(t, *f.ElectedMS, *f.PromotedMS)
	require.LessOrEqual(t, *f.PromotedMS, *f.FirstReceiptMS)
	require.Equal(t, f.Epoch+1, r.Failovers[1].Epoch)
	require.Len(t, r.Nodes, 3)
	require.Len(t, r.Faults, 3)
	require.GreaterOrEqual(t, r.Faults[0].AtMS, int64(500))
	require.Contains(t, r.Text(), "PASSED")

	b, err := json.Marshal(r)
	require.NoError(t, err)
	var fields map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(b, &fields))
	for _, name := range []string{"sent", "receipted", "received", "lost", "duplicates", "out_of_order", "elapsed_ms", "failovers", "nodes"} {
		require.Contains(t, fields, name)
	}
	var fs []map[string]any
	require.NoError(t, json.Unmarshal(fields["failovers"], &fs))
	for _, name := range []string{"cause", "leader_before", "leader_after", "epoch", "detected_ms", "sealed_ms", "elected_ms", "promoted_ms", "first_receipt_ms"} {
		require.Contains(t, fs[0], name)
	}
}

func TestNodeLeftDownOnPurpose(t *testing.T) {
	r := run(t, plan(t, time.Second, "kill:n3@300ms", ""))
	require.NoError(t, r.Err())
	require.Equal(t, []string{"n3"}, r.ExpectedDown)
	require.Equal(t, "signal killed", r.Nodes[2].Exit)
}

func TestLossFailsTheRun(t *testing.T) {
	// The first leader confirms and delivers nothing; the next knows nothing of it.
	cfg := plan(t, 1500*time.Millisecond, "kill-leader@700ms", "forget,hold")
	cfg.DrainTimeout = 500 * time.Millisecond
	r := run(t, cfg)
	require.ErrorIs(t, r.Err(), demo.ErrFailed)
	require.NotZero(t, r.Lost)
	require.NotEmpty(t, r.Missing)
	require.False(t, r.Drained)
	require.True(t, r.Healthy)
	require.Contains(t, r.Text(), "FAILED\n")
	require.Contains(t, r.Err().Error(), " lost")
}

func TestDivergedLogsFailTheRun(t *testing.T) {
	r := run(t, plan(t, 300*time.Millisecond, "", "diverge"))
	require.ErrorIs(t, r.Err(), demo.ErrFailed)
	require.ErrorContains(t, r.Err(), "logs differ")
	require.Zero(t, r.Lost)
	require.False(t, r.ChainsEqual)
}

func TestNoLeaderFailsTheRun(t *testing.T) {
	cfg := plan(t, 600*time.Millisecond, "kill-all@300ms", "")
	cfg.DrainTimeout, cfg.HealthTimeout = 300*time.Millisecond, 200*time.Millisecond
	r := run(t, cfg)
	require.ErrorIs(t, r.Err(), demo.ErrFailed)
	require.False(t, r.Healthy)
	require.Contains(t, strings.Join(r.Problems, "\n"), "no leader serves")
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cfg := plan(t, time.Hour, "kill-leader@59m", "")
	cfg.Progress = func(s string) {
		if strings.Contains(s, "sending for") {
			cancel()
		}
	}
	r, err := demo.Headless(ctx, cfg)
	require.NoError(t, err)
	require.True(t, r.Interrupted)
	require.NoError(t, r.Err(), "what was sent until then is judged")
	require.Empty(t, r.Faults)
	require.Contains(t, r.Text(), "interrupted")
}

func TestPlanIsChecked(t *testing.T) {
	for name, change := range map[string]func(*demo.Config){
		"fault after the end": func(c *demo.Config) { c.Faults = []cluster.Fault{{Name: "heal", At: time.Hour}} },
		"unknown node":        func(c *demo.Config) { c.Faults = []cluster.Fault{{Name: "kill", Node: "n7"}} },
		"external zookeeper": func(c *demo.Config) {
			c.Cluster.ZooKeeper = []string{"h:2181"}
			c.Faults = []cluster.Fault{{Name: "stop-zookeeper"}}
		},
		"nodes": func(c *demo.Config) { c.Cluster.Nodes = 99 },
		"rate":  func(c *demo.Config) { c.Load.Rate = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := demo.Config{}
			change(&cfg)
			_, err := demo.Headless(context.Background(), cfg)
			require.Error(t, err)
		})
	}
}
