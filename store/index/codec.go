package index

import (
	"encoding/binary"
	"errors"
	"fmt"

	"baton/store/record"
)

// stateFormat 5 has blocks of entries where 4 had a key for each; an index of
// another format is made anew.
const stateFormat = 5

var (
	stateKey      = []byte("mstate")
	epochStartKey = []byte("mepoch")
)

func queueKey(name string) []byte { return append([]byte{'q'}, name...) }

func (q *QueueInfo) encode() []byte {
	b := make([]byte, 0, 32)
	for _, v := range []uint64{q.ID, uint64(q.Next), uint64(q.Head), q.Depth, q.Bytes, q.Enqueued, q.Acked, q.Duplicates} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

func decodeQueue(name string, value []byte) (*QueueInfo, error) {
	d := fields{b: value}
	q := &QueueInfo{
		Name: name, ID: d.next(), Next: record.Sequence(d.next()), Head: record.Sequence(d.next()),
		Depth: d.next(), Bytes: d.next(), Enqueued: d.next(), Acked: d.next(), Duplicates: d.next(),
	}
	return q, d.close("queue")
}

func (s state) encode() []byte {
	b := make([]byte, 0, 48)
	for _, v := range []uint64{stateFormat, uint64(s.applied), uint64(s.epoch), s.chain, s.queues, s.deleted, uint64(s.floor), s.ids, s.ignored} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// decodeState: an unknown format is as good as damage, since the index can be
// made again from the log.
func decodeState(value []byte) (state, error) {
	d := fields{b: value}
	if f := d.next(); d.err == nil && f != stateFormat {
		return state{}, fmt.Errorf("%w: format %d, this program knows %d", ErrCorrupt, f, stateFormat)
	}
	s := state{applied: record.Position(d.next()), epoch: record.Epoch(d.next()), chain: d.next(),
		queues: d.next(), deleted: d.next(), floor: record.Sequence(d.next()), ids: d.next(), ignored: d.next()}
	return s, d.close("state")
}

// fields reads uvarints; after the first error it returns zeros.
type fields struct {
	b   []byte
	err error
}

var errField = errors.New("bad number")

func (d *fields) next() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b, d.err = nil, errField
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *fields) nextSigned() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.b, d.err = nil, errField
		return 0
	}
	d.b = d.b[n:]
	return v
}

// nextWord reads 8 bytes, little-endian.
func (d *fields) nextWord() uint64 {
	if len(d.b) < 8 {
		d.b, d.err = nil, errField
		return 0
	}
	v := binary.LittleEndian.Uint64(d.b)
	d.b = d.b[8:]
	return v
}

func (d *fields) close(what string) error {
	if d.err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, what, d.err)
	}
	if len(d.b) > 0 {
		return fmt.Errorf("%w: %s has %d bytes left over", ErrCorrupt, what, len(d.b))
	}
	return nil
}
