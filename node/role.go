package node

import (
	"context"
	"fmt"
	"maps"
	"time"

	"baton/node/adminapi"
	"baton/repl"
	"baton/repl/election"
	"baton/store/record"
	"baton/zkclient/group"
)

// role is the state of the role loop, touched by its goroutine alone.
type role struct {
	n       *Node
	ctx     context.Context
	elector *election.Elector

	snap group.Snapshot // ZooKeeper as last seen
	view election.View  // the same, as the elector wants it
	self election.Self

	leadership *leadership
	follower   *repl.Follower

	followGen  uint64    // counts links, so that the last words of an old one are known
	unfitUntil time.Time // Self.Unfit is cleared then
	aloneUntil time.Time // a leader that too few attach to resigns then; zero = enough do

	sealedEnd record.Position // durable log end published with the promise SealedHere
	writing   bool            // a write to the cluster node is under way
	retryAt   time.Time       // no further write before this, after one failed
	wonFor    string          // eid that this node wrote as elected, for readers of ActiveMQ's tree
	last      election.Decision
	published group.MemberData
	claim     claim
	own       sighting
	joined    bool
}

// runRole is the role loop. It returns when ctx ends, after it has given up
// whatever role it had.
func (n *Node) runRole(ctx context.Context) {
	r := &role{n: n, ctx: ctx, elector: election.New(election.Config{ElectionTimeout: n.cfg.ElectionTimeout})}
	meta := n.store.Meta()
	r.self = election.Self{Node: n.cfg.ID, Incarnation: meta.Incarnation, ClusterID: meta.ClusterID,
		Replicas: n.cfg.Replicas, Sealed: meta.Sealed}
	r.refreshLog()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			r.giveUp("the node stops")
			return
		case snap := <-n.group.Updates():
			r.see(snap)
		case <-n.mail.signal:
		case <-timer.C:
		}
		for _, f := range n.mail.take() {
			f(r)
		}
		timer.Reset(r.turn())
	}
}

// see takes a new picture of ZooKeeper.
func (r *role) see(s group.Snapshot) {
	if s.Connected != r.snap.Connected {
		if s.Connected {
			r.n.events.Add(adminapi.KindZKConnected, uint64(r.self.Sealed), "connected to ZooKeeper", "path", r.n.cfg.ZKPath)
		} else {
			r.n.events.Add(adminapi.KindZKLost, uint64(r.self.Sealed), "lost the connection to ZooKeeper")
		}
	}
	if s.Self != "" && s.Self != r.snap.Self {
		r.n.events.Add(adminapi.KindJoined, uint64(r.self.Sealed), "joined as "+s.Self, "eid", s.Self)
	}
	r.snap, r.view = s, viewOf(s)
	r.superseded()
	r.admit()
}

// turn does what is to be done until there is nothing more, and says after how
// long to look again.
func (r *role) turn() time.Duration {
	r.self.Ready = r.leadership != nil && r.leadership.leader.Status().Ready
	if !r.joined {
		if why, ok := r.mayJoin(); !ok {
			r.n.setRoleStatus(r.outside(why))
			return r.pause(time.Now(), claimInterval/10)
		}
	}
	for range stepsMax {
		r.checkFitness(time.Now())
		if r.n.store.Log().Positions().Epoch != r.self.LastEpoch {
			r.refreshLog() // a link has brought the records of another epoch
		}
		d := r.elector.Decide(time.Now(), r.view, r.self)
		r.note(d)
		r.publish()
		if !r.do(d.Step) {
			r.n.setRoleStatus(r.status(d))
			return r.pause(time.Now(), d.Wake)
		}
	}
	r.n.cfg.Logger.Error("the role loop does not settle, trying again", "step", r.last.Kind.String(), "reason", r.last.Reason)
	return 100 * time.Millisecond
}

// stepsMax bounds how many steps one turn takes; two or three are usual.
const stepsMax = 100

// pause is how long nothing has to be done: until the elector wants to look
// again, a write may be tried again, or a time about fitness is over.
func (r *role) pause(now time.Time, wake time.Duration) time.Duration {
	d := time.Second
	if wake > 0 {
		d = min(d, wake)
	}
	for _, at := range []time.Time{r.retryAt, r.unfitUntil, r.aloneUntil} {
		if left := at.Sub(now); left > 0 {
			d = min(d, left)
		}
	}
	return d + time.Millisecond
}

