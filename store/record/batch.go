package record

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
	"time"
)

const (
	batchMagic   = 0x314e5442 // "BTN1"
	batchVersion = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header is the decoded header of a batch.
type Header struct {
	Length   uint32
	Count    uint32
	Epoch    Epoch
	Position Position
	Commit   Position
	Time     time.Time
	BodyCRC  uint32
}

// End is the position of the batch that follows.
func (h Header) End() Position { return h.Position + Position(h.Length) }

// Record is one decoded record. Body aliases the batch it was read from.
type Record struct {
	Type     Type
	Position Position // of the record, not of its batch
	Body     []byte
}

// Batch is a batch under construction. The zero value is empty and ready. It
// is not safe for concurrent use.
type Batch struct {
	buf   []byte
	count uint32
	waits bool // there is a record that is not urgent
}

// NewBatch returns an empty batch with room for size bytes of bodies.
func NewBatch(size int) *Batch { return NewBatchIn(nil, size) }

// NewBatchIn is NewBatch in memory that nobody else uses, if that is enough.
func NewBatchIn(memory []byte, size int) *Batch {
	if need := HeaderSize + RecordHeaderSize + size; cap(memory) < need {
		memory = make([]byte, 0, need)
	}
	return &Batch{buf: memory[:HeaderSize]}
}

// TakeMemory empties b and returns its memory. Only the owner of b calls it,
// when nobody reads b or its bytes any more.
func (b *Batch) TakeMemory() []byte {
	memory := b.buf[:0]
	*b = Batch{}
	return memory
}

// Add appends one record. encode appends the body to the slice it is given
// and returns it, as strconv.Append does.
func (b *Batch) Add(t Type, encode func([]byte) []byte) {
	if len(b.buf) == 0 {
		b.buf = make([]byte, HeaderSize, 1024)
	}
	at := len(b.buf)
	b.buf = append(b.buf, make([]byte, RecordHeaderSize)...)
	b.buf = encode(b.buf)
	rec := b.buf[at:]
	binary.LittleEndian.PutUint32(rec[0:], uint32(len(rec)))
	rec[4] = byte(t)
	b.waits = b.waits || !t.Urgent()
	binary.LittleEndian.PutUint32(rec[8:], recordCRC(rec))
	b.count++
}

// Len is the size of the sealed batch in bytes.
func (b *Batch) Len() int { return len(b.buf) }

// Count is the number of records.
func (b *Batch) Count() int { return int(b.count) }

// Urgent tells whether the batch holds urgent records alone, so that a log
// takes it even when its disk is full.
func (b *Batch) Urgent() bool { return !b.waits }

// Prepare computes the checksum of the body, so that the later Seal, which
// runs where batches are put in order, is cheap. It may be left out.
func (b *Batch) Prepare() uint32 { return crc32.Checksum(b.buf[HeaderSize:], castagnoli) }

// Seal writes the header and returns the bytes of the batch, which alias b: b
// must not be added to afterwards. bodyCRC is what Prepare returned. An empty
// batch or one above MaxBatchSize is a broken invariant of the caller.
func (b *Batch) Seal(epoch Epoch, at, commit Position, now time.Time, bodyCRC uint32) []byte {
	if b.count == 0 || len(b.buf) > MaxBatchSize {
		panic(fmt.Sprintf("record: seal of a batch with %d records, %d bytes", b.count, len(b.buf)))
	}
	h := b.buf[:HeaderSize]
	clear(h)
	binary.LittleEndian.PutUint32(h[0:], batchMagic)
	h[4] = batchVersion
	binary.LittleEndian.PutUint32(h[8:], uint32(len(b.buf)))
	binary.LittleEndian.PutUint32(h[12:], b.count)
	binary.LittleEndian.PutUint64(h[16:], uint64(epoch))
	binary.LittleEndian.PutUint64(h[24:], uint64(at))
	binary.LittleEndian.PutUint64(h[32:], uint64(commit))
	binary.LittleEndian.PutUint64(h[40:], uint64(now.UnixMicro()))
	binary.LittleEndian.PutUint32(h[48:], bodyCRC)
	binary.LittleEndian.PutUint32(h[52:], crc32.Checksum(h[:52], castagnoli))
	return b.buf
}

// FindHeader returns where in b the next bytes are that a batch begins with, -1
// if there are none. Whether a batch is there is for ParseHeader to say.
func FindHeader(b []byte) int {
	return bytes.Index(b, []byte{batchMagic & 0xff, batchMagic >> 8 & 0xff, batchMagic >> 16 & 0xff, batchMagic >> 24})
}

// ParseHeader decodes the header of the batch that b begins with. It does not
// look at the body. Errors: ErrShort, ErrCorrupt, ErrVersion, ErrTooLarge.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, fmt.Errorf("%w: header has %d of %d bytes", ErrShort, len(b), HeaderSize)
	}
	if m := binary.LittleEndian.Uint32(b); m != batchMagic {
		return Header{}, fmt.Errorf("%w: magic is %#x, expected %#x", ErrCorrupt, m, uint32(batchMagic))
	}
	want, got := binary.LittleEndian.Uint32(b[52:]), crc32.Checksum(b[:52], castagnoli)
	if want != got {
		return Header{}, fmt.Errorf("%w: header checksum is %#x, expected %#x", ErrCorrupt, got, want)
	}
	if b[4] != batchVersion || b[5] != 0 || b[6] != 0 || b[7] != 0 {
		return Header{}, fmt.Errorf("%w: version %d, flags %#x", ErrVersion, b[4], b[5:8])
	}
	h := Header{
		Length:   binary.LittleEndian.Uint32(b[8:]),
		Count:    binary.LittleEndian.Uint32(b[12:]),
		Epoch:    Epoch(binary.LittleEndian.Uint64(b[16:])),
		Position: Position(binary.LittleEndian.Uint64(b[24:])),
		Commit:   Position(binary.LittleEndian.Uint64(b[32:])),
		Time:     time.UnixMicro(int64(binary.LittleEndian.Uint64(b[40:]))),
		BodyCRC:  binary.LittleEndian.Uint32(b[48:]),
	}
	if h.Length > MaxBatchSize {
		return Header{}, fmt.Errorf("%w: batch of %d bytes, at most %d", ErrTooLarge, h.Length, MaxBatchSize)
	}
	if h.Count == 0 || uint64(h.Length) < HeaderSize+RecordHeaderSize*uint64(h.Count) {
		return Header{}, fmt.Errorf("%w: %d records in %d bytes", ErrCorrupt, h.Count, h.Length)
	}
	return h, nil
}

