package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"path/filepath"
	"slices"
	"sync"
)

// SectorSize is what a crash keeps or drops as a whole.
const SectorSize = 512

// Mem is a file system in memory that knows what a disk would still hold after
// a power loss. Make one with NewMem.
type Mem struct {
	mu    sync.Mutex
	root  *node
	locks map[string]bool
	dead  bool
}

var _ FS = (*Mem)(nil)

// node is a file or a directory.
type node struct {
	dir bool

	// Of a file: what reads see, what the disk is known to hold, and which
	// sectors differ since the last Sync.
	data, synced []byte
	dirty        map[int64]bool

	// Of a directory: what reads see, what the disk is known to hold, and the
	// changes of names since the last SyncDir, each of them atomic.
	names, syncedNames map[string]*node
	changes            []map[string]*node // nil node: the name goes away
}

func newDir() *node {
	return &node{dir: true, names: map[string]*node{}, syncedNames: map[string]*node{}}
}

// NewMem returns an empty file system.
func NewMem() *Mem { return &Mem{root: newDir(), locks: map[string]bool{}} }

// Crash ends this file system as a power loss does: every later call fails
// with ErrCrashed. It returns the file system that the machine finds when it
// is back. Each sector and each change of a name that was not synced is kept
// or dropped as the seed says; the size of a file that was not synced is
// anything between the old and the new one.
func (m *Mem) Crash(seed uint64) *Mem { return m.crash(fates{rng: newFates(seed)}) }

// Tear is a Crash in which an unsynced sector may also hold garbage where it
// was written: it was being written when the power went.
func (m *Mem) Tear(seed uint64) *Mem { return m.crash(fates{rng: newFates(seed), garble: true}) }

// Drop is a Crash that loses everything that was not synced.
func (m *Mem) Drop() *Mem { return m.crash(fates{}) }

func newFates(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)) }

// fates decides what a crash does to one thing after the other.
type fates struct {
	rng    *rand.Rand // nil: all is lost
	garble bool
}

func (f fates) lost() bool { return f.rng == nil || f.rng.IntN(2) == 0 }

func (m *Mem) crash(f fates) *Mem {
	return m.reborn(func(n *node, seen map[*node]*node) *node { return n.afterCrash(f, seen) })
}

// Clone returns a copy; both go on.
func (m *Mem) Clone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Mem{root: m.root.clone(map[*node]*node{}), locks: map[string]bool{}}
}

// Kill ends this file system for its users as the death of their process
// does: every later call fails with ErrCrashed, but the operating system
// lives on, so the returned file system holds everything that was written,
// and still knows what of it is not synced.
func (m *Mem) Kill() *Mem { return m.reborn((*node).clone) }

func (m *Mem) reborn(copyTree func(*node, map[*node]*node) *node) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	return &Mem{root: copyTree(m.root, map[*node]*node{}), locks: map[string]bool{}}
}

func (n *node) afterCrash(f fates, seen map[*node]*node) *node {
	if c := seen[n]; c != nil {
		return c
	}
	if !n.dir {
		c := &node{data: n.crashedData(f)}
		c.synced = slices.Clone(c.data)
		seen[n] = c
		return c
	}
	names := maps.Clone(n.syncedNames)
	for _, change := range n.changes {
		if f.lost() {
			continue
		}
		applyNames(names, change)
	}
	c := newDir()
	seen[n] = c
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c.names[name] = names[name].afterCrash(f, seen)
	}
	c.syncedNames = maps.Clone(c.names)
	return c
}

func (n *node) crashedData(f fates) []byte {
	lo, hi := len(n.synced), len(n.data)
	if lo > hi {
		lo, hi = hi, lo
	}
	size := lo
	if f.rng == nil {
		return slices.Clone(n.synced)
	}
	switch f.rng.IntN(3) {
	case 0:
		size = hi
	case 1:
		size = lo + f.rng.IntN(hi-lo+1)
	}
	out := make([]byte, size)
	copy(out, n.synced)
	for _, s := range slices.Sorted(maps.Keys(n.dirty)) {
		from := s * SectorSize
		if from >= int64(len(out)) || f.lost() {
			continue
		}
		to := min(from+SectorSize, int64(len(out)))
		clear(out[from:to])
		if from < int64(len(n.data)) {
			copy(out[from:to], n.data[from:])
		}
		if f.garble && f.rng.IntN(3) == 0 {
			n.garbleSector(f.rng, out[from:to], from)
		}
	}
	return out
}

