package index

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"baton/store/record"
)

func voidKey(at record.Position) []byte {
	return binary.BigEndian.AppendUint64([]byte{'v'}, uint64(at))
}

// move gives an entry another position, if it is where the record says, or
// notes that it was not. In an index that was begun without the start of the
// log a message from below may have to be put back in its place.
func (c *change) move(r record.Record) error {
	m, err := record.ParseMove(r.Body)
	if err != nil {
		return err
	}
	q := c.queue(m.Enqueue.Queue)
	var was place
	var b *block
	if q != nil && m.Sequence < q.Next {
		if b, was, err = c.place(message{q.ID, m.Sequence}); err != nil {
			return err
		}
	}
	entry := entryOf(m.Sequence, r, &m.Enqueue.Message)
	switch {
	case was.size > 0 && was.at == m.From:
		if err := c.count(-1, was.at, was.size); err != nil {
			return err
		}
	case was.size == 0 && q != nil && m.Sequence < q.Next && c.ix.trim.movedBack(r.Position, m.From):
		q.Depth++
		q.Acked--
		q.Head = min(q.Head, m.Sequence)
	default:
		c.note(r.Position, m.From)
		return nil
	}
	if was.deadline != entry.Deadline {
		c.dropDeadline(q.ID, entry.Seq, was.deadline)
	}
	if err := c.put(b, entry); err != nil {
		return err
	}
	q.Bytes += uint64(entry.Size) - uint64(was.size)
	if c.sink != nil {
		c.events = append(c.events, func(s Sink) { s.Moved(m.Enqueue.Queue, entry.Seq, entry.Position, entry.Size) })
	}
	return nil
}

// isNoted tells whether a record that is applied did nothing.
func (ix *Index) isNoted(at record.Position) (bool, error) {
	_, ok, err := ix.get(voidKey(at))
	return ok, err
}

// movedBack tells whether a move record at a position, of a message from
// below the start of the log, moved it when it was applied for the first time.
func (t *Trim) movedBack(at, from record.Position) bool {
	return t != nil && from < t.Base && at < t.Applied && !t.isVoid(at)
}

// isVoid tells whether a record at a position is known to have done nothing.
func (t *Trim) isVoid(at record.Position) bool {
	if t == nil {
		return false
	}
	_, void := slices.BinarySearch(t.Void, at)
	return void
}

// note remembers that a record did nothing because of one at from: an index
// that is made from a log without the latter could not tell.
func (c *change) note(at, from record.Position) {
	c.kv.Put(voidKey(at), binary.AppendUvarint(nil, uint64(from)))
}

// TrimAt returns what must be kept to make an index from the log from base on,
// when everything below goes. The caller makes sure that nothing below base is
// live and no id is remembered, and that nothing is applied meanwhile. False if the index cannot tell
// yet: it was made after an earlier trim, and has not come to where it was.
func (ix *Index) TrimAt(base record.Position) (Trim, bool, error) {
	t := Trim{Base: base}
	t.Applied, _ = ix.Applied()
	if ix.trim != nil && t.Applied < ix.trim.Applied {
		return t, false, nil
	}
	it := ix.cursor(voidKey(base), prefixEnd('v'))
	defer it.Release()
	for it.Next() {
		d := fields{b: it.Value()}
		from := record.Position(d.next())
		if err := d.close("void record"); err != nil || len(it.Key()) != 9 {
			return t, false, fmt.Errorf("%w: void record: %w", ErrCorrupt, err)
		}
		if from < base {
			t.Void = append(t.Void, record.Position(binary.BigEndian.Uint64(it.Key()[1:])))
		}
	}
	if err := it.Error(); err != nil {
		return t, false, fmt.Errorf("scan void records: %w", err)
	}
	return t, true, nil
}

// ForgetBelow drops notes on records that the log does not have any more.
func (ix *Index) ForgetBelow(base record.Position) error {
	it := ix.cursor(voidKey(0), voidKey(base))
	defer it.Release()
	var gone [][]byte
	for it.Next() {
		gone = append(gone, bytes.Clone(it.Key()))
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("forget void records: %w", err)
	}
	ix.mu.Lock()
	defer ix.mu.Unlock()
	for _, key := range gone {
		ix.mu.pending.Delete(key)
	}
	ix.forgetSpans(base)
	return nil
}
