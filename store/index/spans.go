package index

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"

	"baton/store/record"
)

// span counts what is live in a part of the log: from start up to the next
// span's start. There is one for each segment, as a rule: counting costs far
// less than keeping every live record under its position as well, and a
// segment whose records have to be found is read anyway (see Finder).
type span struct {
	start   record.Position
	records uint64
	bytes   uint64
}

func spanKey(start record.Position) []byte {
	return binary.BigEndian.AppendUint64([]byte{'s'}, uint64(start))
}

// spanOf returns which of some spans, ascending, holds a position.
func spanOf(spans []span, at record.Position) int {
	if last := len(spans) - 1; last >= 0 && at >= spans[last].start {
		return last
	}
	i, found := slices.BinarySearchFunc(spans, at, func(s span, p record.Position) int {
		if s.start < p {
			return -1
		} else if s.start > p {
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	return i
}

// Divide notes that a segment begins at the applied position: what is live
// from there on is counted apart. It is called between two calls of Apply.
func (ix *Index) Divide() {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if n := len(ix.mu.spans); n == 0 || ix.mu.spans[n-1].start < ix.mu.applied {
		ix.mu.spans = append(ix.mu.spans, span{start: ix.mu.applied})
		ix.changed.spans[ix.mu.applied] = struct{}{}
	}
}

// count changes what is live at a position by one record: by 1 for one more,
// and -1 for one that has gone. Only Apply changes spans, so it reads them
// without the lock.
func (c *change) count(by int, at record.Position, size uint32) error {
	i := spanOf(c.ix.mu.spans, at)
	if i < 0 {
		return fmt.Errorf("%w: position %d is below what is counted", ErrCorrupt, at)
	}
	s, changed := c.spans[i]
	if !changed {
		s = c.ix.mu.spans[i]
	}
	if by < 0 && (s.records == 0 || s.bytes < uint64(size)) {
		return fmt.Errorf("%w: %d records, %d bytes live from position %d on, and one of %d bytes goes",
			ErrCorrupt, s.records, s.bytes, s.start, size)
	}
	s.records += uint64(by)
	s.bytes += uint64(by * int(size))
	c.spans[i] = s
	return nil
}

// putSpans adds the spans that changed to a batch, a new one even if nothing is
// live in it: the next start has to know that it is one.
func (ix *Index) putSpans(kv *leveldb.Batch) {
	for _, s := range ix.mu.spans {
		if _, changed := ix.changed.spans[s.start]; changed {
			kv.Put(spanKey(s.start), binary.AppendUvarint(binary.AppendUvarint(nil, s.records), s.bytes))
		}
	}
}

// forgetSpans drops spans below a position in which nothing is live. ix.mu is
// held.
func (ix *Index) forgetSpans(below record.Position) {
	if len(ix.mu.spans) == 0 {
		return
	}
	last := ix.mu.spans[len(ix.mu.spans)-1]
	ix.mu.spans = slices.DeleteFunc(ix.mu.spans, func(s span) bool {
		gone := s.records == 0 && s.start < below && s != last
		if gone {
			ix.mu.pending.Delete(spanKey(s.start))
		}
		return gone
	})
}

func (ix *Index) loadSpans() error {
	it := ix.mu.db.NewIterator(util.BytesPrefix([]byte{'s'}), &opt.ReadOptions{DontFillCache: true})
	defer it.Release()
	for it.Next() {
		d := fields{b: it.Value()}
		s := span{records: d.next(), bytes: d.next()}
		if err := d.close("span"); err != nil {
			return err
		}
		if len(it.Key()) != 9 {
			return fmt.Errorf("%w: span key of %d bytes", ErrCorrupt, len(it.Key()))
		}
		s.start = record.Position(binary.BigEndian.Uint64(it.Key()[1:]))
		ix.mu.spans = append(ix.mu.spans, s)
	}
	if err := it.Error(); err != nil {
		return classify(err)
	}
	return nil
}

// OldestLive returns the start of the first segment in which a record is live,
// as far as Divide told of segments; false if there is none.
func (ix *Index) OldestLive() (record.Position, bool) {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	for _, s := range ix.mu.spans {
		if s.records > 0 {
			return s.start, true
		}
	}
	return 0, false
}

// LiveBytes is the size of the live records of the segments that begin at from
// or above and below to.
func (ix *Index) LiveBytes(from, to record.Position) (n uint64) {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	for _, s := range ix.mu.spans {
		if s.start >= from && s.start < to {
			n += s.bytes
		}
	}
	return n
}

// Live is a record of the log that holds a message of a queue.
type Live struct {
	Position record.Position
	Queue    string
	Seq      record.Sequence
	Size     int // bytes
}

// Finder tells which records of the log are live. Records do not say their
// sequence, so it counts along: it is shown all of them, in the order of the
// log, from a Base on. Of those that may have done nothing the index knows.
type Finder struct {
	ix    *Index
	next  map[string]record.Sequence
	floor record.Sequence
}

// NewFinder returns a Finder for the log from b.Position on.
func (ix *Index) NewFinder(b Base) *Finder {
	f := &Finder{ix: ix, next: make(map[string]record.Sequence, len(b.Queues)), floor: max(1, b.Floor)}
	for _, q := range b.Queues {
		f.next[q.Name] = q.Next
	}
	return f
}

// Skip is Find for a record of which nobody wants to know.
func (f *Finder) Skip(r record.Record) error {
	_, _, _, err := f.name(r)
	return err
}

// Find tells whether the record holds a message that is in a queue, and which.
// e is the message as it is now, with the redeliveries that the index knows of;
// it aliases r.
func (f *Finder) Find(r record.Record) (l Live, e record.Enqueue, live bool, err error) {
	l, e, holds, err := f.name(r)
	if err == nil && holds {
		var is Entry
		is, live, err = f.entry(l)
		e.Message.Redeliveries = is.Redeliveries
	}
	return l, e, live, err
}

// entry returns the entry of a record; false if it has none.
func (f *Finder) entry(l Live) (e Entry, live bool, err error) {
	q, ok := f.ix.Queue(l.Queue)
	if !ok || l.Seq < q.Head || l.Seq >= q.Next {
		return e, false, nil
	}
	e, live, err = f.ix.entry(message{q.ID, l.Seq})
	return e, live && e.Position == l.Position, err
}

// name says which message a record holds, if it holds one.
func (f *Finder) name(r record.Record) (l Live, e record.Enqueue, holds bool, err error) {
	l = Live{Position: r.Position, Size: record.RecordHeaderSize + len(r.Body)}
	switch r.Type {
	case record.TypeEnqueue:
		if e, err = record.ParseEnqueue(r.Body); err != nil {
			break
		}
		if e.Message.DedupID != "" {
			if void, err := f.ix.isNoted(r.Position); err != nil || void {
				return l, e, false, err
			}
		}
		l.Queue, l.Seq = e.Queue, f.floor
		if next, ok := f.next[e.Queue]; ok {
			l.Seq = next
		}
		f.next[e.Queue] = l.Seq + 1
	case record.TypeDeleteQueue:
		var d record.DeleteQueue
		if d, err = record.ParseDeleteQueue(r.Body); err == nil {
			err = f.deleted(r.Position, d.Queue)
			return l, e, false, err
		}
	case record.TypeMove:
		var m record.Move
		if m, err = record.ParseMove(r.Body); err == nil {
			e, l.Queue, l.Seq = m.Enqueue, m.Enqueue.Queue, m.Sequence
		}
	default:
		return l, e, false, nil
	}
	if err != nil {
		return l, e, false, fmt.Errorf("%w: %s at position %d: %w", ErrRecord, r.Type, r.Position, err)
	}
	return l, e, true, nil
}

// deleted follows a record that deletes a queue.
func (f *Finder) deleted(at record.Position, queue string) error {
	void, err := f.ix.isNoted(at)
	if next, ok := f.next[queue]; err == nil && !void && ok {
		f.floor = max(f.floor, next)
		delete(f.next, queue)
	}
	return err
}
