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

// Enqueue puts a message at the end of a queue.
type Enqueue struct {
	Queue   string
	Message Message
}

// HeaderField is one header of a message, in the order in which it was sent.
type HeaderField struct{ Name, Value string }

// Message is what a client sent.
type Message struct {
	ID        string        // broker-wide unique, given by the leader that accepted it
	Timestamp int64         // Unix milliseconds, of the producer or of the accepting leader
	Priority  uint8         // 0 to 9, 4 is normal
	Transient bool          // the producer said persistent:false
	Headers   []HeaderField // as the producer sent them, without those the broker sets itself
	Body      []byte
}

const flagTransient = 1

// AppendTo appends the encoded body: queue, then id, flags (1 = transient),
// priority, timestamp, number of headers, name and value of each, and the
// message body up to the end of the record.
func (e Enqueue) AppendTo(b []byte) []byte {
	b = appendString(b, e.Queue)
	m := &e.Message
	b = appendString(b, m.ID)
	var flags byte
	if m.Transient {
		flags |= flagTransient
	}
	b = append(b, flags, m.Priority)
	b = binary.AppendUvarint(b, uint64(m.Timestamp))
	b = binary.AppendUvarint(b, uint64(len(m.Headers)))
	for _, h := range m.Headers {
		b = appendString(b, h.Name)
		b = appendString(b, h.Value)
	}
	return append(b, m.Body...)
}

// ParseEnqueue decodes a body of TypeEnqueue. The message body aliases b.
func ParseEnqueue(b []byte) (Enqueue, error) {
	d := decoder{b: b}
	e := Enqueue{Queue: d.str()}
	m := &e.Message
	m.ID = d.str()
	flags := d.byte()
	if flags&^flagTransient != 0 && d.err == nil {
		d.err = fmt.Errorf("%w: message flags %#x", ErrVersion, flags)
	}
	m.Transient = flags&flagTransient != 0
	m.Priority = d.byte()
	m.Timestamp = int64(d.uvarint(1<<63 - 1))
	if n := d.uvarint(MaxHeaders); n > 0 && d.err == nil {
		m.Headers = make([]HeaderField, 0, min(n, uint64(len(d.b))))
		for ; n > 0 && d.err == nil; n-- {
			m.Headers = append(m.Headers, HeaderField{d.str(), d.str()})
		}
	}
	m.Body, d.b = d.b, nil
	return e, d.close("enqueue")
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
