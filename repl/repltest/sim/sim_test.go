package sim_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl/repltest/sim"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this seed alone, with its trace")
	plantFlag = flag.Int("plant", 0, "with this planted fault")
	fromFlag  = flag.Uint64("from", 1, "the first of the seeds to run")
	countFlag = flag.Uint64("count", 200, "how many seeds to run")
)

// seed is the one to reproduce, 0 if none was asked for.
func seed(t *testing.T) uint64 {
	if v := os.Getenv("BATON_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		require.NoError(t, err)
		return n
	}
	return *seedFlag
}

// again is the command that reproduces a run.
func again(r sim.Result) string {
	return fmt.Sprintf("go test ./repl/repltest/sim -run 'TestSim$' -v -seed %d -plant %d", r.Seed, int(r.Plant))
}

// TestSim runs some seeds, always the same ones, then, if BATON_SIM_SECONDS
// is set, fresh ones for that long.
func TestSim(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a run is short and makes a lot of garbage
	if n := seed(t); n != 0 {
		r := sim.Run(sim.Config{Seed: n, Plant: sim.Plant(*plantFlag), Trace: func(line string) { fmt.Println(line) }})
		t.Logf("%+v", r)
		require.Empty(t, r.Violation)
		return
	}
	var sum total
	for n := *fromFlag; n < *fromFlag+*countFlag && sum.bad < 20; n++ {
		sum.add(t, sim.Run(sim.Config{Seed: n}))
	}
	sum.log(t)
	if v := os.Getenv("BATON_SIM_SECONDS"); v != "" {
		seconds, err := strconv.Atoi(v)
		require.NoError(t, err)
		fresh(t, time.Duration(seconds)*time.Second)
	}
}

// fresh runs seeds that nobody has seen.
func fresh(t *testing.T, d time.Duration) {
	from := rand.Uint64() >> 12
	var sum total
	began := time.Now()
	for n := from; time.Since(began) < d && sum.bad < 5; n++ {
		sum.add(t, sim.Run(sim.Config{Seed: n}))
	}
	sum.log(t)
	t.Logf("fresh seeds from %d on, %.0f a second", from, float64(sum.runs)/time.Since(began).Seconds())
}

type total struct {
	runs, bad, stuck, events, elections, faults, acked int
}

func (s *total) add(t *testing.T, r sim.Result) {
	s.runs++
	s.events += r.Events
	s.elections += r.Elections
	s.faults += r.FaultsApplied
	s.acked += r.Acknowledged
	if r.Stuck != "" {
		s.stuck++
	}
	if r.Violation != "" {
		s.bad++
		t.Errorf("seed %d (%d replicas, %s): %s\n  %s", r.Seed, r.Replicas, r.Policy, r.Violation, again(r))
	}
}

func (s *total) log(t *testing.T) {
	t.Logf("%d seeds: %d leaderships, %d faults, %d proposals acknowledged, %d events; %d ended with too few disks to demand a leader",
		s.runs, s.elections, s.faults, s.acked, s.events, s.stuck)
}
