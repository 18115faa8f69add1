// Package data collects what the console shows. A Source asks the nodes over
// their admin listeners, reads ZooKeeper's tree and, for a cluster that the
// console launched, its processes and load generator; out come Snapshots.
// It knows nothing of screens, so the same facts can be printed, recorded or
// checked.
package data

import (
	"time"

	"baton/demo/failover"
	"baton/node/adminapi"
)

// Snapshot is everything known at one moment. It is never changed after it was
// published; slices are shared between snapshots.
type Snapshot struct {
	At      time.Time // the observer's clock; screens take the time from here
	Seq     uint64    // rises by one per snapshot
	Cluster string

	Nodes     []Node // sorted by id
	Tree      Tree
	Queues    []QueueRow // by name, as the last leader told
	QueuesOf  string     // the node that told
	QueuesAt  time.Time  // and when; zero before the first answer
	Events    []adminapi.Event
	EventsAll uint64 // events ever seen; Events holds the newest of them
	Failovers []failover.Run
	Earlier   []Measured // of earlier runs, for forecasts
	Ledger    Ledger
	Processes []Process // of a launched cluster, else empty
	Launched  bool

	Servers []Server // of the ZooKeeper ensemble, empty if nobody asks them
	Links   []Link   // that can be cut, of a launched cluster
	Logs    []LogLine
	LogsAll uint64  // lines ever seen, dropped ones included; Logs holds the newest of them
	Player  *Player // nil unless this is a recording
	Lesson  *Lesson // nil unless one runs
	Chains  Chains
	Self    Self // of the process that collected this

	InRate  []float64 // messages per second into queues, newest last, NaN unknown
	OutRate []float64

	// Set by Derive.
	Leader      string // id of the node that leads in the highest epoch, "" if none
	Epoch       uint64
	Health      Health
	Quorum      adminapi.Quorum // as the leader says, else counted
	QuorumKnown bool            // a leader said it
	QueuesStale bool            // nobody who leads has answered lately
}

// Freshness is how much a node's last answer is worth.
type Freshness uint8

// Freshness of a node's answers.
const (
	Never   Freshness = iota // has not answered yet
	Fresh                    // answers
	Stale                    // the last answer is older than a few refreshes
	Unknown                  // no answer for so long that nothing can be said
)

// Node is one node with its last answer, which may be old: see Fresh.
type Node struct {
	ID       string
	Admin    string
	Fresh    Freshness
	SeenAt   time.Time // of the last answer, zero if none
	Error    string    // why the last question failed
	Refused  bool      // it failed at once: nothing listens there
	Status   adminapi.Status
	CPU      float64 // percent of one core, -1 if unknown
	InRate   float64 // messages per second, -1 if unknown
	OutRate  float64
	ByteRate float64   // growth of the log, bytes per second, -1 if unknown
	Lag      []float64 // bytes behind the leader, newest last, NaN unknown

	// Set by Derive.
	State      State
	Follower   *adminapi.Follower // as a fresh leader sees it
	Process    *Process
	Member     *Member
	Zombie     bool // claims to lead, but a higher epoch has a leader
	LagBytes   float64
	LagSeconds float64 // NaN when unknown, as LagBytes
}

// QueueRow is a queue with what its counters tell over time. Rates are -1 while unknown.
type QueueRow struct {
	adminapi.Queue
	InRate  float64
	OutRate float64
	Trend   []float64 // depth, one value a second, newest last
}

// Ledger counts what the load generator sent and what became of it.
type Ledger struct {
	OK         bool // false: no load generator runs, ignore the rest
	Sent       uint64
	Receipted  uint64
	Received   uint64
	Lost       uint64 // receipted and gone
	Duplicates uint64
	OutOfOrder uint64
	InDoubt    uint64 // connection lost before the receipt
	Rate       float64
}

// States of a process.
const (
	ProcessRunning  = "running"
	ProcessPaused   = "paused"
	ProcessExited   = "exited"
	ProcessStarting = "starting"
)

// Process is one child of a launched cluster.
type Process struct {
	Name  string // node id, or the name of a ZooKeeper process
	Kind  string // "node" or "zookeeper"
	State string
	PID   int
	Since time.Time // of the state
	Exit  string    // how it ended, while exited: "killed (SIGKILL)"
	Mode  string    // of a real ZooKeeper server: leader, follower, standalone, no quorum; else ""
}

// Tree is the ZooKeeper tree of a cluster.
type Tree struct {
	At         time.Time // when it was read, zero if never
	Error      string    // why the last reading failed, "" if it worked
	Foreign    bool      // members of an ActiveMQ store: no epochs, nothing but what they publish
	Derived    bool      // no reader: put together from the nodes' own words
	Path       string
	Server     string
	SessionMS  int // negotiated session timeout of the members
	Replicas   int
	Epoch      uint64
	Phase      string // "sealing" or "elected", "" while no election was held
	Leader     string
	Registered []string // node ids that may vote
	Members    []Member // by sequence
}

// Member is one ephemeral member node.
type Member struct {
	Eid      string // ten digits, as in the member's name
	Node     string
	Session  string // hexadecimal owner
	Position int64  // published end of the log, -1 if none
	Epoch    uint64 // of its last record
	Weight   int
	Sealed   uint64 // epoch promised, 0 if none
	Suspect  uint64 // epoch suspected, 0 if none
	Elected  string // eid that it wrote as elected
	State    string
	Address  string // replication address, leader only
	Clients  string
	Admin    string
}

// Up says that the tree was read lately and ZooKeeper answered.
func (t Tree) Up() bool { return t.Error == "" && !t.At.IsZero() }

// NodeByID finds a node.
func (s *Snapshot) NodeByID(id string) *Node {
	for i := range s.Nodes {
		if s.Nodes[i].ID == id {
			return &s.Nodes[i]
		}
	}
	return nil
}

// ProcessByName finds a process of a launched cluster.
func (s *Snapshot) ProcessByName(name string) *Process {
	for i := range s.Processes {
		if s.Processes[i].Name == name {
			return &s.Processes[i]
		}
	}
	return nil
}

// LeaderNode is the leading node, nil if there is none.
func (s *Snapshot) LeaderNode() *Node {
	if s.Leader == "" {
		return nil
	}
	return s.NodeByID(s.Leader)
}
