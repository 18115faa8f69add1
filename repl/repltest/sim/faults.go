package sim

import (
	"slices"
	"time"

	"baton/repl/election"
	"baton/repl/quorum"
)

// strike does one thing to the cluster, and comes back.
func (s *Sim) strike() {
	if s.quiet {
		return
	}
	w := s.swarm
	all := []struct {
		on bool
		do func(*node)
	}{
		{w.kill, func(n *node) { s.crash(n, false) }}, {w.power, func(n *node) { s.crash(n, true) }},
		{w.pause, s.pause}, {w.wipe, s.wipe}, {w.cut, s.cut}, {w.oneway, s.oneway}, {w.breakLinks, s.breakLinks},
		{w.zkCut, s.zkCut}, {w.zkDown, s.zkDown}, {w.zkWipe, s.zkWipe}, {w.zkRollback, s.zkRollback}, {w.expire, s.expire},
		{w.slowDisk, s.slowDisk}, {w.unfit, s.unfit}, {w.transfer, s.transfer}, {w.stranger, s.stranger},
		{w.damage, s.damage}, {w.trim, s.trim},
	}
	all = slices.DeleteFunc(all, func(f struct {
		on bool
		do func(*node)
	}) bool {
		return !f.on
	})
	if len(all) > 0 {
		n := s.nodes[s.rng.IntN(s.cfg.Replicas)]
		if l := s.leader(); l != nil && s.chance(1, 3) {
			n = l // the most interesting one
		}
		s.faults++
		all[s.rng.IntN(len(all))].do(n)
	}
	s.after(s.around(w.every), s.strike)
}

// leader is a node that leads, the newest if several believe so.
func (s *Sim) leader() *node {
	var found *node
	for _, n := range s.nodes {
		if p := n.proc; p != nil && p.role.lead != nil && (found == nil || p.role.lead.epoch > found.proc.role.lead.epoch) {
			found = n
		}
	}
	return found
}

func (s *Sim) hold() time.Duration { return s.around(s.swarm.heldTight) }

func (s *Sim) crash(n *node, power bool) {
	if n.proc == nil {
		return
	}
	s.tracef("FAULT %s is killed, power lost: %v", n.id, power)
	n.stop(power)
	s.after(s.hold(), func() { n.start() })
	if power && s.chance(1, 8) { // all of them
		for _, m := range s.nodes {
			if m.proc != nil {
				m.stop(true)
				s.after(s.hold(), func() { m.start() })
			}
		}
	}
}

func (s *Sim) pause(n *node) {
	p := n.proc
	if p == nil || p.paused {
		return
	}
	d := s.hold()
	if s.chance(1, 4) {
		d += sessionTimeout
	}
	s.tracef("FAULT %s is paused for %s", n.id, d)
	p.pause()
	if p.zk.session != nil {
		s.zk.lost(p.zk.session)
	}
	s.after(d, func() { s.resume(p) })
}

func (s *Sim) resume(p *process) {
	if !p.paused || p.dead {
		return
	}
	s.tracef("%s goes on", p.n.id)
	x := p.zk.session
	if x != nil && s.zk.sessions[x.id] == x {
		x.cut = false
	} else {
		p.held = append([]func(){p.zk.disconnected}, p.held...)
		if s.chance(1, 2) { // it may do a lot before it hears of that
			p.held = append(p.held[1:], p.zk.disconnected)
		}
	}
	p.unpause()
	if !p.dead && !p.paused {
		p.role.post(func(*role) {})
	}
}

// wipe replaces a disk, as long as the others can answer for it: of the
// registered disks a quorum must remain, and all of them must be in place.
func (s *Sim) wipe(n *node) {
	t := s.zk.tree
	if !t.exists || t.cluster.Epoch == 0 || s.now-s.forgot < 15*time.Second && s.forgot != 0 {
		return
	}
	strange := 0
	for _, m := range s.nodes[:s.cfg.Replicas] {
		if m != n && !m.disk.whole() || m != n && s.counted[m.id] != m.disk.incarnation && s.counted[m.id] != "" || t.cluster.Members[m.id] != m.disk.incarnation && m != n {
			strange++
		}
	}
	if strange+1 > (s.cfg.Replicas-1)/2 {
		return
	}
	s.tracef("FAULT %s gets a new disk", n.id)
	n.stop(true)
	n.newDisk()
	s.after(s.hold(), func() { n.start() })
}

// damage flips bits in one entry that is on a disk, as long as a quorum of disks
// is whole.
func (s *Sim) damage(n *node) {
	d := n.disk
	from := d.count(d.start)
	unregistered := 0
	for _, m := range s.nodes[:s.cfg.Replicas] {
		if m != n && s.zk.tree.cluster.Members[m.id] != m.disk.incarnation {
			unregistered++
		}
	}
	if 1+s.hurt(n)+unregistered > (s.cfg.Replicas-1)/2 || d.flushed <= from {
		return
	}
	i := from + s.rng.IntN(d.flushed-from)
	s.tracef("FAULT %s: the entry at %d is damaged", n.id, d.log[i].at)
	d.log[i].damaged = true
}

// hurt counts the members with a damaged log, except one. A quorum of the others
// must be there to repair them: so ZooKeeper keeps what it knows meanwhile.
func (s *Sim) hurt(except *node) (n int) {
	for _, m := range s.nodes[:s.cfg.Replicas] {
		if m != except && (!m.disk.whole() || m.proc != nil && m.proc.role.self.Damaged != "") {
			n++
		}
	}
	return n
}

