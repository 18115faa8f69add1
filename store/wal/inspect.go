package wal

import (
	"errors"
	"fmt"
	"io"

	"baton/store/record"
)

// SegmentHeaderSize is where the batches of a segment begin in its file.
const SegmentHeaderSize = headerBlock

// SegmentInfo is what the header block of a segment says.
type SegmentInfo struct {
	Base, Commit record.Position
	Boundaries   []record.EpochBoundary // that began before Base
	Flushed      record.Position        // up to here it was on stable storage
	Sealed       bool                   // the next segment begins at Flushed
	Recycled     bool                   // behind its batches is what an earlier segment left
}

// ReadSegmentInfo reads and checks the header block of a segment.
func ReadSegmentInfo(r io.ReaderAt) (SegmentInfo, error) {
	b := make([]byte, headerBlock)
	n, err := r.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return SegmentInfo{}, fmt.Errorf("read segment header: %w", err)
	}
	h, err := decodeHeader(b[:n])
	if err != nil {
		return SegmentInfo{}, err
	}
	m := decodeMarks(b)
	return SegmentInfo{h.Base, h.Commit, h.Boundaries, m.Position, m.Sealed, h.Recycled}, nil
}

// ParseSegmentName returns the base position that a segment's file name tells.
func ParseSegmentName(name string) (record.Position, bool) { return parseSegmentName(name) }

// IsSideFile tells whether a file of the log directory belongs to the owner of
// the log.
func IsSideFile(name string) bool { return isSideFile(name) }
