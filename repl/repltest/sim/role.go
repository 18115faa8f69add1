package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"baton/repl/election"
	"baton/store/record"
)

// role is the role loop of a process. It carries out steps in the order in
// which the node does: seal, stop, flush, publish.
type role struct {
	p       *process
	elector *election.Elector
	view    election.View
	self    election.Self
	want    election.Member // to be published
	last    election.Decision

	lead *lead
	link *link
	gen  int // counts links, so that the last words of an old one are known

	busy       bool // a step waits for the disk; what comes meanwhile waits too
	mail       []func(*role)
	sealedEnd  record.Position
	sealWait   func() // called when the disk has flushed
	writing    bool
	retryAt    time.Duration
	unfitUntil time.Duration
	timer      int
	turning    bool
}

func newRole(p *process) *role {
	n := p.n
	r := &role{p: p, elector: election.New(election.Config{ElectionTimeout: electionTimeout, Ballot: n.s.ballot})}
	r.self = election.Self{Node: n.id, Incarnation: n.disk.incarnation, ClusterID: n.disk.cluster, Replicas: n.replicas, Sealed: n.disk.sealed}
	r.refresh()
	return r
}

// resume is what a restarted leader must not do.
func (r *role) resume() {
	r.refresh()
	if r.p.n.s.cfg.Plant == PlantResume {
		r.self.SealedHere = r.self.Sealed
		r.sealedEnd = r.p.n.disk.end()
	}
}

// post runs f in the role loop.
func (r *role) post(f func(*role)) {
	if r.busy || r.turning {
		r.mail = append(r.mail, f)
		return
	}
	f(r)
	r.turn()
}

func (r *role) see(v election.View) {
	r.view = v
	if r.p.n.s.cfg.Plant == PlantResume && r.self.SealedFor == "" {
		r.self.SealedFor = v.Cluster.Ballot
	}
	r.admit()
}

// admit counts members that registered since this node was elected.
func (r *role) admit() {
	list := election.Newcomers(r.view.Cluster, r.self)
	if r.lead == nil || len(list) == 0 {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(list)) {
		r.self.Voters[id] = list[id]
		r.lead.setVoter(id, list[id])
	}
	r.lead.propose(maps.Clone(r.self.Voters), nil)
}

// turn decides and acts until there is nothing more to do.
func (r *role) turn() {
	s := r.p.n.s
	r.turning = true
	for range 100 {
		if r.p.dead || r.p.paused || s.violation != "" {
			r.turning = false
			return
		}
		for len(r.mail) > 0 && !r.busy {
			f := r.mail[0]
			r.mail = r.mail[1:]
			f(r)
		}
		if r.busy {
			r.turning = false
			return
		}
		if r.self.Unfit != "" && s.now > r.unfitUntil {
			r.self.Unfit = ""
		}
		if r.p.n.disk.epoch() != r.self.LastEpoch {
			r.refresh() // a link has brought the records of another epoch
		}
		d := r.elector.Decide(r.p.n.clock(), r.view, r.self)
		if d.Kind != r.last.Kind || d.Reason != r.last.Reason || d.Suspect != r.last.Suspect {
			s.tracef("%s: %s epoch %d suspect %d: %s", r.p.n.id, d.Kind, max(d.Epoch, d.Cluster.Epoch), d.Suspect, d.Reason)
		}
		r.last = d
		r.publish()
		if !r.do(d.Step) && len(r.mail) == 0 {
			r.turning = false
			r.sleep(d.Wake)
			return
		}
	}
	r.turning = false
	s.violate("%s: the role loop does not settle: %s, %s", r.p.n.id, r.last.Kind, r.last.Reason)
}

// sleep looks again after a while.
func (r *role) sleep(wake time.Duration) {
	r.timer++
	timer := r.timer
	if wake <= 0 {
		wake = time.Second
	}
	r.p.after(wake+time.Millisecond, func() {
		if r.timer == timer && !r.busy {
			r.turn()
		}
	})
}

