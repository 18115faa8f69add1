// Package repltest has what tests of replication need: an in-memory twin of
// the log whose writes and flushes a test can hold back, fail and cut.
package repltest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"baton/repl"
	"baton/store/record"
)

// Errors of the log.
var (
	ErrGap     = errors.New("repltest: batch does not continue the log")
	ErrTrimmed = errors.New("repltest: position is no longer retained")
	ErrClosed  = errors.New("repltest: log failed")
)

// Log is an in-memory log. Writes and flushes happen at once unless held.
// Safe for concurrent use.
type Log struct {
	mu struct {
		sync.Mutex
		buf        []byte
		ends       []record.Position // of every batch, ascending
		start      record.Position
		boundaries []record.EpochBoundary
		epoch      record.Epoch
		written    record.Position
		flush      record.Position
		holdWrite  bool
		holdFlush  bool
		full       bool
		failed     error
		subs       map[chan struct{}]record.Moves
		told       record.Positions // to them
		cuts       []Cut
	}
}

// Cut is one truncation that was asked for.
type Cut struct{ From, To record.Position }

// NewLog returns an empty log.
func NewLog() *Log {
	l := &Log{}
	l.mu.subs = map[chan struct{}]record.Moves{}
	return l
}

// Append implements repl.Log.
func (l *Log) Append(epoch record.Epoch, commit record.Position, b *record.Batch) (record.Position, error) {
	return l.append(epoch, commit, b, false)
}

// AppendUrgent implements repl.Log.
func (l *Log) AppendUrgent(epoch record.Epoch, commit record.Position, b *record.Batch) (record.Position, error) {
	return l.append(epoch, commit, b, true)
}

func (l *Log) append(epoch record.Epoch, commit record.Position, b *record.Batch, urgent bool) (record.Position, error) {
	crc := b.Prepare()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil {
		return 0, l.mu.failed
	}
	if l.mu.full && !urgent {
		return 0, repl.ErrFull
	}
	if epoch < l.mu.epoch {
		return 0, fmt.Errorf("%w: epoch %d after %d", ErrGap, epoch, l.mu.epoch)
	}
	raw := b.Seal(epoch, l.end(), commit, time.Unix(1700000000, 0), crc)
	l.accept(epoch, raw)
	l.settle()
	return l.end(), nil
}

// AppendRaw implements repl.Log.
func (l *Log) AppendRaw(b []byte) (record.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.full {
		return 0, repl.ErrFull
	}
	for rest := b; len(rest) > 0; {
		h, err := record.Verify(rest)
		if err != nil {
			return 0, err
		}
		rest = rest[h.Length:]
	}
	for len(b) > 0 && l.mu.failed == nil {
		h, err := record.ParseHeader(b)
		if err != nil {
			return 0, err
		}
		if h.Position != l.end() || h.Epoch < l.mu.epoch {
			return 0, fmt.Errorf("%w: batch of epoch %d at %d, log ends at %d in epoch %d", ErrGap, h.Epoch, h.Position, l.end(), l.mu.epoch)
		}
		l.accept(h.Epoch, b[:h.Length])
		b = b[h.Length:]
	}
	if l.mu.failed != nil {
		return 0, l.mu.failed
	}
	l.settle()
	return l.end(), nil
}

// ReadInto implements repl.Log.
func (l *Log) ReadInto(buf []byte, from record.Position, max int) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from < l.mu.start {
		return nil, fmt.Errorf("%w: %d, retained from %d", ErrTrimmed, from, l.mu.start)
	}
	to := from
	next, _ := slices.BinarySearch(l.mu.ends, from+1)
	for _, e := range l.mu.ends[next:] {
		if e > l.mu.written || to > from && int(e-from) > max {
			break
		}
		to = e
	}
	if to == from {
		return nil, nil
	}
	return append(buf[:0], l.mu.buf[from:to]...), nil
}

// Positions implements repl.Log.
func (l *Log) Positions() record.Positions {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.positions()
}

func (l *Log) positions() record.Positions {
	return record.Positions{Start: l.mu.start, Append: l.end(), Written: l.mu.written, Flush: l.mu.flush, Epoch: l.mu.epoch}
}

