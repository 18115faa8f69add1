package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
	"baton/store/wal"
)

const (
	startLimit = 64 << 20 // bytes of START
	baseLimit  = 1 << 30  // bytes of a base

	hintSideFile = "restore the file from a copy, or empty the data directory so that the node copies everything from its peers"
)

// keepBase writes down the base at a position, if a segment begins there,
// before anything behind it is applied. A disk that cannot take it is no
// reason to stop: the log can begin at another segment.
func (s *Store) keepBase(ix *index.Index, at record.Position) {
	if at == 0 || at == s.kept || !s.log.IsBase(at) {
		return
	}
	s.kept = at
	ix.Divide()
	s.growReserve()
	data, path := ix.Base().Encode(), wal.BasePath(s.cfg.Dir, at)
	if has, err := vfs.ReadFile(s.cfg.FS, path, baseLimit); err != nil || !bytes.Equal(has, data) {
		if err := s.withReserve(s.keptForPromises(), func() error { return vfs.WriteFile(s.cfg.FS, path, data) }); err != nil {
			s.cfg.Logger.Warn("could not note what a segment begins with: the log cannot be shortened to it", "position", at, "err", err)
			return
		}
	}
	s.checkpoint.Store(max(s.checkpoint.Load(), uint64(at)))
}

// readBase reads the base of a segment.
func (s *Store) readBase(at record.Position) (index.Base, error) {
	path := wal.BasePath(s.cfg.Dir, at)
	data, err := vfs.ReadFile(s.cfg.FS, path, baseLimit)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return index.Base{}, fmt.Errorf("read %s: %w", path, err)
	}
	var b index.Base
	if err == nil {
		b, err = index.DecodeBase(data)
	}
	if err == nil && b.Position != at {
		err = fmt.Errorf("%w: it is of position %d", index.ErrBase, b.Position)
	}
	if err != nil {
		return b, &wal.CorruptionError{File: path, Position: at, Expected: "the queues as of the start of the log",
			Found: err.Error(), Hint: hintSideFile, Err: err}
	}
	return b, nil
}

func (s *Store) hasBase(at record.Position) bool {
	_, err := s.readBase(at)
	return err == nil
}

// beginIndex gives an empty index what the start of the log stands on.
func (s *Store) beginIndex(ix *index.Index) error {
	s.kept = 0
	if s.start.Base == 0 {
		return nil
	}
	b, err := s.readBase(s.start.Base)
	if err != nil {
		return fmt.Errorf("rebuild the index: %w", err)
	}
	return ix.Begin(b, s.start)
}

// dropBases removes the bases that gone picks, durably.
func (s *Store) dropBases(gone func(record.Position) bool) error {
	return s.dropFiles(func(name string) bool {
		base, ok := wal.ParseBaseName(name)
		if ok && !gone(base) {
			s.checkpoint.Store(max(s.checkpoint.Load(), uint64(base)))
		}
		return ok && gone(base)
	})
}

// dropSideFiles removes what belongs to a log that is gone.
func (s *Store) dropSideFiles() error {
	return s.dropFiles(func(name string) bool {
		_, isBase := wal.ParseBaseName(name)
		return isBase || name == filepath.Base(wal.StartPath(""))
	})
}

func (s *Store) dropFiles(gone func(name string) bool) error {
	dir := filepath.Join(s.cfg.Dir, logDir)
	infos, err := s.cfg.FS.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	dropped := false
	for _, info := range infos {
		if err == nil && gone(info.Name) {
			dropped = true
			err = s.cfg.FS.Remove(filepath.Join(dir, info.Name))
		}
	}
	if err == nil && dropped {
		err = s.cfg.FS.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("remove side files of the log: %w", err)
	}
	return nil
}