func (r *role) publish() {
	n := r.p.n
	m := election.Member{Node: n.id, Incarnation: r.self.Incarnation, LastEpoch: r.self.LastEpoch, Position: -1,
		Sealed: r.self.Sealed, Suspect: r.last.Suspect, Weight: n.weight}
	m.Position, m.Ballot = r.self.Candidacy(r.sealedEnd)
	if r.lead != nil {
		m.Address = n.id
	}
	if n.s.cfg.Plant == PlantNoEpoch {
		m.LastEpoch = min(m.LastEpoch, 1)
	}
	r.want = m
	r.p.zk.keep()
}

// do carries out one step. It says whether the next decision may differ.
func (r *role) do(s election.Step) bool {
	switch s.Kind {
	case election.Seal:
		return r.seal(s.Epoch, s.Ballot)
	case election.Promise:
		return r.promise(s.Epoch)
	case election.Promote:
		return r.promote(s.Epoch)
	case election.Follow:
		return r.follow(s)
	case election.Unfollow:
		r.unfollow()
		return true
	case election.StepDown:
		r.stepDown(s.Reason)
		return true
	case election.Refuse:
		changed := r.lead != nil || r.link != nil
		r.stepDown(s.Reason)
		r.unfollow()
		return changed
	case election.Form, election.Register, election.StartElection, election.Elect:
		r.write(s)
	}
	return false
}

// seal promises on disk, ends every role, flushes, and remembers the end.
func (r *role) seal(e record.Epoch, ballot string) bool {
	p := r.p
	r.busy = true
	p.seal(e, func(ok bool) {
		if !ok { // a link has promised more
			r.promisedMore()
			return
		}
		// Stopping takes a moment in which links and leader go on.
		p.after(p.n.s.upTo(2*time.Millisecond), func() { r.sealed(e, ballot) })
	})
	return true
}

// promisedMore lets the next decision see what a link has promised.
func (r *role) promisedMore() {
	r.self.Sealed = r.p.n.disk.sealed
	r.busy = false
	r.turn()
}

// promise is seal by one who was not there when the epoch was prepared.
func (r *role) promise(e record.Epoch) bool {
	p := r.p
	r.busy = true
	p.seal(e, func(ok bool) {
		if !ok {
			r.promisedMore()
			return
		}
		r.self.DidPromise(e)
		r.busy = false
		r.turn()
	})
	return true
}

func (r *role) sealed(e record.Epoch, ballot string) {
	p, d := r.p, r.p.n.disk
	r.stepDown(fmt.Sprintf("epoch %d is being prepared", e))
	if p.n.s.cfg.Plant != PlantNoRefusal {
		r.unfollow()
	}
	end := d.end()
	p.n.flush()
	finish := func() bool {
		if d.flushEnd() < end {
			return false
		}
		r.sealWait = nil
		r.self.DidSeal(e, ballot)
		r.sealedEnd = end
		if p.n.s.cfg.Plant == PlantMemoryPosition {
			r.sealedEnd = max(end, p.highest)
		}
		r.refresh()
		p.n.s.tracef("%s: sealed %d at (%d, %d)", p.n.id, e, r.self.LastEpoch, end)
		r.busy = false
		r.turn()
		return true
	}
	if !finish() {
		r.sealWait = func() { finish() }
	}
}

func (r *role) flushed() {
	if f := r.sealWait; f != nil {
		f()
	}
}

func (r *role) refresh() {
	r.self.LastEpoch = r.p.n.disk.epoch()
	if m := r.p.history(); m != nil {
		r.self.History = election.Configuration{Replicas: r.p.n.replicas, Members: maps.Clone(m)}
	}
}

// write begins a write to the cluster node, one at a time.
func (r *role) write(st election.Step) {
	p := r.p
	s := p.n.s
	if r.writing || s.now < r.retryAt {
		return
	}
	r.writing = true
	w, version, reads := st.Cluster, r.view.Version, r.view.Reads
	if st.Kind == election.Form {
		version = -1
		if w.ID == "" {
			s.ids++
			w.ID = fmt.Sprintf("cluster-%d", s.ids)
		}
	}
	on := uint64(0)
	if st.Kind.Once() {
		on = reads
	}
	p.zk.writeCluster(w, version, on, func(ok bool) {
		r.post(func(r *role) {
			r.writing = false
			if !ok {
				r.retryAt = s.now + retryWrite/10
				return
			}
			s.tracef("%s: wrote %s epoch %d %s leader %q members %v, version %d", p.n.id, st.Kind, w.Epoch, w.Phase, w.Leader, w.Members, version+1)
			r.view.Wrote(election.Step{Kind: st.Kind, Cluster: w}, version, reads)
		})
	})
}

