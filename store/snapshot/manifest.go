package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"baton/store/record"
)

// Limits, checked before anything is allocated.
const (
	MaxManifest   = fixedSize + maxClusterID + 16*MaxBoundaries + 4
	MaxBoundaries = 4096
	MaxSideSize   = 1 << 30
	maxClusterID  = 1 << 10
)

const (
	magic       = "BTNSNAP\n"
	version     = 1
	fixedSize   = 112
	maxPosition = 1 << 62 // leaves room to add without overflow
)

// Errors. Test with errors.Is.
var (
	// ErrManifest means that the bytes are no manifest.
	ErrManifest = errors.New("snapshot: damaged manifest")
	// ErrVersion means that a newer program made the manifest.
	ErrVersion = errors.New("snapshot: unknown manifest version")
	// ErrChunk means that a chunk is not what was asked for, or damaged.
	ErrChunk = errors.New("snapshot: chunk does not fit")
	// ErrDiffers means that what was received is not the giver's log.
	ErrDiffers = errors.New("snapshot: the received log differs from the giver's")
	// ErrForeign means that the snapshot is one of another cluster.
	ErrForeign = errors.New("snapshot: of another cluster")
	// ErrIncomplete means that there is nothing that could be installed.
	ErrIncomplete = errors.New("snapshot: not complete")
	// ErrReleased means that the snapshot was released.
	ErrReleased = errors.New("snapshot: released")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Manifest describes a snapshot.
type Manifest struct {
	ClusterID  string
	Start, End record.Position
	Epoch      record.Epoch // of the last batch before End
	StartChain uint64       // record.Chain of the log below Start
	// Check is a position at which the giver knows its running hash, and Chain
	// is that: where its index was when the snapshot was made.
	Check    record.Position
	Chain    uint64
	SideSize int64 // of the side files, 0 = there is none
	SideSum  [sha256.Size]byte
	// Boundaries are the newest epochs that began below End, ascending.
	Boundaries []record.EpochBoundary
}

// Encode returns the manifest as bytes.
func (m Manifest) Encode() []byte {
	id, bounds := m.ClusterID, m.Boundaries
	if extra := len(bounds) - MaxBoundaries; extra > 0 {
		bounds = bounds[extra:]
	}
	b := make([]byte, 0, fixedSize+len(id)+16*len(bounds)+4)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, uint32(cap(b)))
	for _, v := range []uint64{uint64(m.Start), uint64(m.End), uint64(m.Epoch), m.StartChain, uint64(m.Check), m.Chain, uint64(m.SideSize)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = append(b, m.SideSum[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(id)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(bounds)))
	b = append(b, id...)
	for _, e := range bounds {
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Epoch))
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Start))
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// Decode reads what Encode wrote, and nothing else. Errors: ErrManifest,
// ErrVersion.
func Decode(b []byte) (Manifest, error) {
	bad := func(format string, args ...any) (Manifest, error) {
		return Manifest{}, fmt.Errorf("%w: %s", ErrManifest, fmt.Sprintf(format, args...))
	}
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	switch {
	case len(b) < fixedSize+4:
		return bad("%d bytes", len(b))
	case len(b) > MaxManifest:
		return bad("%d bytes, at most %d", len(b), MaxManifest)
	case string(b[:8]) != magic:
		return bad("magic %q", b[:8])
	case u32(b[8:]) != version:
		return Manifest{}, fmt.Errorf("%w %d, this program knows %d: upgrade the older of the two", ErrVersion, u32(b[8:]), version)
	case int(u32(b[12:])) != len(b):
		return bad("%d bytes where it says %d", len(b), u32(b[12:]))
	}
	if want, got := u32(b[len(b)-4:]), crc32.Checksum(b[:len(b)-4], castagnoli); want != got {
		return bad("checksum %#x where it says %#x", got, want)
	}
	idLen, n := int(u32(b[104:])), int(u32(b[108:]))
	if idLen > maxClusterID || n > MaxBoundaries || fixedSize+idLen+16*n+4 != len(b) {
		return bad("cluster id of %d bytes and %d epochs in %d bytes", idLen, n, len(b))
	}
	m := Manifest{
		Start: record.Position(u64(b[16:])), End: record.Position(u64(b[24:])), Epoch: record.Epoch(u64(b[32:])),
		StartChain: u64(b[40:]), Check: record.Position(u64(b[48:])), Chain: u64(b[56:]), SideSize: int64(u64(b[64:])),
		SideSum: [sha256.Size]byte(b[72:104]), ClusterID: string(b[fixedSize : fixedSize+idLen]),
	}
	for at := fixedSize + idLen; at < len(b)-4; at += 16 {
		m.Boundaries = append(m.Boundaries, record.EpochBoundary{Epoch: record.Epoch(u64(b[at:])), Start: record.Position(u64(b[at+8:]))})
	}
	if why := m.check(); why != "" {
		return bad("%s", why)
	}
	return m, nil
}

// check says what is impossible about a manifest, "" if nothing is.
func (m Manifest) check() string {
	switch {
	case m.End > maxPosition || m.Start >= m.End:
		return fmt.Sprintf("log from %d to %d", m.Start, m.End)
	case m.Check < m.Start || m.Check > m.End:
		return fmt.Sprintf("check position %d in a log from %d to %d", m.Check, m.Start, m.End)
	case m.SideSize < 0 || m.SideSize > MaxSideSize:
		return fmt.Sprintf("side files of %d bytes", m.SideSize)
	case m.Start == 0 && (m.SideSize != 0 || m.StartChain != 0):
		return "side files of a log from 0"
	case len(m.Boundaries) == 0 || m.Boundaries[len(m.Boundaries)-1].Epoch != m.Epoch:
		return fmt.Sprintf("epoch %d is not the last of %d boundaries", m.Epoch, len(m.Boundaries))
	}
	var prev record.EpochBoundary
	for i, e := range m.Boundaries {
		if e.Epoch <= prev.Epoch || i > 0 && e.Start <= prev.Start || e.Start >= m.End {
			return fmt.Sprintf("epoch %d at %d is out of order", e.Epoch, e.Start)
		}
		prev = e
	}
	return ""
}

// epochAt is the epoch of the byte before a position, 0 if it is not known.
func (m Manifest) epochAt(p record.Position) (e record.Epoch) {
	for _, b := range m.Boundaries {
		if b.Start < p {
			e = b.Epoch
		}
	}
	return e
}

// before returns the boundaries below a position.
func (m Manifest) before(p record.Position) []record.EpochBoundary {
	for i, b := range m.Boundaries {
		if b.Start >= p {
			return m.Boundaries[:i]
		}
	}
	return m.Boundaries
}
