package node

import (
	"time"

	"baton/node/adminapi"
	"baton/node/broker"
	"baton/node/stompserver"
	"baton/repl"
	"baton/repl/progress"
)

// describe adds what only a leader knows.
func (l *leadership) describe(s *adminapi.Status) {
	st := l.leader.Status()
	s.Positions.Commit = uint64(st.Commit)
	s.Positions.LeaderCommit = uint64(st.Commit)
	s.Quorum = adminapi.Quorum{Replicas: st.Quorum.Replicas, Size: st.Quorum.Size, Have: st.Quorum.Have,
		OK: st.Quorum.OK, Missing: st.Quorum.Missing}
	s.Counters.CommitP50, s.Counters.CommitP99 = millis(st.CommitP50), millis(st.CommitP99)
	if !st.Quorum.LostSince.IsZero() {
		s.Counters.NoQuorumMS = s.Now.Sub(st.Quorum.LostSince).Milliseconds()
	}
	if s.State == adminapi.StateServing && !st.Quorum.OK {
		s.State, s.Reason = adminapi.StateNoQuorum, "too few followers: producers wait"
	}
	for _, f := range st.Followers {
		s.Followers = append(s.Followers, follower(f))
	}
	l.mu.Lock()
	srv, br := l.mu.server, l.mu.broker
	l.mu.Unlock()
	if srv != nil {
		s.Clients = clients(srv.Stats(), br.Stats())
	}
}

func clients(s stompserver.Stats, b broker.Stats) adminapi.Clients {
	return adminapi.Clients{Connections: s.Connections, Subscriptions: b.Subscriptions, Refused: s.Refused, Memory: adminapi.ClientMemory{
		Bodies: s.BodyBytes, Transactions: b.TransactionBytes, Outputs: s.OutputBytes, Topics: b.MemoryBytes, Proposals: b.ProposalBytes, Waiting: b.WaitingBytes}}
}

func follower(f repl.FollowerStatus) adminapi.Follower {
	out := adminapi.Follower{Node: f.Node, State: f.State.String(), Voter: f.Voter, Connected: f.Connected, Remote: f.Remote,
		Received: uint64(f.Received), Flushed: uint64(f.Flushed), Next: uint64(f.Next),
		LagBytes: f.LagBytes, LagSeconds: f.Lag.Seconds(), RTTMillis: millis(f.RTT)}
	if c := f.CatchUp; c != nil {
		out.CatchUp = &adminapi.CatchUp{From: uint64(c.From), To: uint64(c.To), Done: uint64(c.Done), Rate: c.Rate, ETASecs: c.ETA.Seconds()}
	}
	return out
}

// describeLink adds what a follower knows.
func describeLink(s *adminapi.Status, f *repl.Follower) {
	st := f.Status()
	s.Link = &adminapi.Link{Leader: st.Leader, Address: st.Address, Connected: st.Connected, Since: st.Since,
		LastHeardMS: st.LastHeard.Milliseconds(), LagBytes: st.LagBytes, LagSeconds: st.Lag.Seconds()}
	if st.Err != nil {
		s.Link.Error = st.Err.Error()
	}
	s.Positions.LeaderCommit = uint64(st.LeaderCommit)
	s.Positions.Commit = min(max(s.Positions.Commit, s.Positions.LeaderCommit), s.Positions.Append)
	if s.State == "" {
		s.State = linkState(st)
	}
}

// linkState is the follower's own word for how far it is.
func linkState(st repl.FollowerLink) string {
	switch {
	case !st.Connected:
		return adminapi.StateProbing
	case st.InSync && st.LagBytes > 0 && st.Lag > time.Second:
		return adminapi.StateLagging
	case st.InSync:
		return adminapi.StateInSync
	}
	return adminapi.StateCatchingUp
}

// hasSuccessor says whether a voter could take over at once.
func (l *leadership) hasSuccessor() bool {
	for _, f := range l.leader.Status().Followers {
		if f.Voter && f.Connected && f.State == progress.InSync {
			return true
		}
	}
	return false
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
