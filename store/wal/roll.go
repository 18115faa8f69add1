package wal

import (
	"fmt"
	"path/filepath"

	"baton/store/record"
	"baton/store/vfs"
)

// beginExclusive keeps flusher and filler off the active segment. l.mu is held.
func (l *Log) beginExclusive() {
	l.mu.exclusive = true
	active := l.mu.segments[len(l.mu.segments)-1]
	for l.mu.busyFlush || l.mu.space.filling == active {
		l.idle.Wait()
	}
}

// endExclusive lets them in again. The files have changed. l.mu is held.
func (l *Log) endExclusive() {
	l.mu.exclusive = false
	l.forgetDemand()
	l.wakeAll()
}

// roll seals the active segment, which ends at base, and makes the first spare
// the next one. The order matters for recovery: the old segment has its exact
// size durably before the next exists, and says that the next exists only when
// it does. No step needs space from the disk.
func (l *Log) roll(old *segment, base record.Position) error {
	l.mu.Lock()
	l.beginExclusive()
	h := segmentHeader{Base: base, Commit: min(l.mu.commit, base)}
	for _, b := range l.mu.boundaries {
		if b.Start < base {
			h.Boundaries = append(h.Boundaries, b)
		}
	}
	if len(l.mu.space.spares) == 0 {
		panic(fmt.Sprintf("wal: no spare segment for position %d", base))
	}
	next := l.mu.space.spares[0]
	h.Recycled = next.recycled
	l.mu.Unlock()

	path := segmentPath(l.cfg, base)
	err := l.patiently(func() error { return l.replaceActive(old, next, path, h) })

	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		old.file = nil
		next.base, next.path, next.header, next.slot = base, path, h, markA
		next.file = l.files.join(path, next.file.File)
		l.mu.space.spares = l.mu.space.spares[1:]
		l.mu.space.tail.file--
		l.mu.segments = append(l.mu.segments, next)
		l.advanceFlush(base)
		l.skipTurn(nothingCut)
		l.mu.metrics.Flushes++
	}
	l.endExclusive()
	if err != nil {
		return fmt.Errorf("begin segment at position %d: %w", base, err)
	}
	return nil
}

// replaceActive may be repeated if it fails before the rename.
func (l *Log) replaceActive(old, next *segment, path string, h segmentHeader) error {
	if err := old.file.Truncate(old.offset(h.Base)); err != nil {
		return err
	}
	if err := vfs.Final(old.file.Sync()); err != nil {
		return err
	}
	if _, err := next.file.WriteAt(h.encode(), 0); err != nil {
		return err
	}
	if err := vfs.Final(next.file.Sync()); err != nil {
		return err
	}
	if err := l.cfg.FS.Rename(next.path, path); err != nil {
		return err
	}
	if err := vfs.Final(l.cfg.FS.SyncDir(filepath.Dir(path))); err != nil {
		return err
	}
	if err := vfs.Final(old.writeMark(mark{Position: h.Base, Sealed: true})); err != nil {
		return err
	}
	if err := vfs.Final(old.file.Sync()); err != nil {
		return err
	}
	return l.files.release(old.file)
}