// trim lets a node retain less: nothing that it has not applied or flushed.
func (s *Sim) trim(n *node) {
	d := n.disk
	if n.proc == nil {
		return
	}
	if most := min(n.proc.seen, d.flushed); most > 0 {
		d.start = max(d.start, d.log[s.rng.IntN(most)].at)
		s.tracef("%s retains its log from %d on", n.id, d.start)
	}
}

// cut separates a group of nodes from the others.
func (s *Sim) cut(n *node) {
	until := s.now + s.hold()
	side := map[int]bool{n.i: true}
	for i := range s.nodes {
		if s.chance(1, 3) {
			side[i] = true
		}
	}
	s.tracef("FAULT %v are cut off from the others for %s", side, until-s.now)
	for i := range s.nodes {
		for j := range s.nodes {
			if side[i] != side[j] {
				s.cuts[i][j] = max(s.cuts[i][j], until)
			}
		}
	}
}

func (s *Sim) oneway(n *node) {
	j := s.rng.IntN(s.cfg.Replicas)
	if j == n.i {
		return
	}
	d := s.hold()
	from, to := n.i, j
	if s.chance(1, 2) {
		from, to = to, from
	}
	s.tracef("FAULT nothing passes from %s to %s for %s", s.nodes[from].id, s.nodes[to].id, d)
	s.cuts[from][to] = max(s.cuts[from][to], s.now+d)
}

func (s *Sim) breakLinks(n *node) {
	s.tracef("FAULT connections of %s break", n.id)
	s.breakConns(n.i)
}

func (s *Sim) zkCut(n *node) {
	d := s.hold()
	if s.chance(1, 3) {
		d += sessionTimeout
	}
	s.tracef("FAULT %s is cut off from ZooKeeper for %s", n.id, d)
	n.zkCut = max(n.zkCut, s.now+d)
	if n.proc != nil {
		n.proc.zk.cutOff()
	}
}

func (s *Sim) zkDown(*node) {
	d := s.hold()
	s.tracef("FAULT ZooKeeper is down for %s", d)
	s.zk.downUntil = max(s.zk.downUntil, s.now+d)
	for _, n := range s.nodes {
		if n.proc != nil {
			n.proc.zk.cutOff()
		}
	}
}

func (s *Sim) zkWipe(*node) {
	if !s.chance(1, 2) || !s.zk.tree.exists || !s.informed() || s.hurt(nil) > 0 {
		return
	}
	s.tracef("FAULT ZooKeeper is wiped")
	s.forgot = s.now
	s.zk.wipe()
}

// informed says that too few members for a quorum are unaware of the cluster's
// history. If a new disk has not seen the cluster node yet, and ZooKeeper
// forgets it too, nobody can tell it from one that never was in a cluster.
func (s *Sim) informed() bool {
	unaware := 0
	for _, n := range s.nodes[:s.cfg.Replicas] {
		if n.disk.sealed == 0 {
			unaware++
		}
	}
	return s.check.epoch == 0 || unaware < quorum.Size(s.cfg.Replicas)
}

func (s *Sim) zkRollback(*node) {
	if len(s.zk.past) == 0 || !s.zk.tree.exists {
		return
	}
	i := len(s.zk.past) - 1 - s.rng.IntN(min(len(s.zk.past), 1+s.rng.IntN(pastKept)))
	if s.chance(1, 2) { // an open election is the most interesting one
		for j := i; j >= 0; j-- {
			if s.zk.past[j].cluster.Phase == election.PhaseSealing {
				i = j
				break
			}
		}
	}
	if !s.remembers(s.zk.past[i]) || s.hurt(nil) > 0 {
		return
	}
	s.tracef("FAULT ZooKeeper goes back")
	s.forgot = s.now
	s.zk.rollback(s.zk.past[i])
}

// remembers says that a copy of ZooKeeper shows who is a member. It need not
// as long as disks stay and there are no strangers: see the package comment.
func (s *Sim) remembers(t tree) bool {
	return t.exists && (len(t.cluster.Members) == s.cfg.Replicas || !s.swarm.wipe && !s.swarm.stranger)
}

func (s *Sim) expire(n *node) {
	if p := n.proc; p != nil && p.zk.session != nil {
		s.tracef("FAULT the session of %s expires", n.id)
		s.zk.expire(p.zk.session)
		p.zk.dropped()
	}
}

func (s *Sim) slowDisk(n *node) {
	d := s.hold()
	s.tracef("FAULT the disk of %s is slow for %s", n.id, d)
	n.slowUntil = max(n.slowUntil, s.now+d)
}

func (s *Sim) unfit(n *node) {
	n.noPort = s.now + s.hold()
	s.tracef("FAULT the port of %s is taken for %s", n.id, n.noPort-s.now)
}

func (s *Sim) transfer(n *node) {
	if l := s.leader(); l != nil && n != l && !l.proc.paused {
		l.proc.role.lead.transfer(n.id)
	}
}

// stranger starts a node too many.
func (s *Sim) stranger(*node) {
	n := s.nodes[len(s.nodes)-1]
	if n.proc == nil && s.zk.tree.exists && len(s.zk.tree.cluster.Members) == s.cfg.Replicas {
		n.start()
	}
}

// calm ends all faults.
func (s *Sim) calm() {
	s.zk.downUntil = 0
	for i, n := range s.nodes {
		for j := range s.nodes {
			s.cuts[i][j] = 0
		}
		n.slowUntil, n.noPort, n.zkCut = 0, 0, 0
		if n.proc != nil {
			s.resume(n.proc)
		} else if !n.stranger {
			n.start()
		}
	}
}
