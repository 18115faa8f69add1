package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"baton/repl/diverge"
	"baton/repl/election"
	"baton/repl/progress"
	"baton/repl/quorum"
	"baton/repl/tally"
	"baton/store/record"
)

// lead is one epoch led by a process, as repl.Leader and the node's
// leadership are.
type lead struct {
	p        *process
	epoch    record.Epoch
	epochEnd record.Position
	peers    map[string]*peer
	order    []string // of peers
	commit   record.Position
	acks     []quorum.Ack
	waiting  []proposal
	ended    bool
	serving  bool
	handing  string // who leadership is handed to, "" if it is not
	writing  bool   // the hand-over is being written
}

type peer struct {
	tally.Peer
	session *conn
	earlier quorum.Ack // of the session before, of PlantAckTwice alone
}

type proposal struct {
	end  record.Position
	at   time.Duration
	done func(bool)
}

func (l *lead) progress() progress.Config {
	return progress.Config{Window: l.p.n.s.swarm.window, InSyncBytes: 100, LagBytes: 2000, LagTime: 2 * time.Second, Disk: l.p.n.s.cfg.Policy.Disk()}
}

// startLead appends the epoch-start record and begins to lead; the text says
// why not.
func startLead(p *process, e record.Epoch, voters map[string]string) (*lead, string) {
	n := p.n
	s := n.s
	if n.disk.epoch() >= e && s.cfg.Plant != PlantResume {
		return nil, fmt.Sprintf("cannot lead epoch %d, the log is at epoch %d already", e, n.disk.epoch())
	}
	if _, self := voters[n.id]; !self {
		return nil, "not among the voters"
	}
	l := &lead{p: p, epoch: e, peers: map[string]*peer{},
		commit: min(p.target, n.disk.end())}
	s.check.promoted(p, e)
	s.tracef("%s: leads epoch %d from (%d, %d), voters %v", n.id, e, n.disk.epoch(), n.disk.end(), voters)
	l.epochEnd = l.append(maps.Clone(voters))
	for _, id := range slices.Sorted(maps.Keys(voters)) {
		l.addPeer(id).SetVoter(voters[id])
	}
	l.tick()
	n.flush()
	return l, ""
}

func (l *lead) addPeer(id string) *peer {
	pe := l.peers[id]
	if pe == nil {
		pe = &peer{Peer: tally.New(l.progress(), l.p.n.clock())}
		if id != l.p.n.id {
			l.peers[id] = pe
			l.order = append(l.order, id)
		}
	}
	return pe
}

// append puts one entry of this epoch into the own log.
func (l *lead) append(start map[string]string) record.Position {
	s := l.p.n.s
	s.ids++
	at := l.p.n.disk.end()
	end := at + record.Position(10+s.rng.IntN(30))
	l.p.append(entry{epoch: l.epoch, at: at, end: end, id: s.ids, commit: l.commit, start: start})
	return end
}

// propose appends and ships; done hears whether it was committed in time.
func (l *lead) propose(start map[string]string, done func(bool)) {
	if l.ended || l.handing != "" {
		if done != nil {
			done(false)
		}
		return
	}
	l.waiting = append(l.waiting, proposal{l.append(start), l.p.n.s.now, done})
	l.p.n.flush()
	l.ship()
	l.advance()
}

// stop ends leadership: nothing is committed after it.
func (l *lead) stop() {
	l.end()
	for _, w := range l.waiting {
		if w.done != nil {
			w.done(false)
		}
	}
	l.waiting = nil
}

func (l *lead) end() {
	if l.ended {
		return
	}
	l.ended, l.serving = true, false
	for _, id := range l.order {
		if c := l.peers[id].session; c != nil {
			c.close()
		}
	}
}

// fenced ends leadership because a higher epoch exists.
func (l *lead) fenced(by record.Epoch) {
	if l.ended {
		return
	}
	l.p.n.s.tracef("%s: epoch %d is fenced by %d", l.p.n.id, l.epoch, by)
	l.end()
	l.post(func(r *role) { r.stepDown(fmt.Sprintf("a follower promised epoch %d", by)) })
}

func (l *lead) post(f func(*role)) {
	l.p.role.post(func(r *role) {
		if r.lead == l {
			f(r)
		}
	})
}

func (l *lead) setVoter(id, incarnation string) {
	l.addPeer(id).SetVoter(incarnation)
	l.advance()
}

func (l *lead) counts(id string, pe *peer) bool {
	if s := l.p.n.s; s.cfg.Plant == PlantRegistryNow {
		return pe.Incarnation == s.zk.tree.cluster.Members[id]
	}
	return pe.Counts()
}

// inSync counts the voters that hold what this leader writes, itself included
// and one node left out.
func (l *lead) inSync(except string) int {
	n := 1
	for id, pe := range l.peers {
		if id != except && l.counts(id, pe) && pe.InSync() {
			n++
		}
	}
	return n
}

