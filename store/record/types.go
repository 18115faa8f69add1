package record

import (
	"errors"
	"fmt"
)

// Position is an absolute byte address in the log. The first batch is at 0;
// the end of the log is the position of the batch that comes next.
type Position uint64

// Epoch is the number of a leadership. It rises with every election; 0 means
// that there was none yet.
type Epoch uint64

// Sequence numbers the messages of one queue in the order of the log, from 1.
type Sequence uint64

// Type says what a record's body holds.
type Type uint8

// Record types. A number is never reused.
const (
	TypeEpochStart Type = 1 // a new leader begins its epoch: EpochStart
	TypeEnqueue    Type = 2 // a message enters a queue: Enqueue
	TypeAck        Type = 3 // messages leave a queue: Ack
	TypeMove       Type = 4 // a message gets another place in the log: Move

	TypeRedeliver   Type = 5 // messages came back from consumers: Redeliver
	TypeDeleteQueue Type = 6 // an empty queue goes: DeleteQueue
	TypeSubscribe   Type = 7 // a durable subscription is made or changed: Subscribe
	TypeUnsubscribe Type = 8 // a durable subscription goes: Unsubscribe
	TypeForget      Type = 9 // old ids suppress duplicates no more: Forget
)

// Urgent tells whether a record has to get through when the disk is full: a
// new leader's first one, and those that let a log free something.
func (t Type) Urgent() bool { return t == TypeAck || t == TypeForget || t == TypeEpochStart }

func (t Type) String() string {
	switch t {
	case TypeEpochStart:
		return "epoch-start"
	case TypeEnqueue:
		return "enqueue"
	case TypeAck:
		return "ack"
	case TypeMove:
		return "move"
	case TypeRedeliver:
		return "redeliver"
	case TypeDeleteQueue:
		return "delete-queue"
	case TypeSubscribe:
		return "subscribe"
	case TypeUnsubscribe:
		return "unsubscribe"
	case TypeForget:
		return "forget"
	}
	return fmt.Sprintf("type-%d", uint8(t))
}

// Limits, checked before anything is allocated.
const (
	HeaderSize       = 56
	RecordHeaderSize = 12
	MaxBatchSize     = 128 << 20 // bytes, header included
	MaxStringSize    = 64 << 10  // bytes of one string in a body
	MaxHeaders       = 1000      // headers of one message
)

// Errors of the decoders. Test with errors.Is.
var (
	// ErrShort means that the bytes end before the batch does.
	ErrShort = errors.New("record: batch is cut short")
	// ErrCorrupt means that the bytes are not what a writer wrote.
	ErrCorrupt = errors.New("record: corrupt bytes")
	// ErrVersion means that a newer program wrote the batch.
	ErrVersion = errors.New("record: unknown format version")
	// ErrTooLarge means that a length exceeds its limit.
	ErrTooLarge = errors.New("record: size exceeds the limit")
)

// Invalid tells whether an error is one of the decoders, about the bytes that
// they were given.
func Invalid(err error) bool {
	return errors.Is(err, ErrShort) || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrVersion) || errors.Is(err, ErrTooLarge)
}

// EpochBoundary says where an epoch began: the position of its first batch.
type EpochBoundary struct {
	Epoch Epoch
	Start Position
}

// Positions are the marks of one log. Start <= Flush <= Written <= Append.
type Positions struct {
	Start   Position // oldest retained byte
	Append  Position // end of what was accepted, possibly still in a buffer
	Written Position // end of what was handed to the operating system
	Flush   Position // end of what is on stable storage
	Epoch   Epoch    // epoch of the last batch before Append, 0 if empty
}

// Moves names the marks of a log whose moves somebody wants to hear of.
// Everything else that may happen to a log is told to all who listen.
type Moves uint8

// Marks.
const (
	MovesOfWritten Moves = 1 << iota
	MovesOfFlush
)

// Moved returns which of the marks differ.
func (p Positions) Moved(since Positions) (m Moves) {
	if p.Written != since.Written {
		m |= MovesOfWritten
	}
	if p.Flush != since.Flush {
		m |= MovesOfFlush
	}
	return m
}
