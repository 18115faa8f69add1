package adminapi

import (
	"strings"
	"time"
	"unicode"
)

// Role of a node.
const (
	RoleStarting = "starting" // recovering its store, not yet in ZooKeeper
	RoleElecting = "electing" // no leader that it could follow
	RoleFollower = "follower"
	RoleLearner  = "learner" // follows, but counts in no quorum until re-registered
	RoleLeader   = "leader"
	RoleRefused  = "refused" // may not join; Reason says why
	RoleFailed   = "failed"  // its store failed; Reason says why
	RoleStopping = "stopping"
)

// State of a node within its role, and of a follower as its leader sees it.
const (
	StateServing    = "serving"     // leader with its client connectors open
	StatePromoting  = "promoting"   // leader whose first record is not committed yet
	StateNoQuorum   = "no quorum"   // leader that lacks followers
	StateProbing    = "probing"     // follower: finding where its log continues
	StateCatchingUp = "catching up" // follower: behind, being sent older records
	StateInSync     = "in sync"     // follower: within the lag bound
	StateLagging    = "lagging"     // follower: was in sync, is too far behind
	StateSealed     = "sealed"      // promised an epoch, waits for its leader
	StateWaiting    = "waiting"     // for ZooKeeper, for members, for an address
)

// Status is one node's view of itself and of the cluster.
type Status struct {
	Node        string    `json:"node"`
	ClusterID   string    `json:"cluster_id"`
	Incarnation string    `json:"incarnation"`
	Version     string    `json:"version"`
	PID         int       `json:"pid"`
	StartedAt   time.Time `json:"started_at"`
	Now         time.Time `json:"now"` // the node's clock when it answered

	Role   string `json:"role"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"` // one sentence when not healthy
	Leader string `json:"leader,omitempty"` // node id, "" if unknown
	Epoch  uint64 `json:"epoch"`            // of the leader followed, or led
	Sealed uint64 `json:"sealed"`           // highest epoch promised on disk

	Addresses Addresses  `json:"addresses"`
	Positions Positions  `json:"positions"`
	Chain     Chain      `json:"chain"`
	Sync      string     `json:"sync"`
	Quorum    Quorum     `json:"quorum"`
	Followers []Follower `json:"followers,omitempty"` // leader only
	Link      *Link      `json:"link,omitempty"`      // follower only
	ZooKeeper ZooKeeper  `json:"zookeeper"`
	Clients   Clients    `json:"clients"`
	Counters  Counters   `json:"counters"`
	Process   Process    `json:"process"`
}

// Identity is who a process is.
type Identity struct {
	Node        string `json:"node"`
	Incarnation string `json:"incarnation"`
	PID         int    `json:"pid"`
}

// Addresses at which the node can be reached; STOMP answers on the leader only.
type Addresses struct {
	Stomp string `json:"stomp"`
	Repl  string `json:"repl"`
	Admin string `json:"admin"`
}

// Positions of the node's log, in bytes.
// Start <= Checkpoint <= Applied <= Commit <= Append and Flush <= Append.
type Positions struct {
	Start        uint64 `json:"start"`
	Checkpoint   uint64 `json:"checkpoint"`
	Applied      uint64 `json:"applied"`
	Commit       uint64 `json:"commit"`
	Flush        uint64 `json:"flush"`
	Append       uint64 `json:"append"`
	LeaderCommit uint64 `json:"leader_commit"` // may be ahead of Append on a follower
}

// Chain is the running hash of the applied records, comparable between nodes
// at equal positions. Recent holds earlier points, oldest first.
type Chain struct {
	Position uint64       `json:"position"`
	Hash     string       `json:"hash"` // 16 hexadecimal digits
	Recent   []ChainPoint `json:"recent,omitempty"`
}

// ChainPoint is the running hash at one batch boundary.
type ChainPoint struct {
	Position uint64 `json:"position"`
	Hash     string `json:"hash"`
}

// Quorum says how many replicas hold what the leader writes.
type Quorum struct {
	Replicas int      `json:"replicas"` // configured
	Size     int      `json:"size"`     // replicas/2+1
	Have     int      `json:"have"`     // in-sync voters, leader included
	OK       bool     `json:"ok"`
	Missing  []string `json:"missing,omitempty"` // registered members that are not in sync
}

// Follower is one follower as its leader sees it.
type Follower struct {
	Node       string   `json:"node"`
	State      string   `json:"state"`
	Voter      bool     `json:"voter"` // false: learner
	Connected  bool     `json:"connected"`
	Remote     string   `json:"remote,omitempty"`
	Received   uint64   `json:"received"` // acknowledged as written
	Flushed    uint64   `json:"flushed"`  // acknowledged as on stable storage
	Next       uint64   `json:"next"`     // sent up to here
	LagBytes   uint64   `json:"lag_bytes"`
	LagSeconds float64  `json:"lag_seconds"`        // since it held all that the leader had
	RTTMillis  float64  `json:"rtt_ms"`             // last append to its flushed ack
	CatchUp    *CatchUp `json:"catch_up,omitempty"` // while catching up
}

