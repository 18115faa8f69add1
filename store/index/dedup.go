package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/iterator"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"

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

// unwrittenIDs are ids that the key-value store does not have yet. All that is
// below Index.mu.forgotten is gone, whatever it and these say.
type unwrittenIDs struct {
	list []rememberedID             // by rising position; readers keep parts of it
	at   map[string]record.Position // by key
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
		c.idAts[string(key)] = at
		c.newIDs = append(c.newIDs, r)
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
	if at := c.idAts[string(key)]; at > 0 && at >= c.forgotten {
		return at, nil
	}
	if at := c.ix.mu.newIDs.at[string(key)]; at > 0 && at >= c.forgotten {
		return at, nil
	}
	if !c.ix.filter.mayHave(key) {
		return 0, nil
	}
	at, err := writtenID(c.ix.mu.db, key)
	if at < c.forgotten {
		return 0, err
	}
	return at, err
}

// writtenID returns what the key-value store says of an id, 0 if it has none.
func writtenID(db *leveldb.DB, key []byte) (record.Position, error) {
	value, err := db.Get(key, nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, classify(err)
	}
	d := fields{b: value}
	at := record.Position(d.next())
	return at, d.close("position of an id")
}

// forget drops the ids of records below a position. All that there are came
// before this record.
func (c *change) forget(r record.Record) error {
	f, err := record.ParseForget(r.Body)
	if err != nil {
		return err
	}
	below := min(f.Below, r.Position)
	if below <= c.forgotten {
		return nil
	}
	goneFrom := func(ids []rememberedID) {
		for _, r := range ids {
			if r.at >= c.forgotten && r.at < below {
				c.state.ids--
			}
		}
	}
	goneFrom(c.newIDs)
	goneFrom(c.ix.mu.newIDs.list)
	err = c.ix.writtenIDs(nil, c.forgotten, func(r rememberedID) bool {
		if r.at >= below {
			return false
		}
		c.goneIDs.Delete(r.key())
		c.goneIDs.Delete(orderKey(r.at))
		c.state.ids--
		return true
	})
	c.forgotten = below
	return err
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
	m := &c.ix.mu
	if m.forgotten < c.forgotten {
		m.forgotten = c.forgotten
		c.ix.filter.drop(c.forgotten)
		kept := m.newIDs.list
		for len(kept) > 0 && kept[0].at < c.forgotten {
			kept = kept[1:]
		}
		m.newIDs.list = kept
		if err := c.goneIDs.Replay(&c.ix.changed.ids); err != nil {
			panic("index: batch that was never a file: " + err.Error())
		}
	}
	for _, r := range c.newIDs {
		if r.at >= c.forgotten {
			key := r.key()
			c.ix.filter.add(key, r.at)
			m.newIDs.list = append(m.newIDs.list, r)
			m.newIDs.at[string(key)] = r.at
		}
	}
}

// putIDs adds to a batch what is unwritten of ids.
func (ix *Index) putIDs(kv *leveldb.Batch) {
	if err := ix.changed.ids.Replay(kv); err != nil {
		panic("index: batch that was never a file: " + err.Error())
	}
	for _, r := range ix.mu.newIDs.list {
		kv.Put(r.key(), binary.AppendUvarint(nil, uint64(r.at)))
		kv.Put(orderKey(r.at), r.encode())
	}
}

// idsFrom calls yield for the ids that are remembered, the oldest first, until
// yield returns false.
func (ix *Index) idsFrom(from record.Position, yield func(rememberedID) bool) error {
	ix.mu.RLock()
	from = max(from, ix.mu.forgotten, record.Position(ix.oldestID.Load()))
	unwritten := ix.mu.newIDs.list
	snap, err := ix.mu.db.GetSnapshot() // of the same moment: none is missed, none comes twice
	ix.mu.RUnlock()
	if err != nil {
		return fmt.Errorf("scan ids: %w", err)
	}
	defer snap.Release()
	more := true
	err = ix.writtenIDs(snap, from, func(r rememberedID) bool {
		more = yield(r)
		return more
	})
	if err != nil {
		return err
	}
	for i := 0; more && i < len(unwritten); i++ {
		if unwritten[i].at >= from {
			more = yield(unwritten[i])
		}
	}
	return nil
}

// writtenIDs is idsFrom for those of the key-value store, as of a snapshot, nil
// for now.
func (ix *Index) writtenIDs(snap *leveldb.Snapshot, from record.Position, yield func(rememberedID) bool) error {
	keys := &util.Range{Start: orderKey(from), Limit: prefixEnd('o')}
	var it iterator.Iterator
	if snap != nil {
		it = snap.NewIterator(keys, &opt.ReadOptions{DontFillCache: true})
	} else {
		it = ix.mu.db.NewIterator(keys, &opt.ReadOptions{DontFillCache: true})
	}
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
		return fmt.Errorf("scan ids: %w", classify(err))
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
