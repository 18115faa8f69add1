package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
)

// pageSize is what a Losable keeps or drops as a whole.
const pageSize = 4096

// Losable is an FS on which a power loss can be played to its end: PowerOff
// takes back what was written and not synced, and lets nothing through from then
// on. So the next process on the same files finds what a machine finds when its
// power is back. Mem does the same for tests of one process; a Losable does it
// to real files, for drills with real processes.
//
// Until a Sync it holds in memory what the pages that were written held before.
// Names and truncations are durable at once; that is one of the outcomes that
// the contract of FS allows.
type Losable struct {
	fs FS
	// gate is held for reading by every call, but not while a file is synced,
	// and for writing from PowerOff on.
	gate sync.RWMutex
	mu   struct {
		sync.Mutex
		files map[string]*volatile // by clean name
	}
}

// volatile is what is known of a file, however often it is open.
type volatile struct {
	syncing sync.Mutex // one Sync at a time

	mu     sync.Mutex // guards the rest
	size   int64
	synced int64            // size on the disk
	before map[int64][]byte // pages written since the last Sync began, as they were
	// Of the Sync in progress: the pages that it makes durable, and the size.
	older     map[int64][]byte
	olderSize int64
	inSync    bool
}

// NewLosable returns an FS whose files are all synced as of now.
func NewLosable(fsys FS) *Losable {
	l := &Losable{fs: fsys}
	l.mu.files = map[string]*volatile{}
	return l
}

var _ FS = (*Losable)(nil)

// Unwrap returns what is behind it.
func (l *Losable) Unwrap() FS { return l.fs }

