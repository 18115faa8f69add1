package index

import (
	"encoding/binary"
	"fmt"

	"baton/store/record"
)

// Due is a message with a deadline.
type Due struct {
	Queue   string
	QueueID uint64
	Entry
}

func appendDeadlineKey(b []byte, deadline int64, m message) []byte {
	b = append(b, 'x')
	b = binary.BigEndian.AppendUint64(b, uint64(deadline))
	b = binary.BigEndian.AppendUint64(b, m.queue)
	return binary.BigEndian.AppendUint64(b, uint64(m.seq))
}

func decodeDeadlineKey(key []byte) (deadline int64, m message, err error) {
	if len(key) != 25 {
		return 0, m, fmt.Errorf("%w: deadline key of %d bytes", ErrCorrupt, len(key))
	}
	deadline = int64(binary.BigEndian.Uint64(key[1:]))
	return deadline, message{binary.BigEndian.Uint64(key[9:]), record.Sequence(binary.BigEndian.Uint64(key[17:]))}, nil
}

func (c *change) putDeadline(queue uint64, e Entry) {
	if e.Deadline == 0 {
		return
	}
	c.kv.Put(appendDeadlineKey(c.key[:0], e.Deadline, message{queue, e.Seq}), nil)
}

func (c *change) dropDeadline(queue uint64, seq record.Sequence, deadline int64) {
	if deadline != 0 {
		c.kv.Delete(appendDeadlineKey(c.key[:0], deadline, message{queue, seq}))
	}
}

func (ix *Index) deadlines(from []byte) *cursor { return ix.cursor(from, prefixEnd('x')) }

// DueBefore returns up to limit messages with deadlines at or before t (Unix
// milliseconds), the earliest first, of the same deadline by queue id and
// sequence. It begins behind after, which is the last of an earlier call, or
// the zero Due to begin with the first. The first message of a queue may be left
// out until the Sink has heard of it.
func (ix *Index) DueBefore(t int64, after Due, limit int) ([]Due, error) {
	it := ix.deadlines(appendDeadlineKey(nil, after.Deadline, message{after.QueueID, after.Seq + 1}))
	defer it.Release()
	var out []Due
	for len(out) < limit && it.Next() {
		deadline, m, err := decodeDeadlineKey(it.Key())
		if err != nil {
			return out, err
		}
		if deadline > t {
			break
		}
		ix.mu.RLock()
		name, known := ix.mu.names[m.queue]
		ix.mu.RUnlock()
		if !known {
			continue // its queue is being made, or has just gone
		}
		e, ok, err := ix.entry(m)
		if err != nil {
			return out, fmt.Errorf("read message that is due: %w", err)
		}
		if !ok || e.Deadline != deadline {
			continue // acknowledged or moved since the cursor was made
		}
		out = append(out, Due{Queue: name, QueueID: m.queue, Entry: e})
	}
	if err := it.Error(); err != nil {
		return out, fmt.Errorf("scan deadlines: %w", err)
	}
	return out, nil
}

// countDeadlines counts the messages that have one.
func (ix *Index) countDeadlines() (n uint64, err error) {
	it := ix.deadlines([]byte{'x'})
	defer it.Release()
	for it.Next() {
		n++
	}
	return n, it.Error()
}

// checkDeadline makes sure that an entry with a deadline is in the table.
func (ix *Index) checkDeadline(queue uint64, e Entry) error {
	if e.Deadline == 0 {
		return nil
	}
	if _, ok, err := ix.get(appendDeadlineKey(nil, e.Deadline, message{queue, e.Seq})); !ok {
		return fmt.Errorf("%w: message %d of queue id %d is not under its deadline %d: %w", ErrCorrupt, e.Seq, queue, e.Deadline, err)
	}
	return nil
}
