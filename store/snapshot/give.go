package snapshot

import (
	"crypto/sha256"
	"fmt"
	"sync"

	"baton/store/record"
)

// Part says what a chunk is of.
type Part uint8

// Parts. A number is never reused.
const (
	PartSide Part = 1 // the side files; positions are offsets
	PartLog  Part = 2 // whole batches
)

// Log is what a snapshot is read from.
type Log interface {
	// Read returns whole batches from a batch boundary on: at most max bytes,
	// but at least one batch; nil at the end.
	Read(from record.Position, max int) ([]byte, error)
}

// Snapshot is a log that is held for another node to copy. Safe for concurrent
// use. Release it.
type Snapshot struct {
	manifest Manifest
	log      Log
	side     []byte
	mu       struct {
		sync.Mutex
		release func() // nil once released
	}
}

// New makes a snapshot of a log. It costs nothing but the side files, which it
// keeps in memory, and completes the manifest with them. release is called once,
// by Release.
func New(m Manifest, log Log, side Side, release func()) (*Snapshot, error) {
	blob := side.encode()
	m.SideSize = int64(len(blob))
	if len(blob) > 0 {
		m.SideSum = sha256.Sum256(blob)
	}
	if why := m.check(); why != "" {
		return nil, fmt.Errorf("%w: %s", ErrManifest, why)
	}
	s := &Snapshot{manifest: m, log: log, side: blob}
	s.mu.release = release
	return s, nil
}

// Manifest describes the snapshot.
func (s *Snapshot) Manifest() Manifest { return s.manifest }

// Chunk returns the bytes of a part from a position on, at most max of them,
// but at least one batch, and their SHA-256; none at the part's end.
func (s *Snapshot) Chunk(part Part, at record.Position, max int) ([]byte, [sha256.Size]byte, error) {
	b, err := s.read(part, at, max)
	if err != nil {
		return nil, [sha256.Size]byte{}, fmt.Errorf("read snapshot at %d: %w", at, err)
	}
	return b, sha256.Sum256(b), nil
}

func (s *Snapshot) read(part Part, at record.Position, max int) ([]byte, error) {
	s.mu.Lock()
	released := s.mu.release == nil
	s.mu.Unlock()
	if released {
		return nil, ErrReleased
	}
	switch {
	case part == PartSide && at <= record.Position(len(s.side)):
		b := s.side[at:]
		return b[:min(len(b), max)], nil
	case part == PartLog && at >= s.manifest.Start && at <= s.manifest.End:
		if at == s.manifest.End {
			return nil, nil
		}
		b, err := s.log.Read(at, max)
		if err != nil {
			return nil, err
		}
		n := 0
		for h := range record.Batches(b) {
			if h.End() > s.manifest.End {
				break
			}
			n += int(h.Length)
		}
		if n == 0 {
			return nil, fmt.Errorf("%w: no batch of the snapshot begins at %d", ErrChunk, at)
		}
		return b[:n], nil
	}
	return nil, fmt.Errorf("%w: part %d has no position %d", ErrChunk, part, at)
}

// Release lets the log free its segments again. It may be called again.
func (s *Snapshot) Release() {
	s.mu.Lock()
	release := s.mu.release
	s.mu.release = nil
	s.mu.Unlock()
	if release != nil {
		release()
	}
}
