package tuitest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"baton/demo/failover"
	"baton/node/adminapi"
	"baton/tui/data"
)

// Source plays a cluster of three that lives: figures move, and what is done
// to a node has the consequences that it would have. Phases of a failover are
// stretched by Slow so that they can be watched.
type Source struct {
	Slow float64 // 1 is the speed of the scripted failover (93 ms); 0 means 20

	mu       sync.Mutex
	started  time.Time
	leader   int // index, -1 if none
	epoch    uint64
	procs    [3]data.Process
	since    [3]time.Time // of the state
	position float64
	at       [3]float64 // position of each node
	lag      [3][]float64
	in       []float64
	runs     []failover.Run
	events   []adminapi.Event
	seen     uint64
	sent     uint64
	last     time.Time
}

// Run implements tui.Source.
func (s *Source) Run(ctx context.Context, publish func(*data.Snapshot)) error {
	s.begin(time.Now())
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		publish(s.step(time.Now()))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (s *Source) begin(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Slow == 0 {
		s.Slow = 20
	}
	s.started, s.last, s.leader, s.epoch, s.position = now, now, 0, 1, position
	for i := range s.procs {
		s.procs[i] = data.Process{Name: id(i + 1), Kind: "node", State: data.ProcessRunning, PID: 4711 + i, Since: now}
		s.since[i], s.at[i] = now, s.position
	}
	s.note(now, "n1", adminapi.KindServing, "n1 serves clients in epoch 1")
}

// Can implements tui.Source.
func (s *Source) Can(action string) (bool, string) {
	switch action {
	case data.ActionCut, data.ActionHeal:
		return false, "this cluster is not there: it has no links"
	}
	return true, ""
}

// Do implements tui.Source.
func (s *Source) Do(_ context.Context, action, node string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	which := -1
	for i := range s.procs {
		if s.procs[i].Name == node {
			which = i
		}
	}
	if which < 0 {
		return fmt.Errorf("%s %s: no such node", action, node)
	}
	s.note(now, node, data.KindConsole, "you: "+action+" "+node)
	p := &s.procs[which]
	p.Since = now
	switch action {
	case data.ActionKill:
		p.State, p.Exit = data.ProcessExited, "killed (SIGKILL)"
	case data.ActionStop:
		p.State, p.Exit = data.ProcessExited, "exited 0 (SIGTERM)"
	case data.ActionPause:
		p.State = data.ProcessPaused
	case data.ActionTransfer:
		if which != s.leader {
			s.fail(now, action+" "+node, which)
		}
		return nil
	default:
		p.State, p.PID = data.ProcessRunning, p.PID+10
	}
	if which == s.leader {
		s.fail(now, action+" "+node, -1)
	}
	return nil
}

// fail opens a run whose phases are reached as time goes on.
func (s *Source) fail(now time.Time, cause string, to int) {
	slow := func(d time.Duration) time.Time { return now.Add(time.Duration(float64(d) * s.Slow)) }
	jitter := time.Duration(rand.IntN(20)) * ms // a picture, not a measurement: no seed to keep
	s.runs = append(s.runs, failover.Run{
		ID: len(s.runs) + 1, Cause: cause, Fault: now, LeaderBefore: id(s.leader + 1), EpochBefore: s.epoch, Epoch: s.epoch + 1,
		Detected: slow(12 * ms), Sealed: slow(24 * ms), Elected: slow(33 * ms), Promoted: slow(66*ms + jitter), FirstReceipt: slow(93*ms + jitter),
	})
	s.leader = -1
	if to >= 0 {
		s.runs[len(s.runs)-1].LeaderAfter = id(to + 1)
	}
}

// reached hides the phases that lie in the future.
func reached(r failover.Run, now time.Time) failover.Run {
	for _, t := range []*time.Time{&r.Detected, &r.Sealed, &r.Elected, &r.Promoted, &r.FirstReceipt} {
		if t.After(now) {
			*t = time.Time{}
		}
	}
	return r
}

func (s *Source) note(at time.Time, node, kind, text string) {
	s.seen++
	s.events = append(s.events, adminapi.Event{Seq: s.seen, At: at, Node: node, Kind: kind, Text: text})
	if len(s.events) > 200 {
		s.events = s.events[len(s.events)-200:]
	}
}

// step moves the cluster on to now and describes it.
func (s *Source) step(now time.Time) *data.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	dt := now.Sub(s.last).Seconds()
	s.last = now
	alive := 0
	for i := range s.procs {
		if s.procs[i].State == data.ProcessRunning {
			alive++
		}
	}
	s.elect(now, alive)
	rate := 0.0
	if s.leader >= 0 && alive >= 2 {
		rate = 1250 + 120*math.Sin(now.Sub(s.started).Seconds()/3)
	}
	s.sent += uint64(rate * dt)
	s.position += rate * dt * 250
	for i := range s.procs {
		lag := math.NaN()
		if s.procs[i].State == data.ProcessRunning {
			s.at[i] = math.Min(s.position, s.at[i]+4e6*dt)
			lag = s.position - s.at[i]
		}
		s.lag[i] = push(s.lag[i], lag)
	}
	s.in = push(s.in, rate)
	return s.describe(now, rate)
}

