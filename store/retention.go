package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
	"baton/store/wal"
)

// openLog opens the log. A trim that a crash cut short is finished: START
// moves first, so what is below it was on its way out.
func (s *Store) openLog() (rec wal.Recovery, err error) {
	hasLog, err := s.hasSegments()
	if err != nil {
		return rec, err
	}
	if !hasLog {
		err = s.dropSideFiles()
	} else {
		err = s.loadStart()
	}
	if err != nil {
		return rec, err
	}
	cfg := s.cfg.wal()
	cfg.Start = s.start.Base
	if s.log, rec, err = wal.Open(cfg); err != nil {
		return rec, err
	}
	if err := s.log.TrimTo(s.start.Base); err != nil {
		return rec, err
	}
	rec.Start = s.log.Positions().Start
	return rec, s.dropBases(func(base record.Position) bool { return base < s.start.Base })
}

// loadStart reads START, if there is one.
func (s *Store) loadStart() error {
	path := wal.StartPath(s.cfg.Dir)
	data, err := vfs.ReadFile(s.cfg.FS, path, startLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if s.start, err = index.DecodeTrim(data); err != nil {
		return &wal.CorruptionError{File: path, Expected: "why the log begins where it does", Found: err.Error(), Hint: hintSideFile, Err: err}
	}
	return nil
}

// Free is the position below which no message is live, no id suppresses
// duplicates and nothing waits to be applied, to the precision of a segment:
// what Trim could free at the most.
func (s *Store) Free() (record.Position, error) {
	ix := s.Index()
	if ix == nil {
		return 0, ErrClosed
	}
	return free(ix)
}

func free(ix *index.Index) (record.Position, error) {
	free, _ := ix.Applied()
	if oldest, live := ix.OldestLive(); live {
		free = min(free, oldest)
	}
	id, remembered, err := ix.OldestID()
	if remembered {
		free = min(free, id)
	}
	return free, err
}

// Trimmed is what a Trim did. From == To: nothing.
type Trimmed struct {
	From, To record.Position // where the log began and begins
	Segments int
}

// Trim removes whole segments from the start of the log that hold no live
// message and no id that suppresses duplicates, none that reaches above limit. Acks go with the segments that hold
// them: what they acknowledged was in an earlier one, or in the same. ctx
// bounds the wait for the disk to have all that is applied. After an error
// nothing is lost, and a later call goes on.
func (s *Store) Trim(ctx context.Context, limit record.Position) (Trimmed, error) {
	s.trimming.Lock()
	defer s.trimming.Unlock()
	t, err := s.moveStart(ctx, limit)
	if err != nil {
		return t, fmt.Errorf("trim log: %w", err)
	}
	if t.From == t.To {
		return t, nil
	}
	if err := s.Log().TrimTo(t.To); err != nil {
		return t, err
	}
	s.checkpoint.Store(max(s.checkpoint.Load(), uint64(t.To)))
	if err := s.dropBases(func(base record.Position) bool { return base < t.To }); err != nil {
		return t, err
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	if ix := s.Index(); ix != nil {
		return t, ix.ForgetBelow(t.To)
	}
	return t, ErrClosed
}

// moveStart says durably that the log begins higher up, if it can.
func (s *Store) moveStart(ctx context.Context, limit record.Position) (Trimmed, error) {
	s.applying.Lock()
	defer s.applying.Unlock()
	ix := s.Index()
	if ix == nil || s.isClosed() {
		return Trimmed{}, ErrClosed
	}
	limit = s.Pinned(limit)
	bases := s.log.Bases()
	t := Trimmed{From: bases[0], To: bases[0]}
	free, err := free(ix)
	if err != nil {
		return t, err
	}
	limit = min(limit, free)
	n := len(bases) - 1
	for n > 0 && (bases[n] > limit || !s.hasBase(bases[n])) {
		n--
	}
	if n == 0 {
		return t, nil
	}
	// A start must not stand on an ack that a crash may take back.
	applied, _ := ix.Applied()
	if err := s.log.WaitFlushed(ctx, applied); err != nil {
		return t, err
	}
	start, known, err := ix.TrimAt(bases[n])
	if err != nil || !known {
		return t, err
	}
	old := s.start.Base
	s.start = start // also if it is in doubt what the disk has: it is true
	if err := s.writeStart(old); err != nil {
		return t, err
	}
	t.To, t.Segments = bases[n], n
	return t, nil
}

// writeStart makes START durable. A full disk must not keep the log from being
// shortened, so room is made for it if need be: the bases between the old
// start and the new one will be of no use.
func (s *Store) writeStart(old record.Position) error {
	path, data := wal.StartPath(s.cfg.Dir), s.start.Encode()
	err := vfs.WriteFile(s.cfg.FS, path, data)
	if err == nil {
		return nil
	}
	useless := func(base record.Position) bool { return base > old && base < s.start.Base }
	if derr := s.dropBases(useless); derr != nil {
		return errors.Join(err, derr)
	}
	return s.withReserve(s.keptForPromises(), func() error { return vfs.WriteFile(s.cfg.FS, path, data) })
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.closed
}

// Segment is a part of the log in a file of its own.
type Segment struct {
	From, To record.Position
}

// Front is the sealed segment that holds the oldest live message, and so keeps
// everything behind it; false if there is none, or if the segment would not go
// without its messages, since an id in it or before it suppresses duplicates.
func (s *Store) Front() (Segment, bool, error) {
	ix := s.Index()
	if ix == nil {
		return Segment{}, false, ErrClosed
	}
	oldest, live := ix.OldestLive()
	if !live {
		return Segment{}, false, nil
	}
	id, remembered, err := ix.OldestID()
	if err != nil {
		return Segment{}, false, err
	}
	bases := s.Log().Bases()
	for i, base := range bases[1:] {
		if oldest < base {
			return Segment{bases[i], base}, !remembered || id >= base, nil
		}
	}
	return Segment{}, false, nil
}

// Live calls yield for each live record with from <= position < to that the
// index reflects, in the order of the log, until yield returns an error, which
// it returns. e aliases what was read. It reads the log from the last segment
// base at or below from whose base file is there. A record may have ceased to
// be live when yield gets it. wal.ErrBelowStart if the log was trimmed beyond
// what was to be read.
func (s *Store) Live(from, to record.Position, yield func(l index.Live, e record.Enqueue) error) error {
	ix, log := s.Index(), s.Log()
	if ix == nil {
		return ErrClosed
	}
	base, err := s.baseFor(log, from)
	if err != nil {
		return err
	}
	applied, _ := ix.Applied()
	to = min(to, applied)
	finder := ix.NewFinder(base)
	for at := base.Position; at < to; {
		raw, err := log.Read(at, applyChunk)
		if err != nil {
			return fmt.Errorf("look for live records from position %d: %w", at, err)
		}
		for _, b := range record.Batches(raw) {
			for r := range record.Records(b) {
				if r.Position >= to {
					return nil
				}
				if err := show(finder, r, from, yield); err != nil {
					return err
				}
			}
		}
		at += record.Position(len(raw))
	}
	return nil
}

func show(f *index.Finder, r record.Record, from record.Position, yield func(index.Live, record.Enqueue) error) error {
	if r.Position < from {
		return f.Skip(r)
	}
	l, e, live, err := f.Find(r)
	if err != nil || !live {
		return err
	}
	return yield(l, e)
}

// baseFor reads the nearest base at or below a position.
func (s *Store) baseFor(log *wal.Log, at record.Position) (index.Base, error) {
	bases := log.Bases()
	for i := len(bases) - 1; i > 0; i-- {
		if bases[i] > at {
			continue
		}
		if b, err := s.readBase(bases[i]); err == nil {
			return b, nil
		}
	}
	if bases[0] == 0 {
		return index.Base{}, nil
	}
	return s.readBase(bases[0])
}

// Checkpoint is the highest segment base from which the index could be made,
// if the log below it were gone.
func (s *Store) Checkpoint() record.Position {
	return max(record.Position(s.checkpoint.Load()), s.Log().Positions().Start)
}