// PowerOff takes back what was not synced and holds every later call, and those
// under way, for ever: the process has to end. A Sync that has not returned
// made nothing durable.
func (l *Losable) PowerOff() error {
	l.gate.Lock() // for good
	var errs []error
	for name, v := range l.mu.files { // nobody else comes past the gate
		if err := l.takeBack(name, v); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("take back what was not synced in %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func (l *Losable) takeBack(name string, v *volatile) error {
	for page, b := range v.older { // of two, the older is what the disk holds
		v.before[page] = b
	}
	if len(v.before) == 0 && v.size == v.synced {
		return nil
	}
	f, err := l.fs.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for page, b := range v.before {
		off := page * pageSize
		if b = b[:max(0, min(int64(len(b)), v.synced-off))]; len(b) == 0 {
			continue
		}
		if _, err := f.WriteAt(b, off); err != nil {
			return err
		}
	}
	return f.Truncate(v.synced)
}

// Create implements FS.
func (l *Losable) Create(name string) (File, error) {
	l.gate.RLock()
	defer l.gate.RUnlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := l.fs.Create(name)
	if err != nil {
		return nil, err
	}
	v := l.mu.files[filepath.Clean(name)]
	if v == nil {
		v = &volatile{before: map[int64][]byte{}}
		l.mu.files[filepath.Clean(name)] = v
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shrink(0)
	return &losableFile{l: l, f: f, v: v}, nil
}

// Open implements FS.
func (l *Losable) Open(name string) (File, error) {
	l.gate.RLock()
	defer l.gate.RUnlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := l.fs.Open(name)
	if err != nil {
		return nil, err
	}
	v := l.mu.files[filepath.Clean(name)]
	if v == nil {
		size, err := f.Size()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		v = &volatile{size: size, synced: size, before: map[int64][]byte{}}
		l.mu.files[filepath.Clean(name)] = v
	}
	return &losableFile{l: l, f: f, v: v}, nil
}

// Rename implements FS.
func (l *Losable) Rename(from, to string) error {
	l.gate.RLock()
	defer l.gate.RUnlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fs.Rename(from, to); err != nil {
		return err
	}
	v := l.mu.files[filepath.Clean(from)]
	delete(l.mu.files, filepath.Clean(from))
	delete(l.mu.files, filepath.Clean(to))
	if v != nil {
		l.mu.files[filepath.Clean(to)] = v
	}
	return nil
}

// Remove implements FS.
func (l *Losable) Remove(name string) error {
	l.gate.RLock()
	defer l.gate.RUnlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fs.Remove(name); err != nil {
		return err
	}
	delete(l.mu.files, filepath.Clean(name))
	return nil
}

// Mkdir implements FS.
func (l *Losable) Mkdir(name string) error {
	l.gate.RLock()
	defer l.gate.RUnlock()
	return l.fs.Mkdir(name)
}

// List implements FS.
func (l *Losable) List(dir string) ([]Info, error) {
	l.gate.RLock()
	defer l.gate.RUnlock()
	return l.fs.List(dir)
}

// Stat implements FS.
func (l *Losable) Stat(name string) (Info, error) {
	l.gate.RLock()
	defer l.gate.RUnlock()
	return l.fs.Stat(name)
}

// SyncDir implements FS.
func (l *Losable) SyncDir(dir string) error {
	err := l.fs.SyncDir(dir)
	l.gate.RLock() // what was not done when the power went was not done
	defer l.gate.RUnlock()
	return err
}

// Lock implements FS.
func (l *Losable) Lock(name string) (io.Closer, error) {
	l.gate.RLock()
	defer l.gate.RUnlock()
	return l.fs.Lock(name)
}

// losableFile is one handle of a file.
type losableFile struct {
	l *Losable
	f File
	v *volatile
}

func (f *losableFile) ReadAt(p []byte, off int64) (int, error) {
	f.l.gate.RLock()
	defer f.l.gate.RUnlock()
	return f.f.ReadAt(p, off)
}

func (f *losableFile) WriteAt(p []byte, off int64) (int, error) {
	f.l.gate.RLock()
	defer f.l.gate.RUnlock()
	f.v.mu.Lock()
	defer f.v.mu.Unlock()
	if err := f.v.keep(f.f, off, off+int64(len(p))); err != nil {
		return 0, err
	}
	n, err := f.f.WriteAt(p, off)
	f.v.size = max(f.v.size, off+int64(n))
	return n, err
}

// keep remembers the pages from one offset to another as they are on the disk,
// or as the Sync in progress leaves them. The caller holds v.mu.
func (v *volatile) keep(f File, from, to int64) error {
	end := v.synced
	if v.inSync {
		end = max(end, v.olderSize)
	}
	for page := from / pageSize; page*pageSize < min(to, end); page++ {
		if _, known := v.before[page]; known {
			continue
		}
		b := make([]byte, min(pageSize, end-page*pageSize))
		n, err := f.ReadAt(b, page*pageSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		v.before[page] = b[:n]
	}
	return nil
}

func (f *losableFile) Truncate(size int64) error {
	f.l.gate.RLock()
	defer f.l.gate.RUnlock()
	f.v.mu.Lock()
	defer f.v.mu.Unlock()
	if err := f.f.Truncate(size); err != nil {
		return err
	}
	f.v.shrink(min(size, f.v.size))
	f.v.size = size
	return nil
}

// shrink makes a smaller size durable. The caller holds v.mu.
func (v *volatile) shrink(size int64) {
	v.size, v.synced, v.olderSize = size, min(v.synced, size), min(v.olderSize, size)
	for _, pages := range []map[int64][]byte{v.before, v.older} {
		for page := range pages {
			if page*pageSize >= size {
				delete(pages, page)
			}
		}
	}
}

// Sync makes durable what was written before it began.
func (f *losableFile) Sync() error {
	v := f.v
	v.syncing.Lock()
	defer v.syncing.Unlock()
	f.l.gate.RLock()
	v.mu.Lock()
	v.older, v.before = v.before, map[int64][]byte{}
	v.olderSize, v.inSync = v.size, true
	v.mu.Unlock()
	f.l.gate.RUnlock()

	err := f.f.Sync() // may be slow, and must not hold up the loss of power

	f.l.gate.RLock()
	defer f.l.gate.RUnlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	if err == nil {
		v.synced = v.olderSize
	} else {
		for page, b := range v.older {
			v.before[page] = b
		}
	}
	v.older, v.inSync = nil, false
	return err
}

func (f *losableFile) Size() (int64, error) {
	f.l.gate.RLock()
	defer f.l.gate.RUnlock()
	return f.f.Size()
}

func (f *losableFile) Close() error {
	f.l.gate.RLock()
	defer f.l.gate.RUnlock()
	return f.f.Close()
}
