package explore

import (
	"strconv"
	"time"

	"baton/repl/diverge"
	"baton/repl/election"
	"baton/repl/quorum"
	"baton/store/record"
)

// rules asks the production code, and remembers its answers.
type rules struct {
	plant   Plant
	elected map[ballot]int8
	common  map[pair]int8
}

// ballot is what an elector sees.
type ballot struct {
	member   [nodes]published
	registry [nodes]int8
	seen     int8 // bit set of members
	epoch    int8
	first    int8 // who arrived first
	current  int8 // which beginning of the epoch it is
	fresh    bool // the elector saw it
}

type pair struct {
	leader, follower   [logMax]int8
	leaderN, followerN int8
	epoch              int8
}

func newRules(p Plant) *rules {
	return &rules{plant: p, elected: map[ballot]int8{}, common: map[pair]int8{}}
}

func id(n int) string { return "n" + strconv.Itoa(n+1) }

func incarnation(d int8) string { return "disk" + strconv.Itoa(int(d)) }

func (b ballot) cluster() election.Cluster {
	c := election.Cluster{ID: "c", Replicas: nodes, Members: map[string]string{}, Epoch: record.Epoch(b.epoch),
		Phase: election.PhaseSealing, Ballot: "now"}
	for i, d := range b.registry {
		c.Members[id(i)] = incarnation(d)
	}
	return c
}

// elect returns who is elected by one who sees b, -1 if nobody.
func (r *rules) elect(b ballot) int8 {
	if w, ok := r.elected[b]; ok {
		return w
	}
	v := election.View{Connected: true, Exists: true, Cluster: b.cluster()}
	first, low := -1, uint64(1<<63)
	for i, m := range b.member {
		if b.seen>>i&1 == 0 {
			continue
		}
		if m.sealed == 0 {
			continue
		}
		seq := uint64(i+nodes-int(b.first)) % nodes
		d := m.disk
		if r.plant == PlantWipedVotes {
			d = b.registry[i]
		}
		last := record.Epoch(m.last)
		if r.plant == PlantNoEpoch {
			last = 1
		}
		v.Members = append(v.Members, election.Member{Node: id(i), Incarnation: incarnation(d), Sequence: seq,
			LastEpoch: last, Position: int64(m.end), Sealed: record.Epoch(m.sealed), Ballot: r.name(m.ballot, b.current)})
		if d == b.registry[i] && m.sealed == b.epoch && b.epoch > 0 && seq < low {
			first, low = i, seq
		}
	}
	win := int8(-1)
	if first >= 0 {
		e := record.Epoch(b.epoch)
		el, at := election.New(election.Config{}), time.Unix(1, 0)
		self := election.Self{Node: id(first), ClusterID: "c", Replicas: nodes, Incarnation: incarnation(b.registry[first]),
			Sealed: e, SealedHere: e, SealedFor: "now"}
		before := v
		before.Cluster.Epoch, before.Cluster.Ballot = e-1, "before"
		if b.fresh {
			el.Decide(at, before, self) // it sees the election begin
		}
		d := el.Decide(at, v, self)
		if d.Kind == election.Elect {
			for i := range b.member {
				if d.Cluster.Leader == id(i) {
					win = int8(i)
				}
			}
		}
	}
	r.elected[b] = win
	return win
}

// name tells the beginning of an epoch that somebody promised from the one that
// is shown.
func (r *rules) name(ballot, current int8) string {
	if ballot == current || r.plant == PlantTwice {
		return "now"
	}
	return "before"
}

// mayReplace asks whether a leader may register the new disk of f: how many of
// its voters are in sync is what can be at most.
func (r *rules) mayReplace(s *state, n, f int8) bool {
	nd := &s.node[n]
	in := 1
	for i := range int8(nodes) {
		if d := &s.node[i]; i != n && i != f && d.disk == nd.voters[i] && nd.from[i] == d.disk && d.sealed <= nd.lead {
			in++
		}
	}
	if r.plant == PlantRegistryNow {
		in = nodes
	}
	return election.MayReplace(ballot{registry: s.registry, epoch: s.epoch}.cluster(), id(int(f)), incarnation(s.node[f].disk), in)
}

// promotes asks whether a node leads when it sees that it was elected.
func (r *rules) promotes(s *state, n int, e int8) bool {
	nd := &s.node[n]
	b := ballot{registry: s.registry, epoch: e}
	v := election.View{Connected: true, Exists: true, Cluster: b.cluster()}
	v.Cluster.Phase, v.Cluster.Leader = election.PhaseElected, id(n)
	inc := incarnation(nd.disk)
	if r.plant == PlantWipedVotes {
		inc = incarnation(s.registry[n])
	}
	self := election.Self{Node: id(n), ClusterID: "c", Replicas: nodes, Incarnation: inc, Sealed: record.Epoch(nd.sealed),
		LastEpoch: record.Epoch(nd.last())}
	if nd.vote {
		self.SealedHere, self.SealedFor = self.Sealed, r.name(nd.ballot, s.ballot)
	}
	return election.New(election.Config{}).Decide(time.Unix(1, 0), v, self).Kind == election.Promote
}

// part returns where the log of a follower goes on, -1 if it is refused.
func (r *rules) part(leader, follower *node, e int8) int8 {
	p := pair{leader.log, follower.log, leader.n, follower.n, e}
	if at, ok := r.common[p]; ok {
		return at
	}
	v := diverge.Decide(boundaries(leader), boundaries(follower), record.Epoch(e))
	at := int8(v.At)
	if v.Kind == diverge.Refuse || v.Kind == diverge.Snapshot {
		at = -1
	}
	r.common[p] = at
	return at
}

func boundaries(n *node) diverge.Log {
	l := diverge.Log{End: record.Position(n.n)}
	for i := range n.n {
		if i == 0 || n.log[i] != n.log[i-1] {
			l.Boundaries = append(l.Boundaries, record.EpochBoundary{Epoch: record.Epoch(n.log[i]), Start: record.Position(i)})
		}
	}
	return l
}

// commit returns the commit position of a leader whose log is flushed up to
// flushed.
func (r *rules) commit(s *state, n, flushed int8) int8 {
	nd := &s.node[n]
	var buf [nodes]quorum.Ack
	acks := buf[:0]
	voters := nd.voters
	if r.plant == PlantRegistryNow {
		voters = s.registry
	}
	for f := range int8(nodes) {
		if f != n && (nd.from[f] == voters[f] || r.plant == PlantWipedVotes) {
			p := record.Position(nd.known[f])
			acks = append(acks, quorum.Ack{Received: p, Flushed: p})
		}
	}
	start := record.Position(0)
	for i := range nd.n {
		if nd.log[i] == nd.lead && r.plant != PlantCommitOld {
			start = record.Position(i + 1)
			break
		}
	}
	return int8(quorum.Commit(quorum.QuorumDisk, nodes, quorum.Self{Written: record.Position(nd.n), Flush: record.Position(flushed)},
		acks, start, record.Position(nd.commit)))
}
