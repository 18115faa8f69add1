// Package group is a cluster's membership below one ZooKeeper path: who is
// there and what each member says of itself, and the one node that records the
// cluster's decisions.
//
//	PATH/cluster         persistent; ClusterData as JSON; created once, then
//	                     changed by version-checked writes only
//	PATH/0NNNNNNNNNN     one per member, ephemeral and sequential; MemberData as
//	                     JSON; the ten digits are the member's eid
//
// The member nodes are those of ActiveMQ's replicated LevelDB store (5.9 to
// 5.16) with more fields, so that tools for one tree can read the other.
//
// An Observer keeps a view of the tree that is never polled for; a Group also
// takes part: it keeps exactly one member node alive through disconnects,
// expiries, lost replies and deletions, holding what was published last.
// Snapshot.Reads tells views of one connection from those of another, between
// which ZooKeeper may have gone back to an older copy of itself; WriteClusterNow
// writes on the connection of a view or not at all.
//
// Nothing is decided here; whoever uses the package must be safe against views
// that are old, as a member cut off from ZooKeeper has.
package group
