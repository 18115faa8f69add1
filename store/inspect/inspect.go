// Package inspect looks at a data directory from outside: it takes no lock,
// opens nothing for writing and needs no running node, so it works on a copy, on
// a damaged directory, and on one that is in use. What a running node changes
// under its hands is not a finding: a write that is under way at the end of the
// log, a segment that was freed since the directory was listed.
package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"baton/store"
	"baton/store/record"
	"baton/store/vfs"
	"baton/store/wal"
)

// Finding is one thing that is wrong.
type Finding struct {
	File     string          `json:"file"`
	Position record.Position `json:"position"`
	Expected string          `json:"expected"`
	Found    string          `json:"found"`
	Hint     string          `json:"hint"`
}

func (f Finding) String() string {
	return fmt.Sprintf("%s: position %d: expected %s, found %s; %s", f.File, f.Position, f.Expected, f.Found, f.Hint)
}

const (
	hintRepair  = "start the node with its peers, so that it gets the log from its leader, or restore the file from a copy"
	hintForeign = "move it away if nothing of the log is missing"
	hintUpgrade = "use the program version that wrote it, or a newer one"
	readSize    = 1 << 20
)

// Range bounds what Walk visits; To 0 means the end.
type Range struct{ From, To record.Position }

func (r Range) has(h record.Header) bool { return h.End() > r.From && (r.To == 0 || h.Position < r.To) }

// Walker goes over the log of a data directory.
type Walker struct {
	Dir     string
	Range   Range
	Finding func(Finding)                             // may be nil
	Batch   func(h record.Header, batch []byte) error // in order, valid ones only; may be nil

	// Filled in by Walk.
	Segments   int
	Start, End record.Position
	Boundaries []record.EpochBoundary
	TornBytes  int64 // behind End in the last segment: a start of the node would cut them
}

func (w *Walker) find(f Finding) {
	if w.Finding != nil {
		w.Finding(f)
	}
}

// Walk reads META and the whole log. The error is one of the disk or of Batch;
// what is wrong with the content comes as findings.
func (w *Walker) Walk() error {
	if info, err := os.Stat(w.Dir); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", w.Dir)
	}
	w.meta()
	bases, err := w.list()
	if err != nil {
		return err
	}
	for i := 0; i < len(bases); i++ {
		sealed, err := w.segment(bases, i)
		if errors.Is(err, fs.ErrNotExist) && i == 0 {
			continue // freed meanwhile
		}
		if err != nil {
			return err
		}
		if sealed && i == len(bases)-1 {
			// The next one was made while this one was read, or is missing.
			again, err := w.list()
			if err != nil {
				return err
			}
			if n := slices.Index(again, bases[i]); n >= 0 && n < len(again)-1 {
				bases, i = again, n
				continue
			}
			w.find(Finding{filepath.Join(w.Dir, "log"), w.End, "the next segment", "no such file", hintRepair})
		}
	}
	w.checkStart()
	return nil
}

func (w *Walker) meta() {
	path := filepath.Join(w.Dir, "META")
	b, err := os.ReadFile(path)
	if err == nil {
		_, err = store.ParseMeta(b)
	}
	if err != nil {
		hint := "restore it from a copy, or empty the directory so that the node joins as a new one"
		if errors.Is(err, store.ErrVersion) {
			hint = hintUpgrade
		}
		w.find(Finding{path, 0, "the node's promises", err.Error(), hint})
	}
}

func (w *Walker) list() (bases []record.Position, err error) {
	dir := filepath.Join(w.Dir, "log")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		w.find(Finding{dir, 0, "the log", "no such directory", hintRepair})
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	w.Segments = 0
	for _, e := range entries {
		base, ok := wal.ParseSegmentName(e.Name())
		switch {
		case ok && !e.IsDir():
			bases = append(bases, base)
			w.Segments++
		case !vfs.IsTemp(e.Name()) && !wal.IsSideFile(e.Name()):
			w.find(Finding{filepath.Join(dir, e.Name()), 0, "only segments and their side files", "a foreign file", hintForeign})
		}
	}
	if len(bases) == 0 {
		w.find(Finding{dir, 0, "segments", "none", hintRepair})
	}
	return bases, nil
}

// segment reads one segment and tells whether it is marked as sealed.
func (w *Walker) segment(bases []record.Position, i int) (sealed bool, err error) {
	base, last := bases[i], i == len(bases)-1
	path := filepath.Join(w.Dir, "log", fmt.Sprintf("%016x.log", uint64(base)))
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	s := scan{w: w, f: f, path: path, base: base, size: info.Size(), at: base, last: last}
	head, err := wal.ReadSegmentInfo(f)
	if err == nil && head.Base != base {
		err = fmt.Errorf("base position %d", head.Base)
	}
	if err != nil {
		hint := hintRepair
		if errors.Is(err, wal.ErrVersion) {
			hint = hintUpgrade
		}
		s.find(Finding{path, base, fmt.Sprintf("a segment header with base position %d", base), err.Error(), hint})
	}
	if i == 0 {
		w.Start, w.End, w.Boundaries = base, base, head.Boundaries
	} else if w.End != base {
		w.find(Finding{path, w.End, fmt.Sprintf("the log to go on at %d", w.End), fmt.Sprintf("a segment that begins at %d", base), hintRepair})
		w.End = base
	}
	s.recycled = head.Recycled
	s.flushed = head.Flushed
	if !last {
		s.flushed = bases[i+1] // the next one exists only when all of this is durable
	}
	if err := s.run(); err != nil {
		return false, err
	}
	w.End = s.at
	if _, err := os.Stat(path); !last && errors.Is(err, fs.ErrNotExist) {
		// Freed while it was read, and perhaps written over: what was found in it
		// says nothing.
		w.End = bases[i+1]
		return false, nil
	}
	for _, f := range s.found {
		w.find(f)
	}
	return head.Sealed && last && head.Flushed == s.at, nil
}

