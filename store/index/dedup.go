package index

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"time"

	"baton/store/record"
)

// rememberedID is an id that suppresses duplicates.
type rememberedID struct {
	at        record.Position // of the record that brought it
	time      int64           // of that record's batch, Unix milliseconds
	queue, id string
}

// key is where the id is looked up.
func (r rememberedID) key() []byte { return idKey(r.queue, r.id) }

func idKey(queue, id string) []byte {
	b := make([]byte, 0, 4+len(queue)+len(id))
	b = binary.AppendUvarint(append(b, 'u'), uint64(len(queue)))
	return append(append(b, queue...), id...)
}

// orderKey is where the id is found by its age.
func orderKey(at record.Position) []byte {
	return binary.BigEndian.AppendUint64([]byte{'o'}, uint64(at))
}

func (r rememberedID) encode() []byte {
	b := binary.AppendVarint(make([]byte, 0, 16+len(r.queue)+len(r.id)), r.time)
	b = binary.AppendUvarint(b, uint64(len(r.queue)))
	return append(append(b, r.queue...), r.id...)
}

func decodeRememberedID(key, value []byte) (rememberedID, error) {
	if len(key) != 9 {
		return rememberedID{}, fmt.Errorf("%w: id key of %d bytes", ErrCorrupt, len(key))
	}
	d := fields{b: value}
	r := rememberedID{at: record.Position(binary.BigEndian.Uint64(key[1:])), time: d.nextSigned()}
	r.queue = string(d.take(d.next()))
	r.id, d.b = string(d.b), nil
	return r, d.close("id")
}

// suppress tells whether a queue was given a message with the same id that is
// not forgotten; if not, it remembers the id. In an index that was begun
// without the start of the log that message may be below: then the trim knows.
func (c *change) suppress(at record.Position, e *record.Enqueue) (bool, error) {
	r := rememberedID{at: at, time: c.time, queue: e.Queue, id: e.Message.DedupID}
	key := r.key()
	first, err := c.idAt(key)
	if err != nil {
		return false, err
	}
	if first == 0 && !c.ix.trim.isVoid(at) {
		c.kv.Put(key, binary.AppendUvarint(nil, uint64(at)))
		c.kv.Put(orderKey(at), r.encode())
		c.ids[string(key)] = at
		c.state.ids++
		return false, nil
	}
	c.note(at, first)
	if q := c.queue(e.Queue); q != nil {
		q.Duplicates++
	}
	if c.sink != nil {
		c.events = append(c.events, func(s Sink) { s.Duplicate(e.Queue, e) })
	}
	return true, nil
}

// idAt returns the position of the record that brought an id, 0 if it is not
// remembered.
func (c *change) idAt(key []byte) (record.Position, error) {
	if at, ok := c.ids[string(key)]; ok {
		return at, nil
	}
	if !c.ix.filter.mayHave(key) {
		return 0, nil
	}
	value, ok, err := c.ix.get(key)
	if !ok {
		return 0, err
	}
	d := fields{b: value}
	at := record.Position(d.next())
	return at, d.close("position of an id")
}

// forget drops the ids of records below a position: those that are written, and
// those that this change is about to write.
func (c *change) forget(r record.Record) error {
	f, err := record.ParseForget(r.Body)
	if err != nil {
		return err
	}
	c.forgot = max(c.forgot, f.Below)
	drop := func(key string, at record.Position) {
		c.kv.Delete([]byte(key))
		c.kv.Delete(orderKey(at))
		c.ids[key] = 0
		c.state.ids--
	}
	for key, at := range c.ids {
		if at != 0 && at < f.Below {
			drop(key, at)
		}
	}
	return c.ix.idsFrom(0, func(r rememberedID) bool {
		if r.at >= f.Below {
			return false
		}
		key := string(r.key())
		if _, changed := c.ids[key]; !changed {
			drop(key, r.at)
		}
		return true
	})
}

// loadFilter takes in all ids that are remembered.
func (ix *Index) loadFilter() error {
	ix.filter.seed = maphash.MakeSeed()
	return ix.idsFrom(0, func(r rememberedID) bool {
		ix.filter.add(r.key(), r.at)
		return true
	})
}

// publishIDs is a part of publish.
func (c *change) publishIDs() {
	for key, at := range c.ids {
		if at != 0 {
			c.ix.filter.add([]byte(key), at)
		}
	}
	if below := min(c.forgot, c.applied); below > 0 {
		c.ix.filter.drop(below)
		c.ix.raiseOldestID(below)
	}
}

// idsFrom calls yield for the ids that are remembered, the oldest first, until
// yield returns false.
func (ix *Index) idsFrom(from record.Position, yield func(rememberedID) bool) error {
	it := ix.cursor(orderKey(max(from, record.Position(ix.oldestID.Load()))), prefixEnd('o'))
	defer it.Release()
	for it.Next() {
		r, err := decodeRememberedID(it.Key(), it.Value())
		if err != nil {
			return err
		}
		if !yield(r) {
			return nil
		}
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("scan ids: %w", err)
	}
	return nil
}

// IDs is how many ids are remembered to suppress duplicates.
func (ix *Index) IDs() uint64 {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	return ix.mu.ids
}

// OldestID returns the lowest position of a record whose id is remembered;
// false if none is. It never goes down while an index is open, so a call costs
// one look from where the last one ended.
func (ix *Index) OldestID() (at record.Position, ok bool, err error) {
	if ix.IDs() == 0 {
		return 0, false, nil
	}
	err = ix.idsFrom(0, func(r rememberedID) bool {
		at, ok = r.at, true
		return false
	})
	if ok {
		ix.raiseOldestID(at)
	}
	return at, ok, err
}

// raiseOldestID notes that no id of a record below is remembered: what was
// deleted there is in the way of whoever looks for the oldest.
func (ix *Index) raiseOldestID(at record.Position) {
	for {
		was := ix.oldestID.Load()
		if was >= uint64(at) || ix.oldestID.CompareAndSwap(was, uint64(at)) {
			return
		}
	}
}

// IDWindow is what is kept of ids, as far as all of its bounds allow.
type IDWindow struct {
	Count uint64          // ids
	Bytes record.Position // of the log, from the oldest id on
	Since time.Time       // ids of batches from before go
}

// Outside returns the position below which ids have to be forgotten to keep to
// a window, 0 if all may stay. It looks at no more than limit ids, the oldest
// ones, so that a record.Forget does not remove more at once.
func (ix *Index) Outside(w IDWindow, limit int) (below record.Position, err error) {
	ix.mu.RLock()
	applied, n := ix.mu.applied, ix.mu.ids
	ix.mu.RUnlock()
	if n == 0 {
		return 0, nil
	}
	since := w.Since.UnixMilli()
	err = ix.idsFrom(0, func(r rememberedID) bool {
		if n <= w.Count && applied-r.at <= w.Bytes && r.time >= since {
			return false
		}
		below = r.at + 1
		n--
		limit--
		return limit > 0
	})
	return below, err
}
