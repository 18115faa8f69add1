package explore_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl/repltest/explore"
)

// TestExplore visits all states within small bounds; with BATON_EXPLORE those
// within other ones, given as epochs,records,crashes,wipes,backs,states, where
// states is when to give up, 0 = never.
func TestExplore(t *testing.T) {
	bounds := []string{"2,3,2,1,0,0", "2,2,1,0,1,0"}
	if testing.Short() {
		bounds = []string{"2,1,1,1,0,0", "2,1,0,0,1,0"}
	}
	if v := os.Getenv("BATON_EXPLORE"); v != "" {
		bounds = []string{v}
	}
	for _, b := range bounds {
		var cfg explore.Config
		_, err := fmt.Sscanf(b, "%d,%d,%d,%d,%d,%d", &cfg.Epochs, &cfg.Records, &cfg.Crashes, &cfg.Wipes, &cfg.Backs, &cfg.States)
		require.NoError(t, err, b)
		began := time.Now()
		r, err := explore.Run(cfg)
		require.NoError(t, err)
		t.Logf("%d epochs, %d records, %d crashes, %d wipes, ZooKeeper back %d times: %d states, %d steps deep, complete: %v, %s", cfg.Epochs,
			cfg.Records, cfg.Crashes, cfg.Wipes, cfg.Backs, r.States, r.Depth, r.Complete, time.Since(began).Round(time.Millisecond))
		require.Empty(t, r.Violation, strings.Join(r.Trace, "\n"))
	}
}

// TestPromiseToTheLeaderIsNotWhatKeepsRecords: a follower that attaches without
// promising its leader's epoch loses nothing, because from its first batch of
// that epoch on its log says the same, and no leader of an earlier epoch may cut
// that. The promise is kept, so that one rule refuses every frame.
func TestPromiseToTheLeaderIsNotWhatKeepsRecords(t *testing.T) {
	cfg := explore.Config{Epochs: 2, Records: 2, Crashes: 2, Wipes: 1, Plant: explore.PlantNoSeal}
	if testing.Short() {
		cfg.Records, cfg.Crashes = 1, 1
	}
	r, err := explore.Run(cfg)
	require.NoError(t, err)
	require.True(t, r.Complete)
	require.Empty(t, r.Violation, strings.Join(r.Trace, "\n"))
}

// TestPlantedFaultsAreFound shows that a rule that is left out is missed.
func TestPlantedFaultsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long under the race detector, and has one thread")
	}
	for name, c := range map[string]explore.Config{
		"no epoch in the election":       {Epochs: 3, Records: 1, Crashes: 1, Plant: explore.PlantNoEpoch},
		"a wiped disk votes":             {Epochs: 3, Records: 1, Crashes: 2, Wipes: 1, Plant: explore.PlantWipedVotes},
		"counted by the registry of now": {Epochs: 3, Records: 1, Crashes: 1, Wipes: 1, Plant: explore.PlantRegistryNow},
		"committed by counting":          {Epochs: 4, Plant: explore.PlantCommitOld},
		"lower epochs are not refused":   {Epochs: 2, Records: 1, Plant: explore.PlantNoRefusal},
		"acknowledged before the flush":  {Epochs: 3, Records: 1, Crashes: 1, Plant: explore.PlantAckEarly},
		"decided twice":                  {Epochs: 2, Records: 1, Crashes: 1, Backs: 1, Plant: explore.PlantTwice},
		"a position from memory":         {Epochs: 4, Records: 2, Plant: explore.PlantMemoryPosition},
	} {
		t.Run(name, func(t *testing.T) {
			c.States = 8_000_000
			r, err := explore.Run(c)
			require.NoError(t, err)
			require.NotEmpty(t, r.Violation, "not found in %d states", r.States)
			t.Logf("%d states: %s\n  %s", r.States, r.Violation, strings.Join(r.Trace, "\n  "))
		})
	}
}
