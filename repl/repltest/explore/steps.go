package explore

import "fmt"

// step is one thing that may happen: what, to whom, with what.
type step struct {
	kind    kind
	n, f, k int8
}

type kind int8

const (
	begin     kind = iota // the election of the next epoch
	crash                 // of n: what it had not flushed is gone
	restart               // of n
	wipe                  // n comes back with another disk
	seal                  // n promises
	elect                 // f is elected by one who sees the members of k
	promote               // n leads epoch k
	propose               // at n
	flush                 // of the leader n's own log
	replicate             // from n to f, up to k
	register              // n makes f's disk a voter
	commit                // n moves its commit position
)

func (a step) String() string {
	f := [...]string{"begin the next election", "crash %d", "restart %d", "wipe %d", "%d seals", "elect %[2]d", "%d leads %[3]d", "propose at %d",
		"%d flushes", "replicate from %d to %d up to %d", "%d registers %d", "%d commits"}[a.kind]
	return fmt.Sprintf(f+"%.0[4]d", a.n, a.f, a.k, 0)
}

// next calls out with every step that may happen in s, the state after it, and
// what is wrong with that, "" if nothing.
func (x *explorer) next(s *state, out func(step, *state, string)) {
	if s.epoch < x.cfg.Epochs {
		t := *s
		t.epoch, t.sealing = t.epoch+1, true
		out(step{kind: begin}, &t, "")
	}
	for n := range int8(nodes) {
		nd := &s.node[n]
		if !nd.alive {
			x.back(s, n, out)
			continue
		}
		x.process(s, n, out)
		if nd.lead > 0 {
			x.leads(s, n, out)
		}
	}
	if s.sealing {
		x.elects(s, out)
	}
}

// back: a dead node restarts, as it was or with another disk.
func (x *explorer) back(s *state, n int8, out func(step, *state, string)) {
	t := *s
	t.node[n].alive = true
	t.member[n] = published{sealed: t.node[n].sealed, last: t.node[n].last(), end: -1, disk: t.node[n].disk}
	out(step{kind: restart, n: n}, &t, "")
	if nd := &s.node[n]; s.wipes < x.cfg.Wipes && (nd.n > 0 || nd.sealed > 0) {
		t := *s
		t.node[n] = node{disk: nd.disk + 1}
		t.wipes++
		out(step{kind: wipe, n: n}, &t, "")
	}
}

// process: a live node crashes, promises or begins to lead.
func (x *explorer) process(s *state, n int8, out func(step, *state, string)) {
	nd := &s.node[n]
	if s.crashes < x.cfg.Crashes {
		t := *s
		c := &t.node[n]
		c.alive, c.vote = false, false
		c.forget()
		c.cut(c.flushed)
		t.crashes++
		out(step{kind: crash, n: n}, &t, "")
	}
	if s.sealing && nd.sealed < s.epoch {
		t := *s
		c := &t.node[n]
		c.sealed, c.vote, c.flushed = s.epoch, true, c.n
		c.forget()
		t.member[n] = published{s.epoch, c.last(), c.n, c.disk}
		out(step{kind: seal, n: n}, &t, "")
	}
	e := nd.sealed
	if e > 0 && nd.lead == 0 && s.leader[e] == n+1 && nd.last() < e && nd.n < logMax && x.rules.promotes(s, int(n), e) {
		t := *s
		c := &t.node[n]
		c.lead, c.vote = e, false
		c.add(made(e, 0))
		c.voters = s.registry
		bad := ""
		for i := range s.length {
			if s.in[i] < e && (i >= nd.n || nd.log[i] != s.agreed[i]) {
				bad = fmt.Sprintf("node %d leads epoch %d without committed record %d", n, e, i)
			}
		}
		out(step{promote, n, 0, e}, &t, bad)
	}
}