// identify writes the cluster's id into META.
func (r *role) identify() bool {
	if r.self.ClusterID == "" {
		r.self.ClusterID = r.view.Cluster.ID
		r.p.n.disk.cluster = r.self.ClusterID
	}
	return true
}

func (r *role) follow(st election.Step) bool {
	r.stepDown("another node leads")
	r.unfollow()
	r.identify()
	r.self.DidFollow(st)
	r.gen++
	r.link = newLink(r, st, r.gen)
	return true
}

// unfollow closes the link. When it returns the link writes no more.
func (r *role) unfollow() {
	if r.link == nil {
		return
	}
	r.link.stop()
	r.link = nil
	r.gen++
	r.self.DidUnfollow(r.p.n.disk.sealed)
	r.refresh()
}

// install replaces the log by the one that the link has received.
func (r *role) install(epoch record.Epoch, m message) {
	p, d := r.p, r.p.n.disk
	r.unfollow()
	if !election.MayInstall(epoch, d.sealed) {
		return
	}
	p.n.s.tracef("%s: installs the log of its leader, (%d to %d)", p.n.id, m.start, m.at)
	p.n.cuts++
	d.install(m.entries, m.start)
	for _, e := range d.log {
		p.n.s.check.appended(p.n, e)
	}
	p.seen, p.target = 0, min(p.target, d.end())
	r.self.DidInstall()
	r.refresh()
	p.commit(m.commit)
}

// damage gives up every role until the log was replaced.
func (r *role) damage() {
	if r.self.Damaged != "" {
		return
	}
	r.p.n.s.tracef("%s: its log is damaged", r.p.n.id)
	r.self.DidDamage("its log is damaged")
	r.resign("its log is damaged")
	r.unfollow()
}

func (r *role) promote(e record.Epoch) bool {
	r.unfollow()
	r.identify()
	voters := maps.Clone(r.view.Cluster.Members)
	l, err := startLead(r.p, e, voters)
	if err != "" {
		r.self.DidPromote(0, nil)
		r.resign(err)
		return true
	}
	r.lead = l
	r.self.DidPromote(e, voters)
	r.refresh()
	return true
}

func (r *role) resign(why string) {
	r.p.n.s.tracef("%s: resigns: %s", r.p.n.id, why)
	r.self.Unfit, r.unfitUntil = why, r.p.n.s.now+unfitFor
	r.stepDown(why)
}

func (r *role) stepDown(why string) {
	l := r.lead
	if l == nil {
		return
	}
	r.lead = nil
	l.stop()
	r.p.n.s.tracef("%s: no longer leads epoch %d: %s", r.p.n.id, l.epoch, why)
	r.self.DidStepDown()
	r.refresh()
}

// register makes a caught-up disk a voter: in ZooKeeper, in the leader's
// count, in the log.
func (r *role) register(node, incarnation string) {
	c := r.view.Cluster
	if !election.MayRegister(c, r.self) {
		return
	}
	if !election.MayReplace(c, node, incarnation, r.lead.inSync(node)) {
		return
	}
	l, s := r.lead, r.p.n.s
	w := c
	w.Members = maps.Clone(c.Members)
	w.Members[node] = incarnation
	r.p.zk.writeCluster(w, r.view.Version, 0, func(ok bool) {
		r.post(func(r *role) {
			if r.lead != l || !ok {
				return
			}
			s.tracef("%s: registered %s %s", r.p.n.id, node, incarnation)
			r.self.Voters[node] = incarnation
			l.setVoter(node, incarnation)
			l.propose(maps.Clone(r.self.Voters), nil)
		})
	})
}
