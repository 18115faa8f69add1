package quorum

import (
	"errors"
	"fmt"
	"strings"
)

// ErrPolicy means that a sync policy is empty or has a name that is not one
// of the six.
var ErrPolicy = errors.New("quorum: bad sync policy")

// Policy is a set of requirements; all of them must hold before a record is
// committed. The zero value requires nothing and is not valid.
type Policy uint8

// The requirements, by ActiveMQ's names.
const (
	LocalMem   Policy = 1 << iota // written by the leader
	LocalDisk                     // flushed by the leader
	RemoteMem                     // written by replicas/2 followers
	RemoteDisk                    // flushed by replicas/2 followers
	QuorumMem                     // written by replicas/2+1 replicas, whichever
	QuorumDisk                    // flushed by replicas/2+1 replicas, whichever
)

// Default is the policy of a node that was told nothing.
const Default = QuorumDisk

var names = []struct {
	policy Policy
	name   string
}{
	{LocalMem, "local_mem"}, {LocalDisk, "local_disk"},
	{RemoteMem, "remote_mem"}, {RemoteDisk, "remote_disk"},
	{QuorumMem, "quorum_mem"}, {QuorumDisk, "quorum_disk"},
}

// Parse reads a comma list such as "local_disk,remote_mem". Spaces around a
// name are ignored. Errors are ErrPolicy and say what is allowed.
func Parse(s string) (Policy, error) {
	var p Policy
	for word := range strings.SplitSeq(s, ",") {
		q := byName(strings.TrimSpace(word))
		if q == 0 {
			return 0, fmt.Errorf("%w: %q in %q, use a comma list of %s", ErrPolicy, strings.TrimSpace(word), s, allNames())
		}
		p |= q
	}
	return p, nil
}

// String is the comma list that Parse reads, in the fixed order.
func (p Policy) String() string {
	var set []string
	for _, n := range names {
		if p&n.policy != 0 {
			set = append(set, n.name)
		}
	}
	return strings.Join(set, ",")
}

// Valid reports whether p requires something and nothing unknown.
func (p Policy) Valid() bool { return p != 0 && p < QuorumDisk<<1 }

// Disk reports whether p requires a flush on any follower.
func (p Policy) Disk() bool { return p&(RemoteDisk|QuorumDisk) != 0 }

// Mem reports whether a follower's write alone can move the commit position.
func (p Policy) Mem() bool { return p&(RemoteMem|QuorumMem) != 0 }

// OwnWrite reports whether the leader's write alone can move the commit
// position.
func (p Policy) OwnWrite() bool { return p&(LocalMem|QuorumMem) != 0 }

// Fenced reports whether p names a quorum of all replicas. Only then does a
// commit survive every failover, so only then is cutting it off an error.
func (p Policy) Fenced() bool { return p&(QuorumMem|QuorumDisk) != 0 }

// Followers is how many followers p needs besides the leader.
func (p Policy) Followers(replicas int) int {
	if p&^(LocalMem|LocalDisk) == 0 {
		return 0
	}
	return replicas / 2
}

func byName(s string) Policy {
	for _, n := range names {
		if n.name == s {
			return n.policy
		}
	}
	return 0
}

func allNames() string { return (QuorumDisk<<1 - 1).String() }
