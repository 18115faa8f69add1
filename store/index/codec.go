package index

import (
	"encoding/binary"
	"errors"
	"fmt"

	"baton/store/record"
)

// stateFormat 4 has deadlines, ids against duplicates and durable
// subscriptions; an index without them is made anew.
const stateFormat = 4

var (
	stateKey      = []byte("mstate")
	epochStartKey = []byte("mepoch")
)

func entryKey(queue uint64, seq record.Sequence) []byte {
	return appendEntryKey(make([]byte, 0, 17), queue, seq)
}

func appendEntryKey(b []byte, queue uint64, seq record.Sequence) []byte {
	b = append(b, 'e')
	b = binary.BigEndian.AppendUint64(b, queue)
	return binary.BigEndian.AppendUint64(b, uint64(seq))
}

func queueKey(name string) []byte { return append([]byte{'q'}, name...) }

func (e Entry) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(e.Position))
	b = binary.AppendUvarint(b, uint64(e.Size))
	b = binary.AppendVarint(b, e.Timestamp)
	if e.Deadline == 0 && e.Redeliveries == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(e.Deadline))
	return binary.AppendUvarint(b, uint64(e.Redeliveries))
}

func decodeEntry(key, value []byte) (Entry, error) {
	d := fields{b: value}
	e := Entry{Position: record.Position(d.next()), Size: int(d.next()), Timestamp: d.nextSigned()}
	if len(key) != 17 {
		return e, fmt.Errorf("%w: entry key of %d bytes", ErrCorrupt, len(key))
	}
	e.Seq = record.Sequence(binary.BigEndian.Uint64(key[9:]))
	if len(d.b) > 0 {
		e.Deadline, e.Redeliveries = int64(d.next()), uint32(d.next())
	}
	return e, d.close("entry")
}

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

func (d *fields) close(what string) error {
	if d.err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, what, d.err)
	}
	if len(d.b) > 0 {
		return fmt.Errorf("%w: %s has %d bytes left over", ErrCorrupt, what, len(d.b))
	}
	return nil
}
