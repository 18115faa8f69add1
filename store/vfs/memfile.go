package vfs

import (
	"io"
	"io/fs"
	"slices"
)

// memFile is an open file of a Mem.
type memFile struct {
	m      *Mem
	n      *node
	name   string
	closed bool
}

// lock returns holding m.mu unless it fails.
func (f *memFile) lock(op string) error {
	f.m.mu.Lock()
	err := error(nil)
	switch {
	case f.m.dead:
		err = ErrCrashed
	case f.closed:
		err = &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	}
	if err != nil {
		f.m.mu.Unlock()
	}
	return err
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.lock("read"); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.lock("write"); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	if end := int(off) + len(p); end > len(f.n.data) {
		f.n.resize(end)
	}
	copy(f.n.data[off:], p)
	f.n.touch(off, off+int64(len(p)))
	return len(p), nil
}

func (f *memFile) Truncate(size int64) error {
	if err := f.lock("truncate"); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	f.n.resize(int(size))
	return nil
}

func (f *memFile) Sync() error {
	if err := f.lock("sync"); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	n := f.n
	if len(n.synced) > len(n.data) {
		n.synced = n.synced[:len(n.data)]
	}
	if grow := len(n.data) - len(n.synced); grow > 0 {
		n.synced = append(n.synced, make([]byte, grow)...)
	}
	for s := range n.dirty {
		from := s * SectorSize
		if from < int64(len(n.data)) {
			copy(n.synced[from:min(from+SectorSize, int64(len(n.data)))], n.data[from:])
		}
	}
	n.dirty = nil
	return nil
}

func (f *memFile) Size() (int64, error) {
	if err := f.lock("size"); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	return int64(len(f.n.data)), nil
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.closed = true
	return nil
}

// resize sets the size of a file; whatever changed with it is dirty.
func (n *node) resize(size int) {
	old := len(n.data)
	if size < old {
		n.data = n.data[:size]
	} else {
		n.data = slices.Grow(n.data, size-old)[:size]
		clear(n.data[old:])
	}
	n.touch(int64(min(old, size)), int64(max(old, size)))
}

func (n *node) touch(from, to int64) {
	if n.dirty == nil {
		n.dirty = map[int64]bool{}
	}
	for s := from / SectorSize; s*SectorSize < to; s++ {
		n.dirty[s] = true
	}
}
