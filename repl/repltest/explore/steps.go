package explore

import "fmt"

// step is one thing that may happen: what, to whom, with what.
type step struct {
	kind    kind
	n, f, k int8
}

type kind int8

const (
	begin     kind = iota // n begins the next epoch and promises it, its log ends at k
	seal                  // n promises the epoch that was begun, its log ends at k
	crash                 // n crashes and restarts, its log ends at k
	wipe                  // n comes back with another disk
	elect                 // f is elected for epoch k, and leads it
	flush                 // of the leader n's own log, up to k
	replicate             // from n to f, up to k
	register              // n makes f's disk a voter
	save                  // a copy of ZooKeeper is made
	back                  // ZooKeeper goes back to it
)

func (a step) String() string {
	f := [...]string{"%[1]d begins the next epoch and promises it at %[3]d", "%[1]d promises at %[3]d", "%[1]d crashes and restarts at %[3]d",
		"%[1]d comes back with another disk", "%[2]d is elected and leads epoch %[3]d", "%[1]d flushes up to %[3]d",
		"replicate from %[1]d to %[2]d up to %[3]d", "%[1]d registers the disk of %[2]d",
		"a copy of ZooKeeper is made", "ZooKeeper goes back to the copy"}[a.kind]
	return fmt.Sprintf(f+"%.0[4]d", a.n, a.f, a.k, 0)
}

// next calls out with every step that may happen in s, the state after it, and
// what is wrong with that, "" if nothing.
func (x *explorer) next(s *state, out func(step, *state, string)) {
	done := func(a step, t *state, bad string) {
		if b := x.commits(t); bad == "" {
			bad = b
		}
		x.tidy(t)
		out(a, t, bad)
	}
	for n := range int8(nodes) {
		x.promises(s, n, done)
		x.fails(s, n, done)
		if s.node[n].lead > 0 {
			x.leads(s, n, done)
		}
	}
	if s.sealing {
		x.elects(s, done)
	}
	if s.backs < x.cfg.Backs {
		x.backs(s, done)
	}
}

// backs: a copy of ZooKeeper is made, and ZooKeeper goes back to it. What live
// nodes publish anew need not be seen.
func (x *explorer) backs(s *state, out func(step, *state, string)) {
	t := *s
	if !s.saved {
		t.saved, t.copied = true, s.tree
		out(step{kind: save}, &t, "")
		return
	}
	t.tree, t.fresh = s.copied, x.cfg.Plant == PlantTwice
	t.backs++
	out(step{kind: back}, &t, "")
}

// ends calls f with the ways in which the log of n may end when it is next
// looked at: a leader may have taken more proposals that nobody else has.
func (x *explorer) ends(s *state, n int8, f func(t *state, end int8)) {
	nd := &s.node[n]
	for more := int8(0); ; more++ {
		if more > 0 && (nd.lead == 0 || s.records+more > x.cfg.Records || nd.n+more > logMax) {
			return
		}
		t := *s
		t.records += more
		for range more {
			t.node[n].add(nd.lead)
		}
		f(&t, nd.n+more)
	}
}

// promises: n promises the epoch that is being prepared, or begins the next.
func (x *explorer) promises(s *state, n int8, out func(step, *state, string)) {
	promise := func(kind kind) {
		x.ends(s, n, func(t *state, end int8) {
			if kind == begin {
				t.ballots++
				t.epoch, t.sealing, t.member, t.ballot, t.fresh = max(t.epoch, t.node[n].sealed)+1, true, [nodes]published{}, t.ballots, true
			}
			c := &t.node[n]
			c.sealed, c.vote, c.ballot, c.flushed = t.epoch, true, t.ballot, c.n
			c.forget()
			m := published{t.epoch, t.ballot, c.last(), c.n, c.disk}
			if x.cfg.Plant == PlantMemoryPosition {
				c.high = max(c.high, c.n)
				m.end = c.high
			}
			// Who sees the node of a disk that is gone counts that one still.
			if old := t.member[n]; old.sealed != t.epoch || old.disk != t.registry[n] {
				t.member[n] = m
			}
			out(step{kind, n, 0, end}, t, "")
		})
	}
	if max(s.epoch, s.node[n].sealed) < x.cfg.Epochs {
		promise(begin)
	}
	if s.sealing && s.node[n].sealed < s.epoch {
		promise(seal)
	}
}

// fails: n crashes and restarts, or comes back with another disk. What it
// published stays to be seen for a while.
func (x *explorer) fails(s *state, n int8, out func(step, *state, string)) {
	nd := &s.node[n]
	if s.crashes < x.cfg.Crashes && (nd.lead > 0 || nd.vote || nd.flushed < nd.n) {
		x.ends(s, n, func(full *state, end int8) {
			for k := nd.flushed; k <= end; k++ {
				if end > nd.n && k < end {
					continue // a shorter log of it was made already
				}
				t := *full
				c := &t.node[n]
				c.vote, c.high = false, 0
				c.forget()
				c.cut(k)
				c.flushed = k
				t.crashes++
				out(step{crash, n, 0, k}, &t, "")
			}
		})
	}
	if s.wipes < x.cfg.Wipes && (nd.n > 0 || nd.sealed > 0) {
		t := *s
		t.node[n] = node{disk: nd.disk + 1}
		t.wipes++
		out(step{kind: wipe, n: n}, &t, "")
	}
}

