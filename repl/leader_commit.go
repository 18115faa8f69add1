package repl

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"baton/repl/quorum"
	"baton/store/record"
)

// quorumState is whether enough voters are in sync.
type quorumState struct {
	ok       bool
	lost     bool // QuorumLost was told
	have     int  // replicas in sync, the leader included
	missing  []string
	since    time.Time // when ok last changed
	everFull bool
}

// formingTime is how long a new leader may be without quorum before that is
// reported: its followers are only now being told about it.
const formingTime = time.Second

// finished is a waiter and its outcome.
type finished struct {
	waiter
	err error
}

// runCommit looks at the commit position whenever the leader's own log, or the
// time, may have moved it. What followers do is looked at where their acks are
// read.
func (l *Leader) runCommit() {
	defer l.wg.Done()
	logC, cancel := l.cfg.Log.Subscribe(l.commitMoves())
	defer cancel()
	tick := time.NewTicker(l.cfg.HeartbeatInterval)
	defer tick.Stop()
	for {
		ticked := false
		select {
		case <-l.ctx.Done():
			l.drain()
			return
		case <-l.kick:
		case <-logC:
		case <-tick.C:
			ticked = true
		}
		l.settle(ticked)
	}
}

// settle moves the commit position and answers the proposals that it covers.
// One goroutine at a time does, so answers come in the order of the log.
func (l *Leader) settle(ticked bool) {
	l.settling.Lock()
	defer l.settling.Unlock()
	// First the positions: what they say is true even if the log has failed
	// since, but nothing may be committed after that was seen.
	p := l.cfg.Log.Positions()
	if err := l.cfg.Log.Err(); err != nil {
		l.logFailed(fmt.Errorf("write or flush log: %w: %w", ErrLog, err))
		return
	}
	was := l.Commit()
	fin := l.advance(p, ticked, l.settling.fin[:0])
	// Whoever is woken last runs first, and that is to be who answers.
	if c := l.Commit(); c != was && l.cfg.Listener.Commit != nil {
		l.cfg.Listener.Commit(c)
	}
	for i, f := range fin {
		f.done(f.err)
		fin[i] = finished{}
	}
	l.settling.fin = fin
}

// commitMoves names what of the leader's own log can move the commit position.
// What its followers do comes with their acks.
func (l *Leader) commitMoves() record.Moves {
	if l.cfg.Policy.OwnWrite() {
		return record.MovesOfWritten | record.MovesOfFlush
	}
	return record.MovesOfFlush
}

// advance computes the commit position and takes out the proposals that are
// finished. Everything it tells others it tells after it has let go of mu.
func (l *Leader) advance(p record.Positions, ticked bool, fin []finished) []finished {
	now := l.cfg.Now()
	l.mu.Lock()
	if l.mu.ended != nil {
		l.mu.Unlock()
		return fin
	}
	l.mu.self = quorum.Self{Written: p.Written, Flush: p.Flush}
	was := l.Commit()
	commit := l.reached(was)
	l.commit.Store(uint64(commit))
	for w := l.mu.waiting.first(); w != nil && w.end <= commit; w = l.mu.waiting.first() {
		fin = append(fin, finished{waiter: l.mu.waiting.pop()})
		l.mu.latency.add(now.Sub(fin[len(fin)-1].at))
	}
	events := l.observe(p.Append, now)
	if ticked {
		fin = l.expire(now, fin)
	}
	freed := 0
	for _, f := range fin {
		freed += f.size
	}
	if freed > 0 {
		l.release(freed)
	}
	l.mu.Unlock()
	if commit != was {
		l.announce()
		if was < l.epochEnd {
			close(l.ready)
		}
	}
	if commit != was || freed > 0 {
		l.changed.notify()
	}
	for _, e := range events {
		e()
	}
	return fin
}

// reached computes the commit position anew; was is the one so far. Call with
// mu held.
func (l *Leader) reached(was record.Position) record.Position {
	l.mu.acks = l.mu.acks[:0]
	for _, pe := range l.mu.peers {
		l.mu.acks = pe.Acks(l.mu.acks)
	}
	return l.rule().Advance(l.mu.self, l.mu.acks, was)
}

// announce tells followers that the commit position moved.
func (l *Leader) announce() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, pe := range l.mu.peers {
		if s := pe.session; s != nil && !s.telling.Load() {
			poke(s.kick)
		}
	}
}

// expire takes out the proposals whose time is up. Call with mu held.
func (l *Leader) expire(now time.Time, fin []finished) []finished {
	for w := l.mu.waiting.first(); w != nil && now.Sub(w.at) >= l.cfg.QuorumTimeout; w = l.mu.waiting.first() {
		missing := "nobody is missing, the disks are too slow"
		if len(l.mu.quorum.missing) > 0 {
			missing = "missing " + strings.Join(l.mu.quorum.missing, ", ")
		}
		fin = append(fin, finished{l.mu.waiting.pop(), fmt.Errorf("%w: %w: not committed within %s under %s, %s",
			ErrNoQuorum, ErrInDoubt, l.cfg.QuorumTimeout, l.cfg.Policy, missing)})
	}
	return fin
}

// observe updates followers' states and the quorum as time and log move on. It
// returns what to tell. Call with mu held.
func (l *Leader) observe(end record.Position, now time.Time) (events []func()) {
	q := &l.mu.quorum
	q.have, q.missing = 1, q.missing[:0:0]
	for node, pe := range l.mu.peers {
		events = append(events, l.follow(node, pe, end, now)...)
		if pe.Counts() && pe.InSync() {
			q.have++
		} else {
			q.missing = append(q.missing, node)
		}
	}
	slices.Sort(q.missing)
	ok := q.have-1 >= l.cfg.Policy.Followers(l.cfg.Replicas)
	if ok != q.ok {
		q.ok, q.since = ok, now
	}
	switch {
	case ok:
		if q.lost {
			l.cfg.Logger.Info("quorum is back", keyEpoch, l.cfg.Epoch)
			events = append(events, call(l.cfg.Listener.QuorumBack))
		}
		q.lost, q.everFull = false, true
	case !q.lost && (q.everFull || now.Sub(l.started) >= formingTime):
		q.lost = true
		missing := slices.Clone(q.missing)
		l.cfg.Logger.Warn("quorum lost", keyEpoch, l.cfg.Epoch, "missing", missing)
		events = append(events, func() {
			if l.cfg.Listener.QuorumLost != nil {
				l.cfg.Listener.QuorumLost(missing)
			}
		})
	}
	return events
}

// drain answers all that still waits when leadership has ended.
func (l *Leader) drain() {
	l.settling.Lock()
	defer l.settling.Unlock()
	l.mu.Lock()
	err := fmt.Errorf("%w: %w", l.mu.ended, ErrInDoubt)
	var fin []waiter
	for l.mu.waiting.first() != nil {
		w := l.mu.waiting.pop()
		l.mu.outstanding -= w.size
		fin = append(fin, w)
	}
	l.mu.Unlock()
	for _, w := range fin {
		w.done(err)
	}
	l.changed.notify()
}

func call(f func()) func() {
	if f == nil {
		return func() {}
	}
	return f
}
