package adminapi

import "time"

// Event is one thing that happened, as a node saw it.
type Event struct {
	Seq    uint64            `json:"seq"` // per process, from 1, without gaps
	At     time.Time         `json:"at"`
	Node   string            `json:"node"`
	Kind   string            `json:"kind"`
	Epoch  uint64            `json:"epoch,omitempty"`
	Text   string            `json:"text"` // one sentence for people
	Fields map[string]string `json:"fields,omitempty"`
}

// Kinds of events. The failover phases are Suspected, QuorumSealed, Elected,
// Serving and FirstReceipt of one epoch.
const (
	KindStarted     = "node.started"
	KindRecovered   = "store.recovered" // fields: append, truncated
	KindTrimmed     = "store.trimmed"   // segments were freed; fields: from, to
	KindStopping    = "node.stopping"
	KindFailed      = "node.failed"  // the store failed for good
	KindRefused     = "node.refused" // may not join the cluster
	KindPeerRefused = "repl.refused" // a replication peer was refused, or refused this node; fields: peer, code
	KindZKConnected = "zk.connected"
	KindZKLost      = "zk.disconnected"
	KindZKExpired   = "zk.expired"
	KindJoined      = "zk.joined"     // member node created; fields: eid
	KindFormed      = "zk.formed"     // cluster node created
	KindRegistered  = "zk.registered" // fields: member, incarnation
	KindLinkUp      = "repl.link_up"  // follower attached to its leader
	KindLinkLost    = "repl.link_lost"
	KindAttached    = "repl.follower_attached" // leader's side; fields: follower
	KindDetached    = "repl.follower_lost"
	KindCatchUp     = "repl.catch_up" // fields: from, to
	KindInSync      = "repl.in_sync"
	KindTruncated   = "repl.truncated" // a divergent tail was moved aside; fields: from, to
	// A follower gets its leader's whole log, on both sides. Fields: follower or
	// leader, start, end.
	KindSnapshotStarted  = "repl.snapshot_started"
	KindSnapshotFinished = "repl.snapshot_finished"
	KindDamaged          = "store.damaged" // the log is damaged and will be replaced

	KindSuspected    = "election.suspected"
	KindSealing      = "election.sealing"       // the new epoch was written
	KindSealed       = "election.sealed"        // this node promised it; fields: position, last_epoch
	KindQuorumSealed = "election.quorum_sealed" // seen by the one that elects
	KindElected      = "election.elected"       // fields: leader, rule
	KindServing      = "election.serving"       // connectors are open; fields: leader
	KindFirstReceipt = "election.first_receipt"
	KindFollowing    = "election.following" // fields: leader
	KindFenced       = "election.fenced"    // a higher epoch was met
	KindSteppedDown  = "election.stepped_down"
	KindResigned     = "election.resigned"
	KindTransfer     = "election.transfer"
	KindNoQuorum     = "quorum.lost"
	KindQuorumBack   = "quorum.back"
)
