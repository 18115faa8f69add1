package vfs

import (
	"io"
	"sync"
)

// Kind names an operation of FS or File.
type Kind string

// Kinds of operations.
const (
	OpCreate   Kind = "create"
	OpOpen     Kind = "open"
	OpRename   Kind = "rename" // Name is the new name
	OpRemove   Kind = "remove"
	OpMkdir    Kind = "mkdir"
	OpList     Kind = "list"
	OpStat     Kind = "stat"
	OpSyncDir  Kind = "syncdir"
	OpLock     Kind = "lock"
	OpRead     Kind = "read"
	OpWrite    Kind = "write"
	OpTruncate Kind = "truncate"
	OpSync     Kind = "sync"
)

// Op is one call about to be made.
type Op struct {
	Kind   Kind
	Name   string
	Offset int64 // of a read or write
	Length int64 // of a read or write; the new size of a truncate
}

// Changes tells whether the call could alter what is on the disk.
func (o Op) Changes() bool {
	switch o.Kind {
	case OpOpen, OpList, OpStat, OpRead, OpLock:
		return false
	}
	return true
}

// Hook is an FS that asks before each call. An error from before is what the
// caller gets, and the call is not made. before is called from any goroutine
// and may block.
type Hook struct {
	fs     FS
	before func(Op) error
}

// NewHook puts before in front of fsys.
func NewHook(fsys FS, before func(Op) error) *Hook { return &Hook{fsys, before} }

var _ FS = (*Hook)(nil)

func (h *Hook) Create(name string) (File, error) {
	if err := h.before(Op{Kind: OpCreate, Name: name}); err != nil {
		return nil, err
	}
	return h.file(name)(h.fs.Create(name))
}

func (h *Hook) Open(name string) (File, error) {
	if err := h.before(Op{Kind: OpOpen, Name: name}); err != nil {
		return nil, err
	}
	return h.file(name)(h.fs.Open(name))
}

func (h *Hook) file(name string) func(File, error) (File, error) {
	return func(f File, err error) (File, error) {
		if err != nil {
			return nil, err
		}
		return &hookFile{File: f, name: name, before: h.before}, nil
	}
}

func (h *Hook) Rename(from, to string) error {
	if err := h.before(Op{Kind: OpRename, Name: to}); err != nil {
		return err
	}
	return h.fs.Rename(from, to)
}

func (h *Hook) Remove(name string) error {
	if err := h.before(Op{Kind: OpRemove, Name: name}); err != nil {
		return err
	}
	return h.fs.Remove(name)
}

func (h *Hook) Mkdir(name string) error {
	if err := h.before(Op{Kind: OpMkdir, Name: name}); err != nil {
		return err
	}
	return h.fs.Mkdir(name)
}

func (h *Hook) List(dir string) ([]Info, error) {
	if err := h.before(Op{Kind: OpList, Name: dir}); err != nil {
		return nil, err
	}
	return h.fs.List(dir)
}

func (h *Hook) Stat(name string) (Info, error) {
	if err := h.before(Op{Kind: OpStat, Name: name}); err != nil {
		return Info{}, err
	}
	return h.fs.Stat(name)
}

func (h *Hook) SyncDir(dir string) error {
	if err := h.before(Op{Kind: OpSyncDir, Name: dir}); err != nil {
		return err
	}
	return h.fs.SyncDir(dir)
}

func (h *Hook) Lock(name string) (io.Closer, error) {
	if err := h.before(Op{Kind: OpLock, Name: name}); err != nil {
		return nil, err
	}
	return h.fs.Lock(name)
}

type hookFile struct {
	File
	name   string
	before func(Op) error
}

func (f *hookFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.before(Op{OpRead, f.name, off, int64(len(p))}); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *hookFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.before(Op{OpWrite, f.name, off, int64(len(p))}); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *hookFile) Truncate(size int64) error {
	if err := f.before(Op{OpTruncate, f.name, 0, size}); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *hookFile) Sync() error {
	if err := f.before(Op{Kind: OpSync, Name: f.name}); err != nil {
		return err
	}
	return f.File.Sync()
}

// FailNth makes a function for NewHook: the nth call (from 1) that match
// accepts fails with err, and every other call goes through.
func FailNth(nth int, match func(Op) bool, err error) func(Op) error {
	var mu sync.Mutex
	seen := 0
	return func(op Op) error {
		if !match(op) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if seen++; seen == nth {
			return err
		}
		return nil
	}
}
