package wal

import (
	"fmt"
	"path/filepath"

	"baton/store/record"
	"baton/store/vfs"
)

// TruncateTo cuts a divergent tail: everything at and above to, which must be
// where a batch begins (or the end, then nothing happens). What is cut is first
// copied to DIR/diverged. When it returns without error the cut is durable and
// no batch of the tail can come back. Appends wait meanwhile. Errors:
// ErrBelowStart, ErrPosition, and ErrFull if there is no space for the copy; any
// other I/O error ends the log.
func (l *Log) TruncateTo(to record.Position) error {
	if err := l.beginTruncate(); err != nil {
		return err
	}
	from, err := l.truncate(to)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.truncating = false
	if l.mu.exclusive {
		l.endExclusive()
	}
	l.wakeAll()
	if err != nil {
		return fmt.Errorf("truncate log to %d: %w", to, err)
	}
	if from > to {
		l.cfg.Logger.Warn("truncated the log", "position", to, "bytes", uint64(from-to))
	}
	return nil
}

// beginTruncate returns when everything appended is written and no append can
// begin.
func (l *Log) beginTruncate() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.mu.truncating {
		l.idle.Wait()
	}
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.truncating = true
	for l.mu.err == nil && (len(l.mu.queue) > 0 || l.mu.busyWrite) {
		l.idle.Wait()
	}
	if l.mu.err != nil {
		l.mu.truncating = false
		l.wakeAll()
		return l.mu.err
	}
	return nil
}

// truncate returns where the log ended.
func (l *Log) truncate(to record.Position) (record.Position, error) {
	pos := l.Positions()
	if to == pos.Append {
		return pos.Append, nil
	}
	if to < pos.Start {
		return 0, fmt.Errorf("%w: start is %d", ErrBelowStart, pos.Start)
	}
	if to > pos.Append {
		return 0, fmt.Errorf("%w: the log ends at %d", ErrPosition, pos.Append)
	}
	if err := l.checkBoundary(to); err != nil {
		return 0, err
	}
	if err := l.keepDiverged(to, pos); err != nil {
		if vfs.IsFull(err) { // nothing of the log was touched
			return 0, fmt.Errorf("%w: %w", ErrFull, err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.fail(err)
		return 0, err
	}

	l.mu.Lock()
	l.beginExclusive()
	if l.mu.err != nil {
		defer l.mu.Unlock()
		return 0, l.mu.err
	}
	segments := l.mu.segments
	keep := segmentOf(segments, to)
	l.mu.segments = segments[: keep+1 : keep+1]
	l.cutPositions(to)
	l.mu.Unlock()

	err := l.cutFiles(segments, keep, to)
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.fail(err)
	}
	return pos.Append, err
}

// cutPositions makes the log end at to for every reader. l.mu is held.
func (l *Log) cutPositions(to record.Position) {
	pos := &l.mu.pos
	pos.Append, pos.Written, pos.Flush = to, to, min(pos.Flush, to)
	for n := len(l.mu.boundaries); n > 0 && l.mu.boundaries[n-1].Start >= to; n-- {
		l.mu.boundaries = l.mu.boundaries[: n-1 : n-1]
	}
	pos.Epoch = lastEpoch(l.mu.boundaries)
	l.mu.commit = min(l.mu.commit, to)
	l.mu.generation++
	l.skipTurn(to)
	l.notify()
}

// checkBoundary makes sure that a batch begins at to.
func (l *Log) checkBoundary(to record.Position) error {
	v, err := l.view(to)
	if err != nil {
		return err
	}
	f, err := l.files.acquire(v.path)
	if err != nil {
		return err
	}
	defer l.files.release(f)
	b := make([]byte, min(record.HeaderSize, int64(v.end-to)))
	if err := readFull(f, v, b, to); err != nil {
		return err
	}
	h, err := record.ParseHeader(b)
	if err == nil && h.Position != to {
		err = fmt.Errorf("a batch of position %d is there", h.Position)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPosition, err)
	}
	return nil
}

// keepDiverged copies the log from a position on to DIR/diverged, as it is:
// bytes that turn out to be damaged are kept as well.
func (l *Log) keepDiverged(from record.Position, pos record.Positions) error {
	dir := filepath.Join(l.cfg.Dir, divergedDir)
	if err := vfs.MkdirAll(l.cfg.FS, dir); err != nil {
		return fmt.Errorf("make directory for the diverged tail: %w", err)
	}
	name := fmt.Sprintf("%d-%016x-%016x%s", pos.Epoch, uint64(from), uint64(pos.Append), segmentExt)
	return vfs.WriteAside(l.cfg.FS, filepath.Join(dir, name), func(out vfs.File) error {
		buf := make([]byte, readChunk)
		for at := from; at < pos.Append; {
			v, err := l.view(at)
			if err != nil {
				return err
			}
			n := min(int64(v.end-at), int64(len(buf)))
			if err := l.copyRaw(v, at, buf[:n]); err != nil {
				return err
			}
			if _, err := out.WriteAt(buf[:n], int64(at-from)); err != nil {
				return err
			}
			at += record.Position(n)
		}
		return nil
	})
}

func (l *Log) copyRaw(v view, at record.Position, b []byte) error {
	f, err := l.files.acquire(v.path)
	if err != nil {
		return err
	}
	defer l.files.release(f)
	return readFull(f, v, b, at)
}

// cutFiles removes the segments above keep and cuts that one. At every moment
// the files are a valid log that ends somewhere between to and the old end:
// marks that speak of a later end go first, then whole segments from the last
// one down, each durably, then the tail.
func (l *Log) cutFiles(segments []*segment, keep int, to record.Position) error {
	for _, s := range segments[keep : len(segments)-1] {
		if err := l.unseal(s); err != nil {
			return fmt.Errorf("reset flush mark of %s: %w", s.path, err)
		}
	}
	for i := len(segments) - 1; i > keep; i-- {
		s := segments[i]
		if s.file != nil {
			if err := l.files.release(s.file); err != nil {
				return err
			}
		}
		if err := l.files.drop(s.path); err != nil {
			return err
		}
		if err := l.cfg.FS.Remove(s.path); err != nil {
			return fmt.Errorf("remove segment: %w", err)
		}
		if err := l.cfg.FS.SyncDir(filepath.Dir(s.path)); err != nil {
			return fmt.Errorf("sync log directory: %w", err)
		}
	}
	s := segments[keep]
	if keep < len(segments)-1 {
		var err error
		if s.file, err = l.files.acquire(s.path); err != nil {
			return fmt.Errorf("open segment: %w", err)
		}
	}
	// Not to, which nobody has synced yet if it is above the flush position.
	if err := resetMarks(s.file, mark{Position: l.Positions().Flush}); err != nil {
		return fmt.Errorf("reset flush mark of %s: %w", s.path, err)
	}
	if err := s.file.Truncate(s.offset(to)); err != nil {
		return fmt.Errorf("cut %s: %w", s.path, err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", s.path, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.slot, s.marked, s.filled = markA, 0, s.offset(to)
	l.mu.space.tail = layout{0, s.filled}
	l.advanceFlush(to)
	l.skipTurn(nothingCut)
	return nil
}

func (l *Log) unseal(s *segment) error {
	f, err := l.files.acquire(s.path)
	if err != nil {
		return err
	}
	err = resetMarks(f, mark{Position: s.base})
	if rerr := l.files.release(f); err == nil {
		err = rerr
	}
	return err
}
