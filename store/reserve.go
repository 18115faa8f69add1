package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"baton/store/vfs"
	"baton/store/wal"
)

// A disk that is full must still take what frees it: acks have to reach the
// index, which decides what the log may drop, and a promise has to reach META.
// Therefore two files hold space for the two. When one of them runs out of it
// its file shrinks or is removed, and the log, which would take the space at once, is held
// until the file is back. The content of these files means nothing, so
// they are not synced.
const (
	indexReserveFile = "reserve-index"
	metaReserveFile  = "reserve-meta"

	// The index writes a journal and a table of its write buffer at a time,
	// and merges tables.
	indexReserveBytes = 32 << 20
	indexReserveLeast = 1 << 20 // before the first segment is full
	metaReserveBytes  = 256 << 10
	reserveChunk      = 1 << 20

	reservePause = 250 * time.Millisecond // between two attempts to fill them
)

// reserve is a file that holds space. Guarded by Store.reserves.
type reserve struct {
	fs    vfs.FS
	path  string
	bytes int64 // how large the file should be
	has   int64 // how large it is
}

// fill makes the file as large as it should be. What it got of a full disk
// beyond what the file had it gives back.
func (r *reserve) fill() error {
	if r.has >= r.bytes {
		return nil
	}
	open := r.fs.Open
	if r.has == 0 {
		open = r.fs.Create
	}
	f, err := open(r.path)
	if err != nil {
		return fmt.Errorf("open %s: %w", r.path, err)
	}
	zeros := make([]byte, min(reserveChunk, r.bytes-r.has))
	for off := r.has; off < r.bytes && err == nil; off += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), r.bytes-off)], off)
	}
	if err != nil && r.has > 0 {
		err = errors.Join(err, f.Truncate(r.has))
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		r.has = r.bytes
		return nil
	}
	err = fmt.Errorf("fill %s: %w", r.path, err)
	if r.has == 0 {
		err = errors.Join(err, r.drop())
	}
	return err
}

// shrink gives the space back but for some of it.
func (r *reserve) shrink(keep int64) error {
	if keep == 0 {
		return r.drop()
	}
	f, err := r.fs.Open(r.path)
	if err != nil {
		return err
	}
	if err = f.Truncate(keep); err == nil {
		r.has = keep
	}
	return errors.Join(err, f.Close())
}

// drop gives the space back.
func (r *reserve) drop() error {
	r.has = 0
	err := r.fs.Remove(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (s *Store) initReserves() {
	of := func(name string, bytes int64) *reserve {
		return &reserve{fs: s.cfg.FS, path: filepath.Join(s.cfg.Dir, name), bytes: min(bytes, s.segmentSize()/2)}
	}
	s.reserves.index, s.reserves.meta = of(indexReserveFile, indexReserveLeast), of(metaReserveFile, metaReserveBytes)
}

func (s *Store) segmentSize() int64 {
	if s.cfg.SegmentSize == 0 {
		return wal.DefaultSegmentSize
	}
	return s.cfg.SegmentSize
}

// growReserve makes the reserve of the index as large as it may become, in the
// background: a store that has filled a segment is in use, one that has not
// should be small and open fast.
func (s *Store) growReserve() {
	s.reserves.Lock()
	defer s.reserves.Unlock()
	if most := min(indexReserveBytes, s.segmentSize()/2); s.reserves.index.bytes < most {
		s.reserves.index.bytes = most
		s.refillLater()
	}
}

// openReserves fills both files, or lets that be done when there is space.
func (s *Store) openReserves() error {
	s.reserves.Lock()
	defer s.reserves.Unlock()
	for _, r := range []*reserve{s.reserves.meta, s.reserves.index} {
		info, err := s.cfg.FS.Stat(r.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		r.has = info.Size
	}
	err := s.fillReserves()
	if vfs.IsFull(err) {
		s.reserves.held = true
		s.refillLater()
		return nil
	}
	return err
}

// holdLog keeps a log that was just opened from taking the space that the
// reserves wait for.
func (s *Store) holdLog() {
	s.reserves.Lock()
	defer s.reserves.Unlock()
	if s.reserves.held {
		s.log.HoldSpace(true)
	}
}

func (s *Store) fillReserves() error {
	if err := s.reserves.meta.fill(); err != nil {
		return err
	}
	return s.reserves.index.fill()
}

// useReserve gives the space of a reserve but for keep bytes to whoever found
// the disk full; false if there is no more left.
func (s *Store) useReserve(r *reserve, keep int64) bool {
	s.reserves.Lock()
	defer s.reserves.Unlock()
	if r.has <= keep {
		return false
	}
	s.reserves.held = true
	if log := s.Log(); log != nil {
		log.HoldSpace(true)
	}
	bytes := r.has - keep
	if err := r.shrink(keep); err != nil {
		s.cfg.Logger.Warn("could not give the reserve free", "file", r.path, "err", err)
	}
	s.cfg.Logger.Warn("the disk is full: using the reserve", "file", r.path, "bytes", bytes)
	s.refillLater()
	return true
}

// keptForPromises is what other small files leave of META's reserve, in bytes:
// a node whose promise finds no room cannot vote.
func (s *Store) keptForPromises() int64 { return s.reserves.meta.bytes / 2 }

// withReserve does a write that needs a little space, and once more with the
// reserve of META but for keep bytes of it if the disk is full. do must have no
// effect when it finds that.
func (s *Store) withReserve(keep int64, do func() error) error {
	err := do()
	if vfs.IsFull(err) {
		s.useReserve(s.reserves.meta, keep) // if it is gone, an attempt to fill it may have been in the way
		err = do()
	}
	return err
}

// refillLater starts runRefill if it is not running. s.reserves is held.
func (s *Store) refillLater() {
	if s.reserves.refilling || s.reserves.closed {
		return
	}
	s.reserves.refilling = true
	s.reserves.wg.Add(1)
	go s.runRefill()
}

// runRefill fills the reserves again when there is space, and then lets the
// log take some too.
func (s *Store) runRefill() {
	defer s.reserves.wg.Done()
	tick := time.NewTicker(reservePause)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-tick.C:
		case <-s.reserves.closing:
			return
		}
		if s.refill(&said) {
			return
		}
	}
}

// refill returns whether the reserves are whole.
func (s *Store) refill(said *string) bool {
	s.reserves.Lock()
	defer s.reserves.Unlock()
	// Not the last space there is: whoever writes meanwhile would not find any.
	missing := s.reserves.meta.bytes - s.reserves.meta.has + s.reserves.index.bytes - s.reserves.index.has
	if free, known := vfs.Free(s.cfg.FS, s.cfg.Dir); known && free < 2*missing {
		return false
	}
	if err := s.fillReserves(); err != nil {
		if !vfs.IsFull(err) && err.Error() != *said {
			*said = err.Error()
			s.cfg.Logger.Warn("could not fill the reserve; trying again", "err", err)
		}
		return false
	}
	s.reserves.refilling, s.reserves.held = false, false
	if log := s.Log(); log != nil {
		log.HoldSpace(false)
	}
	return true
}

// closeReserves ends runRefill. What the files hold stays for the next Open.
func (s *Store) closeReserves() {
	s.reserves.Lock()
	closed := s.reserves.closed
	s.reserves.closed = true
	s.reserves.Unlock()
	if !closed && s.reserves.closing != nil {
		close(s.reserves.closing)
	}
	s.reserves.wg.Wait()
}
