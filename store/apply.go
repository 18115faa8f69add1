package store

import (
	"errors"
	"fmt"
	"path/filepath"

	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
)

// openIndex opens the index, or makes it anew if it does not fit the log, and
// brings it up to what the log knows to be committed.
func (s *Store) openIndex() error {
	ix, err := s.openIndexFiles()
	why := ""
	switch {
	case errors.Is(err, index.ErrCorrupt):
		why = err.Error()
	case err != nil:
		return err
	default:
		why = s.misfit(ix)
	}
	s.setIndex(ix)
	if why == "" {
		s.recovered.Applied, _ = ix.Applied()
		if s.recovered.Applied == 0 && s.recovered.Log.Commit > 0 {
			s.recovered.IndexRebuilt = "there was no index"
		}
	} else {
		s.recovered.IndexRebuilt = why
		if err := s.discardIndex(0); err != nil {
			return err
		}
	}
	if why := s.recovered.IndexRebuilt; why != "" {
		s.cfg.Logger.Warn("rebuilding the index from the log", "why", why, "position", s.recovered.Log.Commit)
	}
	// What the start of the log stands on was applied, so it is committed; up
	// to there the index may still name messages from below the start.
	return s.Apply(max(s.recovered.Log.Commit, s.start.Applied), nil)
}

// misfit says why an index is not one of this log, "" if it is: the byte
// before its applied position must be of the epoch that it remembers, which
// makes the logs equal up to there.
func (s *Store) misfit(ix *index.Index) string {
	applied, _ := ix.Applied()
	pos := s.log.Positions()
	if applied == 0 && pos.Start > 0 {
		return "there was no index"
	}
	if applied < pos.Start {
		return fmt.Sprintf("index is at position %d, log begins at %d", applied, pos.Start)
	}
	if applied > pos.Append {
		return fmt.Sprintf("index is at position %d, log ends at %d", applied, pos.Append)
	}
	if applied == 0 {
		return ""
	}
	var epoch record.Epoch
	for _, b := range s.log.EpochBoundaries() {
		if b.Start < applied {
			epoch = b.Epoch
		}
	}
	if has := ix.AppliedEpoch(); has != epoch {
		return fmt.Sprintf("index is at position %d of epoch %d, there the log has epoch %d", applied, has, epoch)
	}
	return ""
}

// openIndexFiles opens the index, on a full disk with its reserve: the index
// writes a little when it is opened.
func (s *Store) openIndexFiles() (*index.Index, error) {
	ix, err := index.Open(s.cfg.FS, s.indexPath())
	if vfs.IsFull(err) && s.useReserve(s.reserves.index, 0) {
		ix, err = index.Open(s.cfg.FS, s.indexPath())
	}
	return ix, err
}

func (s *Store) indexPath() string { return filepath.Join(s.cfg.Dir, indexDir) }

// Index returns the index for reading. After a Truncate or a repair it is
// another one, and the earlier one answers with errors: do not keep it.
func (s *Store) Index() *index.Index {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.index
}

func (s *Store) setIndex(ix *index.Index) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.index = ix
}

// discardIndex replaces the index by one that is made from the log up to a
// position, and reflects at least what the start of the log stands on. s.applying
// is held, or the store is being opened.
func (s *Store) discardIndex(upTo record.Position) error {
	if ix := s.Index(); ix != nil {
		ix.Close() // what it failed to write is wiped anyway
	}
	if err := index.Wipe(s.cfg.FS, s.indexPath()); err != nil {
		return err
	}
	ix, err := s.openIndexFiles()
	if err != nil {
		return err
	}
	defer s.setIndex(ix) // readers of the one before get an error, and do not miss what is not there yet
	if err := s.beginIndex(ix); err != nil {
		return err
	}
	return s.apply(ix, upTo, nil)
}

