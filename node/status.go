package node

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"baton/node/adminapi"
	"baton/node/broker"
	"baton/repl/election"
	"baton/repl/quorum"
)

// roleStatus is what the role loop tells about itself.
type roleStatus struct {
	role, state, reason string
	leader              string
	epoch, sealed       uint64
	eid                 string
	registered          []string
}

func (n *Node) setRoleStatus(s roleStatus) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.role = s
}

// status describes the role after a decision.
func (r *role) status(d election.Decision) roleStatus {
	s := roleStatus{role: r.roleName(), sealed: uint64(r.self.Sealed), eid: r.snap.Self,
		registered: slices.Sorted(maps.Keys(r.view.Cluster.Members)), epoch: uint64(r.view.Cluster.Epoch)}
	switch s.role {
	case adminapi.RoleLeader:
		s.leader, s.epoch, s.state = r.self.Node, uint64(r.self.Leading), adminapi.StatePromoting
		if r.leadership.serving() {
			s.state = adminapi.StateServing
		}
	case adminapi.RoleFollower, adminapi.RoleLearner:
		s.leader, s.epoch = r.view.Cluster.Leader, uint64(r.self.Following)
	default:
		s.state, s.reason = adminapi.StateWaiting, d.Reason
		if r.self.SealedHere != 0 {
			s.state = adminapi.StateSealed
		}
	}
	if !r.view.Connected {
		s.reason = "ZooKeeper does not answer: no failover is possible until it does"
	}
	return s
}

// outside is the status of a node that may not join yet.
func (r *role) outside(why string) roleStatus {
	s := roleStatus{role: adminapi.RoleElecting, state: adminapi.StateWaiting, reason: why, sealed: uint64(r.self.Sealed),
		registered: slices.Sorted(maps.Keys(r.view.Cluster.Members)), epoch: uint64(r.view.Cluster.Epoch)}
	if r.claim.reason != "" {
		s.role = adminapi.RoleRefused
	}
	return s
}

// roleName derives the role from what the node does.
func (r *role) roleName() string {
	switch {
	case r.leadership != nil:
		return adminapi.RoleLeader
	case r.last.Kind == election.Refuse:
		return adminapi.RoleRefused
	case r.follower != nil && r.self.LinkUp && r.view.Cluster.Members[r.self.Node] != r.self.Incarnation:
		return adminapi.RoleLearner
	case r.follower != nil && r.self.LinkDead == 0:
		return adminapi.RoleFollower
	}
	return adminapi.RoleElecting
}

// Status answers GET /v1/status.
func (n *Node) Status() adminapi.Status {
	n.mu.Lock()
	rs, l, f := n.mu.role, n.mu.leadership, n.mu.follower
	n.mu.Unlock()
	meta := n.store.Meta()
	s := adminapi.Status{
		Node: n.cfg.ID, ClusterID: meta.ClusterID, Incarnation: meta.Incarnation, Version: n.cfg.Version,
		PID: processID, StartedAt: n.started, Now: time.Now(),
		Role: rs.role, State: rs.state, Reason: rs.reason, Leader: rs.leader, Epoch: rs.epoch, Sealed: uint64(meta.Sealed),
		Addresses: adminapi.Addresses{Stomp: n.advertised(n.cfg.AdvertiseStomp, n.cfg.ListenStomp), Repl: n.replAddress(), Admin: n.adminAddress()},
		Sync:      n.policy.String(),
		Quorum:    adminapi.Quorum{Replicas: n.cfg.Replicas, Size: quorum.Size(n.cfg.Replicas)},
		ZooKeeper: n.zookeeper(rs), Process: n.processFigures(),
	}
	n.positions(&s)
	n.counters(&s, l)
	switch {
	case l != nil:
		l.describe(&s)
	case f != nil:
		describeLink(&s, f)
	}
	return s
}