// scan is one segment being read.
type scan struct {
	w    *Walker
	f    *os.File
	path string
	base record.Position
	size int64
	last bool
	// recycled: what lies behind the last batch is an earlier segment's.
	recycled bool
	flushed  record.Position
	found    []Finding // told when the segment is read
	at       record.Position
	buf      []byte
	off      int64
}

func (s *scan) offset(p record.Position) int64 { return wal.SegmentHeaderSize + int64(p-s.base) }

func (s *scan) bytes(off, n int64) ([]byte, error) {
	n = max(0, min(n, s.size-off))
	if off < s.off || off+n > s.off+int64(len(s.buf)) {
		s.buf, s.off = make([]byte, min(max(n, readSize), s.size-off)), off
		m, err := s.f.ReadAt(s.buf, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read %s: %w", s.path, err)
		}
		s.buf = s.buf[:m]
	}
	from := off - s.off
	return s.buf[from:min(from+n, int64(len(s.buf)))], nil
}

// batch returns the valid batch at a position, or what is wrong.
func (s *scan) batch(p record.Position) (h record.Header, b []byte, bad, err error) {
	if b, err = s.bytes(s.offset(p), record.HeaderSize); err != nil {
		return h, nil, nil, err
	}
	if h, bad = record.ParseHeader(b); bad == nil {
		if b, err = s.bytes(s.offset(p), int64(h.Length)); err != nil {
			return h, nil, nil, err
		}
		h, bad = record.Verify(b)
	}
	if bad == nil && h.Position != p {
		bad = fmt.Errorf("a batch of position %d", h.Position)
	}
	return h, b, bad, nil
}

func (s *scan) find(f Finding) { s.found = append(s.found, f) }

func (s *scan) run() error {
	for s.offset(s.at) < s.size {
		h, b, bad, err := s.batch(s.at)
		if err != nil {
			return err
		}
		if bad == nil {
			if err := s.visit(h, b[:h.Length]); err != nil {
				return err
			}
			s.at = h.End()
			continue
		}
		if s.last && s.at >= s.flushed {
			return s.tail(bad)
		}
		next, err := s.resync()
		if err != nil {
			return err
		}
		hint := hintRepair
		if errors.Is(bad, record.ErrVersion) {
			hint = hintUpgrade
		}
		s.find(Finding{s.path, s.at, "a valid batch", fmt.Sprintf("%v; the next valid batch is at %d", bad, next), hint})
		s.at = next
	}
	if !s.last && s.at != s.flushed {
		s.find(Finding{s.path, s.at, fmt.Sprintf("batches up to %d, where the next segment begins", s.flushed), "the end of the file", hintRepair})
		s.at = s.flushed
	}
	return nil
}

func (s *scan) visit(h record.Header, b []byte) error {
	n := len(s.w.Boundaries)
	switch {
	case n == 0 || s.w.Boundaries[n-1].Epoch < h.Epoch:
		s.w.Boundaries = append(s.w.Boundaries, record.EpochBoundary{Epoch: h.Epoch, Start: h.Position})
	case s.w.Boundaries[n-1].Epoch > h.Epoch:
		s.find(Finding{s.path, h.Position, fmt.Sprintf("epoch %d or later", s.w.Boundaries[n-1].Epoch), fmt.Sprintf("epoch %d", h.Epoch), hintRepair})
	}
	if s.w.Batch == nil || !s.w.Range.has(h) {
		return nil
	}
	return s.w.Batch(h, b)
}

// tail notes what is behind the last batch: nothing, or a write that was torn or
// is under way. Nothing are zeros, or in a recycled file what an earlier segment
// left, which is no batch of its place.
func (s *scan) tail(error) error {
	if s.recycled {
		next, err := s.resync()
		if n := s.offset(next) - s.offset(s.at); err == nil && s.offset(next) < s.size {
			s.w.TornBytes = n
		}
		return err
	}
	for off := s.offset(s.at); off < s.size; {
		b, err := s.bytes(off, readSize)
		if err != nil || len(b) == 0 {
			return err
		}
		if n := len(bytes.TrimRight(b, "\x00")); n > 0 {
			s.w.TornBytes = off + int64(n) - s.offset(s.at)
		}
		off += int64(len(b))
	}
	return nil
}

// resync looks for the next position at which a batch is that says so, or
// returns where the segment should end.
func (s *scan) resync() (record.Position, error) {
	magic := []byte("BTN1")
	for off := s.offset(s.at) + 1; off < s.size; {
		b, err := s.bytes(off, readSize)
		if err != nil {
			return 0, err
		}
		i := bytes.Index(b, magic)
		if i < 0 {
			off += max(1, int64(len(b))-int64(len(magic))+1)
			continue
		}
		p := s.base + record.Position(off+int64(i)-wal.SegmentHeaderSize)
		if _, _, bad, err := s.batch(p); err != nil || bad == nil {
			return p, err
		}
		off += int64(i) + 1
	}
	if s.last {
		return s.base + record.Position(s.size-wal.SegmentHeaderSize), nil
	}
	return s.flushed, nil
}
