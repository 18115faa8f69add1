package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"baton/store/record"
	"baton/store/vfs"
)

// Recovery tells what Open found and did.
type Recovery struct {
	Start    record.Position // oldest retained byte
	Append   record.Position // end of the log
	Epoch    record.Epoch    // of the last batch
	Segments int

	// TornBytes after Append were the rest of a write that a crash cut short;
	// they were removed from TornFile.
	TornBytes int64
	TornFile  string

	// Commit is the highest commit position that the last segment tells of, at
	// most Append: everything below it was committed before the restart.
	Commit record.Position
}

// recovered is the state of a log on disk.
type recovered struct {
	segments   []*segment
	boundaries []record.EpochBoundary
	report     Recovery
}

// recoverLog brings the files to a state that can be appended to, by these
// rules and in this order:
//
//  1. *.tmp are removed. Any other name that is not a segment's or a side
//     file's is foreign: refuse.
//  2. Each segment has a valid header block of a known version whose base is
//     its name; else refuse. A header is synced before the segment gets its
//     name, so no crash leaves a bad one.
//  3. The first segment reaches back to Config.Start, each other begins
//     exactly where the file before it ends, and the last is not marked as
//     sealed; else a segment is missing or damaged: refuse. Content of earlier
//     segments is verified when it is read.
//  4. The last segment is scanned. Behind its last valid batch there may be
//     zeros, or, in a file that was another segment before, what that left
//     there: a clean end. What it left has lower positions than its place.
//  5. Other bytes there are a torn tail if they are at or above the flush
//     mark: they were never reported as flushed, so they are cut, synced and
//     reported. Bytes that are invalid below the mark had been on stable
//     storage and are damage: refuse. A batch of a newer version: refuse.
//  6. What is left is synced before it is called flushed.
//
// Refusing means a *CorruptionError or ErrVersion, and nothing changed.
func recoverLog(cfg Config, files *fileCache) (recovered, error) {
	dir := filepath.Join(cfg.Dir, cfg.Name)
	if err := vfs.MkdirAll(cfg.FS, dir); err != nil {
		return recovered{}, fmt.Errorf("make log directory: %w", err)
	}
	segments, sizes, temps, err := listSegments(cfg, dir)
	if err != nil {
		return recovered{}, err
	}
	var last mark
	if len(segments) > 0 {
		if last, err = checkHeaders(cfg, segments, sizes); err != nil {
			return recovered{}, err
		}
	}
	for _, name := range temps {
		if err := cfg.FS.Remove(name); err != nil {
			return recovered{}, fmt.Errorf("remove incomplete file: %w", err)
		}
	}
	if len(segments) == 0 {
		s, err := createSegment(cfg, files, segmentHeader{Base: cfg.Start, Boundaries: cfg.Boundaries})
		if err != nil {
			return recovered{}, fmt.Errorf("create first segment: %w", err)
		}
		r := recovered{segments: []*segment{s}, boundaries: slices.Clone(cfg.Boundaries)}
		r.report = Recovery{Start: cfg.Start, Append: cfg.Start, Segments: 1, Epoch: lastEpoch(r.boundaries)}
		return r, nil
	}
	r := recovered{segments: segments}
	for _, s := range segments {
		for _, b := range s.header.Boundaries {
			r.addBoundary(b)
		}
	}
	active := segments[len(segments)-1]
	active.slot = markA
	if active.file, err = files.acquire(active.path); err != nil {
		return recovered{}, fmt.Errorf("open segment: %w", err)
	}
	r.report = Recovery{Start: segments[0].base, Segments: len(segments), Commit: active.header.Commit}
	if err := r.recoverActive(active, sizes[len(sizes)-1], last.Position); err != nil {
		return recovered{}, err
	}
	// A process that was killed leaves bytes that were written, not synced.
	if err := active.file.Sync(); err != nil {
		return recovered{}, fmt.Errorf("sync %s: %w", active.path, err)
	}
	if err := cfg.FS.SyncDir(dir); err != nil {
		return recovered{}, fmt.Errorf("sync log directory: %w", err)
	}
	r.report.Commit = min(r.report.Commit, r.report.Append)
	r.report.Epoch = lastEpoch(r.boundaries)
	return r, nil
}