// advance moves the commit position and answers proposals.
func (l *lead) advance() {
	if l.ended {
		return
	}
	s, d := l.p.n.s, l.p.n.disk
	l.acks = l.acks[:0]
	for _, id := range l.order {
		if pe := l.peers[id]; l.counts(id, pe) {
			l.acks = append(l.acks, quorum.Ack{Received: pe.Prog.Received(), Flushed: pe.Prog.Flushed()})
			if s.cfg.Plant == PlantAckTwice {
				l.acks = append(l.acks, pe.earlier)
			}
		}
	}
	rule := tally.Rule{Policy: s.cfg.Policy, Replicas: l.p.n.replicas, EpochEnd: l.epochEnd}
	if s.cfg.Plant == PlantCommitOld {
		rule.EpochEnd = 0
	}
	to := rule.Advance(quorum.Self{Written: d.end(), Flush: d.flushEnd()}, l.acks, l.commit)
	if to == l.commit {
		return
	}
	first := l.commit < l.epochEnd && to >= l.epochEnd
	l.commit = to
	s.check.committed(l.p, l.epoch, to)
	l.p.commit(to)
	for len(l.waiting) > 0 && l.waiting[0].end <= to {
		if f := l.waiting[0].done; f != nil {
			f(true)
		}
		l.waiting = l.waiting[1:]
	}
	if first {
		l.p.after(s.upTo(5*time.Millisecond), l.open)
	}
	l.handOver()
}

// open lets clients in.
func (l *lead) open() {
	s := l.p.n.s
	switch {
	case l.ended:
	case s.now < l.p.n.noPort:
		l.post(func(r *role) { r.resign("cannot serve clients: the port is taken") })
	default:
		l.serving = true
		s.tracef("%s: serves in epoch %d", l.p.n.id, l.epoch)
	}
}

// tick beats, watches silent followers, old proposals and learners.
func (l *lead) tick() {
	if l.ended {
		return
	}
	s, d := l.p.n.s, l.p.n.disk
	for _, id := range l.order {
		pe := l.peers[id]
		if c := pe.session; c != nil {
			if s.now-c.heard >= electionTimeout {
				l.unclaim(pe, c)
				c.close()
				continue
			}
			beat := message{kind: kindBeat, epoch: l.epoch, leaderEnd: d.end()}
			if pe.Prog.IsAttached() { // a log that is being replaced may part from this one below it
				beat.commit = l.commit
			}
			c.send(beat)
		}
		l.observe(id, pe)
	}
	for len(l.waiting) > 0 && s.now-l.waiting[0].at > proposalTimeout {
		if f := l.waiting[0].done; f != nil {
			f(false)
		}
		l.waiting = l.waiting[1:]
	}
	l.ship()
	l.advance()
	l.handOver()
	l.p.after(heartbeat, l.tick)
}

// observe reports a learner that has caught up.
func (l *lead) observe(id string, pe *peer) {
	s := l.p.n.s
	pe.Prog.Tick(l.p.n.disk.end(), l.p.n.clock())
	if !pe.LearnerCaughtUp(tally.Line{Commit: l.commit, EpochEnd: l.epochEnd, Fenced: s.cfg.Policy.Fenced()}, l.p.n.clock()) {
		return
	}
	incarnation := pe.Incarnation
	l.post(func(r *role) { r.register(id, incarnation) })
}

// accept serves a connection to the process, whether it leads or not.
func (p *process) accept(c *conn) {
	var node, incarnation string
	p.after(2*time.Second, func() {
		if !c.closed && c.heard+2*time.Second <= p.n.s.now && !p.serves(c) {
			c.close()
		}
	})
	c.recv = func(m message) {
		l, d := p.role.lead, p.n.disk
		epoch := d.sealed
		if l != nil {
			epoch = l.epoch
		}
		switch m.kind {
		case kindHello:
			node, incarnation = m.node, m.incarnation
			if m.cluster != d.cluster {
				c.send(message{kind: kindRefuse, epoch: epoch, refusal: refusedStranger})
				c.close()
				return
			}
			if l != nil {
				l.meet(m)
			}
			c.send(message{kind: kindWelcome, epoch: epoch})
		case kindAttach:
			if l == nil {
				c.send(message{kind: kindRefuse, epoch: epoch, refusal: refusedNotLeader})
				c.close()
				return
			}
			l.serve(c, node, incarnation, m)
		default:
			c.close()
		}
	}
}

func (p *process) serves(c *conn) bool {
	if l := p.role.lead; l != nil {
		for _, pe := range l.peers {
			if pe.session == c {
				return true
			}
		}
	}
	return false
}

// meet learns from a member that has sealed a higher epoch.
func (l *lead) meet(m message) {
	if l.peers[m.node] != nil && m.epoch > l.epoch {
		l.fenced(m.epoch)
	}
}

