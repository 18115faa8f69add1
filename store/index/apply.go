package index

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/syndtr/goleveldb/leveldb"

	"baton/store/record"
)

// Sink learns what Apply did, in the order of the log, after the index holds
// it. The calls come from Apply's goroutine.
type Sink interface {
	// Enqueued: a message entered a queue. at and size are those of its
	// record. e and what it holds alias the batch that was applied.
	Enqueued(queue string, seq record.Sequence, at record.Position, size int, e *record.Enqueue)
	// Acked: messages that were in a queue left it.
	Acked(queue string, seqs []record.Sequence)
	// Duplicate: a message did not enter its queue, for the queue was given one
	// with the same DedupID before. e is as with Enqueued.
	Duplicate(queue string, e *record.Enqueue)
	// Moved: a message that is in a queue is now in another record. The old
	// one may be gone from the log soon after.
	Moved(queue string, seq record.Sequence, at record.Position, size int)
	// Redelivered: messages that are in a queue have these counts now.
	Redelivered(queue string, messages []record.Redelivered)
	// QueueDeleted: a queue that was empty is gone.
	QueueDeleted(queue string)
	// Subscribed: there is a durable subscription, instead of the one of the
	// same client and name if there was one. at is the position of its record.
	Subscribed(at record.Position, s *record.Subscribe)
	// Unsubscribed: a durable subscription that was there is gone.
	Unsubscribed(clientID, name string)
}

// headSlack is how many acked sequences may lie above a queue's head before it
// is looked up anew.
const headSlack = 1024

// maxEdited is about how many blocks one change may touch: what a call of Apply
// does beyond that is another one.
const maxEdited = 256

// Apply applies whole, verified batches that continue what is applied; those
// that are applied already are skipped. After an error what was applied, and
// what the sink was told of, are some batches from the front of raw, or none.
// sink may be nil. Errors: ErrGap, ErrRecord, ErrCorrupt, and those of the
// disk.
func (ix *Index) Apply(raw []byte, sink Sink) error {
	if len(ix.mu.spans) == 0 {
		ix.Divide()
	}
	for len(raw) > 0 {
		if err := ix.writeIfDue(); err != nil {
			return err
		}
		rest, err := ix.applySome(raw, sink)
		if err != nil {
			return err
		}
		raw = rest
	}
	return nil
}

// applySome applies batches until they touch too much, or to the end, and
// returns those that are left. Either all that it takes are applied or none.
func (ix *Index) applySome(raw []byte, sink Sink) (rest []byte, err error) {
	c := &change{ix: ix, queues: map[string]*QueueInfo{}, idAts: map[string]record.Position{},
		spans: map[int]span{}, sink: sink}
	ix.mu.RLock()
	c.state, c.start, c.forgotten = ix.mu.state, ix.mu.start, ix.mu.forgotten
	ix.mu.RUnlock()
	defer c.abandon()
	rest = raw
	for h, b := range record.Batches(raw) {
		if len(c.edited) >= maxEdited {
			break
		}
		rest = rest[len(b):]
		if h.End() <= c.applied {
			continue
		}
		if h.Position != c.applied {
			return nil, fmt.Errorf("%w: batch of position %d, applied up to %d", ErrGap, h.Position, c.applied)
		}
		if err := c.batch(h, b); err != nil {
			return nil, err
		}
	}
	if len(c.points) == 0 {
		return rest, nil
	}
	c.publish()
	for _, tell := range c.events {
		tell(sink)
	}
	return rest, c.refreshHeads()
}

// change is the effect of some batches, kept apart until all of it is known.
type change struct {
	ix *Index
	state
	start  *epochStart
	queues map[string]*QueueInfo        // those that change, and with nil those deleted
	edited []*block                     // those that change
	last   *block                       // looked at last
	subs   map[subscriber]*Subscription // those that change, and with nil those deleted
	time   int64                        // of the batch, Unix milliseconds
	kv     leveldb.Batch                // what is pending once it is published
	key    [25]byte                     // scratch
	spans  map[int]span                 // those that change, by their number in the index
	points []Point
	sink   Sink
	events []func(Sink)

	forgotten record.Position            // ids of records below are gone
	newIDs    []rememberedID             // by rising position
	idAts     map[string]record.Position // theirs, by key
	goneIDs   leveldb.Batch              // deletes what is written of ids that are gone
}

func (c *change) batch(h record.Header, b []byte) error {
	c.time = h.Time.UnixMilli()
	for r := range record.Records(b) {
		var err error
		switch r.Type {
		case record.TypeEnqueue:
			err = c.enqueue(r)
		case record.TypeAck:
			err = c.ack(r)
		case record.TypeMove:
			err = c.move(r)
		case record.TypeRedeliver:
			err = c.redeliver(r)
		case record.TypeDeleteQueue:
			err = c.deleteQueue(r)
		case record.TypeSubscribe:
			err = c.subscribe(r)
		case record.TypeUnsubscribe:
			err = c.unsubscribe(r)
		case record.TypeForget:
			err = c.forget(r)
		case record.TypeEpochStart:
			err = c.epochStart(h.Epoch, r)
		default:
			err = errors.New("unknown type")
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return fmt.Errorf("%w: %s at position %d: %w", ErrRecord, r.Type, r.Position, err)
		}
		if err != nil {
			return fmt.Errorf("apply %s at position %d: %w", r.Type, r.Position, err)
		}
	}
	c.applied, c.epoch, c.chain = h.End(), h.Epoch, record.Chain(c.chain, b)
	c.points = append(c.points, Point{c.applied, c.chain})
	return nil
}

