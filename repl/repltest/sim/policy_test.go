package sim_test

import (
	"testing"

	"baton/repl/quorum"
	"baton/repl/repltest/sim"
)

// TestEveryPolicyAndSize leaves neither to what seeds happen to draw. What a
// policy wants is looked for on the disks at each commit.
func TestEveryPolicyAndSize(t *testing.T) {
	for _, name := range []string{"local_mem", "local_disk", "remote_mem", "remote_disk", "quorum_mem", "quorum_disk",
		"local_disk,remote_mem", "local_disk,remote_disk", "local_disk,quorum_mem"} {
		policy, err := quorum.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, replicas := range []int{1, 3, 5, 7} {
			for seed := uint64(1); seed <= 3; seed++ {
				r := sim.Run(sim.Config{Seed: seed, Replicas: replicas, Policy: policy})
				if r.Violation != "" || r.Stuck == "" && r.Acknowledged == 0 {
					t.Errorf("seed %d, %d replicas, %s: %d acknowledged: %s", seed, replicas, name, r.Acknowledged, r.Violation)
				}
			}
		}
	}
}
