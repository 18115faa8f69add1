package index

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/syndtr/goleveldb/leveldb/storage"

	"baton/store/vfs"
)

const (
	currentFile = "CURRENT"
	// writeBuffer bounds what the writer of a table holds back.
	writeBuffer = 1 << 20
)

// fileStorage lets goleveldb work on a directory of a vfs.FS. The caller holds
// the lock of the data directory, so it needs none of its own.
type fileStorage struct {
	fs  vfs.FS
	dir string

	mu      sync.Mutex
	journal *fileWriter // the open journal, synced when the next one is made
}

func newFileStorage(fsys vfs.FS, dir string) *fileStorage { return &fileStorage{fs: fsys, dir: dir} }

type noLock struct{}

func (noLock) Unlock() {}

func (s *fileStorage) Lock() (storage.Locker, error) { return noLock{}, nil }
func (s *fileStorage) Log(string)                    {}
func (s *fileStorage) Close() error                  { return nil }

func (s *fileStorage) path(fd storage.FileDesc) string { return filepath.Join(s.dir, fd.String()) }

func parseFileName(name string) (storage.FileDesc, bool) {
	fd := storage.FileDesc{}
	digits := ""
	if n, ok := strings.CutPrefix(name, "MANIFEST-"); ok {
		fd.Type, digits = storage.TypeManifest, n
	} else if n, ok := strings.CutSuffix(name, ".log"); ok {
		fd.Type, digits = storage.TypeJournal, n
	} else if n, ok := strings.CutSuffix(name, ".ldb"); ok {
		fd.Type, digits = storage.TypeTable, n
	} else if n, ok := strings.CutSuffix(name, vfs.TempSuffix); ok {
		fd.Type, digits = storage.TypeTemp, n
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	fd.Num = n
	return fd, err == nil && fd.String() == name
}

// SetMeta points CURRENT to a manifest.
func (s *fileStorage) SetMeta(fd storage.FileDesc) error {
	return vfs.WriteFile(s.fs, filepath.Join(s.dir, currentFile), []byte(fd.String()+"\n"))
}

func (s *fileStorage) GetMeta() (storage.FileDesc, error) {
	b, err := vfs.ReadFile(s.fs, filepath.Join(s.dir, currentFile), 1<<10)
	if err != nil {
		return storage.FileDesc{}, err
	}
	name, ok := strings.CutSuffix(string(b), "\n")
	fd, known := parseFileName(name)
	if !ok || !known || fd.Type != storage.TypeManifest {
		return storage.FileDesc{}, &storage.ErrCorrupted{Err: fmt.Errorf("%s holds %q", currentFile, b)}
	}
	if _, err := s.fs.Stat(s.path(fd)); err != nil {
		return storage.FileDesc{}, &storage.ErrCorrupted{Fd: fd, Err: err}
	}
	return fd, nil
}

func (s *fileStorage) List(t storage.FileType) ([]storage.FileDesc, error) {
	infos, err := s.fs.List(s.dir)
	if err != nil {
		return nil, err
	}
	var fds []storage.FileDesc
	for _, info := range infos {
		if fd, ok := parseFileName(info.Name); ok && fd.Type&t != 0 {
			fds = append(fds, fd)
		}
	}
	return fds, nil
}

func (s *fileStorage) Open(fd storage.FileDesc) (storage.Reader, error) {
	f, err := s.fs.Open(s.path(fd))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &storage.ErrCorrupted{Fd: fd, Err: err}
	}
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &fileReader{SectionReader: io.NewSectionReader(f, 0, size), f: f}, nil
}

// Create makes a file. A new journal first makes the one before it durable: a
// power loss may take the end of the newest journal, never one in the middle.
func (s *fileStorage) Create(fd storage.FileDesc) (storage.Writer, error) {
	s.mu.Lock()
	before := s.journal
	s.mu.Unlock()
	if fd.Type == storage.TypeJournal && before != nil {
		if err := before.Sync(); err != nil {
			return nil, fmt.Errorf("sync journal before the next: %w", err)
		}
	}
	f, err := s.fs.Create(s.path(fd))
	if err != nil {
		return nil, err
	}
	w := &fileWriter{s: s, f: f, kind: fd.Type}
	if fd.Type == storage.TypeJournal {
		s.mu.Lock()
		s.journal = w
		s.mu.Unlock()
	}
	return w, nil
}

// flush hands what the journal holds back to the file.
func (s *fileStorage) flush() error {
	s.mu.Lock()
	journal := s.journal
	s.mu.Unlock()
	return journal.Flush()
}

// Remove removes a file. A table that stays is garbage, which the next Open
// removes: no error, for goleveldb panics when it tries a merge again whose
// table it could not remove.
func (s *fileStorage) Remove(fd storage.FileDesc) error {
	err := s.fs.Remove(s.path(fd))
	if fd.Type == storage.TypeTable {
		return nil
	}
	return err
}

func (s *fileStorage) Rename(from, to storage.FileDesc) error {
	return s.fs.Rename(s.path(from), s.path(to))
}

type fileReader struct {
	*io.SectionReader
	f vfs.File
}

func (r *fileReader) Close() error { return r.f.Close() }

// fileWriter appends to a file. It holds bytes back until Flush, Sync or
// Close, so that a record of a journal is one write, which the death of the
// process does not cut in two. goleveldb passes no Flush on: Index.write calls
// it after each record.
type fileWriter struct {
	s *fileStorage
	f vfs.File

	mu     sync.Mutex // a journal is synced by whoever makes the next
	buf    []byte
	off    int64
	kind   storage.FileType
	whole  int64 // of a journal: the end of what was flushed, which is whole records
	err    error // of a write; what comes after it would not be found
	named  bool  // its name is durable
	closed bool
}

func (w *fileWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, p...)
	if len(w.buf) >= writeBuffer && w.kind != storage.TypeJournal {
		if err := w.flush(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (w *fileWriter) flush() error {
	if len(w.buf) == 0 || w.err != nil {
		return w.err
	}
	n, err := w.f.WriteAt(w.buf, w.off)
	w.off += int64(n)
	w.buf = w.buf[:0]
	w.err = err
	return err
}

// Flush hands everything to the file, which ends with a whole record then.
func (w *fileWriter) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.flush()
	if err == nil {
		w.whole = w.off
	}
	return err
}

// Sync makes the file and its name durable. A closed file was synced, or did
// not need to be.
func (w *fileWriter) Sync() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.f.Sync(); err != nil {
		return err
	}
	if w.named {
		return nil
	}
	w.named = true
	return w.s.fs.SyncDir(w.s.dir)
}

func (w *fileWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	if w.kind == storage.TypeTable {
		// It was synced, or is given up: goleveldb panics later if it cannot be
		// closed then, which a write that a full disk refuses must not lead to.
		return w.f.Close()
	}
	err := w.flush()
	if err != nil && w.kind == storage.TypeJournal {
		// A part of a record looks like damage, and would cost a rebuild.
		err = errors.Join(err, w.f.Truncate(w.whole))
	}
	return errors.Join(err, w.f.Close())
}
