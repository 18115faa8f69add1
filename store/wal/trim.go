package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"baton/store/record"
	"baton/store/vfs"
)

// StartPath is where the owner of the log says why it begins where it does.
func StartPath(dir string) string { return filepath.Join(dir, logDir, startFile) }

// BasePath is where the owner of the log keeps what it needs to know to use
// the log from a segment's base on.
func BasePath(dir string, base record.Position) string {
	return filepath.Join(dir, logDir, fmt.Sprintf("%016x%s", uint64(base), baseExt))
}

// ParseBaseName returns the position that the name of a BasePath tells.
func ParseBaseName(name string) (record.Position, bool) {
	digits, ok := strings.CutSuffix(name, baseExt)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	base, err := strconv.ParseUint(digits, 16, 64)
	return record.Position(base), err == nil && fmt.Sprintf("%016x", base) == digits
}

// IsSegmentName tells whether a file of the log directory is a segment.
func IsSegmentName(name string) bool {
	_, ok := parseSegmentName(name)
	return ok
}

// Bases returns the base positions of the segments, ascending. The last is the
// active segment's.
func (l *Log) Bases() []record.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	bases := make([]record.Position, len(l.mu.segments))
	for i, s := range l.mu.segments {
		bases[i] = s.base
	}
	return bases
}

// TrimTo makes the log begin at the base of one of its segments: those before
// it are removed or become spares, oldest first, each durably before the next,
// so at every moment the files are a log without a gap. It does nothing if the log begins there or above already. The active segment is
// never removed. Errors: ErrPosition if no segment begins at base; after
// an error of the disk the log begins at base all the same, and the next call
// removes what is left. The caller has made sure that nobody needs what goes; readers below base get
// ErrBelowStart from now on.
func (l *Log) TrimTo(base record.Position) error {
	l.trim.Lock()
	defer l.trim.Unlock()
	gone, err := l.cutFront(base)
	if err != nil {
		return err
	}
	l.trim.gone = append(l.trim.gone, gone...)
	for len(l.trim.gone) > 0 {
		if err := l.giveUp(l.trim.gone[0]); err != nil {
			return fmt.Errorf("trim log to %d: %w", base, err)
		}
		l.trim.gone = l.trim.gone[1:]
	}
	return nil
}

// giveUp takes the file of a segment out of the log: it becomes a spare if one
// is of use, since a file that is written over needs no zeros first, which is
// half of what the disk has to do otherwise.
func (l *Log) giveUp(s *segment) error {
	if err := l.files.drop(s.path); err != nil {
		return err
	}
	name, wanted := l.wantsSpare()
	if !wanted {
		if err := l.cfg.FS.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return l.cfg.FS.SyncDir(filepath.Dir(s.path))
	}
	err := l.cfg.FS.Rename(s.path, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the directory was moved aside
	}
	if err != nil {
		return err
	}
	if err := l.cfg.FS.SyncDir(filepath.Dir(s.path)); err != nil {
		return err
	}
	return l.recycle(name)
}

// recycledMax is how many spares there are at most when a segment is kept as
// another one: the next segment, and one that is being made ready.
const recycledMax = 2

// wantsSpare tells whether a freed segment should become a spare, and its name
// then. On a full disk its space is worth more to others.
func (l *Log) wantsSpare() (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sp := &l.mu.space
	if l.mu.closed || l.mu.err != nil || sp.full || sp.stuck || sp.held || sp.blocked || len(sp.spares) >= recycledMax {
		return "", false
	}
	sp.named++
	return filepath.Join(l.cfg.Dir, l.cfg.Name, fmt.Sprintf("spare-%d%s", sp.named, vfs.TempSuffix)), true
}

// recycle makes a file that was a segment a spare. Its bytes stay: they name
// positions below the log's start, which no batch that is appended has, and
// nobody reads them, for a read counts only if its position is still held.
func (l *Log) recycle(name string) error {
	f, err := l.cfg.FS.Open(name)
	if err != nil {
		return err
	}
	size, err := f.Size()
	whole := headerBlock + l.cfg.SegmentSize
	if err == nil && size > whole { // a batch that was larger than a segment
		size, err = whole, f.Truncate(whole)
	}
	s := &segment{path: name, file: &handle{File: f, path: name}, filled: size, recycled: true}
	l.mu.Lock()
	gone := err != nil || l.mu.closed || l.mu.err != nil || size < headerBlock
	if !gone {
		l.mu.space.spares = append(l.mu.space.spares, s)
		l.forgetDemand()
		l.fill.Signal()
	}
	l.mu.Unlock()
	if gone {
		return errors.Join(err, l.discardSpare(s))
	}
	return nil
}

// cutFront takes the segments below base out of the log.
func (l *Log) cutFront(base record.Position) ([]*segment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.mu.truncating {
		l.idle.Wait()
	}
	if err := l.usable(); err != nil {
		return nil, err
	}
	segments := l.mu.segments
	if base <= segments[0].base {
		return nil, nil
	}
	i := segmentOf(segments, base)
	if segments[i].base != base {
		return nil, fmt.Errorf("trim log: %w: %d is not where a segment begins", ErrPosition, base)
	}
	l.mu.segments = slices.Clone(segments[i:])
	l.mu.pos.Start = base
	l.mu.generation++
	return segments[:i], nil
}

// IsBase tells whether a segment begins at a position.
func (l *Log) IsBase(at record.Position) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.segments[segmentOf(l.mu.segments, at)].base == at
}
