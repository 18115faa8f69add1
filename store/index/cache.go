package index

import "baton/store/record"

// message names an entry.
type message struct {
	queue uint64
	seq   record.Sequence
}

// place is what an entry says: where its record is, and the rest; size 0 means
// that there is no entry.
type place struct {
	at           record.Position
	size         int
	timestamp    int64
	deadline     int64
	redeliveries uint32
}

func (e Entry) place() place {
	return place{e.Position, e.Size, e.Timestamp, e.Deadline, e.Redeliveries}
}

func (p place) entry(seq record.Sequence) Entry {
	return Entry{seq, p.at, p.size, p.timestamp, p.deadline, p.redeliveries}
}

// placeCache remembers the places of recent entries, so that the ack of a
// message that was enqueued a short while ago needs no read. It is
// direct-mapped: a newer entry takes the place of an older one with the same
// slot.
type placeCache struct {
	slots []placeSlot
}

type placeSlot struct {
	message
	place
}

const placeSlots = 1 << 15

func newPlaceCache() *placeCache { return &placeCache{slots: make([]placeSlot, placeSlots)} }

func (c *placeCache) slot(m message) *placeSlot {
	// Consecutive sequences of a queue take consecutive slots.
	return &c.slots[(uint64(m.seq)+m.queue*0x9e3779b97f4a7c15>>40)%placeSlots]
}

func (c *placeCache) put(m message, p place) { *c.slot(m) = placeSlot{m, p} }

func (c *placeCache) get(m message) (place, bool) {
	s := c.slot(m)
	return s.place, s.message == m && s.size > 0
}

func (c *placeCache) forget(m message) {
	if s := c.slot(m); s.message == m {
		s.place = place{}
	}
}
