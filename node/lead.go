package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"baton/node/adminapi"
	"baton/node/broker"
	"baton/node/stompserver"
	"baton/repl"
	"baton/repl/election"
	"baton/repl/progress"
	"baton/store/index"
	"baton/store/record"
	"baton/zkclient/group"
)

// errSteppedDown is what proposals get whose leadership ended: whether they
// were committed is for the next leader to know.
var errSteppedDown = errors.New("node: not the leader any more")

// leadership is one epoch led by this node: the replicating leader, and once
// its first record is committed, the broker and its connectors.
type leadership struct {
	n       *Node
	epoch   record.Epoch
	leader  *repl.Leader
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	commits atomic.Uint64 // proposals of clients that were committed
	mu      struct {
		sync.Mutex
		broker *broker.Broker
		server *stompserver.Server
	}
}

// promote begins to lead. Followers find it by the address that is published
// next; clients when its first record is committed.
func (r *role) promote(epoch record.Epoch) bool {
	n := r.n
	r.unfollow()
	if !r.identify() {
		return false
	}
	voters := maps.Clone(r.view.Cluster.Members)
	ctx, cancel := context.WithCancel(r.ctx)
	l := &leadership{n: n, epoch: epoch, ctx: ctx, cancel: cancel}
	leader, err := repl.StartLeader(repl.LeaderConfig{
		Identity: n.identity(), Epoch: epoch, Log: n.replLog(), Voters: voters, Replicas: n.cfg.Replicas, Policy: n.policy,
		Commit:            n.knownCommit(),
		Giver:             snapshots{n},
		EpochStart:        record.EpochStart{ClusterID: r.self.ClusterID, Leader: n.cfg.ID, Replicas: n.cfg.Replicas, Members: voters},
		HeartbeatInterval: n.cfg.ElectionTimeout / 10,
		QuorumTimeout:     n.cfg.QuorumTimeout,
		HandOverTimeout:   n.cfg.ElectionTimeout,
		Listener:          l.listener(),
		Logger:            n.cfg.Logger,
	})
	if err != nil {
		cancel()
		r.self.DidPromote(0, nil)
		r.resign(fmt.Sprintf("%s cannot lead: %v", n.cfg.ID, err))
		return true
	}
	l.leader = leader
	r.leadership = l
	r.self.DidPromote(epoch, voters)
	r.refreshLog()
	n.server.SetLeader(leader)
	n.setLeadership(l)
	l.wg.Go(l.runServe)
	l.wg.Go(l.runCompact)
	l.wg.Go(l.runForget)
	l.wg.Go(l.runWatchLog)
	return true
}

// stepDown ends a leadership: clients are cut off without an ERROR, so that
// they fail over, then followers, then what waits for a quorum.
func (r *role) stepDown(why string) {
	l := r.leadership
	if l == nil {
		return
	}
	if r.unreached() {
		r.standBack(fmt.Sprintf("%s was elected for epoch %d and the others could not attach to it", r.n.cfg.ID, l.epoch))
	}
	r.leadership = nil
	r.n.setLeadership(nil)
	r.n.server.SetLeader(nil)
	l.stop()
	r.n.events.Add(adminapi.KindSteppedDown, uint64(l.epoch), fmt.Sprintf("no longer leads epoch %d: %s", l.epoch, why))
	r.self.DidStepDown()
	r.wonFor = ""
	r.refreshLog()
}

func (l *leadership) stop() {
	l.cancel()
	l.mu.Lock()
	b, s := l.mu.broker, l.mu.server
	l.mu.Unlock()
	if s != nil { // clients first, so that they see a closed socket and no ERROR
		s.CutOff("this node does not lead any more")
	}
	l.leader.Stop(errSteppedDown) // what waits in a proposal comes back
	if s != nil {
		s.Close("this node does not lead any more")
	}
	l.wg.Wait()
	l.n.applier.setSink(nil)
	if b != nil {
		b.Close()
	}
}

// runServe opens the connectors when the epoch's first record is committed
// and everything committed is in the index.
func (l *leadership) runServe() {
	select {
	case <-l.leader.Ready():
	case <-l.ctx.Done():
		return
	}
	l.n.applier.commit(l.leader.Commit())
	if err := l.n.applier.wait(l.ctx, l.leader.Commit()); err != nil {
		return // stepping down, or the node is failing and says why itself
	}
	if err := l.open(); err != nil && l.ctx.Err() == nil {
		l.post(func(r *role) { r.resign(err.Error()) })
	}
}

