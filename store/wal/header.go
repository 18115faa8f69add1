package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"baton/store/record"
)

const (
	headerBlock    = 4096
	segmentVersion = 1
	// recycledVersion is the version of a segment whose file was one before: what
	// lies behind its last batch is left over, not torn.
	recycledVersion = 2
	segmentMagic    = "BTNSEG1\n"

	headerFixed   = 32
	headerCRC     = 3068
	maxBoundaries = 180
	markA, markB  = 3072, 3584
	markSize      = 16

	markSealed = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segmentHeader is the content of a header block without the flush marks.
type segmentHeader struct {
	Base       record.Position
	Commit     record.Position
	Boundaries []record.EpochBoundary
	Recycled   bool
}

// encode returns the header block, with flush marks that say nothing.
func (h segmentHeader) encode() []byte {
	b := make([]byte, headerBlock)
	boundaries := h.Boundaries
	if extra := len(boundaries) - maxBoundaries; extra > 0 {
		boundaries = boundaries[extra:]
	}
	copy(b, segmentMagic)
	version := uint32(segmentVersion)
	if h.Recycled {
		version = recycledVersion
	}
	binary.LittleEndian.PutUint32(b[8:], version)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(boundaries)))
	binary.LittleEndian.PutUint64(b[16:], uint64(h.Base))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.Commit))
	for i, e := range boundaries {
		binary.LittleEndian.PutUint64(b[headerFixed+16*i:], uint64(e.Epoch))
		binary.LittleEndian.PutUint64(b[headerFixed+16*i+8:], uint64(e.Start))
	}
	binary.LittleEndian.PutUint32(b[headerCRC:], crc32.Checksum(b[:headerCRC], castagnoli))
	return b
}

// decodeHeader checks and decodes a header block. Errors: ErrVersion, and
// others for bytes that no version of the program writes.
func decodeHeader(b []byte) (segmentHeader, error) {
	if len(b) < headerBlock {
		return segmentHeader{}, fmt.Errorf("%d of %d bytes", len(b), headerBlock)
	}
	if string(b[:8]) != segmentMagic {
		return segmentHeader{}, fmt.Errorf("magic %q", b[:8])
	}
	want := binary.LittleEndian.Uint32(b[headerCRC:])
	if got := crc32.Checksum(b[:headerCRC], castagnoli); got != want {
		return segmentHeader{}, fmt.Errorf("checksum %#x where the header says %#x", got, want)
	}
	v := binary.LittleEndian.Uint32(b[8:])
	if v != segmentVersion && v != recycledVersion {
		return segmentHeader{}, fmt.Errorf("%w %d, this program knows %d", ErrVersion, v, recycledVersion)
	}
	h := segmentHeader{
		Base:     record.Position(binary.LittleEndian.Uint64(b[16:])),
		Commit:   record.Position(binary.LittleEndian.Uint64(b[24:])),
		Recycled: v == recycledVersion,
	}
	n := int(binary.LittleEndian.Uint32(b[12:]))
	if n > maxBoundaries {
		return segmentHeader{}, fmt.Errorf("%d epoch boundaries, at most %d", n, maxBoundaries)
	}
	for i := range n {
		e := record.EpochBoundary{
			Epoch: record.Epoch(binary.LittleEndian.Uint64(b[headerFixed+16*i:])),
			Start: record.Position(binary.LittleEndian.Uint64(b[headerFixed+16*i+8:])),
		}
		if e.Start >= h.Base || i > 0 && (e.Epoch <= h.Boundaries[i-1].Epoch || e.Start <= h.Boundaries[i-1].Start) {
			return segmentHeader{}, fmt.Errorf("epoch %d at position %d out of order", e.Epoch, e.Start)
		}
		h.Boundaries = append(h.Boundaries, e)
	}
	for i := headerFixed + 16*n; i < headerCRC; i++ {
		if b[i] != 0 {
			return segmentHeader{}, fmt.Errorf("%w: reserved byte %d is %#x", ErrVersion, i, b[i])
		}
	}
	if h.Commit > h.Base {
		return segmentHeader{}, fmt.Errorf("commit position %d above base %d", h.Commit, h.Base)
	}
	return h, nil
}

// mark is a flush mark.
type mark struct {
	Position record.Position
	Sealed   bool
}

func (m mark) encode() []byte {
	b := make([]byte, markSize)
	binary.LittleEndian.PutUint64(b, uint64(m.Position))
	if m.Sealed {
		binary.LittleEndian.PutUint32(b[8:], markSealed)
	}
	binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(b[:12], castagnoli))
	return b
}

// decodeMarks returns the highest valid mark of a header block; the zero mark
// if there is none.
func decodeMarks(b []byte) mark {
	var best mark
	for _, at := range []int{markA, markB} {
		s := b[at : at+markSize]
		if crc32.Checksum(s[:12], castagnoli) != binary.LittleEndian.Uint32(s[12:]) {
			continue
		}
		m := mark{
			Position: record.Position(binary.LittleEndian.Uint64(s)),
			Sealed:   binary.LittleEndian.Uint32(s[8:]) == markSealed,
		}
		if m.Position > best.Position || m.Position == best.Position && m.Sealed {
			best = m
		}
	}
	return best
}
