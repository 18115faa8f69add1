package demo_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo"
)

func TestBenchFailover(t *testing.T) {
	p := plan(t, 0, "", "")
	cfg := demo.BenchConfig{Cluster: p.Cluster, Load: p.Load, Runs: 2, Progress: func(s string) { t.Log(s) }}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	r, err := demo.BenchFailover(ctx, cfg)
	require.NoError(t, err)
	require.NoError(t, r.Err())
	require.Len(t, r.Failovers, 2)
	require.Equal(t, r.Failovers[0].LeaderAfter, r.Failovers[1].LeaderBefore)
	s := r.Phases["first receipt"]
	require.Positive(t, s.Min)
	require.LessOrEqual(t, s.Min, s.Median)
	require.LessOrEqual(t, s.Median, s.Max)
	require.Contains(t, r.Text(), "first receipt")
}

func TestBenchPlanIsChecked(t *testing.T) {
	p := plan(t, 0, "", "")
	for name, change := range map[string]func(*demo.BenchConfig){
		"a fault that changes no leader": func(c *demo.BenchConfig) { c.Fault = "kill-follower" },
		"no load":                        func(c *demo.BenchConfig) { c.Load.Rate = 0 },
		"too many runs":                  func(c *demo.BenchConfig) { c.Runs = 1 << 20 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := demo.BenchConfig{Cluster: p.Cluster, Load: p.Load}
			change(&cfg)
			require.Error(t, cfg.Validate())
		})
	}
}
