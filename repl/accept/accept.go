// Package accept is what a follower takes from a leader, and what it does not:
// by its epoch, by where it is in the log, by what is committed. It consists of
// functions and knows neither connections nor disks.
package accept

import (
	"fmt"

	"baton/store/record"
)

// Verdict on something that a leader says.
type Verdict uint8

// Verdicts.
const (
	Take     Verdict = iota // it is of the epoch that is followed
	Over                    // the followed epoch is over
	TooOld                  // who says it does not lead the epoch that is followed
	Garbled                 // it cannot be: the link has to be made anew
	NotBelow                // it would cut off what is committed
)

// Epoch judges words of epoch said to a node that follows another and has
// promised sealed. by is the epoch that ended the followed one, of Over.
func Epoch(said, followed, sealed record.Epoch) (v Verdict, by record.Epoch) {
	switch {
	case sealed > followed:
		return Over, sealed
	case said > followed:
		return Over, said
	case said < followed:
		return TooOld, 0
	}
	return Take, 0
}

// Log is what is known of the follower's log.
type Log struct {
	Start  record.Position
	End    record.Position
	Known  record.Position // known to be committed, at most End
	Fenced bool            // the policy is one whose commits survive every failover
}

// Position judges where the leader says that the log goes on. The log has to be
// cut there if Take is the verdict and at is below its end.
func Position(at record.Position, truncate bool, l Log) (Verdict, string) {
	switch {
	case at > l.End || at < l.Start || !truncate && at != l.End:
		return Garbled, fmt.Sprintf("the leader answered %d, truncate %v, for a log from %d to %d", at, truncate, l.Start, l.End)
	case at < l.Known && l.Fenced:
		return NotBelow, fmt.Sprintf("this log, which ends at %d, cut at %d, but it is committed up to %d", l.End, at, l.Known)
	}
	return Take, ""
}

// Whole judges a log that is to take the place of the follower's own, and ends at
// end.
func Whole(end record.Position, l Log) (Verdict, string) {
	if end < l.Known && l.Fenced {
		return NotBelow, fmt.Sprintf("this log replaced by one that ends at %d, but it is committed up to %d", end, l.Known)
	}
	return Take, ""
}

// Batch judges a batch for a log that ends at end with a batch of epoch last, in
// the epoch that is followed.
func Batch(at record.Position, epoch record.Epoch, end record.Position, last, followed record.Epoch) (Verdict, string) {
	switch {
	case at != end:
		return Garbled, fmt.Sprintf("the batch for position %d came, the log ends at %d: it has to continue the log", at, end)
	case epoch < last || epoch > followed:
		return Garbled, fmt.Sprintf("a batch of epoch %d came after one of epoch %d, in epoch %d", epoch, last, followed)
	}
	return Take, ""
}
