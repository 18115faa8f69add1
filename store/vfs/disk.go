package vfs

import (
	"path/filepath"
	"sync"
)

// Disk is an FS with a bounded number of bytes for the content of files. What
// does not fit any more is a short write and ErrFull; with nothing left no
// file can be made either. Overwriting needs no space, as on most file systems.
type Disk struct {
	FS
	mu struct {
		sync.Mutex
		capacity, used int64
		files          map[string]*diskEntry
	}
}

type diskEntry struct {
	size    int64
	removed bool
}

// NewDisk bounds an empty file system to capacity bytes.
func NewDisk(fsys FS, capacity int64) *Disk {
	d := &Disk{FS: fsys}
	d.mu.capacity, d.mu.files = capacity, map[string]*diskEntry{}
	return d
}

// SetFree makes the disk larger or smaller, so that n bytes are free now.
func (d *Disk) SetFree(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.capacity = d.mu.used + n
}

// Used is the sum of the sizes of all files.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.used
}

func (d *Disk) Create(name string) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.used >= d.mu.capacity {
		return nil, ErrFull
	}
	f, err := d.FS.Create(name)
	if err != nil {
		return nil, err
	}
	e := d.entry(name, 0)
	d.resize(e, 0)
	return &diskFile{File: f, d: d, e: e}, nil
}

func (d *Disk) Open(name string) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := d.FS.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &diskFile{File: f, d: d, e: d.entry(name, size)}, nil
}

// entry returns what is known of a file; size is used if nothing is. d.mu is held.
func (d *Disk) entry(name string, size int64) *diskEntry {
	name = filepath.Clean(name)
	e := d.mu.files[name]
	if e == nil {
		e = &diskEntry{size: size}
		d.mu.files[name] = e
		d.mu.used += size
	}
	return e
}

func (d *Disk) resize(e *diskEntry, size int64) {
	if !e.removed {
		d.mu.used += size - e.size
	}
	e.size = size
}

// forget takes a file out. d.mu is held.
func (d *Disk) forget(name string) *diskEntry {
	name = filepath.Clean(name)
	e := d.mu.files[name]
	delete(d.mu.files, name)
	return e
}

func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.FS.Rename(from, to); err != nil {
		return err
	}
	if e := d.forget(to); e != nil {
		d.resize(e, 0)
		e.removed = true
	}
	if e := d.forget(from); e != nil {
		d.mu.files[filepath.Clean(to)] = e
	}
	return nil
}

func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.FS.Remove(name); err != nil {
		return err
	}
	if e := d.forget(name); e != nil {
		d.resize(e, 0)
		e.removed = true
	}
	return nil
}

type diskFile struct {
	File
	d *Disk
	e *diskEntry
}

func (f *diskFile) WriteAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	end, free := off+int64(len(p)), f.d.mu.capacity-f.d.mu.used
	if end <= f.e.size || end-f.e.size <= free {
		n, err := f.File.WriteAt(p, off)
		f.d.resize(f.e, max(f.e.size, off+int64(n)))
		return n, err
	}
	fits := max(0, f.e.size+max(0, free)-off)
	n := 0
	if fits > 0 {
		var err error
		if n, err = f.File.WriteAt(p[:fits], off); err != nil {
			return n, err
		}
		f.d.resize(f.e, max(f.e.size, off+int64(n)))
	}
	return n, ErrFull
}

func (f *diskFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if size-f.e.size > f.d.mu.capacity-f.d.mu.used && size > f.e.size {
		return ErrFull
	}
	if err := f.File.Truncate(size); err != nil {
		return err
	}
	f.d.resize(f.e, size)
	return nil
}
