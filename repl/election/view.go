package election

import (
	"maps"
	"slices"
	"time"

	"baton/store/record"
)

// Phase of the cluster node.
type Phase string

// Phases. A cluster that was just formed is in PhaseElected with no leader.
const (
	PhaseSealing Phase = "sealing" // members promise Epoch and publish their log ends
	PhaseElected Phase = "elected" // Leader may lead Epoch
)

// Cluster is what the one persistent, version-checked node holds.
type Cluster struct {
	ID       string
	Replicas int
	Members  map[string]string // node id -> registered incarnation
	Epoch    record.Epoch
	Phase    Phase
	Leader   string // node id; empty while sealing, or if there never was one
	Prefer   string // node id that wins a tie, for a planned transfer
	// Ballot is made up by whoever begins Epoch, so that two beginnings of it
	// differ. The write that begins an epoch and the one that decides it are sent
	// once, on the connection whose view they are from, or not at all: repeated
	// after ZooKeeper went back, they would begin or decide it again.
	Ballot string

	// Old is the configuration that the data was written under, while fewer
	// replicas than now may hold it: an election needs a quorum of both, until
	// a leader has committed under the new one. Zero at all other times.
	Old Configuration

	// Restored: the cluster node was written anew from a history, because
	// ZooKeeper had forgotten it. It may not tell of everybody who registered.
	Restored bool
}

// Configuration is a set of voters and how many replicas there were to be.
type Configuration struct {
	Replicas int
	Members  map[string]string
}

// clone copies the cluster so that a changed one can be written.
func (c Cluster) clone() Cluster {
	c.Members = maps.Clone(c.Members)
	if c.Members == nil {
		c.Members = map[string]string{}
	}
	return c
}

// Member is one live member node: what its process published last.
type Member struct {
	Node        string
	Incarnation string
	Sequence    uint64       // of the member node: its place in the order of arrival
	LastEpoch   record.Epoch // of the last record of its log
	Position    int64        // durable end of its log since it sealed Sealed; -1 = it takes no part
	Sealed      record.Epoch // highest epoch it promised
	Ballot      string       // the beginning of it that Position is for, "" = none
	Suspect     record.Epoch // the epoch whose leader it cannot reach, 0 = none
	Weight      int          // breaks ties only
	Address     string       // replication address while it leads, else ""
}

// View is ZooKeeper as a node sees it.
type View struct {
	Connected bool // false: the rest is the last that was seen
	// Reads counts how often all of this was read anew, after a connection. While
	// it stays, ZooKeeper cannot have gone back: that breaks every connection.
	Reads   uint64
	Exists  bool // the cluster node is there
	Version int32
	Cluster Cluster
	Members []Member
}

// member returns the newest member node of a node: two of them stand there
// for a while when a process lost its session, and count once.
func (v View) member(node string) (Member, bool) {
	var found Member
	ok := false
	for _, m := range v.Members {
		if m.Node == node && (!ok || m.Sequence > found.Sequence) {
			found, ok = m, true
		}
	}
	return found, ok
}

// voters returns the live members that count in a quorum: registered node ids
// with their registered incarnation, once each, in the order of arrival.
func (v View) voters() []Member {
	var out []Member
	for node, inc := range v.Cluster.Members {
		if m, ok := v.member(node); ok && m.Incarnation == inc {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b Member) int { return compare(a.Sequence, b.Sequence) })
	return out
}

// nodes returns the newest member node of every live node id, in the order of
// arrival.
func (v View) nodes() []Member {
	var out []Member
	for _, m := range v.Members {
		if n, _ := v.member(m.Node); n.Sequence == m.Sequence {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b Member) int { return compare(a.Sequence, b.Sequence) })
	return out
}

// Self is what a node knows about itself, durable or in this process.
type Self struct {
	Node        string
	Incarnation string
	ClusterID   string            // in its META, "" if it never joined one
	Replicas    int               // configured
	LastEpoch   record.Epoch      // of the last record of its log
	Sealed      record.Epoch      // durable promise
	SealedHere  record.Epoch      // sealed by this process, and neither led nor followed since
	SealedFor   string            // the ballot of SealedHere
	Leading     record.Epoch      // 0 = not leading
	Following   record.Epoch      // epoch of the leader it is told to follow, 0 = none
	FollowingAt string            // address of that leader
	LinkUp      bool              // the link to that leader works
	LinkDead    record.Epoch      // epoch of the leader whose link is dead, 0 = none
	Voters      map[string]string // while leading: the voters of the epoch, as this leader changed them
	Unfit       string            // why this node stands back for a while (taken port), "" if it does not
	Damaged     string            // why its log has to be replaced before it may stand for an election, "" if it need not
	History     Configuration     // in its newest epoch-start record, zero if there is none
	Ready       bool              // while leading: the first record of the epoch is committed
}

// registered says that the cluster counts this node's disk as a voter.
func (s Self) registered(c Cluster) bool { return c.Members[s.Node] == s.Incarnation }

// Step is what a node must do next. The zero Step is: nothing.
type Step struct {
	Kind    Kind
	Epoch   record.Epoch // of Seal, Promise, Promote, Follow
	Leader  string       // of Follow
	Address string       // of Follow
	Ballot  string       // of Seal
	Cluster Cluster      // to be written, of Form, Register, StartElection, Elect
	Reason  string       // one sentence for logs and events
}

// Kind of a step.
type Kind int

// Kinds of steps.
const (
	Wait          Kind = iota // nothing to do; Reason says for what
	Refuse                    // this node may not take part; Reason says why
	Form                      // create the cluster node
	Register                  // write this node into the cluster node
	StartElection             // write the next epoch, phase sealing
	Seal                      // stop leading and following, promise Epoch on disk, publish the log end
	Promise                   // promise Epoch on disk, too late to be a candidate in it
	Elect                     // write the winner, phase elected
	Promote                   // lead Epoch
	Follow                    // follow Leader at Address in Epoch
	Unfollow                  // drop the link to a leader that leads no more
	StepDown                  // stop leading
)

func (k Kind) String() string {
	return [...]string{"wait", "refuse", "form", "register", "start-election", "seal", "promise", "elect", "promote",
		"follow", "unfollow", "step-down"}[k]
}

// Decision is the outcome of one look at the view.
type Decision struct {
	Step
	Suspect record.Epoch  // to be published: the epoch whose leader this node cannot reach
	Wake    time.Duration // look again after this long even if nothing changed, 0 = no need
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