func (l *lead) serve(c *conn, node, incarnation string, m message) {
	s, d := l.p.n.s, l.p.n.disk
	m.node = node
	l.meet(m)
	pe := l.peers[node]
	refuse := refusal(0)
	switch {
	case l.ended:
		refuse = refusedNotLeader
	case pe == nil:
		refuse = refusedStranger
	}
	var v diverge.Verdict
	whole := false
	if refuse == 0 {
		if old := pe.session; old != nil {
			old.close()
		}
		pe.session = c
		pe.Prog.Lost()
		v = diverge.Decide(d.view(), m.log, l.epoch)
		if whole = m.whole || v.Kind == diverge.Snapshot; !whole && v.Kind == diverge.Refuse {
			s.tracef("%s: refuses the log of %s: %s", l.p.n.id, node, v.Reason)
			refuse = refusedDiverged
			pe.session = nil
		}
	}
	if refuse != 0 {
		c.send(message{kind: kindRefuse, epoch: l.epoch, refusal: refuse})
		c.close()
		return
	}
	if whole {
		l.give(pe, c, incarnation)
		return
	}
	pe.earlier = quorum.Ack{Received: pe.Prog.Received(), Flushed: pe.Prog.Flushed()}
	pe.Attached(incarnation, v.At, d.end(), l.p.n.clock())
	c.recv = func(m message) { l.receive(pe, c, m) }
	c.gone = func() { l.unclaim(pe, c) }
	c.send(message{kind: kindPosition, epoch: l.epoch, truncate: v.Kind == diverge.Truncate, at: v.At, leaderEnd: d.end(), commit: l.commit})
	l.ship()
}

// give sends the whole log, after it has forgotten what the follower
// acknowledged.
func (l *lead) give(pe *peer, c *conn, incarnation string) {
	d := l.p.n.disk
	pe.Replaced(incarnation, l.p.n.clock())
	if !d.whole() {
		c.close()
		l.unclaim(pe, c)
		l.p.damaged()
		return
	}
	c.recv = func(m message) { l.receive(pe, c, m) }
	c.gone = func() { l.unclaim(pe, c) }
	c.send(message{kind: kindSnapshot, epoch: l.epoch, entries: slices.Clone(d.log), start: d.start, at: d.end(), commit: l.commit})
}

func (l *lead) unclaim(pe *peer, c *conn) {
	if pe.session == c {
		pe.session = nil
		pe.Prog.Lost()
	}
}

func (l *lead) receive(pe *peer, c *conn, m message) {
	if l.ended || pe.session != c {
		return
	}
	switch {
	case m.epoch > l.epoch:
		l.fenced(m.epoch)
	case m.kind == kindAck && m.epoch == l.epoch:
		if _, err := pe.Prog.Acked(m.received, m.flush, l.p.n.disk.end(), l.p.n.clock()); err != nil {
			l.p.n.s.violate("%s: ack of %s: %v", l.p.n.id, m.node, err)
			return
		}
		l.ship()
		l.advance()
	default:
		l.unclaim(pe, c)
		c.close()
	}
}

// ship sends what followers lack and have room for.
func (l *lead) ship() {
	d := l.p.n.disk
	for _, id := range l.order {
		pe := l.peers[id]
		for pe.session != nil && pe.Prog.IsAttached() && !l.ended && pe.Prog.Room() > 0 && pe.Prog.Next() < d.end() {
			if i := d.count(pe.Prog.Next()); pe.Prog.Next() < d.start || d.log[i].damaged {
				l.unreadable(pe)
				break
			}
			list, to := d.suffix(pe.Prog.Next(), pe.Prog.Room(), 1+l.p.n.s.rng.IntN(4))
			pe.Prog.Sent(to)
			pe.session.send(message{kind: kindAppend, epoch: l.epoch, commit: l.commit, entries: list})
		}
	}
}

// unreadable ends a session whose next entry is not there any more, or damaged.
func (l *lead) unreadable(pe *peer) {
	c := pe.session
	if pe.Prog.Next() >= l.p.n.disk.start {
		l.p.damaged()
	}
	l.unclaim(pe, c)
	c.close()
}

// transfer begins to hand leadership to a voter.
func (l *lead) transfer(to string) {
	pe := l.peers[to]
	if l.ended || !l.serving || l.handing != "" || pe == nil || pe.session == nil || !l.counts(to, pe) {
		return
	}
	l.p.n.s.tracef("%s: hands over to %s", l.p.n.id, to)
	l.handing = to
	l.p.after(5*time.Second, func() {
		if !l.writing {
			l.handing = ""
		}
	})
	l.handOver()
}

// handOver writes the hand-over when its target has everything.
func (l *lead) handOver() {
	if l.handing == "" || l.writing || l.ended || len(l.waiting) > 0 || l.commit < l.p.n.disk.end() {
		return
	}
	pe := l.peers[l.handing]
	if pe.session == nil || !l.counts(l.handing, pe) || pe.Prog.Flushed() < l.p.n.disk.end() {
		return
	}
	l.writing = true
	v := l.p.zk.view
	c := v.Cluster
	if !v.Connected || c.Epoch != l.epoch || c.Phase != election.PhaseElected || c.Leader != l.p.n.id {
		l.handing, l.writing = "", false
		return
	}
	l.p.zk.writeCluster(election.Next(c, c.Epoch, l.handing, l.p.n.s.ballot()), v.Version, v.Reads, func(ok bool) {
		l.writing = false
		if !ok {
			l.handing = ""
		}
	})
}
