package data

import (
	"math"
	"time"

	"baton/demo/failover"
	"baton/node/adminapi"
)

// receiptPatience is how long a promoted leader may lack a first receipt
// before the failover counts as over: without producers none ever comes.
const receiptPatience = 5 * time.Second

// Derive works out from the collected facts who leads, what each node is and
// how the cluster fares. Call it once, before the snapshot is published.
func (s *Snapshot) Derive() {
	s.joinParts()
	if s.Tree.Foreign {
		s.deriveForeign()
		return
	}
	s.findLeader()
	for i := range s.Nodes {
		s.deriveNode(&s.Nodes[i])
	}
	s.deriveQuorum()
	leader := s.LeaderNode()
	s.QueuesStale = leader == nil || leader.Fresh != Fresh || s.QueuesOf != s.Leader
	s.Health = s.deriveHealth(leader)
}

func (s *Snapshot) joinParts() {
	for i := range s.Nodes {
		n := &s.Nodes[i]
		n.Process, n.Member, n.Follower = s.ProcessByName(n.ID), nil, nil
		for j := range s.Tree.Members { // two of one node: the newest counts
			if s.Tree.Members[j].Node == n.ID {
				n.Member = &s.Tree.Members[j]
			}
		}
	}
}

// findLeader takes the highest epoch among the nodes that say they lead and
// whose word is worth something. A process known to be gone or stopped leads
// nothing, whatever its last answer was.
func (s *Snapshot) findLeader() {
	s.Leader, s.Epoch = "", s.Tree.Epoch
	best := uint64(0)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Fresh == Fresh {
			s.Epoch = max(s.Epoch, n.Status.Epoch)
		}
		if n.Fresh != Fresh && n.Fresh != Stale || n.Status.Role != adminapi.RoleLeader || stopped(n.Process) {
			continue
		}
		if n.Status.Epoch >= best {
			best, s.Leader = n.Status.Epoch, n.ID
		}
	}
}

func stopped(p *Process) bool {
	return p != nil && (p.State == ProcessExited || p.State == ProcessPaused)
}

func (s *Snapshot) deriveNode(n *Node) {
	n.LagBytes, n.LagSeconds = math.NaN(), math.NaN()
	if l := s.LeaderNode(); l != nil && l.Fresh == Fresh {
		for i := range l.Status.Followers {
			if f := &l.Status.Followers[i]; f.Node == n.ID {
				n.Follower = f
				n.LagBytes, n.LagSeconds = float64(f.LagBytes), f.LagSeconds
			}
		}
	}
	if n.Follower == nil && n.Fresh == Fresh && n.Status.Link != nil && n.Status.Link.Connected {
		n.LagBytes, n.LagSeconds = float64(n.Status.Link.LagBytes), n.Status.Link.LagSeconds
	}
	n.Zombie = n.Fresh == Fresh && n.Status.Role == adminapi.RoleLeader && n.ID != s.Leader
	n.State = s.stateOf(n)
}

func (s *Snapshot) stateOf(n *Node) State {
	if p := n.Process; p != nil {
		switch p.State {
		case ProcessExited:
			return StateDown
		case ProcessPaused:
			return StatePaused
		}
	}
	if n.Fresh == Never || n.Fresh == Unknown {
		switch {
		case n.Process != nil && n.Process.State == ProcessStarting,
			n.Process != nil && n.Fresh == Never:
			return StateStarting
		case n.Admin == "" && s.Tree.Up(), n.Refused && s.Tree.Up() && n.Member == nil:
			return StateDown // nothing listens and its session is gone
		}
		return StateUnknown
	}
	if s.Tree.Up() && s.Tree.Phase == "elected" && s.Tree.Leader == n.ID &&
		s.Tree.Epoch > n.Status.Epoch && n.Status.Role != adminapi.RoleLeader {
		return StateElected
	}
	return roleState(n)
}

// roleState is a flat table from the words of a node to its state.
func roleState(n *Node) State {
	state := n.Status.State
	switch n.Status.Role {
	case adminapi.RoleLeader:
		switch state {
		case adminapi.StatePromoting:
			return StatePromoting
		case adminapi.StateNoQuorum:
			return StateNoQuorum
		}
		return StateLeader
	case adminapi.RoleFollower:
		if n.Follower != nil && n.Follower.State != "" {
			state = n.Follower.State // the leader decides who is in sync
		}
		return followerState(state)
	case adminapi.RoleLearner:
		return StateLearner
	case adminapi.RoleElecting:
		if state == adminapi.StateSealed {
			return StateSealed
		}
		return StateElecting
	case adminapi.RoleStarting:
		return StateStarting
	case adminapi.RoleRefused:
		return StateRefused
	case adminapi.RoleFailed:
		return StateFailed
	case adminapi.RoleStopping:
		return StateStopping
	}
	return StateUnknown
}