// elects: an elector may see any of the members. The elected begins to lead at
// once: until it does nobody notices, and if it never does it might as well not
// have been elected.
func (x *explorer) elects(s *state, out func(step, *state, string)) {
	var done [nodes]bool
	for seen := int8(1); seen < 1<<nodes; seen++ {
		for first := range int8(nodes) {
			b := ballot{registry: s.registry, seen: seen, epoch: s.epoch, first: first, current: s.ballot, fresh: s.fresh}
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
			nd := &s.node[w]
			if nd.sealed != s.epoch || nd.last() >= s.epoch || nd.n >= logMax || !x.rules.promotes(s, int(w), s.epoch) {
				continue
			}
			t := *s
			t.sealing = false
			c := &t.node[w]
			c.lead, c.vote = s.epoch, false
			c.add(s.epoch)
			c.voters = s.registry
			bad := ""
			if s.led>>s.epoch&1 == 1 {
				bad = fmt.Sprintf("epoch %d is led again, by node %d", s.epoch, w)
			}
			t.led |= 1 << s.epoch
			if !s.holds(w) {
				bad = fmt.Sprintf("node %d leads epoch %d without a committed record", w, s.epoch)
			}
			out(step{elect, 0, w, s.epoch}, &t, bad)
		}
	}
}

// leads: what a leader does, also one whose epoch is over without its knowing.
func (x *explorer) leads(s *state, n int8, out func(step, *state, string)) {
	nd := &s.node[n]
	for k := nd.flushed + 1; k <= nd.n; k++ {
		if x.rules.commit(s, n, k) > x.rules.commit(s, n, k-1) { // else it may as well be flushed later
			t := *s
			t.node[n].flushed = k
			out(step{flush, n, 0, k}, &t, "")
		}
	}
	for f := range int8(nodes) {
		if f != n {
			x.serves(s, n, f, out)
		}
	}
}

// serves: what passes between the leader n and the node f.
func (x *explorer) serves(s *state, n, f int8, out func(step, *state, string)) {
	nd, fd := &s.node[n], &s.node[f]
	e := nd.lead
	if (fd.sealed <= e || x.cfg.Plant == PlantNoRefusal) && fd.lead != e {
		x.replicates(s, n, f, out)
	}
	if s.registry[f] != fd.disk && nd.from[f] == fd.disk && !s.sealing && s.epoch == e &&
		nd.commit > 0 && nd.log[nd.commit-1] == e && nd.known[f] >= nd.commit && x.rules.mayReplace(s, n, f) {
		t := *s
		t.registry[f], t.node[n].voters[f] = fd.disk, fd.disk
		out(step{kind: register, n: n, f: f}, &t, "")
	}
}

// replicates: f attaches to n, is cut where the logs part, and takes entries.
func (x *explorer) replicates(s *state, n, f int8, out func(step, *state, string)) {
	fd := &s.node[f]
	e := s.node[n].lead
	at := x.rules.part(&s.node[n], fd, e)
	if at < 0 {
		return
	}
	bad := ""
	for i := range at {
		if s.node[n].log[i] != fd.log[i] {
			bad = fmt.Sprintf("the logs of %d and %d count as equal up to %d and differ at %d", n, f, at, i)
		}
	}
	x.ends(s, n, func(full *state, end int8) {
		from := at
		if end > s.node[n].n {
			from = end // what was proposed for this
		}
		for k := from; k <= end; k++ {
			t := *full
			c := &t.node[f]
			if x.cfg.Plant != PlantNoSeal {
				c.sealed = max(c.sealed, e)
			}
			c.vote = false
			c.forget()
			c.cut(at)
			for i := at; i < k; i++ {
				c.add(t.node[n].log[i])
			}
			if x.cfg.Plant == PlantMemoryPosition {
				c.high = max(c.high, k)
			}
			if x.cfg.Plant != PlantAckEarly {
				c.flushed = c.n
			}
			l := &t.node[n]
			if l.from[f] != c.disk { // another disk is on the line
				l.from[f], l.known[f] = c.disk, 0
			}
			l.known[f] = max(l.known[f], k)
			out(step{replicate, n, f, k}, &t, bad)
		}
	})
}

// commits moves every commit position as far as it may. An ack that is on its
// way for a while, or a leader that is slow to count it, brings nothing that
// this does not: acks are only ever added, and what is committed sooner has to
// be held by more leaders.
func (x *explorer) commits(s *state) (bad string) {
	for n := range int8(nodes) {
		nd := &s.node[n]
		if nd.lead == 0 {
			continue
		}
		to := x.rules.commit(s, n, nd.flushed)
		if to <= nd.commit {
			continue
		}
		nd.commit = to
		for i := range to {
			switch {
			case i < s.length && s.agreed[i] != nd.log[i]:
				bad = fmt.Sprintf("node %d commits in epoch %d another record %d than was committed", n, nd.lead, i)
			case i >= s.length:
				s.agreed[i], s.length = nd.log[i], i+1
			}
		}
		for m := range int8(nodes) {
			if l := &s.node[m]; l.lead > nd.lead && !s.holds(m) {
				bad = fmt.Sprintf("node %d commits up to %d in epoch %d, node %d leads epoch %d without it", n, to, nd.lead, m, l.lead)
			}
		}
	}
	return bad
}
