package index

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"baton/store/record"
)

// blockSize is how many sequences a block spans. A bitmap of them is one word.
const blockSize = 64

// message names an entry.
type message struct {
	queue uint64
	seq   record.Sequence
}

// blockID names a block: that of the sequences from number*blockSize on.
type blockID struct{ queue, number uint64 }

func (m message) block() blockID { return blockID{m.queue, uint64(m.seq) / blockSize} }

func (m message) offset() int { return int(m.seq % blockSize) }

// place is what an entry says: where its record is, and the rest; size 0 means
// that there is no entry.
type place struct {
	at           record.Position
	timestamp    int64
	deadline     int64
	size         uint32
	redeliveries uint32
}

func (e Entry) place() place {
	return place{at: e.Position, timestamp: e.Timestamp, deadline: e.Deadline, size: uint32(e.Size), redeliveries: e.Redeliveries}
}

func (p place) entry(seq record.Sequence) Entry {
	return Entry{Seq: seq, Position: p.at, Size: int(p.size), Timestamp: p.timestamp, Deadline: p.deadline, Redeliveries: p.redeliveries}
}

// places are the entries of a block.
type places struct {
	present uint64  // bit i: list[i] is an entry
	list    []place // by offset, up to the highest that ever was an entry
}

func (s *places) get(offset int) place {
	if s.present&(1<<offset) == 0 {
		return place{}
	}
	return s.list[offset]
}

func (s *places) set(offset int, p place) {
	for len(s.list) <= offset {
		s.list = append(s.list, place{})
	}
	s.list[offset] = p
	s.present |= 1 << offset
}

func (s *places) remove(offset int) { s.present &^= 1 << offset }

// copyTo makes to a copy, in the memory that it has.
func (s *places) copyTo(to *places) {
	to.present, to.list = s.present, append(to.list[:0], s.list...)
}

// appendEntries appends the entries with sequences from on to out.
func (s *places) appendEntries(out []Entry, number uint64, from record.Sequence) []Entry {
	first := record.Sequence(number * blockSize)
	for left := s.present; left != 0; left &= left - 1 {
		offset := bits.TrailingZeros64(left)
		if seq := first + record.Sequence(offset); seq >= from {
			out = append(out, s.list[offset].entry(seq))
		}
	}
	return out
}

// special has a bit for each entry with a deadline or redeliveries.
func (s *places) special() (set uint64) {
	for left := s.present; left != 0; left &= left - 1 {
		offset := bits.TrailingZeros64(left)
		if p := &s.list[offset]; p.deadline != 0 || p.redeliveries != 0 {
			set |= 1 << offset
		}
	}
	return set
}

// appendTo appends the value of a block, see the package comment. Messages that
// came one after the other differ little, so most numbers take a byte.
func (s *places) appendTo(b []byte) []byte {
	special := s.special()
	b = binary.LittleEndian.AppendUint64(b, s.present)
	b = binary.LittleEndian.AppendUint64(b, special)
	var before place
	for left := s.present; left != 0; left &= left - 1 {
		offset := bits.TrailingZeros64(left)
		p := &s.list[offset]
		b = binary.AppendVarint(b, int64(p.at-before.end()))
		b = binary.AppendVarint(b, int64(p.size)-int64(before.size))
		b = binary.AppendVarint(b, p.timestamp-before.timestamp)
		if special&(1<<offset) != 0 {
			b = binary.AppendUvarint(b, uint64(p.deadline))
			b = binary.AppendUvarint(b, uint64(p.redeliveries))
		}
		before = *p
	}
	return b
}

// end is the position behind the record.
func (p place) end() record.Position { return p.at + record.Position(p.size) }

// decode reads what appendTo wrote, into the memory that s has.
func (s *places) decode(value []byte) error {
	d := fields{b: value}
	present, special := d.nextWord(), d.nextWord()
	s.present, s.list = 0, s.list[:0]
	if d.err == nil && (present == 0 || special&^present != 0) {
		return fmt.Errorf("%w: block of the entries %#x, special ones %#x", ErrCorrupt, present, special)
	}
	var before place
	for left := present; left != 0 && d.err == nil; left &= left - 1 {
		offset := bits.TrailingZeros64(left)
		p := place{at: before.end() + record.Position(d.nextSigned())}
		size := int64(before.size) + d.nextSigned()
		p.timestamp = before.timestamp + d.nextSigned()
		redeliveries := uint64(0)
		if special&(1<<offset) != 0 {
			p.deadline = int64(d.next())
			redeliveries = d.next()
		}
		if d.err == nil && (size <= 0 || size > math.MaxUint32 || redeliveries > math.MaxUint32) {
			return fmt.Errorf("%w: block with an entry of %d bytes, %d redeliveries", ErrCorrupt, size, redeliveries)
		}
		p.size, p.redeliveries = uint32(size), uint32(redeliveries)
		s.set(offset, p)
		before = p
	}
	return d.close("block")
}

func appendBlockKey(b []byte, id blockID) []byte {
	b = binary.BigEndian.AppendUint64(append(b, 'e'), id.queue)
	return binary.BigEndian.AppendUint64(b, id.number)
}

func blockKey(id blockID) []byte { return appendBlockKey(make([]byte, 0, 17), id) }

func decodeBlockKey(key []byte) (blockID, error) {
	if len(key) != 17 {
		return blockID{}, fmt.Errorf("%w: block key of %d bytes", ErrCorrupt, len(key))
	}
	return blockID{binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint64(key[9:])}, nil
}
