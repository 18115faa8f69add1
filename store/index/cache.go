package index

import "baton/store/record"

// message names an entry.
type message struct {
	queue uint64
	seq   record.Sequence
}

// sizeCache remembers the sizes of recent entries, so that the ack of a message
// that was enqueued a short while ago needs no read. It is direct-mapped: a
// newer entry takes the place of an older one with the same slot.
type sizeCache struct {
	slots []sizeSlot
}

type sizeSlot struct {
	message
	size int
}

const sizeSlots = 1 << 15

func newSizeCache() *sizeCache { return &sizeCache{slots: make([]sizeSlot, sizeSlots)} }

func (c *sizeCache) slot(m message) *sizeSlot {
	// Consecutive sequences of a queue take consecutive slots.
	return &c.slots[(uint64(m.seq)+m.queue*0x9e3779b97f4a7c15>>40)%sizeSlots]
}

func (c *sizeCache) put(m message, size int) { *c.slot(m) = sizeSlot{m, size} }

func (c *sizeCache) get(m message) (int, bool) {
	s := c.slot(m)
	return s.size, s.message == m && s.size > 0
}

func (c *sizeCache) forget(m message) {
	if s := c.slot(m); s.message == m {
		s.size = 0
	}
}
