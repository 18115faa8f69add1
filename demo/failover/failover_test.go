package failover_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo/failover"
	"baton/node/adminapi"
)

var t0 = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }

func ev(ms int, node, kind string, epoch uint64, fields ...string) adminapi.Event {
	e := adminapi.Event{At: at(ms), Node: node, Kind: kind, Epoch: epoch, Fields: map[string]string{}}
	for i := 0; i+1 < len(fields); i += 2 {
		e.Fields[fields[i]] = fields[i+1]
	}
	return e
}

// serving returns a tracker of a cluster that n1 leads in epoch 1.
func serving() *failover.Tracker {
	t := &failover.Tracker{}
	t.Observe(ev(-900, "n2", adminapi.KindQuorumSealed, 1))
	t.Observe(ev(-800, "n2", adminapi.KindElected, 1, "leader", "n1"))
	t.Observe(ev(-700, "n1", adminapi.KindServing, 1))
	t.Observe(ev(-600, "n1", adminapi.KindFirstReceipt, 1))
	return t
}

// failover from n1 to n2 in epoch 2 after a fault at 0.
func change(base int) []adminapi.Event {
	return []adminapi.Event{
		ev(base+3, "n2", adminapi.KindSuspected, 1),
		ev(base+4, "n3", adminapi.KindSuspected, 1),
		ev(base+20, "n2", adminapi.KindQuorumSealed, 2),
		ev(base+25, "n2", adminapi.KindElected, 2, "leader", "n2"),
		ev(base+40, "n2", adminapi.KindServing, 2),
	}
}

func millis(r failover.Run) (out []int) {
	for _, p := range r.Phases() {
		if p.At < 0 {
			out = append(out, -1)
		} else {
			out = append(out, int(p.At.Milliseconds()))
		}
	}
	return out
}

func TestColdStartIsNoFailover(t *testing.T) {
	tr := serving()
	tr.Receipt(at(-590), at(-580))
	require.Empty(t, tr.Runs())
	leader, epoch := tr.Leader()
	require.Equal(t, "n1", leader)
	require.Equal(t, uint64(1), epoch)
}

func TestKill(t *testing.T) {
	tr := serving()
	tr.Fault(at(0), "kill n1", "n1")
	for _, e := range change(0) {
		tr.Observe(e)
	}
	tr.Receipt(at(-500), at(45)) // over the old connection: cannot be the new leader
	require.False(t, tr.Runs()[0].Done())
	tr.Observe(ev(49, "n2", adminapi.KindFirstReceipt, 2))
	tr.Receipt(at(46), at(51))
	tr.Receipt(at(46), at(50)) // another producer was sooner
	runs := tr.Runs()
	require.Len(t, runs, 1)
	r := runs[0]
	require.True(t, r.Done())
	require.Equal(t, []int{3, 20, 25, 40, 49}, millis(r))
	require.Equal(t, []any{1, "kill n1", "n1", "n2", uint64(1), uint64(2)}, []any{r.ID, r.Cause, r.LeaderBefore, r.LeaderAfter, r.EpochBefore, r.Epoch})
}

func TestFaultOnFollowerIsNoFailover(t *testing.T) {
	tr := serving()
	tr.Fault(at(0), "kill n3", "n3")
	require.Empty(t, tr.Runs())
}

func TestEventsOfNodesInAnyOrder(t *testing.T) {
	// Each node's own events stay in order; n3's may come at any time.
	n2 := []adminapi.Event{change(0)[0], change(0)[2], change(0)[3], change(0)[4], ev(49, "n2", adminapi.KindFirstReceipt, 2)}
	n3 := []adminapi.Event{ev(2, "n3", adminapi.KindSuspected, 1), ev(60, "n3", adminapi.KindFollowing, 2, "leader", "n2")}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		tr := serving()
		tr.Fault(at(0), "kill n1", "n1")
		a, b := n2, n3
		for len(a)+len(b) > 0 {
			if len(b) == 0 || len(a) > 0 && r.IntN(2) == 0 {
				tr.Observe(a[0])
				a = a[1:]
			} else {
				tr.Observe(b[0])
				b = b[1:]
			}
		}
		runs := tr.Runs()
		require.Len(t, runs, 1, "seed %d", seed)
		require.Equal(t, []int{2, 20, 25, 40, 49}, millis(runs[0]), "seed %d", seed)
	}
}

func TestElectionThatFailedIsFollowedByTheNext(t *testing.T) {
	tr := serving()
	tr.Fault(at(0), "kill n1", "n1")
	for _, e := range change(0)[:4] {
		tr.Observe(e)
	}
	tr.Fault(at(30), "kill n2", "n2") // elected, never served
	tr.Observe(ev(90, "n3", adminapi.KindQuorumSealed, 3))
	tr.Observe(ev(95, "n3", adminapi.KindElected, 3, "leader", "n3"))
	tr.Observe(ev(110, "n3", adminapi.KindServing, 3))
	runs := tr.Runs()
	require.Len(t, runs, 1)
	require.Equal(t, "kill n1, kill n2", runs[0].Cause)
	require.Equal(t, "n3", runs[0].LeaderAfter)
	require.Equal(t, []int{3, 90, 95, 110, -1}, millis(runs[0]))
}

