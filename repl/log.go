package repl

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"

	"baton/repl/transport"
	"baton/store/record"
)

// Log is the node's log as replication uses it. Safe for concurrent use. One
// role at a time appends: the leader's Propose or the follower's link.
type Log interface {
	// Append puts b at the end in the given epoch and returns the new end. It
	// returns when the batch is accepted, before it is written. The log owns b.
	// An error that wraps ErrFull refuses this batch only.
	Append(epoch record.Epoch, commit record.Position, b *record.Batch) (end record.Position, err error)
	// AppendUrgent is Append for what frees space or begins an epoch: it may
	// use what is held in reserve for a full disk.
	AppendUrgent(epoch record.Epoch, commit record.Position, b *record.Batch) (end record.Position, err error)
	// AppendRaw appends whole batches of a leader, which continue the log
	// exactly. The log owns b from then on. It verifies all of them first: an
	// error of record.Verify means that nothing was appended, as one that wraps
	// ErrFull does, which may be tried again.
	AppendRaw(b []byte) (end record.Position, err error)
	// ReadInto returns whole batches from a batch boundary on, up to Written: at
	// most max bytes, but at least one batch. nil, nil at the end. The bytes may
	// be in the memory of buf; they are not to be changed.
	ReadInto(buf []byte, from record.Position, max int) ([]byte, error)
	// Positions returns the marks; it does not wait for I/O.
	Positions() record.Positions
	// EpochBoundaries lists the epochs of the log, oldest first.
	EpochBoundaries() []record.EpochBoundary
	// TruncateTo cuts the log at a batch boundary, durably. After ErrFull
	// nothing has changed.
	TruncateTo(to record.Position) error
	// Subscribe returns a coalesced signal of every move of the named marks and
	// of a failure, and what ends it.
	Subscribe(of record.Moves) (<-chan struct{}, func())
	// Err is what ended the log for good, nil while it works. From then on
	// Append and AppendRaw return errors too.
	Err() error
}

// Identity is who a node says it is, and the token that proves it.
type Identity = transport.Identity

// Errors of this package. Test with errors.Is.
var (
	// ErrConfig means that a configuration cannot work.
	ErrConfig = errors.New("repl: bad configuration")
	// ErrNoQuorum means that too few replicas acknowledged in time.
	ErrNoQuorum = errors.New("repl: no quorum")
	// ErrOverloaded means that a proposal found no room in time; it was not
	// appended.
	ErrOverloaded = errors.New("repl: too much is waiting to be committed")
	// ErrTransferring means that leadership is being handed over; the proposal
	// was not appended.
	ErrTransferring = errors.New("repl: leadership is being transferred")
	// ErrStopped means that the leader or follower was stopped.
	ErrStopped = errors.New("repl: stopped")
	// ErrFenced means that a higher epoch exists.
	ErrFenced = errors.New("repl: fenced by a higher epoch")
	// ErrInDoubt comes along with another error when a proposal was appended:
	// a later leader may commit it or cut it off.
	ErrInDoubt = errors.New("repl: outcome in doubt")
	// ErrFull means that the disk is full: the proposal was not appended.
	ErrFull = errors.New("repl: disk full")
	// ErrLog means that the node's own log failed.
	ErrLog = errors.New("repl: log failed")
	// ErrNotCandidate means that a node cannot take over leadership.
	ErrNotCandidate = errors.New("repl: node cannot take over")
	// ErrSnapshot means that a whole log was received and has to be installed.
	ErrSnapshot = errors.New("repl: snapshot received")
	// ErrBelowCommit means that a leader asked to cut off committed records.
	ErrBelowCommit = errors.New("repl: truncation below the commit position")
)

// Log keys.
const (
	keyEpoch    = "epoch"
	keyPeer     = "peer"
	keyPosition = "position"
	keyError    = "error"
	keyAddress  = "address"
)

func loggerOr(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// hub tells subscribers that something moved, without saying how often.
type hub struct {
	mu   sync.Mutex
	subs map[chan struct{}]struct{}
}

func (h *hub) subscribe() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		h.subs = map[chan struct{}]struct{}{}
	}
	h.subs[c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs, c)
	}
}

func (h *hub) notify() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.subs {
		poke(c)
	}
}

// poke sets a signal; one that is set already stays so.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// DialTCP is the dial function of a follower that was given none.
func DialTCP(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}
