package sim_test

import (
	"strings"
	"testing"

	"baton/repl/repltest/sim"
)

// seedsPlanted bounds the search for a planted fault from the seed on that
// found it when this was written.
const seedsPlanted = 400

// TestPlantedFaultsAreFound shows that the checkers would notice: each planted
// fault is found, and the seed that finds it is told. Counting by the registry
// of the moment takes 18 steps in just one order: that fault is left to the
// exhaustive search of package explore.
func TestPlantedFaultsAreFound(t *testing.T) {
	found := map[sim.Plant]uint64{sim.PlantNoEpoch: 1, sim.PlantAckEarly: 286, sim.PlantMemoryPosition: 697, sim.PlantWipedVotes: 1,
		sim.PlantResume: 7, sim.PlantNoRefusal: 2, sim.PlantCommitOld: 1145, sim.PlantTwice: 68, sim.PlantAckTwice: 95}
	for _, p := range sim.Plants() {
		if p == sim.PlantRegistryNow {
			continue
		}
		t.Run(p.String(), func(t *testing.T) {
			for n := found[p]; n < found[p]+seedsPlanted; n++ {
				r := sim.Run(sim.Config{Seed: n, Plant: p})
				if r.Violation != "" && !strings.HasPrefix(r.Violation, "not whole") {
					t.Logf("seed %d: %s\n  %s", n, r.Violation, again(r))
					return
				}
			}
			t.Errorf("not found in %d seeds from %d on", seedsPlanted, found[p])
		})
	}
}
