package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"baton/store/record"
)

// Version of the protocol that this package speaks.
const Version = 1

// Limits in bytes.
const (
	HeaderSize   = 20
	MaxHandshake = 8 << 10                          // a frame before both sides are proven
	MaxFrame     = record.MaxBatchSize + (64 << 10) // a frame afterwards
	MaxString    = 1 << 10
	MaxEpochs    = 1 << 20 // boundaries in one Attach
)

// growMax is what the reader allocates ahead of the bytes that have arrived.
const growMax = 1 << 20

// Errors of the codec. Test with errors.Is; a bad version is a *VersionError.
var (
	// ErrCorrupt means that the bytes are not what the peer sent.
	ErrCorrupt = errors.New("wire: corrupt frame")
	// ErrTooLarge means that a length is above its limit.
	ErrTooLarge = errors.New("wire: size exceeds the limit")
	// ErrBody means that a body does not have the fields of its type.
	ErrBody = errors.New("wire: malformed body")
)

// VersionError is a frame of a protocol version that this program lacks.
type VersionError struct{ Theirs uint8 }

func (e *VersionError) Error() string {
	return fmt.Sprintf("wire: the peer speaks replication protocol %d, this node speaks %d: upgrade the older of the two", e.Theirs, Version)
}

// Type of a frame.
type Type uint8

// Frame types. A number is never reused.
const (
	TypeHello        Type = 1
	TypeChallenge    Type = 2
	TypeProof        Type = 3
	TypeWelcome      Type = 4
	TypeRefuse       Type = 5
	TypeAttach       Type = 6
	TypePosition     Type = 7
	TypeAppend       Type = 8
	TypeAck          Type = 9
	TypeHeartbeat    Type = 10
	TypeHeartbeatAck Type = 11
	TypeSnapshot     Type = 12
	TypeWant         Type = 13
	TypeChunk        Type = 14
)

var typeNames = [...]string{"", "hello", "challenge", "proof", "welcome", "refuse", "attach",
	"position", "append", "ack", "heartbeat", "heartbeat-ack",
	"snapshot", "want", "chunk"}

func (t Type) String() string {
	if int(t) < len(typeNames) && t != 0 {
		return typeNames[t]
	}
	return fmt.Sprintf("type-%d", uint8(t))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Frame is one decoded frame. The body of an Append or Chunk is the caller's to
// keep; any other body is valid until the next read.
type Frame struct {
	Type  Type
	Epoch record.Epoch
	Body  []byte
}

// Body is the typed content of a frame.
type Body interface {
	Type() Type
	appendTo([]byte) []byte
}

// AppendFrame appends a whole frame to dst.
func AppendFrame(dst []byte, epoch record.Epoch, body Body) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	dst = body.appendTo(dst)
	seal(dst[at:], body.Type(), epoch, nil)
	return dst
}

// AppendHead appends the frame of an Append without its batches, which must be
// written right after it as they are. So the batches are not copied.
func AppendHead(dst []byte, epoch record.Epoch, commit record.Position, batches []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(commit))
	seal(dst[at:], TypeAppend, epoch, batches)
	return dst
}

// seal writes the header of the frame whose first bytes are f and whose last
// are tail.
func seal(f []byte, t Type, epoch record.Epoch, tail []byte) {
	if len(f)+len(tail) > MaxFrame {
		panic(fmt.Sprintf("wire: %s frame of %d bytes, at most %d", t, len(f)+len(tail), MaxFrame))
	}
	binary.LittleEndian.PutUint32(f, uint32(len(f)+len(tail)))
	f[4], f[5], f[6], f[7] = byte(t), Version, 0, 0
	binary.LittleEndian.PutUint64(f[8:], uint64(epoch))
	binary.LittleEndian.PutUint32(f[16:], checksum(f, tail))
}

func checksum(f, tail []byte) uint32 {
	c := crc32.Update(0, castagnoli, f[:16])
	c = crc32.Update(c, castagnoli, f[HeaderSize:])
	return crc32.Update(c, castagnoli, tail)
}

// Reader reads frames. Not safe for concurrent use.
type Reader struct {
	r     io.Reader
	limit int
	head  [HeaderSize]byte
	buf   []byte
}

// NewReader reads from r, which should be buffered. The limit is MaxHandshake.
func NewReader(r io.Reader) *Reader { return &Reader{r: r, limit: MaxHandshake} }

// Proven raises the limit to MaxFrame.
func (r *Reader) Proven() { r.limit = MaxFrame }

// Next reads one frame. io.EOF comes back as it is between frames; a frame cut
// short is io.ErrUnexpectedEOF. After any error the stream is of no more use.
func (r *Reader) Next() (Frame, error) {
	h := r.head[:]
	if _, err := io.ReadFull(r.r, h); err != nil {
		return Frame{}, err
	}
	size := int64(binary.LittleEndian.Uint32(h))
	switch {
	case size < HeaderSize:
		return Frame{}, fmt.Errorf("%w: length %d", ErrCorrupt, size)
	case h[5] != Version:
		return Frame{}, &VersionError{Theirs: h[5]}
	case size > int64(r.limit):
		return Frame{}, fmt.Errorf("%w: frame of %d bytes, at most %d", ErrTooLarge, size, r.limit)
	case h[6] != 0 || h[7] != 0:
		return Frame{}, fmt.Errorf("%w: reserved bytes %#x", ErrCorrupt, h[6:8])
	}
	f := Frame{Type: Type(h[4]), Epoch: record.Epoch(binary.LittleEndian.Uint64(h[8:]))}
	var buf []byte
	keep := f.Type == TypeAppend || f.Type == TypeChunk
	if !keep {
		buf = r.buf[:0]
	}
	body, err := readBody(r.r, buf, int(size)-HeaderSize)
	if err != nil {
		return Frame{}, err
	}
	if !keep && cap(body) <= growMax {
		r.buf = body
	}
	if want, got := binary.LittleEndian.Uint32(h[16:]), checksum(h, body); want != got {
		return Frame{}, fmt.Errorf("%w: %s frame of %d bytes has checksum %#x, expected %#x", ErrCorrupt, f.Type, size, got, want)
	}
	f.Body = body
	return f, nil
}

// readBody reads n bytes into b, which it grows as they arrive: a length alone
// costs a peer's victim no memory.
func readBody(r io.Reader, b []byte, n int) ([]byte, error) {
	for len(b) < n {
		at := len(b)
		to := min(n, at+max(growMax, at))
		if to <= cap(b) {
			b = b[:to]
		} else {
			b = append(make([]byte, 0, to), b...)[:to]
		}
		if _, err := io.ReadFull(r, b[at:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return b, nil
}
