package record

import (
	"encoding/binary"
	"fmt"
)

// Enqueue puts a message at the end of a queue, unless the queue was given one
// with the same DedupID that is not forgotten.
type Enqueue struct {
	Queue   string
	Message Message
}

// HeaderField is one header of a message, in the order in which it was sent.
type HeaderField struct{ Name, Value string }

// Message is what a client sent, and what the broker must not forget about it.
type Message struct {
	ID        string        // broker-wide unique, given by the leader that accepted it
	Timestamp int64         // Unix milliseconds, of the producer or of the accepting leader
	Priority  uint8         // 0 to 9, 4 is normal
	Transient bool          // the producer said persistent:false
	Headers   []HeaderField // as the producer sent them, without those the broker sets itself
	Body      []byte

	// Deadline is when something is to be done about the message, in Unix
	// milliseconds; 0 = never, and never negative. The index only keeps messages
	// in this order: in most queues it is when the message expires.
	Deadline int64
	// DedupID is the producer's own name of the message, "" = none. A queue
	// takes one message of each id.
	DedupID string
	// Redeliveries is how often the message came back from a consumer before
	// this record.
	Redeliveries uint32
}

const (
	flagTransient    = 1
	flagDeadline     = 2
	flagDedupID      = 4
	flagRedeliveries = 8
	flagsKnown       = flagTransient | flagDeadline | flagDedupID | flagRedeliveries
)

func (m *Message) flags() (f byte) {
	if m.Transient {
		f |= flagTransient
	}
	if m.Deadline != 0 {
		f |= flagDeadline
	}
	if m.DedupID != "" {
		f |= flagDedupID
	}
	if m.Redeliveries != 0 {
		f |= flagRedeliveries
	}
	return f
}

// AppendTo appends the encoded body; see the package comment. A message
// without the fields behind flags is encoded as it was before there were any.
func (e Enqueue) AppendTo(b []byte) []byte {
	b = appendString(b, e.Queue)
	m := &e.Message
	b = appendString(b, m.ID)
	b = append(b, m.flags(), m.Priority)
	b = binary.AppendUvarint(b, uint64(m.Timestamp))
	if m.Deadline != 0 {
		b = binary.AppendUvarint(b, uint64(m.Deadline))
	}
	if m.DedupID != "" {
		b = appendString(b, m.DedupID)
	}
	if m.Redeliveries != 0 {
		b = binary.AppendUvarint(b, uint64(m.Redeliveries))
	}
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
	if flags&^flagsKnown != 0 && d.err == nil {
		d.fail(fmt.Errorf("%w: message flags %#x", ErrVersion, flags))
	}
	m.Transient = flags&flagTransient != 0
	m.Priority = d.byte()
	m.Timestamp = int64(d.uvarint(1<<63 - 1))
	if flags&flagDeadline != 0 {
		m.Deadline = int64(d.uvarint(1<<63 - 1))
	}
	if flags&flagDedupID != 0 {
		m.DedupID = d.str()
	}
	if flags&flagRedeliveries != 0 {
		m.Redeliveries = uint32(d.uvarint(1<<32 - 1))
	}
	if d.err == nil && flags != m.flags() {
		d.fail(fmt.Errorf("%w: message flags %#x announce fields that are empty", ErrCorrupt, flags))
	}
	if n := d.uvarint(MaxHeaders); n > 0 && d.err == nil {
		m.Headers = make([]HeaderField, 0, min(n, uint64(len(d.b))))
		for ; n > 0 && d.err == nil; n-- {
			m.Headers = append(m.Headers, HeaderField{d.str(), d.str()})
		}
	}
	m.Body, d.b = d.b, nil
	return e, d.close("enqueue")
}
