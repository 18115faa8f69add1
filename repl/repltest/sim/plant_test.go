package sim_test

import (
	"testing"

	"baton/repl/repltest/sim"
)

// seedsPlanted bounds the search for a planted fault.
const seedsPlanted = 3000

// TestPlantedFaultsAreFound shows that the checkers would notice: each planted
// fault is found, and the seed that finds it is told.
func TestPlantedFaultsAreFound(t *testing.T) {
	for _, p := range sim.Plants() {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			for n := uint64(1); n <= seedsPlanted; n++ {
				if r := sim.Run(sim.Config{Seed: n, Plant: p}); r.Violation != "" {
					t.Logf("seed %d: %s\n  %s", n, r.Violation, again(r))
					return
				}
			}
			t.Errorf("not found in %d seeds", seedsPlanted)
		})
	}
}
