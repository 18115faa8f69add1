package sim

import (
	"fmt"
	"slices"
	"time"

	"baton/repl/accept"
	"baton/repl/election"
	"baton/repl/suspicion"
	"baton/store/record"
)

// link follows one leader in one epoch, as a repl.Follower does.
type link struct {
	r      *role
	p      *process
	gen    int
	leader string
	epoch  record.Epoch
	ended  bool
	conn   *conn
	up     bool
	commit record.Position // the leader's, as last told
	whole  bool            // the own log is damaged: the leader's is asked for
	try    int

	suspicion *suspicion.Suspicion
	heard     time.Duration
	began     time.Duration
}

func newLink(r *role, st election.Step, gen int) *link {
	p := r.p
	f := &link{r: r, p: p, gen: gen, whole: r.self.Damaged != "", leader: st.Leader, epoch: st.Epoch, suspicion: suspicion.New(electionTimeout, p.n.clock()),
		heard: p.n.s.now, commit: min(p.target, p.n.disk.end())}
	f.attempt()
	return f
}

// post runs g in the role loop if this is still its link.
func (f *link) post(g func(*role)) {
	f.r.post(func(r *role) {
		if r.gen == f.gen {
			g(r)
		}
	})
}

// stop ends the link. The leader is told of a higher promise.
func (f *link) stop() {
	f.ended = true
	f.try++
	if f.conn != nil {
		if e := f.p.n.disk.sealed; e > f.epoch {
			f.conn.send(message{kind: kindRefuse, epoch: e, node: f.p.n.id, refusal: refusedFenced})
		}
		f.conn.close()
	}
}

func (f *link) attempt() {
	f.try++
	try, p := f.try, f.p
	p.dial(f.leader, func(c *conn) {
		if f.ended || f.try != try {
			c.close()
			return
		}
		f.conn, f.up = c, false
		c.recv = f.receive
		c.gone = func() { f.lost(try, suspicion.Closed, "closed") }
		d := p.n.disk
		c.send(message{kind: kindHello, epoch: max(d.sealed, f.epoch), node: p.n.id, incarnation: d.incarnation, cluster: d.cluster})
		f.watch(try, c)
	}, func() { f.lost(try, suspicion.Closed, "no connection") })
}

// watch ends a link on which nothing is heard.
func (f *link) watch(try int, c *conn) {
	left := c.heard + electionTimeout - f.p.n.s.now
	f.p.after(max(left, time.Millisecond), func() {
		if f.try != try || f.ended {
			return
		}
		if f.p.n.s.now-c.heard >= electionTimeout {
			f.lost(try, suspicion.Silent, "silent")
			return
		}
		f.watch(try, c)
	})
}

// lost judges how an attempt or a link ended and tries again.
func (f *link) lost(try int, how suspicion.Outcome, why string) {
	if f.try != try || f.ended {
		return
	}
	s := f.p.n.s
	f.try++
	up := time.Duration(0)
	if f.up {
		up = max(s.now-f.began, 1)
		f.post(func(r *role) { r.self.LinkUp = false; r.refresh() })
	}
	if f.conn != nil {
		f.heard = max(f.heard, f.conn.heard)
		f.conn.close()
		f.conn = nil
	}
	f.up = false
	if f.suspicion.Ended(how, why, up, f.p.n.at(f.heard), f.p.n.clock()) != "" {
		f.post(func(r *role) { r.self.LinkIsDead(f.epoch); r.refresh() })
	}
	next := f.try
	f.p.after(max(1, f.suspicion.Wait(f.p.n.clock(), s.upTo)), func() {
		if f.try == next && !f.ended {
			f.attempt()
		}
	})
}

// over ends the link for good: the epoch is.
func (f *link) over(by record.Epoch) {
	f.p.n.s.tracef("%s: epoch %d of %s is fenced by %d", f.p.n.id, f.epoch, f.leader, by)
	f.stop()
	f.post(func(r *role) { r.self.LinkIsDead(f.epoch) })
}

// judge is accept.Epoch for what the disk promised. It says whether to go on;
// older is what it means if the leader's epoch is an earlier one.
func (f *link) judge(said record.Epoch, older suspicion.Outcome) bool {
	sealed := f.p.n.disk.sealed
	if f.p.n.s.cfg.Plant == PlantNoRefusal {
		sealed = 0
	}
	switch v, by := accept.Epoch(said, f.epoch, sealed); v {
	case accept.Over:
		f.over(by)
	case accept.TooOld:
		f.lost(f.try, older, "of an earlier epoch")
	default:
		return true
	}
	return false
}

