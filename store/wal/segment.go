package wal

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"baton/store/record"
	"baton/store/vfs"
)

const (
	logDir      = "log"
	divergedDir = "diverged"
	segmentExt  = ".log"
	baseExt     = ".base"
	startFile   = "START"
)

// segment is one file of the log. All fields but those of the active segment
// are fixed once it is in Log.mu.segments.
type segment struct {
	base   record.Position
	path   string
	header segmentHeader

	// Of the active segment only.
	file   *handle
	filled int64 // file offset up to where bytes exist; guarded by Log.mu
	marked int64 // bytes of the segment below the last flush mark; as slot
	slot   int64 // where the next flush mark goes; the flusher's, or whoever is exclusive

	recycled bool // of a spare: it was a segment before
}

func (s *segment) offset(p record.Position) int64 { return headerBlock + int64(p-s.base) }

// writeMark writes a flush mark into the slot that is older.
func (s *segment) writeMark(m mark) error {
	if _, err := s.file.WriteAt(m.encode(), s.slot); err != nil {
		return fmt.Errorf("write flush mark of %s: %w", s.path, err)
	}
	s.slot = markA + markB - s.slot
	return nil
}

// resetMarks overwrites both marks; it is how a mark goes down.
func resetMarks(f vfs.File, m mark) error {
	b := make([]byte, headerBlock-markA)
	copy(b, m.encode())
	copy(b[markB-markA:], m.encode())
	if _, err := f.WriteAt(b, markA); err != nil {
		return err
	}
	return f.Sync()
}

func segmentPath(cfg Config, base record.Position) string {
	return filepath.Join(cfg.Dir, cfg.Name, fmt.Sprintf("%016x%s", uint64(base), segmentExt))
}

// isSideFile tells whether a file belongs to the owner of the log.
func isSideFile(name string) bool {
	return strings.HasSuffix(name, baseExt) || name == startFile
}

func parseSegmentName(name string) (record.Position, bool) {
	digits, ok := strings.CutSuffix(name, segmentExt)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	base, err := strconv.ParseUint(digits, 16, 64)
	return record.Position(base), err == nil && fmt.Sprintf("%016x", base) == digits
}

// createSegment makes an empty segment, durably: it is written aside, so that
// a segment which exists has a whole header.
func createSegment(cfg Config, files *fileCache, h segmentHeader) (*segment, error) {
	s := &segment{base: h.Base, path: segmentPath(cfg, h.Base), header: h, slot: markA}
	err := vfs.WriteAside(cfg.FS, s.path, func(f vfs.File) error {
		b := make([]byte, headerBlock+min(zeroChunk, cfg.SegmentSize))
		copy(b, h.encode())
		s.filled = int64(len(b))
		_, err := f.WriteAt(b, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.file, err = files.acquire(s.path)
	return s, err
}

// fileCache keeps segment files open for readers, at most maxOpenFiles of
// those that nobody uses.
type fileCache struct {
	fs    vfs.FS
	mu    sync.Mutex
	files map[string]*handle
	clock uint64
}

// handle is an open file with a count of its users.
type handle struct {
	vfs.File
	path    string
	refs    int
	used    uint64
	dropped bool
}

func newFileCache(fs vfs.FS) *fileCache { return &fileCache{fs: fs, files: map[string]*handle{}} }

// acquire opens a file or joins those who use it. release when done.
func (c *fileCache) acquire(path string) (*handle, error) {
	if h := c.join(path, nil); h != nil {
		return h, nil
	}
	f, err := c.fs.Open(path)
	if err != nil {
		return nil, err
	}
	h := c.join(path, f)
	if h.File != f {
		f.Close() // somebody else was faster; nothing was written through f
	}
	return h, nil
}

func (c *fileCache) join(path string, f vfs.File) *handle {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.files[path]
	if h == nil {
		if f == nil {
			return nil
		}
		h = &handle{File: f, path: path}
		c.files[path] = h
	}
	h.refs++
	c.clock++
	h.used = c.clock
	return h
}

func (c *fileCache) release(h *handle) error {
	c.mu.Lock()
	h.refs--
	victim := (*handle)(nil)
	if h.refs == 0 && h.dropped {
		victim = h
	} else if len(c.files) > maxOpenFiles {
		victim = c.evict()
	}
	c.mu.Unlock()
	if victim == nil {
		return nil
	}
	return victim.Close()
}

// evict takes the file out that was not used for longest. c.mu is held.
func (c *fileCache) evict() *handle {
	var oldest *handle
	for _, h := range c.files {
		if h.refs == 0 && (oldest == nil || h.used < oldest.used) {
			oldest = h
		}
	}
	if oldest != nil {
		delete(c.files, oldest.path)
	}
	return oldest
}

// drop forgets a file that is about to be removed.
func (c *fileCache) drop(path string) error {
	c.mu.Lock()
	h := c.files[path]
	delete(c.files, path)
	if h != nil {
		h.dropped = true
	}
	idle := h != nil && h.refs == 0
	c.mu.Unlock()
	if idle {
		return h.Close()
	}
	return nil
}

// close closes every file; nobody may use one any more.
func (c *fileCache) close() error {
	c.mu.Lock()
	files := c.files
	c.files = map[string]*handle{}
	c.mu.Unlock()
	var first error
	for _, h := range files {
		if err := h.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