// EpochBoundaries implements repl.Log.
func (l *Log) EpochBoundaries() []record.EpochBoundary {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]record.EpochBoundary(nil), l.mu.boundaries...)
}

// TruncateTo implements repl.Log.
func (l *Log) TruncateTo(to record.Position) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil {
		return l.mu.failed
	}
	l.mu.cuts = append(l.mu.cuts, Cut{l.end(), to})
	for n := len(l.mu.ends); n > 0 && l.mu.ends[n-1] > to; n-- {
		l.mu.ends = l.mu.ends[:n-1]
	}
	if l.end() < to || len(l.mu.ends) > 0 && l.mu.ends[len(l.mu.ends)-1] != to || len(l.mu.ends) == 0 && to != 0 {
		return fmt.Errorf("%w: truncate to %d", ErrGap, to)
	}
	l.mu.buf = l.mu.buf[:to:to]
	l.mu.written, l.mu.flush = min(l.mu.written, to), min(l.mu.flush, to)
	for n := len(l.mu.boundaries); n > 0 && l.mu.boundaries[n-1].Start >= to; n-- {
		l.mu.boundaries = l.mu.boundaries[:n-1]
	}
	l.mu.epoch = 0
	if n := len(l.mu.boundaries); n > 0 {
		l.mu.epoch = l.mu.boundaries[n-1].Epoch
	}
	l.notify(everything)
	return nil
}

// Subscribe implements repl.Log.
func (l *Log) Subscribe(of record.Moves) (<-chan struct{}, func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := make(chan struct{}, 1)
	l.mu.subs[c] = of
	return c, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.mu.subs, c)
	}
}

// Err implements repl.Log.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.failed
}

// HoldWrites keeps what is appended in the buffer until released.
func (l *Log) HoldWrites(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.holdWrite = on
	l.settle()
}

// HoldFlush stops flushes, as a hung disk does, until released.
func (l *Log) HoldFlush(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.holdFlush = on
	l.settle()
}

// SetFull makes the disk full, or gives it space again.
func (l *Log) SetFull(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.full = on
	l.notify(everything)
}

// Fail ends the log: it takes nothing more and flushes nothing more.
func (l *Log) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.failed = fmt.Errorf("%w: %w", ErrClosed, err)
	l.notify(everything)
}

// Crash loses what was not flushed, as a power failure does. No role may be
// using the log.
func (l *Log) Crash() {
	l.mu.Lock()
	to := l.mu.flush
	l.mu.holdFlush, l.mu.holdWrite = false, false
	l.mu.Unlock()
	if err := l.TruncateTo(to); err != nil {
		panic(fmt.Sprintf("repltest: crash at %d: %v", to, err))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.cuts = nil
}

// Trim forgets what is before a batch boundary, as retention does.
func (l *Log) Trim(to record.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.start = to
}

// Bytes is a copy of the whole log.
func (l *Log) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]byte(nil), l.mu.buf...)
}

// Cuts are the truncations so far.
func (l *Log) Cuts() []Cut {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Cut(nil), l.mu.cuts...)
}

// Subscribers counts subscriptions that were not cancelled.
func (l *Log) Subscribers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.mu.subs)
}

func (l *Log) end() record.Position { return record.Position(len(l.mu.buf)) }

func (l *Log) accept(epoch record.Epoch, raw []byte) {
	if epoch > l.mu.epoch {
		l.mu.epoch = epoch
		l.mu.boundaries = append(l.mu.boundaries, record.EpochBoundary{Epoch: epoch, Start: l.end()})
	}
	l.mu.buf = append(l.mu.buf, raw...)
	l.mu.ends = append(l.mu.ends, l.end())
}

func (l *Log) settle() {
	if l.mu.failed != nil {
		return
	}
	if !l.mu.holdWrite {
		l.mu.written = l.end()
	}
	if !l.mu.holdFlush {
		l.mu.flush = l.mu.written
	}
	l.notify(l.positions().Moved(l.mu.told))
}

const everything = ^record.Moves(0)

// notify wakes those who listen for one of the marks, and nobody else: a role
// that hears of too little is to be found out.
func (l *Log) notify(moved record.Moves) {
	l.mu.told = l.positions()
	for c, of := range l.mu.subs {
		if moved != everything && moved&of == 0 {
			continue
		}
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
