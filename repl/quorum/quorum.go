// Package quorum is the commit rule: from what the leader and its voters hold
// it computes the prefix of the log that counts as committed. It is the one
// place where that is decided, and it is a pure function.
package quorum

import (
	"slices"

	"baton/store/record"
)

// Self is what the leader's own log holds.
type Self struct {
	Written record.Position // handed to the operating system
	Flush   record.Position // on stable storage
}

// Ack is what one voter other than the leader has acknowledged in the epoch.
type Ack struct {
	Received record.Position // handed to its operating system
	Flushed  record.Position // on its stable storage
}

// Size is the number of replicas that make a quorum, the leader included. It
// counts the configured replicas, never the connected ones.
func Size(replicas int) int { return replicas/2 + 1 }

// Commit returns the commit position, which is current or higher.
//
// epochStart is the end of the leader's own epoch-start record: the position
// moves only to or past it, so that records of earlier epochs become committed
// with one of this epoch and never by counting alone. The leader commits no
// byte that its own log has not written, whatever followers claim.
func Commit(p Policy, replicas int, self Self, acks []Ack, epochStart, current record.Position) record.Position {
	if !p.Valid() {
		return current
	}
	to := self.Written
	if p&LocalDisk != 0 {
		to = min(to, self.Flush)
	}
	var buf [8]record.Position
	if p&RemoteMem != 0 {
		to = min(to, held(replicas/2, appendReceived(buf[:0], acks), self.Written))
	}
	if p&RemoteDisk != 0 {
		to = min(to, held(replicas/2, appendFlushed(buf[:0], acks), self.Written))
	}
	if p&QuorumMem != 0 {
		to = min(to, held(Size(replicas), appendReceived(append(buf[:0], self.Written), acks), self.Written))
	}
	if p&QuorumDisk != 0 {
		to = min(to, held(Size(replicas), appendFlushed(append(buf[:0], self.Flush), acks), self.Written))
	}
	if to < epochStart {
		return current
	}
	return max(current, to)
}

// held returns the position that at least n of the replicas hold: the n-th
// highest. Too few replicas hold nothing; asking for none of them is all.
func held(n int, at []record.Position, all record.Position) record.Position {
	if n == 0 {
		return all
	}
	if len(at) < n {
		return 0
	}
	slices.Sort(at)
	return at[len(at)-n]
}

func appendReceived(to []record.Position, acks []Ack) []record.Position {
	for _, a := range acks {
		to = append(to, a.Received)
	}
	return to
}

func appendFlushed(to []record.Position, acks []Ack) []record.Position {
	for _, a := range acks {
		to = append(to, a.Flushed)
	}
	return to
}
