package tree

import "math"

// Owner is the ephemeralOwner field of a node, in which ZooKeeper also keeps
// what else makes a node go away: 0 for nothing, a session id, a mark for
// containers, or a mark and a time to live.
type Owner int64

const (
	// Container owns nodes that are removed once their last child is gone.
	Container Owner = math.MinInt64

	ttlMark Owner = -1 << 56 // top byte 0xff
	// MaxTTL is the longest time to live, in milliseconds.
	MaxTTL = 1<<40 - 1
)

// TTLOwner returns the owner of a node with a time to live in milliseconds,
// which must be within 1..MaxTTL.
func TTLOwner(millis int64) Owner { return ttlMark | Owner(millis) }

// TTL returns the time to live in milliseconds, 0 if the node has none.
func (o Owner) TTL() int64 {
	if o&ttlMark != ttlMark {
		return 0
	}
	return int64(o &^ ttlMark)
}

// Session returns the id of the owning session, 0 if no session owns the node.
func (o Owner) Session() int64 {
	if o == Container || o&ttlMark == ttlMark {
		return 0
	}
	return int64(o)
}
