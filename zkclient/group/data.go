package group

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

const (
	memberBytesMax  = 64 << 10 // of one member's JSON
	clusterBytesMax = 256 << 10
	eidDigits       = 10
	eidDigitsMax    = 19 // still fits uint64
	memberPrefix    = "0"
	clusterName     = "cluster"
)

// MemberData is what a member says of itself. The first six fields are
// ActiveMQ's, in its order and with its meaning; the rest is absent there.
type MemberData struct {
	ID        string // cluster name, equal on all members
	Container string // ActiveMQ: container it runs in; null when empty
	Address   string // replication URL of a leader that serves; null when empty
	Position  int64  // end of the durable log in bytes; ActiveMQ: -1 = does not say
	Weight    int    // breaks ties
	Elected   string // eid that this member, as elector, has elected; null when empty

	Node        string // node id, like "n1"; empty on ActiveMQ's members
	Incarnation string // random id of the data directory
	Epoch       uint64 // of the last durable record
	Sealed      uint64 // epoch promised; frames of lower ones are refused
	Ballot      string // of the election that Position is published for, "" = none
	Suspect     uint64 // epoch whose leader is suspected, 0 = none
	State       string // what the node is doing, for people
	Clients     string // client address, host:port
	Admin       string // admin address, host:port
	Process     string // random id of the process, by which it knows its member nodes from another's
}

// memberJSON is MemberData as ZooKeeper holds it; Jackson writes null for
// strings that are not set.
type memberJSON struct {
	ID          string  `json:"id"`
	Container   *string `json:"container"`
	Address     *string `json:"address"`
	Position    int64   `json:"position"`
	Weight      int     `json:"weight"`
	Elected     *string `json:"elected"`
	Node        string  `json:"node"`
	Incarnation string  `json:"incarnation"`
	Epoch       uint64  `json:"epoch"`
	Sealed      uint64  `json:"sealed"`
	Ballot      string  `json:"ballot,omitempty"`
	Suspect     uint64  `json:"suspect"`
	State       string  `json:"state"`
	Clients     string  `json:"clients"`
	Admin       string  `json:"admin"`
	Process     string  `json:"process,omitempty"`
}

// MarshalJSON writes the fields in ActiveMQ's order, then ours.
func (d MemberData) MarshalJSON() ([]byte, error) {
	return json.Marshal(memberJSON{
		ID: d.ID, Container: orNull(d.Container), Address: orNull(d.Address), Position: d.Position,
		Weight: d.Weight, Elected: orNull(d.Elected), Node: d.Node, Incarnation: d.Incarnation,
		Epoch: d.Epoch, Sealed: d.Sealed, Ballot: d.Ballot, Suspect: d.Suspect, State: d.State, Clients: d.Clients, Admin: d.Admin,
		Process: d.Process,
	})
}

// UnmarshalJSON reads a member of Baton or ActiveMQ and ignores what it does
// not know.
func (d *MemberData) UnmarshalJSON(b []byte) error {
	var j memberJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*d = MemberData{
		ID: j.ID, Container: orEmpty(j.Container), Address: orEmpty(j.Address), Position: j.Position,
		Weight: j.Weight, Elected: orEmpty(j.Elected), Node: j.Node, Incarnation: j.Incarnation,
		Epoch: j.Epoch, Sealed: j.Sealed, Ballot: j.Ballot, Suspect: j.Suspect, State: j.State, Clients: j.Clients, Admin: j.Admin,
		Process: j.Process,
	}
	return nil
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Phases of an election, in ClusterData.
const (
	PhaseSealing = "sealing" // members promise the epoch and report their log ends
	PhaseElected = "elected" // Leader leads the epoch
)

// Registration is a member that the cluster counts.
type Registration struct {
	Incarnation string `json:"incarnation"`
}

// ClusterData is the cluster's durable decision: who belongs to it, and who
// leads which epoch.
type ClusterData struct {
	ClusterID string                  `json:"clusterId"`
	Replicas  int                     `json:"replicas"`
	Members   map[string]Registration `json:"members"` // by node id
	Epoch     uint64                  `json:"epoch"`
	Phase     string                  `json:"phase"`            // PhaseSealing, PhaseElected, or "" before the first election
	Leader    string                  `json:"leader"`           // node id, "" while sealing
	Prefer    string                  `json:"prefer,omitempty"` // node id that wins a tie in a planned transfer
	Ballot    string                  `json:"ballot,omitempty"` // made up by whoever began Epoch
	// Old is there while the cluster grows: the configuration under which the data
	// was written. An election needs a quorum of both.
	Old *Configuration `json:"old,omitempty"`
	// Restored: written anew because ZooKeeper had forgotten it.
	Restored bool `json:"restored,omitempty"`
}

// Configuration is a set of voters and how many replicas there were to be.
type Configuration struct {
	Replicas int                     `json:"replicas"`
	Members  map[string]Registration `json:"members"`
}

// Clone returns a copy that shares nothing.
func (c ClusterData) Clone() ClusterData {
	c.Members = maps.Clone(c.Members)
	if c.Old != nil {
		c.Old = &Configuration{Replicas: c.Old.Replicas, Members: maps.Clone(c.Old.Members)}
	}
	return c
}

// Equal tells whether two say the same.
func (c ClusterData) Equal(o ClusterData) bool {
	return c.ClusterID == o.ClusterID && c.Replicas == o.Replicas && c.Epoch == o.Epoch &&
		c.Phase == o.Phase && c.Leader == o.Leader && c.Prefer == o.Prefer && c.Ballot == o.Ballot && c.Restored == o.Restored && maps.Equal(c.Members, o.Members) && c.Old.equal(o.Old)
}

func (c *Configuration) equal(o *Configuration) bool {
	if c == nil || o == nil {
		return c == o
	}
	return c.Replicas == o.Replicas && maps.Equal(c.Members, o.Members)
}

// DecodeMember reads a member node's data.
func DecodeMember(b []byte) (MemberData, error) {
	var d MemberData
	return d, decode(b, memberBytesMax, &d)
}

// DecodeCluster reads the cluster node's data.
func DecodeCluster(b []byte) (ClusterData, error) {
	var d ClusterData
	return d, decode(b, clusterBytesMax, &d)
}

func decode(b []byte, limit int, into any) error {
	if len(b) > limit {
		return fmt.Errorf("%w: %d bytes, at most %d are read", ErrMalformed, len(b), limit)
	}
	// null would leave the target untouched and pass for a value.
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		return fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// ParseName splits a member node's name into eid and sequence; ok is false for
// names of other nodes.
func ParseName(name string) (eid string, sequence uint64, ok bool) {
	eid, ok = strings.CutPrefix(name, memberPrefix)
	if !ok || len(eid) < eidDigits || len(eid) > eidDigitsMax {
		return "", 0, false
	}
	for _, r := range eid {
		if r < '0' || r > '9' {
			return "", 0, false
		}
	}
	sequence, err := strconv.ParseUint(eid, 10, 64)
	return eid, sequence, err == nil
}
