package demo_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo"
)

func TestBenchCatchUp(t *testing.T) {
	p := plan(t, 0, "", "")
	cfg := demo.CatchUpConfig{Cluster: p.Cluster, Bytes: 48 << 20, Measure: 200 * time.Millisecond, Progress: func(s string) { t.Log(s) }}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := demo.BenchCatchUp(ctx, cfg)
	require.NoError(t, err)
	require.NoError(t, r.Err())
	require.GreaterOrEqual(t, r.Behind, uint64(48<<20))
	require.GreaterOrEqual(t, r.Bytes, r.Behind)
	require.Positive(t, r.Rate)
	require.Positive(t, r.Before)
	require.True(t, r.ChainsEqual)
	require.Contains(t, r.Text(), "producers, receipts per second")
}

func TestCatchUpPlanIsChecked(t *testing.T) {
	p := plan(t, 0, "", "")
	for name, change := range map[string]func(*demo.CatchUpConfig){
		"too little":     func(c *demo.CatchUpConfig) { c.Bytes = 1000 },
		"no quorum left": func(c *demo.CatchUpConfig) { c.Cluster.Nodes = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := demo.CatchUpConfig{Cluster: p.Cluster}
			change(&cfg)
			require.Error(t, cfg.Validate())
		})
	}
}
