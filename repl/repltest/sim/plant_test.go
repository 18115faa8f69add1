package sim_test

import (
	"testing"

	"baton/repl/repltest/sim"
)

// seedsPlanted bounds the search for a planted fault.
const seedsPlanted = 400

// TestPlantedFaultsAreFound shows that the checkers would notice: each planted
// fault is found, and the seed that finds it is told. The search begins where
// it was found before; most are found within 100 seeds from anywhere. Counting
// by the registry of the moment takes 18 steps in just one order: that fault is
// left to the exhaustive search of package explore.
func TestPlantedFaultsAreFound(t *testing.T) {
	from := map[sim.Plant]uint64{sim.PlantNoEpoch: 17, sim.PlantAckEarly: 82, sim.PlantMemoryPosition: 95, sim.PlantCommitOld: 1850,
		sim.PlantNoRefusal: 14}
	for _, p := range sim.Plants() {
		if p == sim.PlantRegistryNow {
			continue
		}
		t.Run(p.String(), func(t *testing.T) {
			for n := max(from[p], 1); n < from[p]+seedsPlanted; n++ {
				if r := sim.Run(sim.Config{Seed: n, Plant: p}); r.Violation != "" {
					t.Logf("seed %d: %s\n  %s", n, r.Violation, again(r))
					return
				}
			}
			t.Errorf("not found in %d seeds from %d on", seedsPlanted, from[p])
		})
	}
}
