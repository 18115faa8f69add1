package index

import (
	"errors"
	"slices"

	"github.com/syndtr/goleveldb/leveldb"
)

// block is a block of entries in memory. Apply alone changes it: the places and
// flags with Index.mu held, since readers look into those that are unwritten.
type block struct {
	blockID
	places
	stored    bool    // the key-value store has a state of it
	unwritten bool    // that is not this one
	draft     *places // Apply's: what the change that is being made turns it into; nil if it does not
}

// cacheBlocks is how many blocks a generation of the cache holds, of 2 KiB each
// at the most.
const cacheBlocks = 512

// blockCache holds the blocks that Apply used last, and all that are unwritten.
// It is Apply's. There are two generations: when the younger one is full, what
// was not used since the last time goes.
type blockCache struct {
	young, old map[blockID]*block
	entered    int       // into young, since it began
	drafts     []*places // to be used again
}

func newBlockCache() *blockCache {
	return &blockCache{young: map[blockID]*block{}, old: map[blockID]*block{}}
}

func (c *blockCache) get(id blockID) *block {
	if b := c.young[id]; b != nil {
		return b
	}
	b := c.old[id]
	if b != nil {
		delete(c.old, id)
		c.put(b)
	}
	return b
}

func (c *blockCache) put(b *block) {
	if c.entered++; c.entered > cacheBlocks {
		gone := c.old
		c.old, c.young, c.entered = c.young, make(map[blockID]*block, cacheBlocks), 0
		for id, b := range gone {
			if b.unwritten || b.draft != nil {
				c.young[id] = b
			} else {
				c.reuse(&places{list: b.list})
			}
		}
	}
	c.young[b.blockID] = b
}

func (c *blockCache) drop(b *block) {
	delete(c.young, b.blockID)
	delete(c.old, b.blockID)
	c.reuse(&places{list: b.list})
}

// make makes an empty block.
func (c *blockCache) make(id blockID) *block {
	d := c.draft()
	return &block{blockID: id, places: places{list: d.list[:0]}}
}

// draft returns memory for one, to be given back to reuse.
func (c *blockCache) draft() *places {
	n := len(c.drafts)
	if n == 0 {
		return new(places)
	}
	d := c.drafts[n-1]
	c.drafts = c.drafts[:n-1]
	return d
}

func (c *blockCache) reuse(d *places) {
	if len(c.drafts) < cacheBlocks {
		c.drafts = append(c.drafts, d)
	}
}

// edit returns the draft of a block, which it makes if there is none.
func (c *change) edit(b *block) *places {
	if b.draft == nil {
		b.draft = c.ix.blocks.draft()
		b.places.copyTo(b.draft)
		c.edited = append(c.edited, b)
	}
	return b.draft
}

// block returns a block, empty if none of its messages is there.
func (c *change) block(id blockID) (*block, error) {
	if b := c.last; b != nil && b.blockID == id {
		return b, nil
	}
	b := c.ix.blocks.get(id)
	if b == nil {
		b = c.ix.blocks.make(id)
		value, err := c.ix.mu.db.Get(appendBlockKey(c.key[:0], id), nil)
		if err == nil {
			err, b.stored = b.decode(value), true
		} else if errors.Is(err, leveldb.ErrNotFound) {
			err = nil
		}
		if err != nil {
			return nil, classify(err)
		}
		c.ix.blocks.put(b)
	}
	c.last = b
	return b, nil
}

// freshBlock is block for a sequence that was never given, so that no entry is
// there if it is the first of its block.
func (c *change) freshBlock(m message) (*block, error) {
	if m.offset() > 0 {
		return c.block(m.block())
	}
	b := c.ix.blocks.make(m.block())
	c.ix.blocks.put(b)
	c.last = b
	return b, nil
}

// place returns where an entry is, and its block, to be edited before another is
// looked at; the zero place if it is not there.
func (c *change) place(m message) (*block, place, error) {
	b, err := c.block(m.block())
	if err != nil {
		return nil, place{}, err
	}
	if b.draft != nil {
		return b, b.draft.get(m.offset()), nil
	}
	return b, b.get(m.offset()), nil
}

// abandon ends what the change makes of blocks; those that are not published
// are as they were. It may be called again.
func (c *change) abandon() {
	for _, b := range c.edited {
		c.ix.blocks.reuse(b.draft)
		b.draft = nil
	}
	c.edited, c.last = nil, nil
}

// publishBlocks is a part of publish.
func (c *change) publishBlocks() {
	ix := c.ix
	for _, b := range c.edited {
		b.places, *b.draft = *b.draft, b.places
		switch has := b.present != 0 || b.stored; {
		case has && !b.unwritten:
			ix.addUnwritten(b)
		case !has && b.unwritten:
			ix.removeUnwritten(b)
		}
		// A block that has come and gone in memory is not heard of any more, once
		// all of its sequences were given.
		if b.present == 0 && !b.stored && len(b.list) == blockSize {
			ix.blocks.drop(b)
		}
	}
	c.abandon()
}

// findUnwritten looks for a block among those of its queue that are unwritten.
func (ix *Index) findUnwritten(id blockID) (i int, found bool) {
	list := ix.mu.unwritten[id.queue]
	// Most are behind all others.
	if n := len(list); n == 0 || list[n-1].number < id.number {
		return n, false
	}
	return slices.BinarySearchFunc(list, id.number, func(b *block, number uint64) int {
		if b.number < number {
			return -1
		} else if b.number > number {
			return 1
		}
		return 0
	})
}

func (ix *Index) addUnwritten(b *block) {
	i, _ := ix.findUnwritten(b.blockID)
	ix.mu.unwritten[b.queue] = slices.Insert(ix.mu.unwritten[b.queue], i, b)
	b.unwritten = true
	ix.unwritten++
}

func (ix *Index) removeUnwritten(b *block) {
	i, _ := ix.findUnwritten(b.blockID)
	ix.mu.unwritten[b.queue] = slices.Delete(ix.mu.unwritten[b.queue], i, i+1)
	b.unwritten = false
	ix.unwritten--
}

// entry returns an entry; false if it is not there. For readers.
func (ix *Index) entry(m message) (e Entry, ok bool, err error) {
	ix.mu.RLock()
	db := ix.mu.db
	i, found := ix.findUnwritten(m.block())
	var p place
	if found {
		p = ix.mu.unwritten[m.queue][i].get(m.offset())
	}
	ix.mu.RUnlock()
	if !found {
		value, err := db.Get(blockKey(m.block()), nil)
		if errors.Is(err, leveldb.ErrNotFound) {
			return e, false, nil
		}
		var s places
		if err == nil {
			err = s.decode(value)
		}
		if err != nil {
			return e, false, classify(err)
		}
		p = s.get(m.offset())
	}
	return p.entry(m.seq), p.size > 0, nil
}
