package data

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/adminapi"
)

// day lets simulated time go by on a Source that nobody runs: every step is what
// a quarter of a second of a busy cluster brings.
type day struct {
	source *Source
	now    time.Time
	step   int
	peers  []*poller
	held   []*Snapshot // as a console remembers them
}

func newDay(t *testing.T) *day {
	d := &day{now: time.Unix(1_700_000_000, 0)}
	cfg := Config{Now: func() time.Time { return d.now }, Tree: func(context.Context) (Tree, error) { return Tree{}, nil }}
	s, err := New(cfg)
	require.NoError(t, err)
	d.source = s
	for _, id := range []string{"n1", "n2", "n3"} {
		p := newPoller(s, Endpoint{ID: id, Admin: id + ":1"})
		s.mu.pollers[p.client.Address] = p
		d.peers = append(d.peers, p)
	}
	return d
}

// held is how many snapshots a console remembers.
const held = 480

func (d *day) pass(steps int) {
	for range steps {
		d.step++
		d.now = d.now.Add(250 * time.Millisecond)
		for i, p := range d.peers {
			p.answered(d.status(p.id, i))
		}
		d.source.tookQueues(adminapi.Status{Node: "n1", Epoch: 1, Now: d.now}, []adminapi.Queue{{Name: "orders", Depth: uint64(d.step)}, {Name: "payments"}})
		if d.step%20 == 0 { // an event every five seconds, and one that is late
			d.event(d.now)
			d.event(d.now.Add(-3 * time.Second))
		}
		d.source.mu.Lock()
		d.source.mu.logs.add(LogLine{Seq: uint64(d.step), At: d.now, Source: "n1", Text: fmt.Sprint("line ", d.step)})
		d.source.mu.Unlock()
		d.held = append(d.held, d.source.Snapshot())
		if over := len(d.held) - held; over > 0 {
			d.held = append(d.held[:0:0], d.held[over:]...)
		}
	}
}

func (d *day) event(at time.Time) {
	d.source.tookEvent(adminapi.Event{Seq: uint64(d.step), At: at, Node: "n1", Kind: "test", Text: fmt.Sprint("event ", d.step)})
}

func (d *day) status(id string, i int) adminapi.Status {
	st := adminapi.Status{Node: id, Role: adminapi.RoleFollower, State: adminapi.StateInSync, Epoch: 1, PID: 1 + i, Now: d.now}
	if i == 0 {
		st.Role, st.State = adminapi.RoleLeader, adminapi.StateServing
	}
	st.Chain = adminapi.Chain{Position: uint64(d.step), Hash: fmt.Sprint(d.step)}
	for c := range 256 { // a node tells as many
		at := uint64(max(0, d.step-256+c))
		st.Chain.Recent = append(st.Chain.Recent, adminapi.ChainPoint{Position: at, Hash: fmt.Sprintf("%016x", at)})
	}
	return st
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools of earlier tests held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Two minutes of snapshots, all that a console remembers, are a few megabytes,
// and more time adds nothing.
func TestMemoryOfALongRun(t *testing.T) {
	before := heap()
	d := newDay(t)
	d.pass(held)
	require.Less(t, heap()-before, int64(8<<20), "two minutes of snapshots")
	d.pass(5 * 60 * 4)
	early := heap()
	d.pass(15 * 60 * 4)
	late := heap()
	require.Less(t, late-early, int64(1<<20), "what a quarter of an hour added")
	last := d.held[len(d.held)-1]
	require.Equal(t, 2*(d.step/20), len(last.Events), "all of them")
	require.Equal(t, 3, last.Chains.Replicas, "compared before the points were dropped")
	require.Len(t, last.Nodes[0].Lag, seriesMax)
	require.Len(t, last.Queues[0].Trend, trendMax)
	runtime.KeepAlive(d)
}

// What a snapshot holds stays as it was, whatever comes after it.
func TestSnapshotsDoNotChange(t *testing.T) {
	d := newDay(t)
	type copied struct {
		snap   *Snapshot
		lag    []float64
		trend  []float64
		events []adminapi.Event
	}
	var all []copied
	for range 1500 {
		d.pass(1)
		s := d.held[len(d.held)-1]
		all = append(all, copied{s, append([]float64(nil), s.Nodes[1].Lag...), append([]float64(nil), s.Queues[0].Trend...), append([]adminapi.Event(nil), s.Events...)})
		if len(all) > 200 {
			all = all[1:]
		}
		if d.step%500 == 0 {
			for _, c := range all {
				require.Equal(t, len(c.lag), len(c.snap.Nodes[1].Lag))
				require.Equal(t, c.trend, c.snap.Queues[0].Trend)
				require.Equal(t, c.events, c.snap.Events)
			}
		}
	}
}

// The newest events are there in the order of their time, late ones too.
func TestEventLog(t *testing.T) {
	l := eventLog{limit: 10}
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	for i := range 100 {
		l.add(adminapi.Event{Seq: uint64(i), At: at(i)})
		if i%7 == 3 {
			before := l.list()
			first := before[0]
			l.add(adminapi.Event{Seq: 1000, At: at(i - 2)})
			require.Equal(t, first, before[0])
		}
		list := l.list()
		for j := 1; j < len(list); j++ {
			require.False(t, list[j].At.Before(list[j-1].At))
		}
		require.LessOrEqual(t, len(list), 10)
		require.Equal(t, at(i), list[len(list)-1].At)
	}
	require.Equal(t, uint64(114), l.total)
}
