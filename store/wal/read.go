package wal

import (
	"errors"
	"fmt"
	"io"

	"baton/store/record"
)

// Read returns whole, verified batches from a batch boundary up to Written: at
// most max bytes, but at least one batch. At the end it returns nil and no
// error. The bytes are the caller's. Errors: ErrBelowStart, ErrPosition,
// *CorruptionError.
func (l *Log) Read(from record.Position, max int) ([]byte, error) {
	return l.ReadInto(nil, from, max)
}

// ReadInto is Read into the memory of buf, if that is enough.
func (l *Log) ReadInto(buf []byte, from record.Position, max int) ([]byte, error) {
	for {
		v, err := l.view(from)
		if err != nil || v.end == from {
			return nil, err
		}
		b, err := l.readBatches(buf, v, from, max)
		if !l.changedSince(v) {
			return b, err
		}
		if err == nil && l.holds(from) {
			return b, nil
		}
		// Cut off while it was read: look again.
	}
}

// view is a segment and how far it may be read.
type view struct {
	path       string
	base, end  record.Position
	generation uint64
}

func (v view) offset(p record.Position) int64 { return headerBlock + int64(p-v.base) }

func (l *Log) view(at record.Position) (view, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	pos := l.mu.pos
	if at < pos.Start {
		return view{}, fmt.Errorf("%w: %d, start is %d", ErrBelowStart, at, pos.Start)
	}
	if at > pos.Append {
		return view{}, fmt.Errorf("%w: %d, the log ends at %d", ErrPosition, at, pos.Append)
	}
	if at >= pos.Written {
		return view{end: at}, nil
	}
	i := segmentOf(l.mu.segments, at)
	v := view{path: l.mu.segments[i].path, base: l.mu.segments[i].base, end: pos.Written, generation: l.mu.generation}
	if i+1 < len(l.mu.segments) {
		v.end = l.mu.segments[i+1].base
	}
	return v, nil
}

// segmentOf returns the last segment whose base is at or below p.
func segmentOf(segments []*segment, p record.Position) int {
	lo, hi := 0, len(segments)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; segments[mid].base <= p {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

func (l *Log) changedSince(v view) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.generation != v.generation
}

// holds tells whether a position is still part of the log. What was read there
// counts only then: the file may have become another segment meanwhile.
func (l *Log) holds(at record.Position) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return at >= l.mu.pos.Start
}

func (l *Log) readBatches(buf []byte, v view, from record.Position, limit int) ([]byte, error) {
	f, err := l.files.acquire(v.path)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	defer l.files.release(f)
	n := min(int64(v.end-from), max(int64(limit), record.HeaderSize))
	b := sized(buf, int(n))
	if err := readFull(f, v, b, from); err != nil {
		return nil, err
	}
	whole := 0
	for whole < len(b) {
		h, err := record.VerifyAgain(b[whole:])
		at := from + record.Position(whole)
		switch {
		case err == nil && h.Position == at && h.End() <= v.end:
			whole += int(h.Length)
			continue
		case whole > 0 && cutShort(err, h, len(b)-whole):
			return b[:whole], nil
		case cutShort(err, h, len(b)) && h.Length > 0 && h.Position == at && h.End() <= v.end:
			b = sized(buf, int(h.Length))
			if err := readFull(f, v, b, from); err != nil {
				return nil, err
			}
		default:
			return nil, damage(v, at, h, err)
		}
	}
	return b[:whole], nil
}

// sized returns n bytes, those of buf if it has as many.
func sized(buf []byte, n int) []byte {
	if cap(buf) < n {
		return make([]byte, n)
	}
	return buf[:n]
}

// cutShort tells whether a batch is invalid only because more of it has to be
// read than the have bytes.
func cutShort(err error, h record.Header, have int) bool {
	return errors.Is(err, record.ErrShort) && (have < record.HeaderSize || have < int(h.Length))
}

// readFull fills b from position at; a file that is too short is damaged.
func readFull(f io.ReaderAt, v view, b []byte, at record.Position) error {
	n, err := f.ReadAt(b, v.offset(at))
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return &CorruptionError{
			File: v.path, Position: at + record.Position(n), Expected: fmt.Sprintf("%d more bytes", len(b)-n),
			Found: "the end of the file", Hint: hintRestore,
		}
	}
	return fmt.Errorf("read %s at offset %d: %w", v.path, v.offset(at), err)
}

func damage(v view, at record.Position, h record.Header, cause error) error {
	if cause == nil {
		cause = fmt.Errorf("%w: batch of position %d and %d bytes", record.ErrCorrupt, h.Position, h.Length)
	}
	hint := hintRestore
	if errors.Is(cause, record.ErrVersion) {
		hint = hintUpgrade
	}
	return &CorruptionError{
		File: v.path, Position: at, Expected: "a valid batch", Found: cause.Error(), Hint: hint, Err: cause,
	}
}

// ReadRecord returns the verified record at a position that an earlier read or
// an index gave. Errors as of Read.
func (l *Log) ReadRecord(at record.Position) (record.Record, error) {
	for {
		v, err := l.view(at)
		if err == nil && v.end == at {
			err = fmt.Errorf("%w: %d, nothing is written there", ErrPosition, at)
		}
		if err != nil {
			return record.Record{}, err
		}
		r, err := l.readRecord(v, at)
		if !l.changedSince(v) || err == nil && l.holds(at) {
			return r, err
		}
	}
}

func (l *Log) readRecord(v view, at record.Position) (record.Record, error) {
	f, err := l.files.acquire(v.path)
	if err != nil {
		return record.Record{}, fmt.Errorf("open segment: %w", err)
	}
	defer l.files.release(f)
	// Most messages come with the first read.
	b := make([]byte, min(int64(v.end-at), 2<<10))
	if err := readFull(f, v, b, at); err != nil {
		return record.Record{}, err
	}
	n, err := record.RecordLength(b)
	if err == nil && n > len(b) {
		if int64(n) > int64(v.end-at) {
			err = fmt.Errorf("%w: record of %d bytes reaches beyond the segment", record.ErrCorrupt, n)
		} else {
			b = make([]byte, n)
			if rerr := readFull(f, v, b, at); rerr != nil {
				return record.Record{}, rerr
			}
		}
	}
	if err != nil {
		return record.Record{}, damage(v, at, record.Header{}, err)
	}
	r, err := record.ParseRecord(b, at)
	if err != nil {
		return record.Record{}, damage(v, at, record.Header{}, err)
	}
	return r, nil
}
