package index

import "baton/store/record"

// newQueue makes a queue. Its sequences begin above those of every queue that
// was deleted, so that a late ack of a message of its forerunner hits nothing.
func (c *change) newQueue(name string) *QueueInfo {
	c.state.queues++
	first := max(1, c.floor)
	q := &QueueInfo{Name: name, ID: c.state.queues, Next: first, Head: first}
	c.queues[name] = q
	return q
}

// deleteQueue removes a queue if it is empty. If it is not, that is noted: made
// from a log without the messages that were in it, an index would find it empty.
func (c *change) deleteQueue(r record.Record) error {
	d, err := record.ParseDeleteQueue(r.Body)
	if err != nil {
		return err
	}
	q := c.queue(d.Queue)
	if q == nil {
		return nil
	}
	if q.Depth > 0 || c.ix.trim.isVoid(r.Position) {
		c.note(r.Position, 0)
		return nil
	}
	c.state.deleted++
	c.floor = max(c.floor, q.Next)
	c.queues[d.Queue] = nil
	if c.sink != nil {
		c.events = append(c.events, func(s Sink) { s.QueueDeleted(d.Queue) })
	}
	return nil
}

// setQueue replaces a queue, nil removes it. ix.mu is held, or the index is
// being opened.
func (ix *Index) setQueue(name string, q *QueueInfo) {
	if old := ix.mu.queues[name]; old != nil {
		delete(ix.mu.names, old.ID)
	}
	if q == nil {
		delete(ix.mu.queues, name)
		return
	}
	ix.mu.queues[name], ix.mu.names[q.ID] = q, name
}

// redeliver sets how often messages came back.
func (c *change) redeliver(r record.Record) error {
	d, err := record.ParseRedeliver(r.Body)
	if err != nil {
		return err
	}
	q := c.queue(d.Queue)
	there := d.Messages[:0]
	for _, m := range d.Messages {
		if q == nil || m.Sequence < q.Head || m.Sequence >= q.Next {
			continue
		}
		id := message{q.ID, m.Sequence}
		b, is, err := c.place(id)
		if err != nil {
			return err
		}
		if is.size == 0 {
			continue
		}
		is.redeliveries = m.Count
		c.edit(b).set(id.offset(), is)
		there = append(there, m)
	}
	if c.sink != nil && len(there) > 0 {
		c.events = append(c.events, func(s Sink) { s.Redelivered(d.Queue, there) })
	}
	return nil
}