func followerState(state string) State {
	switch state {
	case adminapi.StateInSync:
		return StateInSync
	case adminapi.StateCatchingUp:
		return StateCatchingUp
	case adminapi.StateLagging:
		return StateLagging
	case adminapi.StateSealed:
		return StateSealed
	case adminapi.StateWaiting:
		return StateWaiting
	}
	return StateProbing
}

func (s *Snapshot) deriveQuorum() {
	if l := s.LeaderNode(); l != nil && l.Fresh == Fresh {
		s.Quorum, s.QuorumKnown = l.Status.Quorum, true
		return
	}
	q := adminapi.Quorum{Replicas: s.Tree.Replicas}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		q.Replicas = max(q.Replicas, n.Status.Quorum.Replicas)
		if n.State.Alive() {
			q.Have++
		} else {
			q.Missing = append(q.Missing, n.ID)
		}
	}
	if q.Replicas == 0 {
		q.Replicas = len(s.Nodes)
	}
	q.Size = q.Replicas/2 + 1
	q.OK = q.Have >= q.Size
	s.Quorum, s.QuorumKnown = q, false
}

func (s *Snapshot) deriveHealth(leader *Node) Health {
	answered, fresh, down := 0, 0, 0
	for i := range s.Nodes {
		if s.Nodes[i].State == StateDown {
			down++
		}
		if !s.Nodes[i].SeenAt.IsZero() {
			answered++
		}
		if s.Nodes[i].Fresh == Fresh {
			fresh++
		}
	}
	switch {
	case answered == 0 && s.Launched:
		return HealthStarting
	case answered == 0:
		return HealthUnknown
	case down == len(s.Nodes): // known, not only silent
		return HealthNoQuorum
	case leader != nil && leader.Fresh == Fresh:
		return s.servedHealth(leader)
	case s.FailoverNow() != nil && s.Quorum.OK:
		return HealthFailover
	case fresh == 0, leader != nil: // it may well go on, out of our sight
		return HealthUnreached
	case !s.Quorum.OK:
		return HealthNoQuorum
	case s.Epoch == 0:
		return HealthElecting
	}
	return HealthNoLeader
}

func (s *Snapshot) servedHealth(leader *Node) Health {
	switch {
	case leader.State == StateNoQuorum, !s.Quorum.OK:
		return HealthNoQuorum
	case leader.State == StatePromoting:
		return HealthFailover
	case !s.ZooKeeperUp():
		return HealthZKDown
	case s.Quorum.Have < s.Quorum.Replicas:
		return HealthDegraded
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Fresh != Fresh || n.State != StateLeader && n.State != StateInSync {
			return HealthDegraded
		}
	}
	return HealthHealthy
}

// ZooKeeperUp says that ZooKeeper answers the console, or, when the console
// has no reader of its own, at least one node.
func (s *Snapshot) ZooKeeperUp() bool {
	if !s.Tree.Derived {
		return s.Tree.Up()
	}
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Fresh == Fresh && n.Status.ZooKeeper.Connected {
			return true
		}
	}
	return false
}

// LastFailover is the newest run, nil if there was none.
func (s *Snapshot) LastFailover() *failover.Run {
	if len(s.Failovers) == 0 {
		return nil
	}
	return &s.Failovers[len(s.Failovers)-1]
}

// FailoverNow is the run under way, nil if there is none. One that stopped
// moving is not under way: a false alarm that moved no leadership, or a new
// leader to whom no producer talks.
func (s *Snapshot) FailoverNow() *failover.Run {
	r := s.LastFailover()
	if r == nil || r.Done() {
		return nil
	}
	if !r.Promoted.IsZero() {
		if s.At.Sub(r.Promoted) > receiptPatience {
			return nil
		}
		return r
	}
	if l := s.LeaderNode(); l != nil && l.Fresh == Fresh && l.State == StateLeader &&
		l.Status.Epoch <= r.EpochBefore && s.At.Sub(r.Fault) > receiptPatience {
		return nil
	}
	return r
}
