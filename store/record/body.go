package record

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// EpochStart is the first record of an epoch. It carries what the cluster
// node in ZooKeeper holds, so that membership can be restored from the log if
// ZooKeeper is wiped.
type EpochStart struct {
	ClusterID string
	Leader    string
	Replicas  int
	Members   map[string]string // node id -> incarnation: the voters of the epoch
}

// AppendTo appends the encoded body: cluster id, leader, replicas, number of
// members, then node id and incarnation of each, sorted by node id.
func (e EpochStart) AppendTo(b []byte) []byte {
	b = appendString(b, e.ClusterID)
	b = appendString(b, e.Leader)
	b = binary.AppendUvarint(b, uint64(e.Replicas))
	b = binary.AppendUvarint(b, uint64(len(e.Members)))
	for _, n := range slices.Sorted(maps.Keys(e.Members)) {
		b = appendString(b, n)
		b = appendString(b, e.Members[n])
	}
	return b
}

// ParseEpochStart decodes a body of TypeEpochStart.
func ParseEpochStart(b []byte) (EpochStart, error) {
	d := decoder{b: b}
	e := EpochStart{ClusterID: d.str(), Leader: d.str(), Replicas: int(d.uvarint(1 << 10)), Members: map[string]string{}}
	for n := d.uvarint(1 << 10); n > 0 && d.err == nil; n-- {
		k := d.str()
		e.Members[k] = d.str()
	}
	return e, d.close("epoch-start")
}

// Ack removes messages from a queue.
type Ack struct {
	Queue     string
	Sequences []Sequence
}

// AppendTo appends the encoded body: queue, number of sequences, sequences.
func (a Ack) AppendTo(b []byte) []byte {
	b = appendString(b, a.Queue)
	b = binary.AppendUvarint(b, uint64(len(a.Sequences)))
	for _, s := range a.Sequences {
		b = binary.AppendUvarint(b, uint64(s))
	}
	return b
}

// ParseAck decodes a body of TypeAck.
func ParseAck(b []byte) (Ack, error) {
	d := decoder{b: b}
	a := Ack{Queue: d.str()}
	n := d.uvarint(uint64(len(b)))
	a.Sequences = make([]Sequence, 0, n)
	for ; n > 0 && d.err == nil; n-- {
		a.Sequences = append(a.Sequences, Sequence(d.uvarint(1<<63)))
	}
	return a, d.close("ack")
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// decoder reads fields; after the first error it returns zero values.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(err error) { d.b, d.err = nil, err }

func (d *decoder) byte() byte {
	if d.err != nil || len(d.b) == 0 {
		if d.err == nil {
			d.fail(ErrShort)
		}
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uvarint(limit uint64) uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail(fmt.Errorf("%w: bad number", ErrCorrupt))
		return 0
	}
	if v > limit {
		d.fail(fmt.Errorf("%w: %d, at most %d", ErrTooLarge, v, limit))
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) str() string {
	n := d.uvarint(MaxStringSize)
	if d.err != nil {
		return ""
	}
	if n > uint64(len(d.b)) {
		d.fail(ErrShort)
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

func (d *decoder) close(what string) error {
	if d.err != nil {
		return fmt.Errorf("decode %s record: %w", what, d.err)
	}
	if len(d.b) != 0 {
		return fmt.Errorf("decode %s record: %w: %d bytes left over", what, ErrCorrupt, len(d.b))
	}
	return nil
}
