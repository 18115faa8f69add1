package demo_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"baton/demo"
)

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