func TestSecondFailoverIsItsOwn(t *testing.T) {
	for _, receipt := range []bool{true, false} { // false: no load
		tr := serving()
		tr.Fault(at(0), "kill n1", "n1")
		for _, e := range change(0) {
			tr.Observe(e)
		}
		if receipt {
			tr.Receipt(at(45), at(50))
		}
		tr.Fault(at(1000), "kill n2", "n2")
		tr.Observe(ev(1005, "n3", adminapi.KindSuspected, 2))
		tr.Observe(ev(1030, "n3", adminapi.KindServing, 3))
		runs := tr.Runs()
		require.Len(t, runs, 2)
		require.Equal(t, "kill n2", runs[1].Cause)
		require.Equal(t, []int{5, -1, -1, 30, -1}, millis(runs[1]))
	}
}

func TestNobodyOwnedUp(t *testing.T) {
	tr := serving()
	for _, e := range change(0) {
		tr.Observe(e)
	}
	tr.Receipt(at(41), at(44))
	runs := tr.Runs()
	require.Len(t, runs, 1)
	require.Equal(t, "suspected", runs[0].Cause)
	require.Equal(t, []int{0, 17, 22, 37, 41}, millis(runs[0]))
}

func TestFalseAlarm(t *testing.T) {
	t.Run("is no failover", func(t *testing.T) {
		tr := serving()
		tr.Observe(ev(0, "n3", adminapi.KindSuspected, 1))
		tr.Receipt(at(10), at(20)) // a client that happened to connect then
		require.Len(t, tr.Runs(), 1)
		require.True(t, tr.Runs()[0].FalseAlarm())
		require.False(t, tr.Runs()[0].Done())
	})
	t.Run("does not spoil the times of a later kill", func(t *testing.T) {
		tr := serving()
		tr.Observe(ev(-300, "n3", adminapi.KindSuspected, 1))
		tr.Fault(at(0), "kill n1", "n1")
		for _, e := range change(0) {
			tr.Observe(e)
		}
		runs := tr.Runs()
		require.Len(t, runs, 1)
		require.Equal(t, "kill n1", runs[0].Cause)
		require.False(t, runs[0].FalseAlarm())
		require.Equal(t, []int{3, 20, 25, 40, -1}, millis(runs[0]))
	})
	t.Run("does not spoil the times of a later election", func(t *testing.T) {
		tr := serving()
		tr.Observe(ev(-60_000, "n3", adminapi.KindSuspected, 1))
		for _, e := range change(0) {
			tr.Observe(e)
		}
		require.Equal(t, []int{0, 17, 22, 37, -1}, millis(tr.Runs()[0]))
	})
	t.Run("is not the fault of a follower", func(t *testing.T) {
		tr := serving()
		tr.Observe(ev(0, "n3", adminapi.KindSuspected, 1))
		tr.Fault(at(5), "kill n3", "n3")
		require.Equal(t, "suspected", tr.Runs()[0].Cause)
	})
}

func TestTransferHasNoSuspicion(t *testing.T) {
	tr := serving()
	tr.Fault(at(0), "transfer", "n1")
	tr.Receipt(at(2), at(3)) // the old leader still serves
	tr.Observe(ev(10, "n2", adminapi.KindQuorumSealed, 2))
	tr.Observe(ev(12, "n2", adminapi.KindElected, 2, "leader", "n2"))
	tr.Observe(ev(20, "n2", adminapi.KindServing, 2))
	tr.Receipt(at(21), at(23))
	require.Equal(t, []int{-1, 10, 12, 20, 23}, millis(tr.Runs()[0]))
}

// However many failovers there are, the newest are remembered, and as long as
// nothing happens all who ask get the same.
func TestRunsAreBounded(t *testing.T) {
	var tr failover.Tracker
	at := time.Unix(1_700_000_000, 0)
	lead := func(epoch uint64) {
		for _, kind := range []string{adminapi.KindElected, adminapi.KindServing, adminapi.KindFirstReceipt} {
			tr.Observe(adminapi.Event{Kind: kind, Node: "n1", Epoch: epoch, At: at, Fields: map[string]string{"leader": "n1"}})
		}
	}
	lead(1)
	for i := range 1200 {
		at = at.Add(time.Minute)
		tr.Fault(at, "kill n1", "n1")
		for range 500 {
			tr.Fault(at, "again", "n2") // while nobody serves
		}
		lead(uint64(i) + 2)
	}
	runs := tr.Runs()
	require.Len(t, runs, 500)
	require.Equal(t, []int{701, 1200}, []int{runs[0].ID, runs[499].ID})
	require.True(t, runs[499].Done())
	require.Less(t, len(runs[499].Cause), 300)
	tr.Receipt(at.Add(time.Second), at.Add(2*time.Second)) // not the first
	require.Same(t, &runs[0], &tr.Runs()[0])
	tr.Fault(at.Add(time.Minute), "kill n1", "n1")
	require.Equal(t, 1201, tr.Runs()[499].ID)
	require.Equal(t, 1200, runs[499].ID, "what was given stays")
}
