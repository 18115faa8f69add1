package repl

import (
	"slices"
	"time"

	"baton/repl/progress"
	"baton/repl/quorum"
	"baton/store/record"
)

// LeaderStatus is a leader's view at one moment.
type LeaderStatus struct {
	Epoch        record.Epoch
	EpochEnd     record.Position // end of the epoch-start record
	Ready        bool            // that is committed
	Commit       record.Position
	Policy       quorum.Policy
	Quorum       QuorumStatus
	Followers    []FollowerStatus // sorted by node
	Outstanding  int              // bytes proposed and not yet committed
	CommitP50    time.Duration    // proposal to commit, recent
	CommitP99    time.Duration
	Transferring bool
	Ended        error
}

// QuorumStatus says how many replicas are in sync.
type QuorumStatus struct {
	Replicas, Size int
	Have           int // in sync, the leader included
	OK             bool
	Missing        []string  // other members that are not in sync, sorted
	LostSince      time.Time // zero while OK
}

// FollowerStatus is one follower as its leader sees it.
type FollowerStatus struct {
	Node, Incarnation, Remote string
	State                     progress.State
	Voter, Connected          bool
	Received, Flushed         record.Position
	Applied, Next             record.Position
	LagBytes                  uint64
	Lag                       time.Duration // since it held all that the leader had
	RTT                       time.Duration // last append to its ack under the policy
	Ping                      time.Duration // last heartbeat to its answer
	CatchUp                   *progress.CatchUp
	Snapshot                  bool // CatchUp is that of a whole log
}

// Status returns the leader's view.
func (l *Leader) Status() LeaderStatus {
	end, now := l.cfg.Log.Positions().Append, l.cfg.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.mu.quorum
	s := LeaderStatus{Epoch: l.cfg.Epoch, EpochEnd: l.epochEnd, Commit: l.Commit(), Policy: l.cfg.Policy,
		Quorum: QuorumStatus{Replicas: l.cfg.Replicas, Size: quorum.Size(l.cfg.Replicas),
			Have: q.have, OK: q.ok, Missing: slices.Clone(q.missing)},
		Outstanding: l.mu.outstanding, Transferring: l.mu.transferring, Ended: l.mu.ended}
	s.Ready = s.Commit >= l.epochEnd
	if !q.ok {
		s.Quorum.LostSince = q.since
	}
	s.CommitP50, s.CommitP99 = l.mu.latency.percentiles()
	for node, pe := range l.mu.peers {
		f := FollowerStatus{Node: node, Incarnation: pe.Incarnation, State: pe.prog.State(),
			Voter: pe.Counts(), Connected: pe.session != nil && pe.prog.IsAttached(),
			Received: pe.prog.Received(), Flushed: pe.prog.Flushed(), Applied: pe.applied, Next: pe.prog.Next(),
			LagBytes: pe.prog.LagBytes(end), Lag: pe.prog.LagTime(end, now), RTT: pe.rtt, Ping: pe.pingRTT}
		if f.Connected {
			f.Remote = pe.remote
		}
		if c, ok := pe.prog.CatchUp(end, now); ok {
			f.CatchUp = &c
		}
		if g := pe.giving; g != nil {
			f.State, f.Connected, f.Remote = progress.CatchingUp, true, pe.remote
			f.Received, f.CatchUp, f.Snapshot = g.at, g.catchUp(now), true
		}
		s.Followers = append(s.Followers, f)
	}
	slices.SortFunc(s.Followers, func(a, b FollowerStatus) int {
		if a.Node < b.Node {
			return -1
		}
		return 1
	})
	return s
}

// latencies keeps the most recent commit latencies.
type latencies struct {
	ring [1024]time.Duration
	n    int // ever
}

func (r *latencies) add(d time.Duration) {
	r.ring[r.n%len(r.ring)] = d
	r.n++
}

func (r *latencies) percentiles() (p50, p99 time.Duration) {
	n := min(r.n, len(r.ring))
	if n == 0 {
		return 0, 0
	}
	s := slices.Clone(r.ring[:n])
	slices.Sort(s)
	return s[n/2], s[n*99/100]
}