func (r *recovered) addBoundary(b record.EpochBoundary) {
	if len(r.boundaries) == 0 || r.boundaries[len(r.boundaries)-1].Epoch < b.Epoch {
		r.boundaries = append(r.boundaries, b)
	}
}

func listSegments(cfg Config, dir string) (segments []*segment, sizes []int64, temps []string, err error) {
	infos, err := cfg.FS.List(dir)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("list log directory: %w", err)
	}
	for _, info := range infos {
		path := filepath.Join(dir, info.Name)
		base, ok := parseSegmentName(info.Name)
		switch {
		case ok && !info.Dir:
			segments = append(segments, &segment{base: base, path: path})
			sizes = append(sizes, info.Size)
		case isSideFile(info.Name) && !info.Dir:
		case vfs.IsTemp(info.Name) && !info.Dir:
			temps = append(temps, path)
		default:
			return nil, nil, nil, &CorruptionError{
				File: path, Expected: "only segments (16 hex digits and " + segmentExt + ") in the log directory",
				Found: "a foreign file", Hint: "move it away if nothing of the log is missing",
			}
		}
	}
	return segments, sizes, temps, nil
}

// checkHeaders applies rules 2 and 3 and returns the last segment's mark.
func checkHeaders(cfg Config, segments []*segment, sizes []int64) (mark, error) {
	if first := segments[0]; first.base > cfg.Start {
		return mark{}, &CorruptionError{
			File: segmentPath(cfg, cfg.Start), Position: cfg.Start, Expected: "a segment that holds this position",
			Found: fmt.Sprintf("%s as the oldest segment", filepath.Base(first.path)), Hint: hintRestore,
		}
	}
	var last mark
	for i, s := range segments {
		m, err := readHeader(cfg, s)
		if err != nil {
			return mark{}, err
		}
		last = m
		if i == 0 {
			continue
		}
		before := segments[i-1]
		if end := before.base + record.Position(sizes[i-1]-headerBlock); end != s.base {
			return mark{}, &CorruptionError{
				File: before.path, Position: min(end, s.base),
				Expected: fmt.Sprintf("%d bytes up to the next segment %s", int64(s.base-before.base)+headerBlock, filepath.Base(s.path)),
				Found:    fmt.Sprintf("%d bytes; the file is damaged or a segment is missing", sizes[i-1]), Hint: hintRestore,
			}
		}
	}
	if last.Sealed {
		return mark{}, &CorruptionError{
			File: segmentPath(cfg, last.Position), Position: last.Position, Expected: "the next segment",
			Found: "no such file", Hint: hintRestore,
		}
	}
	return last, nil
}

func readHeader(cfg Config, s *segment) (mark, error) {
	f, err := cfg.FS.Open(s.path)
	if err != nil {
		return mark{}, fmt.Errorf("open segment: %w", err)
	}
	defer f.Close()
	b := make([]byte, headerBlock)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return mark{}, fmt.Errorf("read header of %s: %w", s.path, err)
	}
	h, err := decodeHeader(b[:n])
	if err == nil && h.Base != s.base {
		err = fmt.Errorf("base position %d", h.Base)
	}
	if errors.Is(err, ErrVersion) {
		return mark{}, fmt.Errorf("open segment %s: %w; %s", s.path, err, hintUpgrade)
	}
	if err != nil {
		return mark{}, &CorruptionError{
			File: s.path, Position: s.base, Expected: fmt.Sprintf("a segment header with base position %d", s.base),
			Found: err.Error(), Hint: hintRestore, Err: err,
		}
	}
	s.header = h
	return decodeMarks(b), nil
}