// Apply brings the index up to a position that is known to be committed: whole
// batches with an end at or below to, from where the index is. What is there
// already is not applied again, and what the log has not written yet is left
// for the next time. sink may be nil. An error is final for this node, but for
// a damaged index, which Apply makes anew, and a full disk, which it waits out.
func (s *Store) Apply(to record.Position, sink index.Sink) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	ix := s.Index()
	if ix == nil {
		return ErrClosed
	}
	before, _ := ix.Applied()
	err := s.apply(ix, to, sink)
	if vfs.IsFull(err) {
		return s.outwait(before, to, sink, err)
	}
	if !errors.Is(err, index.ErrCorrupt) {
		return err
	}
	// The sink has seen everything up to where the index was last.
	if at, _ := ix.Applied(); at > before {
		before = at
	}
	s.cfg.Logger.Warn("rebuilding the index from the log", "why", err, "position", before)
	if err := s.discardIndex(before); err != nil {
		return err
	}
	return s.apply(s.Index(), to, sink)
}

func (s *Store) apply(ix *index.Index, to record.Position, sink index.Sink) error {
	var buf []byte
	if sink == nil {
		buf = s.applyBuf
	}
	for {
		at, _ := ix.Applied()
		if at >= to {
			return nil
		}
		s.keepBase(ix, at) // a chunk never reaches over the end of a segment
		raw, err := s.log.ReadInto(buf, at, int(min(to-at, applyChunk)))
		if err != nil {
			return fmt.Errorf("apply log from position %d: %w", at, err)
		}
		if cap(raw) <= applyChunk && sink == nil { // a sink may keep what it is told
			s.applyBuf, buf = raw, raw
		}
		if raw = upTo(raw, to); len(raw) == 0 {
			return nil
		}
		if err := ix.Apply(raw, sink); err != nil {
			return fmt.Errorf("apply log from position %d: %w", at, err)
		}
	}
}

// upTo cuts off the batches that end above to.
func upTo(raw []byte, to record.Position) []byte {
	n := 0
	for h := range record.Batches(raw) {
		if h.End() > to {
			break
		}
		n += int(h.Length)
	}
	return raw[:n]
}

// Applied returns the position up to which the index reflects the log, and the
// running hash of the log there (record.Chain).
func (s *Store) Applied() (record.Position, uint64) {
	ix := s.Index()
	if ix == nil {
		return 0, 0
	}
	return ix.Applied()
}

// LastEpochStart returns the newest applied epoch-start record and its epoch;
// false if there is none.
func (s *Store) LastEpochStart() (record.EpochStart, record.Epoch, bool) {
	ix := s.Index()
	if ix == nil {
		return record.EpochStart{}, 0, false
	}
	return ix.LastEpochStart()
}

// Enqueued reads the message whose record, an enqueue or a move, is at a
// position.
func (s *Store) Enqueued(at record.Position) (record.Enqueue, error) {
	r, err := s.Log().ReadRecord(at)
	if err != nil {
		return record.Enqueue{}, err
	}
	if r.Type != record.TypeEnqueue && r.Type != record.TypeMove {
		return record.Enqueue{}, fmt.Errorf("read message at position %d: the record is of type %s", at, r.Type)
	}
	return record.ParseMessage(r)
}

// Truncate cuts the log as wal.Log.TruncateTo does. If the index reflects
// something of what is cut it starts again from the log's start, and the next
// Apply replays the log. ErrTrimmed if the log's start stands on what is to be
// cut.
func (s *Store) Truncate(to record.Position) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	ix := s.Index()
	if ix == nil {
		return ErrClosed
	}
	if to < s.start.Applied {
		return fmt.Errorf("%w: cut to %d asked for, segments below %d were freed by what lies below %d; "+
			"empty the data directory so that the node copies everything from its peers", ErrTrimmed, to, s.start.Base, s.start.Applied)
	}
	if applied, _ := ix.Applied(); applied > to {
		s.cfg.Logger.Warn("truncating below what the index reflects: it starts again", "position", to, "applied", applied)
		if err := s.discardIndex(0); err != nil {
			return err
		}
	}
	s.checkpoint.Store(0)
	if err := s.dropBases(func(base record.Position) bool { return base > to }); err != nil {
		return err
	}
	return s.log.TruncateTo(to)
}