func (n *Node) positions(s *adminapi.Status) {
	p := n.store.Log().Positions()
	applied, chain := n.store.Applied()
	s.Positions = adminapi.Positions{Start: uint64(p.Start), Checkpoint: min(uint64(n.store.Checkpoint()), uint64(applied)), Applied: uint64(applied), Commit: uint64(applied),
		Flush: uint64(p.Flush), Append: uint64(p.Append)}
	s.Chain = adminapi.Chain{Position: uint64(applied), Hash: fmt.Sprintf("%016x", chain)}
	for _, c := range n.store.Index().Points() {
		s.Chain.Recent = append(s.Chain.Recent, adminapi.ChainPoint{Position: uint64(c.Position), Hash: fmt.Sprintf("%016x", c.Chain)})
	}
}

func (n *Node) zookeeper(rs roleStatus) adminapi.ZooKeeper {
	st := n.zk.State()
	return adminapi.ZooKeeper{Servers: n.cfg.ZK, Path: n.cfg.ZKPath, Connected: st.Connected, Server: st.Server,
		SessionID: fmt.Sprintf("%x", uint64(st.SessionID)), TimeoutMS: int(st.SessionTimeout.Milliseconds()), Eid: rs.eid, Expiries: int(st.Expiries)}
}

// totals are the counters of leaderships that have ended.
type totals struct{ delivered, receipts, commits uint64 }

func (t *totals) add(l *leadership) {
	b, receipts, commits := l.figures()
	t.delivered += b.Delivered
	t.receipts += receipts
	t.commits += commits
}

// figures are the counters of one leadership.
func (l *leadership) figures() (b broker.Stats, receipts, commits uint64) {
	l.mu.Lock()
	br, srv := l.mu.broker, l.mu.server
	l.mu.Unlock()
	if br != nil {
		b = br.Stats()
	}
	if srv != nil {
		receipts = srv.Stats().Receipts
	}
	return b, receipts, l.commits.Load()
}

func (n *Node) counters(s *adminapi.Status, l *leadership) {
	n.mu.Lock()
	t := n.mu.totals
	n.mu.Unlock()
	w := n.store.Log().Metrics()
	s.Counters = adminapi.Counters{Batches: w.Batches, Flushes: w.Flushes,
		Delivered: t.delivered, Receipts: t.receipts, Commits: t.commits}
	for _, q := range n.store.Index().Queues() {
		s.Counters.Enqueued += q.Enqueued
		s.Counters.Acked += q.Acked
	}
	if l != nil {
		b, receipts, commits := l.figures()
		s.Counters.Delivered += b.Delivered
		s.Counters.Receipts += receipts
		s.Counters.Commits += commits
	}
}

// Queues answers GET /v1/queues. A follower knows what its index holds.
func (n *Node) Queues() []adminapi.Queue {
	n.mu.Lock()
	l := n.mu.leadership
	n.mu.Unlock()
	if l != nil {
		l.mu.Lock()
		b := l.mu.broker
		l.mu.Unlock()
		if b != nil {
			list := b.Snapshot()
			n.rates.fill(list, time.Now())
			return list
		}
	}
	list := broker.Sorted(broker.Rows(brokerIndex{n.store}.Queues()))
	n.rates.fill(list, time.Now())
	return list
}

// processFigures refreshes the figures at most once a second: consoles poll
// faster than that, and walking the data directory is not free.
func (n *Node) processFigures() adminapi.Process {
	n.mu.Lock()
	p, at := n.mu.process, n.mu.processAt
	n.mu.Unlock()
	if time.Since(at) < time.Second {
		return p
	}
	p = processFigures(n.cfg.DataDir)
	if b, err := n.store.DiskBytes(); err == nil {
		p.StoreBytes = uint64(b)
	}
	n.mu.Lock()
	n.mu.process, n.mu.processAt = p, time.Now()
	n.mu.Unlock()
	return p
}

func (n *Node) advertised(advertise, listen string) string {
	if advertise != "" {
		return advertise
	}
	return listen
}

func (n *Node) replAddress() string  { return n.advertised(n.cfg.AdvertiseRepl, n.replAddr) }
func (n *Node) adminAddress() string { return n.advertised(n.cfg.AdvertiseAdmin, n.adminAddr) }
