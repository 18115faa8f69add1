package index

import (
	"bytes"
	"errors"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/comparer"
	"github.com/syndtr/goleveldb/leveldb/iterator"
	"github.com/syndtr/goleveldb/leveldb/memdb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// pending is what the key-value store will be told with the next write, of all
// keys that are not kept in memory in a form of their own. Values begin with a
// byte that says whether the key is put or deleted.
type pending struct {
	*memdb.DB
	value []byte // scratch
}

const (
	keyDeleted = 0
	keyPut     = 1
)

func newPending() *pending { return &pending{DB: memdb.New(comparer.DefaultComparer, 4<<10)} }

// Put and Delete take in a change, see leveldb.Batch.Replay.
func (p *pending) Put(key, value []byte) {
	p.value = append(append(p.value[:0], keyPut), value...)
	p.set(key)
}

func (p *pending) Delete(key []byte) {
	p.value = append(p.value[:0], keyDeleted)
	p.set(key)
}

func (p *pending) set(key []byte) {
	if err := p.DB.Put(key, p.value); err != nil {
		panic("index: table in memory: " + err.Error()) // it knows no errors
	}
}

// addTo adds all to a batch.
func (p *pending) addTo(kv *leveldb.Batch) {
	it := p.NewIterator(nil)
	defer it.Release()
	for it.Next() {
		if v := it.Value(); v[0] == keyPut {
			kv.Put(it.Key(), v[1:])
		} else {
			kv.Delete(it.Key())
		}
	}
}

// get returns the value of a key as of what is applied; false if there is none.
func (ix *Index) get(key []byte) (value []byte, ok bool, err error) {
	ix.mu.RLock()
	p, db := ix.mu.pending, ix.mu.db
	ix.mu.RUnlock()
	// What p does not have is written: it was before p began, or p has been.
	if v, err := p.Get(key); err == nil {
		return v[1:], v[0] == keyPut, nil
	}
	value, err = db.Get(key, nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, false, nil
	}
	return value, err == nil, classify(err)
}

// cursor steps through keys as of what is applied when it is made, or somewhat
// later. The caller releases it.
type cursor struct {
	mem, db       iterator.Iterator
	inMem, inDB   bool // they stand at a key that is still to come
	began, useMem bool
	snap          *leveldb.Snapshot
	err           error
}

// cursor returns one of the keys from start on and below limit.
func (ix *Index) cursor(start, limit []byte) *cursor {
	ix.mu.RLock()
	p := ix.mu.pending
	snap, err := ix.mu.db.GetSnapshot() // with the lock held, so that what leaves p is in it
	ix.mu.RUnlock()
	if err != nil {
		return &cursor{err: err}
	}
	keys := &util.Range{Start: start, Limit: limit}
	return &cursor{snap: snap, mem: p.NewIterator(keys), db: snap.NewIterator(keys, &opt.ReadOptions{DontFillCache: true})}
}

func prefixEnd(prefix byte) []byte { return []byte{prefix + 1} }

// Next goes on to the next key; false at the end, or after an error.
func (c *cursor) Next() bool {
	if c.err != nil {
		return false
	}
	if !c.began {
		c.began, c.inMem, c.inDB = true, c.mem.Next(), c.db.Next()
	} else if c.useMem {
		c.inMem = c.mem.Next()
	} else {
		c.inDB = c.db.Next()
	}
	for c.inMem {
		order := -1
		if c.inDB {
			order = bytes.Compare(c.mem.Key(), c.db.Key())
		}
		if order > 0 {
			break
		}
		if order == 0 {
			c.inDB = c.db.Next() // what is pending counts
		}
		if c.mem.Value()[0] == keyPut {
			c.useMem = true
			return true
		}
		c.inMem = c.mem.Next()
	}
	c.useMem = false
	return c.inDB
}

// Key and Value are good until the next call of Next.
func (c *cursor) Key() []byte {
	if c.useMem {
		return c.mem.Key()
	}
	return c.db.Key()
}

func (c *cursor) Value() []byte {
	if c.useMem {
		return c.mem.Value()[1:]
	}
	return c.db.Value()
}

func (c *cursor) Error() error {
	if c.err != nil {
		return c.err
	}
	return classify(c.db.Error())
}

func (c *cursor) Release() {
	if c.snap == nil {
		return
	}
	c.mem.Release()
	c.db.Release()
	c.snap.Release()
}
