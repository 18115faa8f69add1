package index

import (
	"errors"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/util"

	"baton/store/record"
)

// readAhead notices queues whose messages are looked up one after the other,
// as when a deep queue is drained. To get one entry of many costs ten times
// what it costs to step to the next one, so such queues are read in runs. It
// knows one queue in each slot: of two that share a slot the other is
// forgotten, which costs time and nothing else.
type readAhead struct {
	runs [256]run
}

// run is where a queue was read last: up to below next, in a run of length.
type run struct {
	queue  uint64
	next   record.Sequence
	length record.Sequence
}

const (
	firstRun = 16
	maxRun   = 256 // a small part of the place cache
)

// length returns how many sequences to read from m on: 1 if m does not follow
// on what was read of the queue before. Lookups that skip a few still do.
func (a *readAhead) length(m message) record.Sequence {
	r := &a.runs[m.queue%uint64(len(a.runs))]
	n := record.Sequence(1)
	if r.queue == m.queue && m.seq >= r.next && m.seq-r.next < firstRun {
		n = min(max(firstRun, 2*r.length), maxRun)
	}
	*r = run{m.queue, m.seq + n, n}
	return n
}

// place returns where an entry is, the zero place if it is not there.
func (c *change) place(m message) (place, error) {
	if p, ok := c.places[m]; ok {
		return p, nil
	}
	if p, ok := c.ix.places.get(m); ok {
		return p, nil
	}
	if n := c.ix.ahead.length(m); n > 1 {
		return c.ix.readRun(m, n)
	}
	key := entryKey(m.queue, m.seq)
	value, err := c.ix.db.Get(key, nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return place{}, nil
	}
	if err != nil {
		return place{}, classify(err)
	}
	e, err := decodeEntry(key, value)
	return e.place(), err
}

// readRun puts the entries with n sequences from m on into the place cache,
// and returns where m is. What an unwritten change does to them is not its
// matter: publish brings the cache up to date as for any other entry.
func (ix *Index) readRun(m message, n record.Sequence) (wanted place, err error) {
	it := ix.db.NewIterator(&util.Range{Start: entryKey(m.queue, m.seq), Limit: entryKey(m.queue, m.seq+n)}, nil)
	defer it.Release()
	for it.Next() {
		e, err := decodeEntry(it.Key(), it.Value())
		if err != nil {
			return place{}, err
		}
		if e.Seq == m.seq {
			wanted = e.place()
		}
		ix.places.put(message{m.queue, e.Seq}, e.place())
	}
	return wanted, classify(it.Error())
}