// note reports what changed since the last decision.
func (r *role) note(d election.Decision) {
	if d.Suspect != 0 && d.Suspect != r.last.Suspect {
		r.n.events.Add(adminapi.KindSuspected, uint64(d.Suspect),
			fmt.Sprintf("%s suspects the leader of epoch %d: %s", r.self.Node, d.Suspect, d.Reason))
	}
	if d.Kind == election.Refuse && r.last.Kind != election.Refuse {
		r.n.events.Add(adminapi.KindRefused, uint64(r.view.Cluster.Epoch), d.Reason)
	}
	r.last = d
}

// do carries out one step. It says whether the node's own state changed, so
// that the next decision may differ.
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
		changed := r.leadership != nil || r.follower != nil
		r.giveUp(s.Reason)
		return changed
	case election.Form, election.Register, election.StartElection, election.Elect:
		r.write(s)
	}
	return false
}

// seal promises the epoch on disk, ends every role, and remembers the log's
// durable end. The promise comes first, so that a link which is being stopped
// tells its leader of it; the end is read last, when nothing can move it.
func (r *role) seal(epoch record.Epoch, ballot string) bool {
	if done, again := r.writePromise(epoch); !done {
		return again
	}
	r.stepDown(fmt.Sprintf("epoch %d is being prepared", epoch))
	r.unfollow()
	log := r.n.store.Log()
	end := log.Positions().Append
	ctx, cancel := context.WithTimeout(r.ctx, sealTimeout)
	defer cancel()
	if err := log.WaitFlushed(ctx, end); err != nil {
		r.n.fail(fmt.Errorf("flush the log before promising epoch %d: %w", epoch, err))
		return false
	}
	r.self.DidSeal(epoch, ballot)
	r.sealedEnd = end
	r.refreshLog()
	r.n.events.Add(adminapi.KindSealed, uint64(epoch),
		fmt.Sprintf("promised epoch %d, log ends at (%d, %d)", epoch, r.self.LastEpoch, end),
		"position", fmt.Sprint(end), "last_epoch", fmt.Sprint(r.self.LastEpoch))
	return true
}

// promise refuses every epoch below the given one from now on. This node was
// not there when the epoch was prepared, so it is no candidate in it.
func (r *role) promise(epoch record.Epoch) bool {
	if done, again := r.writePromise(epoch); !done {
		return again
	}
	r.self.DidPromise(epoch)
	return true
}

// writePromise puts a promise on the disk. If a link has promised more since the
// last decision, it is for the next one to see that.
func (r *role) writePromise(epoch record.Epoch) (done, again bool) {
	err := r.n.store.Seal(epoch)
	if err == nil {
		return true, false
	}
	if sealed := r.n.sealed(); sealed > epoch {
		r.self.Sealed = sealed
		return false, true
	}
	r.n.fail(fmt.Errorf("promise epoch %d: %w", epoch, err))
	return false, false
}

// sealTimeout bounds a flush. A disk that takes longer is given up: the others
// elect without this node.
const sealTimeout = 30 * time.Second

// refreshLog copies what the elector needs to know about the log.
func (r *role) refreshLog() {
	r.self.LastEpoch = r.n.store.Log().Positions().Epoch
	if h, ok := r.n.lastVoters(); ok {
		r.self.History = h
	}
}

// lastVoters are the voters in the newest epoch-start record: the newest one
// applied, or the one that began the log's last epoch if that is newer. Known
// to be committed or not, it tells of every disk that could count in it; a node
// that went by the applied ones alone would take a replaced disk for a member
// when ZooKeeper has forgotten the members. False if there is none.
func (n *Node) lastVoters() (election.Configuration, bool) {
	applied, epoch, ok := n.store.LastEpochStart()
	log := n.store.Log()
	if b := log.EpochBoundaries(); len(b) > 0 && (!ok || b[len(b)-1].Epoch > epoch) {
		raw, err := log.Read(b[len(b)-1].Start, 1)
		if err == nil && len(raw) > 0 {
			for rec := range record.Records(raw) {
				if e, err := record.ParseEpochStart(rec.Body); rec.Type == record.TypeEpochStart && err == nil {
					return election.Configuration{Replicas: e.Replicas, Members: e.Members}, true
				}
			}
		}
	}
	return election.Configuration{Replicas: applied.Replicas, Members: maps.Clone(applied.Members)}, ok
}

// giveUp leaves every role.
func (r *role) giveUp(why string) {
	r.stepDown(why)
	r.unfollow()
}