// elects: an elector may see any of the members.
func (x *explorer) elects(s *state, out func(step, *state, string)) {
	var done [nodes]bool
	for seen := int8(1); seen < 1<<nodes; seen++ {
		for first := range int8(nodes) {
			b := ballot{registry: s.registry, seen: seen, epoch: s.epoch, first: first}
			for i, m := range s.member {
				if seen>>i&1 == 1 {
					b.member[i] = m
				}
			}
			w := x.rules.elect(b)
			if w < 0 || done[w] {
				continue
			}
			done[w] = true
			t := *s
			t.sealing = false
			t.leader[s.epoch] = w + 1
			out(step{elect, 0, w, seen}, &t, "")
		}
	}
}

// leads: what a leader does, also one whose epoch is over without its knowing.
func (x *explorer) leads(s *state, n int8, out func(step, *state, string)) {
	nd := &s.node[n]
	if s.ids < x.cfg.Records && nd.n < logMax {
		t := *s
		t.ids++
		t.node[n].add(made(nd.lead, t.ids))
		out(step{kind: propose, n: n}, &t, "")
	}
	if nd.flushed < nd.n {
		t := *s
		t.node[n].flushed = nd.n
		out(step{kind: flush, n: n}, &t, "")
	}
	for f := range int8(nodes) {
		if f != n {
			x.serves(s, n, f, out)
		}
	}
	to := x.rules.commit(s, int(n))
	if to <= nd.commit {
		return
	}
	t := *s
	t.node[n].commit = to
	bad := ""
	for i := range to {
		switch {
		case i < s.length && s.agreed[i] != nd.log[i]:
			bad = fmt.Sprintf("node %d commits in epoch %d another record %d than was committed", n, nd.lead, i)
		case i >= s.length:
			t.agreed[i], t.in[i], t.length = nd.log[i], nd.lead, i+1
		}
	}
	for m := range s.node { // a later leader must hold what is only now committed
		l := &s.node[m]
		for i := s.length; l.lead > nd.lead && i < t.length; i++ {
			if i >= l.n || l.log[i] != t.agreed[i] {
				bad = fmt.Sprintf("node %d commits record %d in epoch %d, node %d leads epoch %d without it", n, i, nd.lead, m, l.lead)
			}
		}
	}
	out(step{kind: commit, n: n}, &t, bad)
}

// serves: what passes between the leader n and the node f.
func (x *explorer) serves(s *state, n, f int8, out func(step, *state, string)) {
	nd, fd := &s.node[n], &s.node[f]
	e := nd.lead
	if fd.alive && (fd.sealed <= e || x.cfg.Plant == PlantNoRefusal) && fd.lead != e {
		x.replicates(s, n, f, out)
	}
	if s.registry[f] != fd.disk && nd.from[f] == fd.disk && !s.sealing && s.epoch == e && s.leader[e] == n+1 &&
		nd.commit > 0 && nd.log[nd.commit-1].epoch() == e && nd.known[f] >= nd.commit {
		t := *s
		t.registry[f], t.node[n].voters[f] = fd.disk, fd.disk
		out(step{kind: register, n: n, f: f}, &t, "")
	}
}

// replicates: f attaches to n, is cut where the logs part, and takes entries.
func (x *explorer) replicates(s *state, n, f int8, out func(step, *state, string)) {
	nd, fd := &s.node[n], &s.node[f]
	e := nd.lead
	at := x.rules.part(nd, fd, e)
	if at < 0 {
		return
	}
	bad := ""
	for i := range at {
		if nd.log[i] != fd.log[i] {
			bad = fmt.Sprintf("the logs of %d and %d count as equal up to %d and differ at %d", n, f, at, i)
		}
	}
	for k := at; k <= nd.n; k++ {
		if k == fd.n && fd.sealed == e && nd.from[f] == fd.disk && nd.known[f] == k && !fd.vote {
			continue
		}
		t := *s
		c := &t.node[f]
		c.sealed, c.vote = max(c.sealed, e), false
		c.forget()
		c.cut(at)
		for i := at; i < k; i++ {
			c.add(nd.log[i])
		}
		c.flushed = c.n
		// The leader may learn of it at any later time, or never: that is, its
		// commit may come at any later time, or never.
		l := &t.node[n]
		if l.from[f] != c.disk { // another disk is on the line
			l.from[f], l.known[f] = c.disk, 0
		}
		l.known[f] = max(l.known[f], k)
		out(step{replicate, n, f, k}, &t, bad)
	}
}