func (l *leadership) open() error {
	n := l.n
	bc := broker.Config{
		Proposer: l, Index: brokerIndex{n.store}, Messages: n.store,
		IDPrefix: idPrefix(n.cfg.ID, l.epoch), Policies: n.cfg.Policies, StoreBytes: n.cfg.StoreLimit, Logger: n.cfg.Logger,
		CatchUp:   func() { _ = l.settle() }, // an error ends the leadership, which says so itself
		OnFailure: func(err error) { l.post(func(r *role) { r.resign(err.Error()) }) },
	}
	n.cfg.Limits.forBroker(&bc)
	ln, err := net.Listen("tcp", n.cfg.ListenStomp)
	if err != nil {
		return fmt.Errorf("cannot serve clients: %w", err)
	}
	var b *broker.Broker
	if err := n.applier.makeSink(func() (index.Sink, error) {
		var err error
		b, err = broker.New(bc)
		return b, err
	}); err != nil {
		ln.Close()
		return err
	}
	epoch := uint64(l.epoch)
	sc := stompserver.Config{
		Listener: ln, Broker: b, Admit: n.files.admit, Logger: n.cfg.Logger,
		OnFirstReceipt: func() {
			n.events.Add(adminapi.KindFirstReceipt, epoch, "the first producer heard success", "leader", n.cfg.ID)
		},
	}
	n.cfg.Limits.forServer(&sc)
	s, err := stompserver.New(sc)
	if err != nil {
		n.applier.setSink(nil)
		b.Close()
		ln.Close()
		return err
	}
	l.mu.Lock()
	l.mu.broker, l.mu.server = b, s
	l.mu.Unlock()
	l.wg.Go(func() {
		if err := s.Serve(); err != nil && l.ctx.Err() == nil {
			l.post(func(r *role) { r.resign(fmt.Sprintf("cannot serve clients: %v", err)) })
		}
	})
	if l.ctx.Err() != nil { // stopped meanwhile: stop may have missed the server
		s.Close("this node does not lead any more")
		return nil
	}
	n.events.Add(adminapi.KindServing, epoch, fmt.Sprintf("%s serves clients on %s in epoch %d", n.cfg.ID, n.cfg.ListenStomp, l.epoch), "leader", n.cfg.ID)
	l.post(func(r *role) {}) // the status changed
	return nil
}

// idPrefix begins the ids of the messages that this leadership accepts. An
// epoch is led once, so it makes them unique; the node is there for people.
func idPrefix(node string, epoch record.Epoch) string {
	plain := strings.Map(func(c rune) rune {
		if c == '.' || c == '_' {
			return '-' // some clients escape or cut ids at other characters
		}
		return c
	}, node)
	return fmt.Sprintf("ID-%s-%d-", plain, epoch)
}

// serving says whether the connectors are open.
func (l *leadership) serving() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.server != nil
}

// post runs f in the role loop if this leadership is still the current one.
func (l *leadership) post(f func(*role)) {
	l.n.mail.post(func(r *role) {
		if r.leadership == l {
			f(r)
		}
	})
}

