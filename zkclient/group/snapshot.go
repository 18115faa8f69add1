package group

import (
	"slices"
	"time"
)

// Member is one member node.
type Member struct {
	Eid      string // ten digits
	Sequence uint64 // the same as a number: order of arrival
	Data     MemberData
	Session  int64 // that owns the node
	Version  int32 // of the data
}

// Snapshot is the view of the tree at one moment. It shares nothing with other
// snapshots.
type Snapshot struct {
	// Connected: the view is whole and follows the tree. If not, the rest is what
	// was last known.
	Connected bool
	// Reads counts the connections after which the tree was read from the start.
	// While it stays the tree was followed without a gap.
	Reads uint64
	// Cluster is nil if there is no cluster node, ClusterVersion -1 then. Both are
	// also used if its data cannot be read; Err says so.
	Cluster        *ClusterData
	ClusterVersion int32
	// Members by sequence; those of another group id are in Strangers.
	Members, Strangers []Member
	// Self is the own member's eid, "" if this is an observer, has not joined, or
	// does not see its node yet.
	Self string
	// Err is what keeps the view or the own member node from being right, nil if
	// nothing does. For people; it clears by itself.
	Err error
	At  time.Time
}

// Member returns the member with this eid.
func (s Snapshot) Member(eid string) (Member, bool) {
	for _, m := range s.Members {
		if m.Eid == eid {
			return m, true
		}
	}
	return Member{}, false
}

// clone shares nothing with s.
func (s Snapshot) clone() Snapshot {
	s.Members, s.Strangers = slices.Clone(s.Members), slices.Clone(s.Strangers)
	if s.Cluster != nil {
		c := s.Cluster.Clone()
		s.Cluster = &c
	}
	return s
}

// same tells whether two snapshots differ in time only.
func (s Snapshot) same(o Snapshot) bool {
	if s.Connected != o.Connected || s.Reads != o.Reads || s.Self != o.Self || s.ClusterVersion != o.ClusterVersion ||
		(s.Cluster == nil) != (o.Cluster == nil) || (s.Cluster != nil && !s.Cluster.Equal(*o.Cluster)) {
		return false
	}
	if (s.Err == nil) != (o.Err == nil) || (s.Err != nil && s.Err.Error() != o.Err.Error()) {
		return false
	}
	return slices.Equal(s.Members, o.Members) && slices.Equal(s.Strangers, o.Strangers)
}
