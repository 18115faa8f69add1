package vfs

import (
	"io"
	"sync"
)

// Rule says what happens to some of the calls that a Faults lets through.
type Rule struct {
	Match func(Op) bool // nil: every call
	Nth   int           // the first of the matching calls that is hit, from 1; 0 is 1
	Times int           // how many are hit; 0 is one, negative all

	// Before runs before the call and may block: a slow disk.
	Before func(Op)
	// Err is what the caller gets; the call is not made.
	Err error
	// Short bytes of a write reach the file before Err.
	Short int64
	// Flip turns one bit, number Bit modulo the length, of what is read or
	// written, as a disk that does not keep its promise.
	Flip bool
	Bit  int64
}

// Faults is an FS that does to calls what its rules say. Rules count for
// themselves; the first rule that hits a call decides.
type Faults struct {
	fs FS
	mu struct {
		sync.Mutex
		rules []Rule
		seen  []int
		hits  int
	}
}

// NewFaults puts rules in front of fsys.
func NewFaults(fsys FS, rules ...Rule) *Faults {
	f := &Faults{fs: fsys}
	f.Set(rules...)
	return f
}

var _ FS = (*Faults)(nil)

// Set replaces the rules, with counts from 0.
func (f *Faults) Set(rules ...Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.rules, f.mu.seen = rules, make([]int, len(rules))
}

// Hits is how many calls a rule has hit.
func (f *Faults) Hits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.hits
}

// rule returns what happens to a call.
func (f *Faults) rule(op Op) Rule {
	f.mu.Lock()
	var hit Rule
	for i, r := range f.mu.rules {
		if r.Match != nil && !r.Match(op) {
			continue
		}
		f.mu.seen[i]++
		n := f.mu.seen[i] - max(r.Nth, 1)
		if n < 0 || r.Times >= 0 && n >= max(r.Times, 1) {
			continue
		}
		f.mu.hits++
		hit = r
		break
	}
	f.mu.Unlock()
	if hit.Before != nil {
		hit.Before(op)
	}
	return hit
}

func (f *Faults) Create(name string) (File, error) {
	if r := f.rule(Op{Kind: OpCreate, Name: name}); r.Err != nil {
		return nil, r.Err
	}
	return f.file(name)(f.fs.Create(name))
}

func (f *Faults) Open(name string) (File, error) {
	if r := f.rule(Op{Kind: OpOpen, Name: name}); r.Err != nil {
		return nil, r.Err
	}
	return f.file(name)(f.fs.Open(name))
}

func (f *Faults) file(name string) func(File, error) (File, error) {
	return func(inner File, err error) (File, error) {
		if err != nil {
			return nil, err
		}
		return &faultFile{File: inner, name: name, faults: f}, nil
	}
}

func (f *Faults) Rename(from, to string) error {
	if r := f.rule(Op{Kind: OpRename, Name: to}); r.Err != nil {
		return r.Err
	}
	return f.fs.Rename(from, to)
}

func (f *Faults) Remove(name string) error {
	if r := f.rule(Op{Kind: OpRemove, Name: name}); r.Err != nil {
		return r.Err
	}
	return f.fs.Remove(name)
}

func (f *Faults) Mkdir(name string) error {
	if r := f.rule(Op{Kind: OpMkdir, Name: name}); r.Err != nil {
		return r.Err
	}
	return f.fs.Mkdir(name)
}

func (f *Faults) List(dir string) ([]Info, error) {
	if r := f.rule(Op{Kind: OpList, Name: dir}); r.Err != nil {
		return nil, r.Err
	}
	return f.fs.List(dir)
}

func (f *Faults) Stat(name string) (Info, error) {
	if r := f.rule(Op{Kind: OpStat, Name: name}); r.Err != nil {
		return Info{}, r.Err
	}
	return f.fs.Stat(name)
}

func (f *Faults) SyncDir(dir string) error {
	if r := f.rule(Op{Kind: OpSyncDir, Name: dir}); r.Err != nil {
		return r.Err
	}
	return f.fs.SyncDir(dir)
}

func (f *Faults) Lock(name string) (io.Closer, error) {
	if r := f.rule(Op{Kind: OpLock, Name: name}); r.Err != nil {
		return nil, r.Err
	}
	return f.fs.Lock(name)
}

type faultFile struct {
	File
	name   string
	faults *Faults
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	r := f.faults.rule(Op{OpRead, f.name, off, int64(len(p))})
	if r.Err != nil {
		return 0, r.Err
	}
	n, err := f.File.ReadAt(p, off)
	if r.Flip {
		flipBit(p[:n], r.Bit)
	}
	return n, err
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	r := f.faults.rule(Op{OpWrite, f.name, off, int64(len(p))})
	if r.Err != nil {
		n := 0
		if short := min(r.Short, int64(len(p))); short > 0 {
			n, _ = f.File.WriteAt(p[:short], off) // r.Err is what the caller gets
		}
		return n, r.Err
	}
	if r.Flip {
		p = append([]byte(nil), p...)
		flipBit(p, r.Bit)
	}
	return f.File.WriteAt(p, off)
}

func flipBit(p []byte, bit int64) {
	if len(p) > 0 {
		p[bit/8%int64(len(p))] ^= 1 << (bit % 8)
	}
}

func (f *faultFile) Truncate(size int64) error {
	if r := f.faults.rule(Op{OpTruncate, f.name, 0, size}); r.Err != nil {
		return r.Err
	}
	return f.File.Truncate(size)
}

func (f *faultFile) Sync() error {
	if r := f.faults.rule(Op{Kind: OpSync, Name: f.name}); r.Err != nil {
		return r.Err
	}
	return f.File.Sync()
}