// recoverActive applies rules 4 and 5.
func (r *recovered) recoverActive(s *segment, size int64, flushed record.Position) error {
	scan := scanner{f: s.file, size: size}
	at, epoch := s.base, lastEpoch(r.boundaries)
	var bad error
	for {
		h, err := scan.batch(s.offset(at))
		if err != nil && !errors.Is(err, errNoBatch) {
			return fmt.Errorf("scan %s: %w", s.path, err)
		}
		if err == nil && (h.Position != at || h.Epoch < epoch) {
			err = fmt.Errorf("%w: batch of position %d, epoch %d", errNoBatch, h.Position, h.Epoch)
		}
		if err != nil {
			bad = err
			break
		}
		r.addBoundary(record.EpochBoundary{Epoch: h.Epoch, Start: at})
		r.report.Commit = max(r.report.Commit, h.Commit)
		at, epoch = h.End(), h.Epoch
	}
	r.report.Append = at
	v := view{path: s.path, base: s.base}
	if errors.Is(bad, record.ErrVersion) {
		return fmt.Errorf("%w: %w", ErrVersion, damage(v, at, record.Header{}, bad))
	}
	if at < flushed {
		return &CorruptionError{
			File: s.path, Position: at, Expected: fmt.Sprintf("valid batches up to position %d, where the last known flush ended", flushed),
			Found: bad.Error(), Hint: hintRestore, Err: bad,
		}
	}
	torn, err := scan.torn(s, s.offset(at))
	if err != nil {
		return fmt.Errorf("scan %s: %w", s.path, err)
	}
	s.filled = size
	if torn > 0 {
		r.report.TornBytes, r.report.TornFile = torn, s.path
		s.filled = s.offset(at)
		if err := s.file.Truncate(s.filled); err != nil {
			return fmt.Errorf("cut torn tail of %s: %w", s.path, err)
		}
	}
	return nil
}

// errNoBatch means that no valid batch is there.
var errNoBatch = errors.New("no valid batch")

// scanner reads a file forward in large pieces.
type scanner struct {
	f    vfs.File
	size int64
	buf  []byte
	off  int64 // of buf in the file
}

// bytes returns n bytes at off, or fewer at the end of the file.
func (s *scanner) bytes(off, n int64) ([]byte, error) {
	n = max(0, min(n, s.size-off))
	if off < s.off || off+n > s.off+int64(len(s.buf)) {
		s.buf = make([]byte, min(max(n, readChunk), s.size-off))
		s.off = off
		if m, err := s.f.ReadAt(s.buf, off); m < len(s.buf) {
			s.buf = nil
			return nil, err
		}
	}
	return s.buf[off-s.off : off-s.off+n], nil
}

// batch verifies the batch at off. errNoBatch wraps what is wrong with it;
// other errors are the disk's.
func (s *scanner) batch(off int64) (record.Header, error) {
	b, err := s.bytes(off, record.HeaderSize)
	if err != nil {
		return record.Header{}, err
	}
	h, bad := record.ParseHeader(b)
	if bad == nil {
		if b, err = s.bytes(off, int64(h.Length)); err != nil {
			return h, err
		}
		h, bad = record.Verify(b)
	}
	if bad != nil {
		return h, fmt.Errorf("%w: %w", errNoBatch, bad)
	}
	return h, nil
}

// torn returns how many bytes behind the last valid batch at off are the rest of
// a write that a crash cut short.
func (s *scanner) torn(seg *segment, off int64) (int64, error) {
	if seg.header.Recycled {
		return s.ownBatches(seg, off)
	}
	return s.nonZero(off)
}

// ownBatches returns the distance from off to the end of the last header of a
// batch that names its own place: such a batch was written to this segment, and
// must not be found there by a later recovery, behind others that filled the gap.
func (s *scanner) ownBatches(seg *segment, off int64) (int64, error) {
	var last int64
	for at := off; at < s.size; at += readChunk - record.HeaderSize {
		b, err := s.bytes(at, readChunk)
		if err != nil {
			return 0, err
		}
		for i := 0; ; i++ {
			next := record.FindHeader(b[i:])
			if next < 0 {
				break
			}
			i += next
			h, bad := record.ParseHeader(b[i:])
			place := at + int64(i)
			if bad == nil && seg.offset(h.Position) == place {
				last = place + record.HeaderSize - off
			}
		}
	}
	return last, nil
}

// nonZero returns the distance from off to the end of the last byte that is
// not zero.
func (s *scanner) nonZero(off int64) (int64, error) {
	var last int64
	for at := off; at < s.size; {
		b, err := s.bytes(at, readChunk)
		if err != nil {
			return 0, err
		}
		if n := len(bytes.TrimRight(b, "\x00")); n > 0 {
			last = at + int64(n) - off
		}
		at += int64(len(b))
	}
	return last, nil
}
