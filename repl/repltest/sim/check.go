package sim

import (
	"fmt"

	"baton/repl/election"
	"baton/repl/quorum"
	"baton/store/record"
)

// checker holds what is true of the whole cluster, and objects.
type checker struct {
	s        *Sim
	log      []uint64                  // chains of the committed entries
	ends     []record.Position         // of the same
	in       []record.Epoch            // in which they were committed first
	acked    int                       // proposals answered with success
	content  map[place]uint64          // chain of every entry that ever was, by epoch and end
	leaders  map[record.Epoch]*process // who led an epoch
	commits  map[record.Epoch]*process // who committed in an epoch
	promises map[string]record.Epoch   // by incarnation
	epoch    record.Epoch
	begun    int
}

type place struct {
	epoch record.Epoch
	end   record.Position
}

func newChecker(s *Sim) *checker {
	return &checker{s: s, content: map[place]uint64{}, leaders: map[record.Epoch]*process{},
		commits: map[record.Epoch]*process{}, promises: map[string]record.Epoch{}}
}

// violate notes the first broken invariant, which ends the run.
func (s *Sim) violate(format string, args ...any) {
	if s.violation == "" {
		s.violation = fmt.Sprintf(format, args...)
		s.tracef("VIOLATION: %s", s.violation)
	}
}

// appended: equal epoch and position mean equal content, and equal history.
func (c *checker) appended(n *node, e entry) {
	at := place{e.epoch, e.end}
	if old, ok := c.content[at]; ok && old != e.chain {
		c.s.violate("%s: (%d, %d) has another content than elsewhere", n.id, e.epoch, e.end)
	}
	c.content[at] = e.chain
}

// strict says that the policy promises that nothing committed is lost.
func (c *checker) strict() bool { return c.s.strict }

// accepts: no frame of an epoch below the promise is taken.
func (c *checker) accepts(n *node, epoch record.Epoch) {
	if epoch < n.disk.sealed {
		c.s.violate("%s takes a frame of epoch %d after it sealed %d", n.id, epoch, n.disk.sealed)
	}
}

// sealed: a disk never promises less than before.
func (c *checker) sealed(n *node, e record.Epoch) {
	if old := c.promises[n.disk.incarnation]; e < old && c.s.cfg.Plant != PlantWipedVotes {
		c.s.violate("%s sealed %d after %d", n.id, e, old)
	}
	c.promises[n.disk.incarnation] = max(e, c.promises[n.disk.incarnation])
}

// started: what a disk promised survives every crash.
func (c *checker) started(n *node) {
	if old := c.promises[n.disk.incarnation]; n.disk.sealed < old && c.s.cfg.Plant != PlantWipedVotes {
		c.s.violate("%s comes back with %d sealed, it had promised %d", n.id, n.disk.sealed, old)
	}
}

// promoted: an epoch is led once, by one who holds all that is committed.
func (c *checker) promoted(p *process, e record.Epoch) {
	c.begun++
	c.epoch = max(c.epoch, e)
	if old := c.leaders[e]; old != nil {
		c.s.violate("epoch %d is led by %s and again by %s", e, old.n.id, p.n.id)
	}
	c.leaders[e] = p
	if c.strict() {
		c.holds(p, "the leader of epoch %d, %s, lacks committed position %d", e)
	}
}

// holds looks for what earlier epochs committed in the log of a leader. What
// later ones did is no concern of one that was elected long ago and wakes up.
func (c *checker) holds(p *process, format string, e record.Epoch) {
	log := p.n.disk.log
	for i := range c.log {
		if c.in[i] < e && (i >= len(log) || log[i].chain != c.log[i]) {
			c.s.violate(format, e, p.n.id, c.ends[i])
			return
		}
	}
}

// committed: the committed prefix is the same everywhere and only grows.
func (c *checker) committed(p *process, e record.Epoch, to record.Position) {
	if old := c.commits[e]; old != nil && old != p {
		c.s.violate("%s and %s both commit in epoch %d", old.n.id, p.n.id, e)
	}
	c.commits[e] = p
	c.placed(p, e, to)
	if !c.strict() {
		return
	}
	log := p.n.disk.log
	for i, entry := range log {
		if entry.end > to {
			break
		}
		switch {
		case i < len(c.log) && c.log[i] != entry.chain:
			c.s.violate("%s commits (%d, %d), but something else was committed there", p.n.id, entry.epoch, entry.end)
			return
		case i >= len(c.log):
			c.log, c.ends, c.in = append(c.log, entry.chain), append(c.ends, entry.end), append(c.in, e)
		}
	}
	// A leader of a later epoch may have been elected meanwhile.
	for _, n := range c.s.nodes {
		if q := n.proc; q != nil && q.role.lead != nil && !q.role.lead.ended && q.role.lead.epoch > e {
			c.holds(q, "an old leader committed what the leader of epoch %d, %s, lacks: position %d", q.role.lead.epoch)
		}
	}
}

