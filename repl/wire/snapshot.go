package wire

import (
	"fmt"

	"baton/store/record"
)

// SumSize is the size of a SHA-256, in bytes.
const SumSize = 32

// MaxManifest bounds the description of a snapshot, in bytes.
const MaxManifest = 128 << 10

// Part says what of a snapshot a chunk is. What the numbers mean is for those
// who make and install snapshots; they pass through.
type Part uint8

// Snapshot answers an Attach when the leader no longer retains what the
// follower needs, or when the follower asks for a whole log. The manifest says
// what will come, to those who install it.
type Snapshot struct {
	LeaderEnd record.Position
	Commit    record.Position
	Start     record.Position // where the log of the snapshot begins
	End       record.Position // and ends
	Manifest  []byte
}

// Want tells what of a snapshot the follower has: everything before At of the
// part, and all earlier parts. The first one begins the transfer, the others
// make room for more.
type Want struct {
	Part Part
	At   record.Position
}

// Chunk is a piece of a snapshot.
type Chunk struct {
	Part Part
	At   record.Position
	Sum  [SumSize]byte // SHA-256 of Data
	Data []byte
}

// Types of the bodies.
func (Snapshot) Type() Type { return TypeSnapshot }
func (Want) Type() Type     { return TypeWant }
func (Chunk) Type() Type    { return TypeChunk }

func (s Snapshot) appendTo(b []byte) []byte {
	b = appendU64(b, uint64(s.LeaderEnd), uint64(s.Commit), uint64(s.Start), uint64(s.End))
	return append(b, s.Manifest...)
}

func (w Want) appendTo(b []byte) []byte { return appendU64(append(b, byte(w.Part)), uint64(w.At)) }

func (c Chunk) appendTo(b []byte) []byte {
	return append(c.head(b), c.Data...)
}

func (c Chunk) head(b []byte) []byte {
	return append(appendU64(append(b, byte(c.Part)), uint64(c.At)), c.Sum[:]...)
}

// AppendChunkHead appends the frame of a Chunk without its data, which must be
// written right after it as they are. So the data are not copied.
func AppendChunkHead(dst []byte, epoch record.Epoch, c Chunk) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	dst = c.head(dst)
	seal(dst[at:], TypeChunk, epoch, c.Data)
	return dst
}

func (d *decoder) snapshot() Snapshot {
	s := Snapshot{LeaderEnd: d.position8(), Commit: d.position8(), Start: d.position8(), End: d.position8()}
	if len(d.b) > MaxManifest && d.err == nil {
		d.err = fmt.Errorf("%w: manifest of %d bytes, at most %d", ErrTooLarge, len(d.b), MaxManifest)
	}
	if d.err == nil && s.End < s.Start {
		d.err = fmt.Errorf("%w: a snapshot from %d to %d", ErrBody, s.Start, s.End)
	}
	s.Manifest = append([]byte(nil), d.b...) // the frame is reused
	d.b = nil
	return s
}

func (d *decoder) chunk() Chunk {
	c := Chunk{Part: Part(d.uint(1)), At: d.position8()}
	copy(c.Sum[:], d.take(SumSize))
	c.Data, d.b = d.b, nil
	return c
}

const attachWhole = 1 // flag of an Attach
