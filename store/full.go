package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
)

const (
	// spacePause is how often Apply looks for space when the disk is full.
	spacePause = 100 * time.Millisecond
	// spaceProbe is how many bytes must be free before the index is tried
	// again, or half of its reserve if that is less.
	spaceProbe = 1 << 20
	probeFile  = "probe" + vfs.TempSuffix
)

// outwait goes on with an Apply that the full disk has stopped, when there is
// space again. The log is the truth and has all of it, so waiting loses
// nothing. The index is of no use for writing after a failed write and is opened
// anew, but not before there is space: until then it can be read. before is how
// far the sink was told. s.applying is held.
func (s *Store) outwait(before, to record.Position, sink index.Sink, err error) error {
	s.cfg.Logger.Warn("the disk is full: the index waits for space", "dir", s.cfg.Dir, "error", err)
	for vfs.IsFull(err) {
		if !s.useReserve(s.reserves.index, 0) {
			<-time.After(spacePause)
		}
		s.mu.Lock()
		closed := s.mu.closed
		s.mu.Unlock()
		if closed {
			return fmt.Errorf("%w: the disk was full: %w", ErrClosed, err)
		}
		if s.probe() != nil {
			continue // whatever it was, the index has not been touched
		}
		if at, _ := s.Index().Applied(); at > before {
			before = at
		}
		if err = s.Index().Reopen(); errors.Is(err, index.ErrCorrupt) {
			err = s.discardIndex(before)
		}
		if err == nil {
			err = s.apply(s.Index(), before, nil) // nothing to do, unless that stopped half-way
		}
		if err == nil {
			err = s.apply(s.Index(), to, sink)
		}
	}
	return err
}

// probe finds out whether there is space.
func (s *Store) probe() error {
	path := filepath.Join(s.cfg.Dir, probeFile)
	f, err := s.cfg.FS.Create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, min(spaceProbe, s.reserves.index.bytes/2)), 0)
	return errors.Join(err, f.Close(), s.cfg.FS.Remove(path))
}