// queue returns the copy of a queue that may be changed, or nil.
func (c *change) queue(name string) *QueueInfo {
	if q, ok := c.queues[name]; ok {
		return q
	}
	c.ix.mu.RLock()
	defer c.ix.mu.RUnlock()
	q := c.ix.mu.queues[name]
	if q == nil {
		return nil
	}
	changed := *q
	c.queues[name] = &changed
	return &changed
}

func (c *change) enqueue(r record.Record) error {
	e, err := record.ParseEnqueue(r.Body)
	if err != nil {
		return err
	}
	if e.Message.DedupID != "" {
		if known, err := c.suppress(r.Position, &e); err != nil || known {
			return err
		}
	}
	q := c.queue(e.Queue)
	if q == nil {
		q = c.newQueue(e.Queue)
	}
	entry := entryOf(q.Next, r, &e.Message)
	b, err := c.freshBlock(message{q.ID, entry.Seq})
	if err != nil {
		return err
	}
	if err := c.put(b, entry); err != nil {
		return err
	}
	q.Next++
	q.Depth++
	q.Enqueued++
	q.Bytes += uint64(entry.Size)
	if c.sink != nil {
		c.events = append(c.events, func(s Sink) { s.Enqueued(e.Queue, entry.Seq, entry.Position, entry.Size, &e) })
	}
	return nil
}

func (c *change) ack(r record.Record) error {
	a, err := record.ParseAck(r.Body)
	if err != nil {
		return err
	}
	q := c.queue(a.Queue)
	removed := a.Sequences[:0]
	for _, seq := range a.Sequences {
		var was place
		var b *block
		if q != nil && seq >= q.Head && seq < q.Next {
			if b, was, err = c.place(message{q.ID, seq}); err != nil {
				return err
			}
		}
		if was.size == 0 {
			c.ignored++
			continue
		}
		c.edit(b).remove(message{q.ID, seq}.offset())
		c.dropDeadline(q.ID, seq, was.deadline)
		if err := c.count(-1, was.at, was.size); err != nil {
			return err
		}
		q.Depth--
		q.Acked++
		q.Bytes -= uint64(was.size)
		if q.Depth == 0 {
			q.Head = q.Next
		} else if seq == q.Head {
			q.Head++
		}
		removed = append(removed, seq)
	}
	if c.sink != nil && len(removed) > 0 {
		c.events = append(c.events, func(s Sink) { s.Acked(a.Queue, removed) })
	}
	return nil
}

// entryOf is the entry of a message whose record is r.
func entryOf(seq record.Sequence, r record.Record, m *record.Message) Entry {
	return Entry{Seq: seq, Position: r.Position, Size: record.RecordHeaderSize + len(r.Body),
		Timestamp: m.Timestamp, Deadline: m.Deadline, Redeliveries: m.Redeliveries}
}

// put puts an entry into its block and counts its record.
func (c *change) put(b *block, e Entry) error {
	c.putDeadline(b.queue, e)
	c.edit(b).set(message{b.queue, e.Seq}.offset(), e.place())
	return c.count(+1, e.Position, uint32(e.Size))
}

func (c *change) epochStart(epoch record.Epoch, r record.Record) error {
	e, err := record.ParseEpochStart(r.Body)
	if err != nil {
		return err
	}
	c.start = &epochStart{e, epoch}
	c.kv.Put(epochStartKey, append(binary.AppendUvarint(nil, uint64(epoch)), r.Body...))
	return nil
}

func decodeEpochStart(value []byte) (*epochStart, error) {
	d := fields{b: value}
	epoch := record.Epoch(d.next())
	if d.err != nil {
		return nil, fmt.Errorf("%w: epoch start: %w", ErrCorrupt, d.err)
	}
	e, err := record.ParseEpochStart(d.b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return &epochStart{e, epoch}, nil
}

// publish makes the change what the index says.
func (c *change) publish() {
	ix := c.ix
	ix.mu.Lock()
	defer ix.mu.Unlock()
	ix.mu.state, ix.mu.start = c.state, c.start
	for i, s := range c.spans {
		ix.mu.spans[i] = s
		ix.changed.spans[s.start] = struct{}{}
	}
	for name, q := range c.queues {
		ix.setQueue(name, q)
		ix.changed.queues[name] = struct{}{}
	}
	c.publishBlocks()
	c.publishIDs()
	c.publishSubscriptions()
	if err := c.kv.Replay(ix.mu.pending); err != nil {
		panic("index: batch that was never a file: " + err.Error())
	}
	for _, p := range c.points {
		ix.mu.points.add(p.Position, p.Chain)
	}
}

// refreshHeads looks for the oldest message of queues whose head fell behind
// because acks came out of order. The new head is written with the queue's
// next change; until then a restart only looks from further back.
func (c *change) refreshHeads() error {
	for _, q := range c.queues {
		if q == nil || uint64(q.Next-q.Head) <= q.Depth+headSlack {
			continue
		}
		entries, err := c.ix.Scan(q.Name, q.Head, 1)
		if err != nil {
			return err
		}
		// With a message in front of many holes there is nothing to gain.
		if len(entries) == 0 || entries[0].Seq == q.Head {
			continue
		}
		changed := *q
		changed.Head = entries[0].Seq
		c.ix.mu.Lock()
		c.ix.mu.queues[q.Name] = &changed
		c.ix.mu.Unlock()
	}
	return nil
}
