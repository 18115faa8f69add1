package sim

import (
	"fmt"
	"slices"
	"time"

	"baton/repl/election"
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
	try    int

	heard    time.Duration
	attached bool
	declared bool
	failures int
	backoff  time.Duration
	began    time.Duration
}

func newLink(r *role, st election.Step, gen int) *link {
	p := r.p
	f := &link{r: r, p: p, gen: gen, leader: st.Leader, epoch: st.Epoch, heard: p.n.s.now, commit: min(p.target, p.n.disk.end())}
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
		c.gone = func() { f.lost(try, "closed") }
		d := p.n.disk
		c.send(message{kind: kindHello, epoch: max(d.sealed, f.epoch), node: p.n.id, incarnation: d.incarnation, cluster: d.cluster})
		f.watch(try, c)
	}, func() { f.lost(try, "no connection") })
}

// watch ends a link on which nothing is heard.
func (f *link) watch(try int, c *conn) {
	left := c.heard + electionTimeout - f.p.n.s.now
	f.p.after(max(left, time.Millisecond), func() {
		if f.try != try || f.ended {
			return
		}
		if f.p.n.s.now-c.heard >= electionTimeout {
			f.lost(try, "silent")
			return
		}
		f.watch(try, c)
	})
}

// lost judges how an attempt or a link ended and tries again.
func (f *link) lost(try int, why string) {
	if f.try != try || f.ended {
		return
	}
	s := f.p.n.s
	f.try++
	wasUp, reason := f.up, ""
	if f.conn != nil {
		f.heard = max(f.heard, f.conn.heard)
		f.conn.close()
		f.conn = nil
	}
	f.up = false
	if wasUp {
		if s.now-f.began > time.Second {
			f.backoff = 0
		}
		f.post(func(r *role) { r.self.LinkUp = false; r.refresh() })
	}
	switch why {
	case "not the leader":
		if f.attached {
			reason = why
		}
	case "refused":
		f.failures, f.heard = 0, s.now
	default:
		f.failures++
	}
	switch {
	case wasUp && why == "silent", f.failures >= 2, s.now-f.heard >= electionTimeout:
		reason = why
	}
	if reason != "" && !f.declared {
		f.declared = true
		f.post(func(r *role) { r.self.LinkUp, r.self.LinkDead = false, f.epoch; r.refresh() })
	}
	wait := f.backoff
	f.backoff = min(max(2*f.backoff, 50*time.Millisecond), 2*time.Second)
	if wait == 0 && f.failures <= 1 {
		wait = 1
	} else {
		wait = max(wait, 50*time.Millisecond)
		wait = wait/2 + s.upTo(wait/2+1)
	}
	next := f.try
	f.p.after(wait, func() {
		if f.try == next && !f.ended {
			f.attempt()
		}
	})
}

// over ends the link for good: the epoch is.
func (f *link) over(by record.Epoch) {
	f.p.n.s.tracef("%s: epoch %d of %s is fenced by %d", f.p.n.id, f.epoch, f.leader, by)
	f.stop()
	f.post(func(r *role) { r.self.LinkUp, r.self.LinkDead = false, f.epoch })
}

// refuses looks at what the disk promised.
func (f *link) refuses() bool {
	e := f.p.n.disk.sealed
	if e <= f.epoch || f.p.n.s.cfg.Plant == PlantNoRefusal {
		return false
	}
	f.over(e)
	return true
}

func (f *link) receive(m message) {
	if f.ended || f.refuses() {
		return
	}
	try := f.try
	switch {
	case m.kind == kindRefuse && m.epoch > f.epoch:
		f.over(m.epoch)
	case m.kind == kindRefuse && m.refusal == refusedNotLeader:
		f.lost(try, "not the leader")
	case m.kind == kindRefuse:
		f.p.n.s.tracef("%s: refused by %s: %d", f.p.n.id, f.leader, m.refusal)
		f.lost(try, "refused")
	case m.epoch > f.epoch:
		f.over(m.epoch)
	case m.epoch < f.epoch && m.kind == kindWelcome:
		f.lost(try, "not the leader")
	case m.epoch < f.epoch:
		f.lost(try, "refused")
	case m.kind == kindWelcome:
		f.welcome()
	case m.kind == kindPosition:
		f.adopt(m)
	case m.kind == kindAppend:
		f.append(m)
	case m.kind == kindBeat:
		f.tell(m.commit)
		f.ack()
	}
}

// welcome promises the leader's epoch before the log is shown.
func (f *link) welcome() {
	try, d := f.try, f.p.n.disk
	attach := func() {
		if f.try == try && !f.ended && f.conn != nil {
			f.conn.send(message{kind: kindAttach, epoch: f.epoch, node: f.p.n.id, incarnation: d.incarnation, log: d.view()})
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
	if m.at > d.end() || !m.truncate && m.at != d.end() {
		f.lost(f.try, "refused")
		return
	}
	if m.at < d.end() {
		if known := min(f.commit, d.end()); m.at < known && f.p.n.s.cfg.Policy.Fenced() {
			f.p.fails(fmt.Sprintf("leader %s of epoch %d wants the log cut at %d, committed up to %d", f.leader, f.epoch, m.at, known))
			return
		}
		f.p.n.s.tracef("%s: cuts its log from %d to %d for %s of epoch %d", f.p.n.id, d.end(), m.at, f.leader, f.epoch)
		f.p.truncate(m.at)
	}
	f.up, f.attached, f.declared, f.failures = true, true, false, 0
	f.began, f.heard = f.p.n.s.now, f.p.n.s.now
	f.backoff = min(f.backoff, 50*time.Millisecond)
	f.post(func(r *role) {
		r.self.LinkUp, r.self.LinkDead = true, 0
		r.self.Sealed = r.p.n.disk.sealed
	})
	f.tell(m.commit)
	f.ack()
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
		if e.at != at || e.epoch < epoch || e.epoch > f.epoch {
			f.lost(f.try, "refused")
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
	if f.up && !f.refuses() {
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
		list = append(list, e)
		to = e.end
	}
	return slices.Clip(list), to
}
