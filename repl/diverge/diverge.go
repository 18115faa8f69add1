// Package diverge finds where the log of a follower parts from the log of its
// leader, from their epoch boundaries alone.
//
// An epoch has one leader, which appended its first batch behind a log of its
// own, and followers accept only what continues theirs. So two logs that both
// hold a batch of epoch e are equal up to and through e, as far as both reach.
// The end of what they share is therefore, for the last epoch that both know,
// the lower of the two ends of that epoch.
package diverge

import (
	"fmt"

	"baton/store/record"
)

// Log is one side: what is retained and where its epochs began, oldest first.
// The oldest epochs may be missing, but none between two that are there.
type Log struct {
	Start      record.Position
	End        record.Position
	Boundaries []record.EpochBoundary
}

// Kind of a verdict.
type Kind uint8

// Verdicts.
const (
	Continue Kind = 1 // the follower's log is a prefix of the leader's
	Truncate Kind = 2 // it is one up to Verdict.At
	Snapshot Kind = 3 // the leader no longer retains what the follower needs
	Refuse   Kind = 4 // the follower's log cannot be explained
)

// Verdict is the answer to a follower. Reason is one sentence, set for
// Snapshot and Refuse.
type Verdict struct {
	Kind   Kind
	At     record.Position
	Reason string
}

// Decide compares the logs at the start of a session. epoch is the leader's
// own; its epoch-start record is in its log already.
func Decide(leader, follower Log, epoch record.Epoch) Verdict {
	if r := check(follower, epoch); r != "" {
		return Verdict{Kind: Refuse, Reason: r}
	}
	at, last, r := common(leader, follower)
	if r != "" {
		return Verdict{Kind: Refuse, Reason: r}
	}
	switch {
	case last == 0 && follower.End > 0 && !(complete(leader) && complete(follower)):
		return Verdict{Kind: Snapshot, Reason: "the logs have no epoch in common that both still know of: a snapshot is needed"}
	case last == epoch && follower.End > at:
		return Verdict{Kind: Refuse, Reason: fmt.Sprintf(
			"the follower holds epoch %d up to %d but its leader wrote it only up to %d", epoch, follower.End, at)}
	case at < leader.Start:
		return Verdict{Kind: Snapshot, At: at, Reason: fmt.Sprintf(
			"the follower needs the log from %d but the leader retains it only from %d: a snapshot is needed", at, leader.Start)}
	case at < follower.Start:
		return Verdict{Kind: Snapshot, At: at, Reason: fmt.Sprintf(
			"the logs part at %d, before what the follower retains (%d): a snapshot is needed", at, follower.Start)}
	case at == follower.End:
		return Verdict{Kind: Continue, At: at}
	}
	return Verdict{Kind: Truncate, At: at}
}

// common returns the end of the shared prefix and the last shared epoch, 0 if
// there is none.
func common(leader, follower Log) (at record.Position, last record.Epoch, refuse string) {
	i, j := len(leader.Boundaries)-1, len(follower.Boundaries)-1
	for i >= 0 && j >= 0 {
		l, f := leader.Boundaries[i], follower.Boundaries[j]
		switch {
		case l.Epoch > f.Epoch:
			i--
		case l.Epoch < f.Epoch:
			j--
		default:
			seen := max(leader.Start, follower.Start)
			if l.Start != f.Start && (l.Start > seen || f.Start > seen) {
				return 0, 0, fmt.Sprintf("epoch %d begins at %d in the leader's log and at %d in the follower's: "+
					"these are different histories", l.Epoch, l.Start, f.Start)
			}
			return min(end(leader, i), end(follower, j)), l.Epoch, ""
		}
	}
	return 0, 0, ""
}

// complete reports whether the epoch of every retained byte is known.
func complete(l Log) bool {
	return l.End == l.Start || len(l.Boundaries) > 0 && l.Boundaries[0].Start <= l.Start
}

// end of the epoch at boundary i.
func end(l Log, i int) record.Position {
	if i+1 < len(l.Boundaries) {
		return l.Boundaries[i+1].Start
	}
	return l.End
}

// check looks at what the follower claims; "" means that it makes sense.
func check(f Log, epoch record.Epoch) string {
	if f.Start > f.End {
		return fmt.Sprintf("the follower's log begins at %d, past its end at %d", f.Start, f.End)
	}
	if len(f.Boundaries) == 0 && f.End != f.Start {
		return fmt.Sprintf("the follower's log ends at %d but no epoch begins in it", f.End)
	}
	var prev record.EpochBoundary
	for i, b := range f.Boundaries {
		if b.Epoch <= prev.Epoch || b.Start >= f.End || i > 0 && b.Start <= prev.Start {
			return fmt.Sprintf("the follower's epoch %d at %d is out of order", b.Epoch, b.Start)
		}
		prev = b
	}
	if prev.Epoch > epoch {
		return fmt.Sprintf("the follower's log has epoch %d, above the leader's %d", prev.Epoch, epoch)
	}
	return ""
}