func push(values []float64, v float64) []float64 {
	out := append(append([]float64(nil), values...), v)
	return out[max(0, len(out)-240):]
}

// elect lets the node with the longest log take over when its time has come.
func (s *Source) elect(now time.Time, alive int) {
	if s.leader >= 0 || len(s.runs) == 0 || alive < 2 {
		return
	}
	r := &s.runs[len(s.runs)-1]
	if now.Before(r.Promoted) {
		return
	}
	best := -1
	for i := range s.procs {
		if s.procs[i].State == data.ProcessRunning && (best < 0 || s.at[i] > s.at[best] || id(i+1) == r.LeaderAfter) {
			best = i
		}
	}
	s.leader, s.epoch, r.LeaderAfter = best, r.Epoch, id(best+1)
	s.note(r.Elected, id(best+1), adminapi.KindElected, fmt.Sprintf("%s leads epoch %d: highest position", id(best+1), s.epoch))
	s.note(r.Promoted, id(best+1), adminapi.KindServing, fmt.Sprintf("%s serves clients in epoch %d", id(best+1), s.epoch))
}

func (s *Source) describe(now time.Time, rate float64) *data.Snapshot {
	snap := Healthy()
	snap.At, snap.Events, snap.EventsAll = now, append([]adminapi.Event(nil), s.events...), s.seen
	snap.QueuesAt, snap.InRate, snap.OutRate = now, s.in, s.in
	snap.Tree.At, snap.Tree.Epoch, snap.Tree.Leader, snap.Tree.Members = now, s.epoch, "", nil
	snap.Ledger = data.Ledger{OK: true, Sent: s.sent, Receipted: s.sent, Received: s.sent, Rate: rate}
	if s.leader >= 0 {
		snap.Tree.Leader = id(s.leader + 1)
	}
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		p := s.procs[i]
		snap.Processes[i] = p
		n.Status.Epoch, n.Status.Sealed, n.Status.PID, n.Status.StartedAt = s.epoch, s.epoch, p.PID, s.started
		n.Status.Positions.Append, n.Lag, n.SeenAt = uint64(s.at[i]), s.lag[i], now
		if s.leader < 0 {
			n.Status.Role, n.Status.State = adminapi.RoleElecting, adminapi.StateSealed
		}
		if p.State != data.ProcessRunning {
			n.Fresh, n.SeenAt = data.Unknown, p.Since
			continue
		}
		snap.Tree.Members = append(snap.Tree.Members, data.Member{Eid: fmt.Sprintf("%010d", 21+i), Node: n.ID, Session: fmt.Sprintf("0x1%x", i), Position: int64(s.at[i]), Sealed: s.epoch})
	}
	s.followers(snap, rate)
	for _, r := range s.runs {
		snap.Failovers = append(snap.Failovers, reached(r, now))
	}
	for i := range snap.Queues {
		snap.Queues[i].Depth += uint64(now.Sub(s.started).Seconds() * float64(i))
	}
	snap.Derive()
	return snap
}

func (s *Source) followers(snap *data.Snapshot, rate float64) {
	if s.leader < 0 {
		return
	}
	lead(snap, s.leader, s.epoch)
	l := &snap.Nodes[s.leader]
	l.InRate, l.OutRate = rate, rate
	have := 1
	for i := range l.Status.Followers {
		f := &l.Status.Followers[i]
		for j := range s.procs {
			if id(j+1) != f.Node {
				continue
			}
			f.LagBytes = uint64(s.position - s.at[j])
			if f.LagBytes > 0 {
				f.State, f.LagSeconds = adminapi.StateCatchingUp, float64(f.LagBytes)/312_000
				f.CatchUp = &adminapi.CatchUp{To: uint64(s.position), Done: uint64(s.at[j]), Rate: 4e6, ETASecs: float64(f.LagBytes) / 4e6}
			} else {
				have++
			}
		}
	}
	l.Status.Quorum.Have, l.Status.Quorum.OK = have, have >= 2
	if have < 2 {
		l.Status.State = adminapi.StateNoQuorum
	}
}
