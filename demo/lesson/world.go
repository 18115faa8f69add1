package lesson

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"baton/demo/cluster"
	"baton/demo/load"
	"baton/node/adminapi"
	"baton/node/supervisor"
)

// Live is a World made of a launched cluster and its load.
type Live struct {
	cluster *cluster.Cluster
	load    func() *load.Load // nil while none runs

	mu     sync.Mutex // guards the rest
	events []cluster.Entry
	last   uint64
}

// NewLive returns the world of a cluster. load returns nil while no load runs.
func NewLive(c *cluster.Cluster, load func() *load.Load) *Live { return &Live{cluster: c, load: load} }

// heardMax is how many entries of the cluster's log a lesson looks at. No step
// brings as many; a session that is left open for days does.
const heardMax = 20_000

// heard returns the newest entries of the cluster's log; those returned are
// never changed.
func (w *Live) heard() []cluster.Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	fresh, _ := w.cluster.Events(w.last)
	for _, e := range fresh {
		w.last = e.Seq
	}
	if len(w.events) >= 2*heardMax { // trim seldom: every trim is a copy
		w.events = slices.Clone(w.events[len(w.events)-heardMax:])
	}
	w.events = append(w.events, fresh...)
	return w.events
}

// freshFor is how old an answer may be to count as now.
const freshFor = 400 * time.Millisecond

// Facts implements World from what the cluster keeps up to date.
func (w *Live) Facts(ctx context.Context) Facts {
	f := Facts{At: time.Now(), Runs: w.cluster.Tracker().Runs()}
	f.Events = w.heard()
	procs, statuses := w.cluster.Processes(), w.cluster.Statuses()
	i := 0
	var nodes []cluster.Process
	for _, p := range procs {
		if p.Kind != cluster.KindOfNode {
			f.ZKDown = f.ZKDown || p.State != supervisor.StateRunning
			continue
		}
		nodes = append(nodes, p)
		s := statuses[i]
		i++
		n := Node{ID: p.Name, Up: p.State == supervisor.StateRunning, Paused: p.State == supervisor.StatePaused, Cut: p.Cut, Status: s.Status}
		n.Answers = n.Up && s.Err == nil && f.At.Sub(s.At) < freshFor
		f.Nodes = append(f.Nodes, n)
		if n.Answers && !n.Cut && s.Status.Role == adminapi.RoleLeader && s.Status.State == adminapi.StateServing && s.Status.Epoch >= f.Epoch {
			f.Leader, f.Epoch = n.ID, s.Status.Epoch
		}
	}
	h := cluster.Judge(nodes, statuses)
	f.Healthy, f.Full = h.OK, h.OK && len(h.ExpectedDown) == 0
	if l := w.load(); l != nil {
		f.Messages = l.Summary()
	}
	return f
}

// Do implements World.
func (w *Live) Do(ctx context.Context, verb, target string) error {
	switch verb {
	case quiet:
		w.SetRate(0)
		w.Hold(false)
		return nil
	case holdConsumers:
		w.Hold(true)
		return nil
	case "start-all":
		return w.cluster.StartAll()
	case slowAll:
		return w.cluster.SlowDisks()
	case powerOn:
		return errors.Join(w.cluster.Heal(""), w.cluster.StartAll())
	case "stop-zookeeper", "start-zookeeper":
		_, err := w.cluster.Inject(ctx, cluster.Fault{Name: verb})
		return err
	}
	if _, err := w.cluster.Inject(ctx, cluster.Fault{Name: verb, Node: target}); err != nil {
		return fmt.Errorf("do %s: %w", verb, err)
	}
	return nil
}

// SetRate implements World.
func (w *Live) SetRate(perSecond float64) {
	if l := w.load(); l != nil {
		l.SetRate(perSecond)
	}
}

// Hold implements World.
func (w *Live) Hold(held bool) {
	if l := w.load(); l != nil {
		l.Hold(held)
	}
}
