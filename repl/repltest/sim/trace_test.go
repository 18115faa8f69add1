package sim_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"baton/repl/repltest/sim"
)

// TestSameSeedSameTrace: what a seed found can be looked at.
func TestSameSeedSameTrace(t *testing.T) {
	trace := func(seed uint64) (lines []string) {
		sim.Run(sim.Config{Seed: seed, Trace: func(line string) { lines = append(lines, line) }})
		return lines
	}
	for seed := uint64(1); seed <= 20; seed++ {
		require.Equal(t, trace(seed), trace(seed), "seed %d", seed)
	}
}