func (f *link) receive(m message) {
	if f.ended || !f.judge(f.epoch, suspicion.Refused) {
		return
	}
	if m.kind == kindRefuse {
		switch {
		case m.epoch > f.epoch:
			f.over(m.epoch)
		case m.refusal == refusedNotLeader:
			f.lost(f.try, suspicion.NotLeader, "not the leader")
		default:
			f.p.n.s.tracef("%s: refused by %s: %d", f.p.n.id, f.leader, m.refusal)
			f.lost(f.try, suspicion.Refused, "refused")
		}
		return
	}
	older := suspicion.Refused
	if m.kind == kindWelcome {
		older = suspicion.NotLeader
	}
	if !f.judge(m.epoch, older) {
		return
	}
	switch m.kind {
	case kindWelcome:
		f.welcome()
	case kindPosition:
		f.adopt(m)
	case kindAppend:
		f.append(m)
	case kindSnapshot:
		f.take(m)
	case kindBeat:
		f.tell(m.commit)
		f.ack()
	}
}

// welcome promises the leader's epoch before the log is shown.
func (f *link) welcome() {
	try, d := f.try, f.p.n.disk
	attach := func() {
		if f.try == try && !f.ended && f.conn != nil {
			f.conn.send(message{kind: kindAttach, epoch: f.epoch, node: f.p.n.id, incarnation: d.incarnation, log: d.view(), whole: f.whole})
		}
	}
	if d.sealed >= f.epoch {
		attach()
		return
	}
	f.p.seal(f.epoch, func(ok bool) {
		if f.ended || f.try != try {
			return
		}
		if !ok { // overtaken by a higher one
			f.over(d.sealed)
			return
		}
		attach()
	})
}

// adopt brings the log to where the leader says that it goes on.
func (f *link) adopt(m message) {
	d := f.p.n.disk
	v, why := accept.Position(m.at, m.truncate, accept.Log{Start: d.start, End: d.end(), Known: min(f.commit, d.end()), Fenced: f.p.n.s.cfg.Policy.Fenced()})
	switch v {
	case accept.Garbled:
		f.lost(f.try, suspicion.Refused, why)
		return
	case accept.NotBelow:
		f.p.fails(fmt.Sprintf("leader %s of epoch %d: %s", f.leader, f.epoch, why))
		return
	}
	if m.at < d.end() {
		f.p.n.s.tracef("%s: cuts its log from %d to %d for %s of epoch %d", f.p.n.id, d.end(), m.at, f.leader, f.epoch)
		f.p.truncate(m.at)
	}
	f.up, f.began, f.heard = true, f.p.n.s.now, f.p.n.s.now
	f.suspicion.LinkUp(f.p.n.clock())
	f.post(func(r *role) { r.self.LinkIsUp(r.p.n.disk.sealed) })
	f.tell(m.commit)
	f.ack()
}

// take has the leader's log in place of the own one. The link ends, and whoever
// follows installs it, after the time that it takes to be flushed.
func (f *link) take(m message) {
	d := f.p.n.disk
	v, why := accept.Whole(m.at, accept.Log{Known: min(f.commit, d.end()), Fenced: f.p.n.s.cfg.Policy.Fenced()})
	if v != accept.Take {
		f.p.fails(fmt.Sprintf("leader %s of epoch %d: %s", f.leader, f.epoch, why))
		return
	}
	try := f.try
	f.p.after(f.p.n.flushTime(), func() {
		if f.try == try && !f.ended {
			f.stop()
			f.post(func(r *role) { r.install(f.epoch, m) })
		}
	})
}

func (f *link) tell(commit record.Position) {
	f.commit = max(f.commit, commit)
	f.p.commit(commit)
}

// append takes entries that continue the log, or none.
func (f *link) append(m message) {
	d := f.p.n.disk
	at, epoch := d.end(), d.epoch()
	for _, e := range m.entries {
		if v, why := accept.Batch(e.at, e.epoch, at, epoch, f.epoch); v != accept.Take {
			f.lost(f.try, suspicion.Refused, why)
			return
		}
		at, epoch = e.end, e.epoch
	}
	f.p.n.s.check.accepts(f.p.n, f.epoch)
	was := d.epoch()
	for _, e := range m.entries {
		f.p.append(e)
	}
	if d.epoch() != was {
		f.post(func(*role) {})
	}
	f.tell(m.commit)
	f.p.n.flush()
	f.ack()
}

// ack tells what the log holds.
func (f *link) ack() {
	if !f.up || f.ended {
		return
	}
	d := f.p.n.disk
	m := message{kind: kindAck, epoch: f.epoch, node: f.p.n.id, received: d.end(), flush: d.flushEnd()}
	if f.p.n.s.cfg.Plant == PlantAckEarly {
		m.flush = m.received
	}
	f.conn.send(m)
}

func (f *link) flushed() {
	if f.up && f.judge(f.epoch, suspicion.Refused) {
		f.ack()
	}
}

// append puts an entry into the log of the process.
func (p *process) append(e entry) {
	e = p.n.disk.append(e)
	p.highest = max(p.highest, e.end)
	p.n.s.check.appended(p.n, e)
}

// suffix copies a few entries from a position on.
func (d *disk) suffix(from record.Position, room, most int) (list []entry, to record.Position) {
	to = from
	for _, e := range d.log[d.count(from):] {
		if len(list) == most || len(list) > 0 && int(e.end-from) > room {
			break
		}
		if e.damaged {
			break
		}
		list = append(list, e)
		to = e.end
	}
	return slices.Clip(list), to
}