// placed: what is committed is where the policy wants it to be, whatever was
// acknowledged. Nobody can tell after disks were lost, or when a later epoch cut
// what this one had counted.
func (c *checker) placed(p *process, e record.Epoch, to record.Position) {
	w := c.s.swarm
	if w.wipe || w.power || w.damage || c.epoch > e || c.s.cfg.Plant != PlantNone {
		return
	}
	last := p.n.disk.log[p.n.disk.count(to)-1]
	written, flushed := 0, 0
	for _, n := range c.s.nodes {
		d := n.disk
		i := d.count(last.end) - 1
		if n == p.n || i < 0 || d.log[i].chain != last.chain {
			continue
		}
		written++
		if d.flushed > i {
			flushed++
		}
	}
	own := 0
	if p.n.disk.flushEnd() >= to {
		own = 1
	}
	replicas, policy := c.s.cfg.Replicas, c.s.cfg.Policy
	for _, rule := range []struct {
		bit        quorum.Policy
		have, need int
	}{
		{quorum.LocalMem, 1, 1}, {quorum.LocalDisk, own, 1},
		{quorum.RemoteMem, written, replicas / 2}, {quorum.RemoteDisk, flushed, replicas / 2},
		{quorum.QuorumMem, 1 + written, quorum.Size(replicas)}, {quorum.QuorumDisk, own + flushed, quorum.Size(replicas)},
	} {
		if policy&rule.bit != 0 && rule.have < rule.need {
			c.s.violate("%s commits %d under %s: %d replicas have it as %s wants, %d are needed", p.n.id, to, policy, rule.have, rule.bit, rule.need)
		}
	}
}

// applied: nothing is applied that is not committed.
func (c *checker) applied(n *node, e entry) {
	if !c.strict() {
		return
	}
	i := n.proc.seen
	if i >= len(c.log) || c.log[i] != e.chain {
		c.s.violate("%s applies (%d, %d), which is not committed", n.id, e.epoch, e.end)
	}
}

// cluster looks at every version of the cluster node.
func (c *checker) cluster(t tree) {
	for id, inc := range t.cluster.Members {
		c.s.counted[id] = inc
	}
	if t.exists && len(t.cluster.Members) > t.cluster.Replicas {
		c.s.violate("%d members of %d are registered", len(t.cluster.Members), t.cluster.Replicas)
	}
}

// healthy says what is missing until the service is whole: a leader that
// serves, and every member that can vote in sync with it. "" is nothing.
func (s *Sim) healthy() string {
	var top *lead
	for _, n := range s.nodes {
		if p := n.proc; p != nil && p.role.lead != nil && p.role.lead.serving && (top == nil || p.role.lead.epoch > top.epoch) {
			top = p.role.lead
		}
	}
	if top == nil {
		return "no leader serves"
	}
	if !s.zk.tree.exists || s.zk.tree.cluster.Epoch != top.epoch || s.zk.tree.cluster.Phase != election.PhaseElected {
		return "ZooKeeper does not show the leader"
	}
	for _, id := range top.order {
		pe := top.peers[id]
		n := s.byID[id]
		if n == nil || n.stranger {
			continue
		}
		if n.proc != nil && n.proc.role.self.Damaged != "" {
			return id + " has a damaged log"
		}
		if pe.session == nil || pe.Prog.Flushed() < top.epochEnd || !top.counts(id, pe) {
			return fmt.Sprintf("%s is not in sync with %s", id, top.p.n.id)
		}
	}
	return ""
}

// doomed says why no leader can be demanded: disks were replaced, and the
// registry that came back with an old ZooKeeper knows too few of those that
// are there. An operator has to decide then.
func (s *Sim) doomed() string {
	c := s.zk.tree.cluster
	if !s.zk.tree.exists {
		return ""
	}
	known := 0
	for _, n := range s.nodes {
		if n.proc != nil && c.Members[n.id] == n.disk.incarnation && n.proc.role.self.Damaged == "" {
			known++
		}
	}
	if known*2 <= c.Replicas {
		return fmt.Sprintf("only %d of %d registered disks exist and are whole", known, c.Replicas)
	}
	return ""
}
