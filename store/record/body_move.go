package record

import "encoding/binary"

// Move gives a message that is in a queue another place in the log, so that
// the segment with its old place can go. It changes neither queue nor
// sequence, and does nothing if the message is not at From any more: it was
// acknowledged, or moved, between the making and the commit of this record.
type Move struct {
	Sequence Sequence
	From     Position // of the record that held the message until now
	Enqueue  Enqueue  // the message, as it came in
}

// AppendTo appends the encoded body: sequence, position of the old record,
// then an enqueue body up to the end of the record.
func (m Move) AppendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(m.Sequence))
	b = binary.AppendUvarint(b, uint64(m.From))
	return m.Enqueue.AppendTo(b)
}

// ParseMove decodes a body of TypeMove. The message body aliases b.
func ParseMove(b []byte) (Move, error) {
	d := decoder{b: b}
	m := Move{Sequence: Sequence(d.uvarint(1 << 63)), From: Position(d.uvarint(1<<64 - 1))}
	if d.err != nil {
		return m, d.close("move")
	}
	var err error
	m.Enqueue, err = ParseEnqueue(d.b)
	return m, err
}

// ParseMessage decodes the message that a record of TypeEnqueue or TypeMove
// holds. The message body aliases r.
func ParseMessage(r Record) (Enqueue, error) {
	if r.Type == TypeMove {
		m, err := ParseMove(r.Body)
		return m.Enqueue, err
	}
	return ParseEnqueue(r.Body)
}