// garbleSector writes garbage over the end of what was written to a sector.
// Bytes around it keep their synced content, as databases have to assume.
func (n *node) garbleSector(rng *rand.Rand, sector []byte, at int64) {
	old := make([]byte, len(sector))
	if at < int64(len(n.synced)) {
		copy(old, n.synced[at:])
	}
	first, last := -1, -1
	for i := range sector {
		if sector[i] != old[i] {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first < 0 {
		return
	}
	for i := first + rng.IntN(last-first+1); i <= last; i++ {
		sector[i] = byte(rng.Uint32())
	}
}

func (n *node) clone(seen map[*node]*node) *node {
	if n == nil {
		return nil
	}
	if c := seen[n]; c != nil {
		return c
	}
	c := &node{dir: n.dir, data: slices.Clone(n.data), synced: slices.Clone(n.synced), dirty: maps.Clone(n.dirty)}
	seen[n] = c
	cloneNames := func(in map[string]*node) map[string]*node {
		if in == nil {
			return nil
		}
		out := make(map[string]*node, len(in))
		for name, child := range in {
			out[name] = child.clone(seen)
		}
		return out
	}
	c.names, c.syncedNames = cloneNames(n.names), cloneNames(n.syncedNames)
	for _, change := range n.changes {
		c.changes = append(c.changes, cloneNames(change))
	}
	return c
}

func applyNames(names, change map[string]*node) {
	for name, n := range change {
		if n == nil {
			delete(names, name)
		} else {
			names[name] = n
		}
	}
}

func (n *node) change(c map[string]*node) {
	applyNames(n.names, c)
	n.changes = append(n.changes, c)
}

// lookup finds a node and its directory. m.mu is held.
func (m *Mem) lookup(op, name string) (dir, n *node, base string, err error) {
	if m.dead {
		return nil, nil, "", ErrCrashed
	}
	name = path.Clean("/" + filepath.ToSlash(name))
	if name == "/" {
		return nil, m.root, "", nil
	}
	dir = m.root
	parent, base := path.Split(name)
	for _, part := range splitPath(parent) {
		next := dir.names[part]
		if next == nil || !next.dir {
			return nil, nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		dir = next
	}
	return dir, dir.names[base], base, nil
}

func splitPath(p string) []string {
	return slices.DeleteFunc(slices.Collect(func(yield func(string) bool) {
		start := 0
		for i := 0; i <= len(p); i++ {
			if i == len(p) || p[i] == '/' {
				if !yield(p[start:i]) {
					return
				}
				start = i + 1
			}
		}
	}), func(s string) bool { return s == "" })
}

func (m *Mem) find(op, name string) (dir, n *node, base string, err error) {
	dir, n, base, err = m.lookup(op, name)
	if err == nil && n == nil {
		err = &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return dir, n, base, err
}

func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, n, base, err := m.lookup("create", name)
	if err != nil {
		return nil, err
	}
	if n == nil {
		n = &node{}
		dir.change(map[string]*node{base: n})
	} else if n.dir {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrInvalid}
	} else {
		n.resize(0)
	}
	return &memFile{m: m, n: n, name: name}, nil
}

func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, n, _, err := m.find("open", name)
	if err != nil {
		return nil, err
	}
	if n.dir {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return &memFile{m: m, n: n, name: name}, nil
}

func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	fromDir, n, fromBase, err := m.find("rename", from)
	if err != nil {
		return err
	}
	toDir, _, toBase, err := m.lookup("rename", to)
	if err != nil {
		return err
	}
	if fromDir != toDir {
		return fmt.Errorf("rename %s to %s: only within a directory", from, to)
	}
	fromDir.change(map[string]*node{fromBase: nil, toBase: n})
	return nil
}

func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, n, base, err := m.find("remove", name)
	if err != nil {
		return err
	}
	if dir == nil || n.dir && len(n.names) > 0 {
		return fmt.Errorf("remove %s: directory is not empty", name)
	}
	dir.change(map[string]*node{base: nil})
	return nil
}

func (m *Mem) Mkdir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, n, base, err := m.lookup("mkdir", name)
	if err != nil || n != nil {
		return err
	}
	dir.change(map[string]*node{base: newDir()})
	return nil
}

func (m *Mem) List(dir string) ([]Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, n, _, err := m.find("list", dir)
	if err != nil {
		return nil, err
	}
	var infos []Info
	for _, name := range slices.Sorted(maps.Keys(n.names)) {
		c := n.names[name]
		infos = append(infos, Info{Name: name, Size: int64(len(c.data)), Dir: c.dir})
	}
	return infos, nil
}

func (m *Mem) Stat(name string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, n, base, err := m.find("stat", name)
	if err != nil {
		return Info{}, err
	}
	return Info{Name: base, Size: int64(len(n.data)), Dir: n.dir}, nil
}

func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, n, _, err := m.find("syncdir", dir)
	if err != nil {
		return err
	}
	n.syncedNames, n.changes = maps.Clone(n.names), nil
	return nil
}

func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, _, _, err := m.lookup("lock", name); err != nil {
		return nil, err
	}
	if m.locks[name] {
		return nil, fmt.Errorf("lock %s: %w, pid of this process", name, ErrLocked)
	}
	m.locks[name] = true
	return &memLock{m: m, name: name}, nil
}

type memLock struct {
	m    *Mem
	name string
}

func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}