// CatchUp is the progress of a follower that is being brought up to date.
type CatchUp struct {
	From    uint64  `json:"from"`
	To      uint64  `json:"to"`
	Done    uint64  `json:"done"`
	Rate    float64 `json:"rate"` // bytes per second
	ETASecs float64 `json:"eta_seconds"`
}

// Link is the replication link of a follower.
type Link struct {
	Leader      string    `json:"leader"`
	Address     string    `json:"address"`
	Connected   bool      `json:"connected"`
	Since       time.Time `json:"since"`
	LastHeardMS int64     `json:"last_heard_ms"` // milliseconds ago
	LagBytes    uint64    `json:"lag_bytes"`
	LagSeconds  float64   `json:"lag_seconds"`
	Error       string    `json:"error,omitempty"` // why the last attempt failed
}

// ZooKeeper is the node's session.
type ZooKeeper struct {
	Servers   []string `json:"servers"`
	Path      string   `json:"path"`
	Connected bool     `json:"connected"`
	Server    string   `json:"server,omitempty"`
	SessionID string   `json:"session_id,omitempty"` // hexadecimal
	TimeoutMS int      `json:"timeout_ms"`           // negotiated
	Eid       string   `json:"eid,omitempty"`        // ten digits: the member node is PATH/0 + Eid
	Expiries  int      `json:"expiries"`
}

// Clients of the node; all zero on a follower.
type Clients struct {
	Connections   int          `json:"connections"`
	Subscriptions int          `json:"subscriptions"`
	Refused       uint64       `json:"refused"` // connections turned away by this leadership
	Memory        ClientMemory `json:"memory"`
}

// ClientMemory is what clients cost at the moment, in bytes, by the limit that
// bounds it.
type ClientMemory struct {
	Bodies       int64 `json:"bodies"` // large ones that are being received
	Transactions int64 `json:"transactions"`
	Outputs      int64 `json:"outputs"` // what waits to be written, but for 16 KiB of each client
	Topics       int64 `json:"topics"`
	Proposals    int64 `json:"proposals"`
	Waiting      int64 `json:"waiting"` // for room in full queues
}

// Counters since the process started.
type Counters struct {
	Enqueued   uint64  `json:"enqueued"` // messages committed to queues
	Acked      uint64  `json:"acked"`    // messages removed by consumers
	Delivered  uint64  `json:"delivered"`
	Receipts   uint64  `json:"receipts"`
	Batches    uint64  `json:"batches"`
	Flushes    uint64  `json:"flushes"`
	Commits    uint64  `json:"commits"`
	CommitP50  float64 `json:"commit_p50_ms"` // proposal to commit, recent
	CommitP99  float64 `json:"commit_p99_ms"`
	NoQuorumMS int64   `json:"no_quorum_ms"` // current spell, 0 if there is quorum
}

// Process figures.
type Process struct {
	CPUSeconds float64 `json:"cpu_seconds"`
	RSSBytes   uint64  `json:"rss_bytes"`
	Goroutines int     `json:"goroutines"`
	StoreBytes uint64  `json:"store_bytes"`
	DiskFree   uint64  `json:"disk_free"`
	DiskTotal  uint64  `json:"disk_total"`
}

// Queue is one queue. Followers report depth and counts from their index;
// consumers and pending are known to the leader only.
type Queue struct {
	Name      string `json:"name"`
	Depth     uint64 `json:"depth"` // stored and not acknowledged
	Bytes     uint64 `json:"bytes"`
	Pending   int    `json:"pending"` // delivered, not yet settled
	Consumers int    `json:"consumers"`
	Enqueued  uint64 `json:"enqueued"`  // ever
	Acked     uint64 `json:"acked"`     // ever
	OldestMS  int64  `json:"oldest_ms"` // age of the message at the head, 0 if empty

	// Of the queue of a durable subscription; "" of others.
	ClientID     string `json:"client_id,omitempty"`
	Subscription string `json:"subscription,omitempty"`

	InRate     float64 `json:"in_rate"`    // messages per second, recently
	OutRate    float64 `json:"out_rate"`   // the same of those that left
	Duplicates uint64  `json:"duplicates"` // ever: not taken, for their id was there

	// Since this leadership began.
	Redelivered  uint64 `json:"redelivered"`   // times that a message came back and that counted
	Expired      uint64 `json:"expired"`       // messages
	DeadLettered uint64 `json:"dead_lettered"` // messages that came back too often, or were refused for good
	Discarded    uint64 `json:"discarded"`     // of these two, those that no dead-letter queue keeps

	Delayed int `json:"delayed,omitempty"` // messages that came back and wait for their time
	// Waiting says why messages that are in the queue are not delivered, "" if
	// they are, and Blocked why its producers wait, "" if they do not.
	Waiting          string `json:"waiting,omitempty"`
	Blocked          string `json:"blocked,omitempty"`
	BlockedProducers int    `json:"blocked_producers,omitempty"` // connections that wait
}

// Label names the queue for people and for metrics: printable characters only.
func (q Queue) Label() string {
	name := q.Name
	if q.Subscription != "" {
		name = "durable:" + q.ClientID + ":" + q.Subscription
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, name)
}

// Error is the answer to a request that failed.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}
