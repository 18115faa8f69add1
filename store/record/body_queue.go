package record

import "encoding/binary"

// Redeliver notes that messages which are in a queue came back from a consumer
// that had them. Messages that are not there any more are passed over.
type Redeliver struct {
	Queue    string
	Messages []Redelivered
}

// Redelivered is one message of a Redeliver.
type Redelivered struct {
	Sequence Sequence
	Count    uint32 // how often it came back by now: the total, not a step
}

// AppendTo appends the encoded body.
func (r Redeliver) AppendTo(b []byte) []byte {
	b = appendString(b, r.Queue)
	b = binary.AppendUvarint(b, uint64(len(r.Messages)))
	for _, m := range r.Messages {
		b = binary.AppendUvarint(b, uint64(m.Sequence))
		b = binary.AppendUvarint(b, uint64(m.Count))
	}
	return b
}

// ParseRedeliver decodes a body of TypeRedeliver.
func ParseRedeliver(b []byte) (Redeliver, error) {
	d := decoder{b: b}
	r := Redeliver{Queue: d.str()}
	n := d.uvarint(uint64(len(b)) / 2) // two bytes each at the least
	r.Messages = make([]Redelivered, 0, n)
	for ; n > 0 && d.err == nil; n-- {
		r.Messages = append(r.Messages, Redelivered{Sequence(d.uvarint(1 << 63)), uint32(d.uvarint(1<<32 - 1))})
	}
	return r, d.close("redeliver")
}

// DeleteQueue removes a queue that is empty; one that holds messages stays as
// it is. A later enqueue makes it anew, and never gives a sequence twice.
type DeleteQueue struct {
	Queue string
}

// AppendTo appends the encoded body.
func (q DeleteQueue) AppendTo(b []byte) []byte { return appendString(b, q.Queue) }

// ParseDeleteQueue decodes a body of TypeDeleteQueue.
func ParseDeleteQueue(b []byte) (DeleteQueue, error) {
	d := decoder{b: b}
	q := DeleteQueue{Queue: d.str()}
	return q, d.close("delete-queue")
}

// Forget ends the time in which the ids of old messages suppress duplicates:
// those that came with records below a position are forgotten, and the log
// need not keep these records for them any longer.
type Forget struct {
	Below Position
}

// AppendTo appends the encoded body.
func (f Forget) AppendTo(b []byte) []byte { return binary.AppendUvarint(b, uint64(f.Below)) }

// ParseForget decodes a body of TypeForget.
func ParseForget(b []byte) (Forget, error) {
	d := decoder{b: b}
	f := Forget{Below: Position(d.uvarint(1<<64 - 1))}
	return f, d.close("forget")
}
