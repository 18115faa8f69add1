package node

import (
	"fmt"

	"baton/node/adminapi"
	"baton/repl"
	"baton/repl/election"
	"baton/repl/wire"
	"baton/store/record"
)

// follow replaces the link to a leader. What this node promised and published
// for an election is used up by it.
func (r *role) follow(s election.Step) bool {
	r.stepDown("another node leads")
	r.unfollow()
	if !r.identify() {
		return false
	}
	r.self.DidFollow(s)
	address := s.Address
	if via := r.n.cfg.ReplVia[s.Leader]; via != "" {
		address = via
	}
	r.n.events.Add(adminapi.KindFollowing, uint64(s.Epoch), fmt.Sprintf("follows %s in epoch %d", s.Leader, s.Epoch), "leader", s.Leader)
	r.followGen++
	f, err := repl.StartFollower(repl.FollowerConfig{
		Identity: r.n.identity(), Leader: s.Leader, Address: address, Epoch: s.Epoch,
		Log: r.n.replLog(), Policy: r.n.policy, Commit: r.n.knownCommit(),
		Applied: func() record.Position { p, _ := r.n.store.Applied(); return p },
		Taker:   snapshots{r.n}, Whole: r.self.Damaged != "",
		Seal: r.n.store.Seal, Sealed: r.n.sealed,
		DeadAfter: r.n.cfg.ElectionTimeout, HeartbeatInterval: r.n.cfg.ElectionTimeout / 10,
		Listener: r.n.followerListener(r.followGen, s),
		Logger:   r.n.cfg.Logger,
	})
	if err != nil {
		r.n.fail(fmt.Errorf("follow %s: %w", s.Leader, err))
		return false
	}
	r.follower = f
	r.n.setFollower(f)
	return true
}

// unfollow closes the link. When it returns the link writes no more.
func (r *role) unfollow() {
	if r.follower == nil {
		return
	}
	r.follower.Stop()
	r.follower = nil
	r.followGen++
	r.n.setFollower(nil)
	r.self.DidUnfollow(r.n.store.Meta().Sealed)
	r.refreshLog()
}

// followerListener turns the link's callbacks into events and posts to the
// role loop. gen guards against the last words of a link that was replaced.
func (n *Node) followerListener(gen uint64, s election.Step) repl.FollowerListener {
	post := func(f func(*role)) {
		n.mail.post(func(r *role) {
			if r.followGen == gen {
				f(r)
			}
		})
	}
	epoch := uint64(s.Epoch)
	return repl.FollowerListener{
		LinkUp: func() {
			n.events.Add(adminapi.KindLinkUp, epoch, "attached to "+s.Leader, "leader", s.Leader)
			post(func(r *role) { r.self.LinkIsUp(r.n.store.Meta().Sealed) })
		},
		LinkLost: func(err error) {
			n.events.Add(adminapi.KindLinkLost, epoch, fmt.Sprintf("lost the link to %s: %v", s.Leader, err), "leader", s.Leader)
			// Without a leader it matters what this log has got meanwhile: if
			// ZooKeeper was wiped too, the newest log says who the voters are.
			post(func(r *role) { r.self.LinkUp = false; r.refreshLog() })
		},
		LeaderDead: func(reason string) {
			post(func(r *role) { r.self.LinkIsDead(s.Epoch); r.refreshLog() })
		},
		Commit: n.applier.commit,
		Truncated: func(from, to record.Position, tail record.Epoch) {
			n.events.Add(adminapi.KindTruncated, epoch,
				fmt.Sprintf("moved a divergent tail of epoch %d aside: bytes %d to %d were never committed", tail, from, to),
				"from", fmt.Sprint(from), "to", fmt.Sprint(to))
		},
		InSync: func() {
			n.events.Add(adminapi.KindInSync, epoch, "in sync with "+s.Leader, "leader", s.Leader)
			post(func(*role) {}) // the log is of this epoch now: that is published
		},
		SnapshotStarted: func(e repl.SnapshotEvent) {
			n.events.Add(adminapi.KindSnapshotStarted, epoch, fmt.Sprintf("receives the %s of %s, at %d", e, s.Leader, e.Resumed),
				"leader", s.Leader, "start", fmt.Sprint(e.Start), "end", fmt.Sprint(e.End), "at", fmt.Sprint(e.Resumed))
		},
		SnapshotReceived: func(e repl.SnapshotEvent) { post(func(r *role) { r.install(s, e) }) },
		Fenced: func(higher record.Epoch) {
			n.events.Add(adminapi.KindFenced, uint64(higher), fmt.Sprintf("%s of epoch %d is fenced by epoch %d", s.Leader, s.Epoch, higher))
			post(func(r *role) { r.self.LinkIsDead(s.Epoch) })
		},
		Refused: func(code wire.Code, text string) {
			n.events.Add(adminapi.KindRefused, epoch, fmt.Sprintf("%s refuses this node: %s", s.Leader, text), "code", fmt.Sprint(code))
		},
		LogFailed: n.logFailed,
	}
}

// identify writes the cluster's id into META before this node takes part for
// the first time.
func (r *role) identify() bool {
	if r.self.ClusterID != "" {
		return true
	}
	if err := r.n.store.SetIdentity(r.view.Cluster.ID, r.n.cfg.ID); err != nil {
		r.n.fail(err)
		return false
	}
	r.self.ClusterID = r.view.Cluster.ID
	return true
}