// Verify decodes and checks the whole batch that b begins with: header, body
// checksum, and framing and checksum of each record. Bytes after the batch are
// ignored.
func Verify(b []byte) (Header, error) { return verify(b, recordSize) }

// VerifyAgain is Verify for a batch that is read back after it was built or
// verified here. It leaves the checksums of the records out: that of the body
// covers them.
func VerifyAgain(b []byte) (Header, error) { return verify(b, framedSize) }

func verify(b []byte, sizeOf func([]byte) (int, error)) (Header, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return h, err
	}
	if len(b) < int(h.Length) {
		return h, fmt.Errorf("%w: %d of %d bytes", ErrShort, len(b), h.Length)
	}
	b = b[:h.Length]
	if got := crc32.Checksum(b[HeaderSize:], castagnoli); got != h.BodyCRC {
		return h, fmt.Errorf("%w: body checksum is %#x, expected %#x", ErrCorrupt, got, h.BodyCRC)
	}
	var n uint32
	for off := HeaderSize; off < len(b); n++ {
		size, err := sizeOf(b[off:])
		if err != nil {
			return h, err
		}
		off += size
	}
	if n != h.Count {
		return h, fmt.Errorf("%w: %d records, header says %d", ErrCorrupt, n, h.Count)
	}
	return h, nil
}

// Records iterates over the records of a batch that Verify has accepted.
func Records(batch []byte) iter.Seq[Record] {
	base := Position(binary.LittleEndian.Uint64(batch[24:]))
	end := int(binary.LittleEndian.Uint32(batch[8:]))
	return func(yield func(Record) bool) {
		for off := HeaderSize; off < end; {
			size := int(binary.LittleEndian.Uint32(batch[off:]))
			body := batch[off+RecordHeaderSize : off+size : off+size]
			if !yield(Record{Type(batch[off+4]), base + Position(off), body}) {
				return
			}
			off += size
		}
	}
}

// Batches splits b, which holds whole batches that Verify has accepted, into
// them.
func Batches(b []byte) iter.Seq2[Header, []byte] {
	return func(yield func(Header, []byte) bool) {
		for len(b) > 0 {
			h, err := ParseHeader(b)
			if err != nil || int(h.Length) > len(b) {
				panic(fmt.Sprintf("record: unverified bytes: %v, %d of %d", err, len(b), h.Length))
			}
			if !yield(h, b[:h.Length:h.Length]) {
				return
			}
			b = b[h.Length:]
		}
	}
}

// RecordLength returns the size in bytes of the record whose first
// RecordHeaderSize bytes are b, so that a reader can fetch the rest.
func RecordLength(b []byte) (int, error) {
	if len(b) < RecordHeaderSize {
		return 0, fmt.Errorf("%w: record header has %d bytes", ErrShort, len(b))
	}
	n := binary.LittleEndian.Uint32(b)
	if n < RecordHeaderSize || n > MaxBatchSize {
		return 0, fmt.Errorf("%w: record of %d bytes", ErrCorrupt, n)
	}
	return int(n), nil
}

// ParseRecord decodes and checks the single record that b begins with. at is
// its position.
func ParseRecord(b []byte, at Position) (Record, error) {
	size, err := recordSize(b)
	if err != nil {
		return Record{}, err
	}
	return Record{Type(b[4]), at, b[RecordHeaderSize:size:size]}, nil
}

// recordSize returns the size of the record that b begins with, and checks it.
func recordSize(b []byte) (int, error) {
	n, err := framedSize(b)
	if err != nil {
		return 0, err
	}
	if want, got := binary.LittleEndian.Uint32(b[8:]), recordCRC(b[:n]); want != got {
		return 0, fmt.Errorf("%w: record checksum is %#x, expected %#x", ErrCorrupt, got, want)
	}
	return n, nil
}

// framedSize is recordSize without the checksum.
func framedSize(b []byte) (int, error) {
	n, err := RecordLength(b)
	if err != nil {
		return 0, err
	}
	if n > len(b) {
		return 0, fmt.Errorf("%w: record of %d bytes in %d", ErrShort, n, len(b))
	}
	if b[5] != 0 || b[6] != 0 || b[7] != 0 {
		return 0, fmt.Errorf("%w: reserved bytes of a record are %#x", ErrVersion, b[5:8])
	}
	return n, nil
}

func recordCRC(rec []byte) uint32 {
	c := crc32.Update(0, castagnoli, rec[:8])
	return crc32.Update(c, castagnoli, rec[RecordHeaderSize:])
}

// Chain folds the batch that begins with b into a running hash of the log.
// Two logs with the same chain value at the same position have the same
// content: the header holds position, epoch and the checksum of the body. The
// function is FNV-1a over the 56 header bytes, seeded with the previous value.
func Chain(prev uint64, b []byte) uint64 {
	h := prev ^ 14695981039346656037
	for _, c := range b[:HeaderSize] {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}