func (l *leadership) listener() repl.LeaderListener {
	n, epoch := l.n, uint64(l.epoch)
	return repl.LeaderListener{
		Commit: n.applier.commit,
		FollowerAttached: func(f repl.FollowerAttached) {
			n.events.Add(adminapi.KindAttached, epoch, f.Node+" attached", "follower", f.Node, "from", fmt.Sprint(f.From))
		},
		FollowerLost: func(node string, err error) {
			n.events.Add(adminapi.KindDetached, epoch, fmt.Sprintf("lost follower %s: %v", node, err), "follower", node)
		},
		FollowerInSync: func(node string) {
			n.events.Add(adminapi.KindInSync, epoch, node+" is in sync", "follower", node)
		},
		CatchUp: func(node string, from, to record.Position) {
			n.events.Add(adminapi.KindCatchUp, epoch, fmt.Sprintf("%s catches up: %d bytes to go", node, to-from), "follower", node,
				"from", fmt.Sprint(from), "to", fmt.Sprint(to))
		},
		LearnerCaughtUp: func(node, incarnation string) {
			l.post(func(r *role) { r.register(node, incarnation) })
		},
		Fenced: func(higher record.Epoch) {
			n.events.Add(adminapi.KindFenced, uint64(higher), fmt.Sprintf("epoch %d is fenced by epoch %d", l.epoch, higher))
			l.post(func(r *role) { r.stepDown(fmt.Sprintf("a follower promised epoch %d", higher)) })
		},
		QuorumLost: func(missing []string) {
			n.events.Add(adminapi.KindNoQuorum, epoch, fmt.Sprintf("no quorum: %v missing; producers wait", missing))
		},
		QuorumBack: func() { n.events.Add(adminapi.KindQuorumBack, epoch, "the quorum is back") },
		SnapshotStarted: func(e repl.SnapshotEvent) {
			n.events.Add(adminapi.KindSnapshotStarted, epoch, fmt.Sprintf("sends the %s to %s, at %d: %s", e, e.Node, e.Resumed, e.Reason),
				"follower", e.Node, "start", fmt.Sprint(e.Start), "end", fmt.Sprint(e.End))
		},
		SnapshotFinished: func(e repl.SnapshotEvent, err error) {
			text := fmt.Sprintf("%s has the %s", e.Node, e)
			if err != nil {
				text = fmt.Sprintf("could not send the whole log to %s, which will ask again: %v", e.Node, err)
			}
			n.events.Add(adminapi.KindSnapshotFinished, epoch, text, "follower", e.Node, "start", fmt.Sprint(e.Start), "end", fmt.Sprint(e.End))
		},
		LogFailed: n.logFailed,
	}
}

// admit lets the replication leader serve and count members that registered
// since it was elected, and tells the log who the voters are now.
func (r *role) admit() {
	list := election.Newcomers(r.view.Cluster, r.self)
	if r.leadership == nil || len(list) == 0 {
		return
	}
	for node, incarnation := range list {
		r.self.Voters[node] = incarnation
		r.leadership.leader.SetVoter(node, incarnation)
	}
	r.leadership.recordVoters(r.self.ClusterID, maps.Clone(r.self.Voters))
}

// recordVoters puts the voters into the log, so that a wiped ZooKeeper can be
// told who they are. It does not hold up the role loop if there is no quorum.
func (l *leadership) recordVoters(cluster string, voters map[string]string) {
	start := record.EpochStart{ClusterID: cluster, Leader: l.n.cfg.ID, Replicas: l.n.cfg.Replicas, Members: voters}
	b := record.NewBatch(256)
	b.Add(record.TypeEpochStart, start.AppendTo)
	l.wg.Go(func() { l.leader.Propose(b, func(error) {}) })
}

// inSync counts the voters that hold what this leader writes, itself included
// and one node left out.
func (l *leadership) inSync(except string) int {
	n := 1
	for _, f := range l.leader.Status().Followers {
		if f.Voter && f.Connected && f.State == progress.InSync && f.Node != except {
			n++
		}
	}
	return n
}

// register makes a caught-up disk a voter: first in ZooKeeper, by a write that
// fails if another epoch has begun, then in the leader's count, then in the
// log, so that a wiped ZooKeeper can be told who the voters are.
func (r *role) register(node, incarnation string) {
	c := r.view.Cluster
	if !election.MayRegister(c, r.self) {
		return // about to step down
	}
	if !election.MayReplace(c, node, incarnation, r.leadership.inSync(node)) {
		return // the leader reports the learner again
	}
	l, n, version := r.leadership, r.n, r.view.Version
	w := clusterData(c)
	w.Members[node] = group.Registration{Incarnation: incarnation}
	n.wg.Go(func() {
		ctx, cancel := context.WithTimeout(l.ctx, n.cfg.SessionTimeout)
		defer cancel()
		err := n.group.WriteCluster(ctx, w, version)
		l.post(func(r *role) {
			if err != nil { // the leader reports the learner again
				n.cfg.Logger.Info("could not register a caught-up member yet", "member", node, "err", err)
				return
			}
			r.self.Voters[node] = incarnation
			l.leader.SetVoter(node, incarnation)
			n.events.Add(adminapi.KindRegistered, uint64(l.epoch), node+" is caught up and counts as a voter", "member", node, "incarnation", incarnation)
			l.recordVoters(r.self.ClusterID, maps.Clone(r.self.Voters))
		})
	})
}
