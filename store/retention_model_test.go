package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store"
	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
)

// everywhere is a limit that keeps nothing.
const everywhere = ^record.Position(0)

// history is what was appended, so that what must be in the queues can be
// told for every position of the log.
type history struct {
	ops []op
	now contents // of all of them
}

// op is a record with an effect on the queues, in a batch that ends at end.
type op struct {
	end, at record.Position
	queue   string
	seq     record.Sequence // an enqueue, if not 0; then it may have an id
	id      string
	message string // its message id
	acks    []record.Sequence
	counts  []record.Redelivered
	move    *record.Move
	deletes bool            // the queue
	below   record.Position // ids are forgotten, if not 0
}

// held is a message in a queue.
type held struct {
	message string
	at      record.Position
	count   uint32
}

// contents is what records add up to.
type contents struct {
	live  map[string]map[record.Sequence]held
	next  map[string]record.Sequence
	ids   map[string]record.Position // by queue and id
	floor record.Sequence
	saved int // messages that were not put into a queue twice
}

func (h *history) at(p record.Position) contents {
	c := contents{live: map[string]map[record.Sequence]held{}, next: map[string]record.Sequence{}, ids: map[string]record.Position{}, floor: 1}
	for _, o := range h.ops {
		if o.end > p {
			break
		}
		c.apply(o)
	}
	return c
}

func (c *contents) apply(o op) {
	q := c.live[o.queue]
	switch {
	case o.seq > 0:
		if key := o.queue + " " + o.id; o.id != "" {
			if c.ids[key] > 0 {
				c.saved++
				return
			}
			c.ids[key] = o.at
		}
		if q == nil {
			q = map[record.Sequence]held{}
			c.live[o.queue], c.next[o.queue] = q, c.floor
		}
		q[c.next[o.queue]] = held{o.message, o.at, 0}
		c.next[o.queue]++
	case o.below > 0:
		maps.DeleteFunc(c.ids, func(_ string, at record.Position) bool { return at < o.below })
	case o.move != nil:
		if m := o.move; q[m.Sequence].at == m.From {
			q[m.Sequence] = held{m.Enqueue.Message.ID, o.at, m.Enqueue.Message.Redeliveries}
		}
	case o.deletes:
		if q != nil && len(q) == 0 {
			c.floor = max(c.floor, c.next[o.queue])
			delete(c.live, o.queue)
			delete(c.next, o.queue)
		}
	}
	for _, r := range o.counts {
		if h, ok := q[r.Sequence]; ok {
			h.count = r.Count
			q[r.Sequence] = h
		}
	}
	for _, a := range o.acks {
		delete(q, a)
	}
}

// cutTo forgets what the log lost.
func (h *history) cutTo(p record.Position) {
	h.ops = slices.DeleteFunc(h.ops, func(o op) bool { return o.end > p })
	h.now = h.at(p)
}

// opened takes note of what a crash took from the end of the log.
func (k *keeper) opened(s *store.Store) {
	end := s.Log().Positions().Append
	require.GreaterOrEqual(k.t, end, k.flushed, "%s: lost what was flushed", k.where)
	k.flushed = end
	k.h.cutTo(end)
	k.stale = slices.DeleteFunc(k.stale, func(m record.Move) bool { return m.From >= end })
}

// keeper drives a store through a life of many crashes.
type keeper struct {
	t       *testing.T
	where   string
	rng     *rand.Rand
	h       history
	flushed record.Position
	stale   []record.Move // moves of earlier, to be tried again
	trims   int

	messages int // made, so that each has an id of its own
}

func newKeeper(t *testing.T, seed, run uint64) *keeper {
	k := &keeper{t: t, rng: rand.New(rand.NewPCG(seed, run))}
	k.h.now = k.h.at(0)
	return k
}

// add appends a batch of records.
func (k *keeper) add(s *store.Store, ops []op, moves []record.Move) error {
	b := record.NewBatch(1000)
	begin := s.Log().Positions().Append
	for i := range moves {
		ops = append(ops, op{queue: moves[i].Enqueue.Queue, move: &moves[i]})
	}
	for i := range ops {
		o := &ops[i]
		o.at = begin + record.Position(b.Len())
		k.encode(b, o)
	}
	end, err := s.Log().Append(1, s.Log().Positions().Flush, b)
	if err != nil {
		return err
	}
	for _, o := range ops {
		o.end = end
		k.h.ops = append(k.h.ops, o)
		k.h.now.apply(o)
	}
	return nil
}

func (k *keeper) encode(b *record.Batch, o *op) {
	switch {
	case o.seq > 0:
		k.messages++
		o.message = fmt.Sprintf("%s-%d", o.queue, k.messages)
		e := record.Enqueue{Queue: o.queue, Message: record.Message{ID: o.message, Timestamp: 1, DedupID: o.id, Body: make([]byte, k.rng.IntN(500))}}
		if k.rng.IntN(3) == 0 {
			e.Message.Deadline = 1 + k.rng.Int64N(100)
		}
		b.Add(record.TypeEnqueue, e.AppendTo)
	case o.below > 0:
		b.Add(record.TypeForget, record.Forget{Below: o.below}.AppendTo)
	case o.move != nil:
		b.Add(record.TypeMove, o.move.AppendTo)
	case o.deletes:
		b.Add(record.TypeDeleteQueue, record.DeleteQueue{Queue: o.queue}.AppendTo)
	case len(o.counts) > 0:
		b.Add(record.TypeRedeliver, record.Redeliver{Queue: o.queue, Messages: o.counts}.AppendTo)
	default:
		b.Add(record.TypeAck, record.Ack{Queue: o.queue, Sequences: o.acks}.AppendTo)
	}
}

// randomOps makes new messages, and acks of old ones. One queue is hardly ever
// acknowledged, so that it holds on to old segments.
func (k *keeper) randomOps() (ops []op) {
	for range 1 + k.rng.IntN(4) {
		name := fmt.Sprintf("q%d", k.rng.IntN(4))
		next := k.h.now.next[name]
		recent := func() record.Sequence { return next - min(next, 1+record.Sequence(k.rng.IntN(30))) }
		o := op{queue: name}
		switch n := k.rng.IntN(20); {
		case n < 8 && (len(k.h.now.live[name]) < 200 || name == "q0"):
			o.seq = 1
			if k.rng.IntN(3) == 0 {
				o.id = fmt.Sprint("id", k.rng.IntN(20))
			}
		case n < 17 && (name != "q0" || k.rng.IntN(40) == 0):
			for range 1 + k.rng.IntN(6) {
				o.acks = append(o.acks, recent())
			}
		case n == 18:
			o.counts = []record.Redelivered{{Sequence: recent(), Count: k.rng.Uint32N(9)}, {Sequence: recent(), Count: 1}}
		case n == 19:
			o.deletes = true
		default:
			continue
		}
		ops = append(ops, o)
	}
	if len(ops) == 0 {
		ops = append(ops, op{queue: "q1", seq: 1})
	}
	return ops
}

// ackOld acknowledges most of what is live and old, and forgets old ids.
func (k *keeper) ackOld() (ops []op) {
	for _, name := range slices.Sorted(maps.Keys(k.h.now.live)) {
		live := slices.Sorted(maps.Keys(k.h.now.live[name]))
		if n := len(live) * 2 / 3; n > 0 && name != "q0" {
			ops = append(ops, op{queue: name, acks: live[:n]})
		}
	}
	if n := len(k.h.ops); n > 0 {
		ops = append(ops, op{below: k.h.ops[n-1-k.rng.IntN(min(n, 40))].end})
	}
	return ops
}

// someMoves makes moves of what the index holds at the moment, oldest first;
// and some that were made before.
func (k *keeper) someMoves(s *store.Store) (moves []record.Move, err error) {
	if len(k.stale) > 0 && k.rng.IntN(4) == 0 {
		moves = append(moves, k.stale[k.rng.IntN(len(k.stale))])
	}
	errEnough, n := errors.New("enough"), 0
	err = s.Live(0, everywhere, func(l index.Live, e record.Enqueue) error {
		if k.rng.IntN(4) > 0 {
			moves = append(moves, record.Move{Sequence: l.Seq, From: l.Position, Enqueue: e})
		}
		if n++; n == 12 {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	k.stale = append(k.stale, moves...)
	return moves, err
}

// work does random things until the machine dies; the error is that.
func (k *keeper) work(s *store.Store, steps int) error {
	for range steps {
		var err error
		switch n := k.rng.IntN(100); {
		case n < 50:
			err = k.add(s, k.randomOps(), nil)
		case n < 55:
			if ops := k.ackOld(); len(ops) > 0 {
				err = k.add(s, ops, nil)
			}
		case n < 65:
			var moves []record.Move
			if moves, err = k.someMoves(s); err == nil && len(moves) > 0 {
				if k.rng.IntN(2) == 0 { // acks and more may come in between
					err = k.add(s, append(k.ackOld(), k.randomOps()...), nil)
				}
				if err == nil {
					err = k.add(s, nil, moves)
				}
			}
		case n < 70:
			end := s.Log().Positions().Append
			if err = s.Log().WaitFlushed(context.Background(), end); err == nil {
				k.flushed = max(k.flushed, end)
			}
		case n < 80:
			var did store.Trimmed
			if did, err = s.Trim(context.Background(), everywhere); did.To > did.From {
				k.trims++
			}
		default:
			pos := s.Log().Positions()
			err = s.Apply(pos.Written, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// check compares a store that was opened with the history, and its index with
// one that is made anew. It returns the store, which it opened again.
func (k *keeper) check(fs vfs.FS, s *store.Store) *store.Store {
	k.opened(s)
	pos := s.Log().Positions()
	require.NoError(k.t, s.Apply(pos.Append, nil), k.where)
	k.compare(s)
	live := dump(k.t, s)
	require.NoError(k.t, s.Close(), k.where)
	require.NoError(k.t, index.Wipe(fs, filepath.Join("/node/data", "index")))
	s, err := store.Open(crashConfig(fs))
	require.NoError(k.t, err, k.where)
	require.NoError(k.t, s.Apply(pos.Append, nil), k.where)
	require.Equal(k.t, live, dump(k.t, s), "%s: the index made from the rest of the log is another", k.where)
	return s
}

// compare compares what is applied with the history.
func (k *keeper) compare(s *store.Store) {
	at, _ := s.Applied()
	type place struct {
		queue string
		seq   record.Sequence
		at    record.Position
	}
	var entered, found []place // by the index, and by a look at the log
	want := k.h.at(at)
	require.Len(k.t, s.Index().Queues(), len(want.live), k.where)
	require.EqualValues(k.t, len(want.ids), s.Index().IDs(), k.where)
	for name, live := range want.live {
		got := map[record.Sequence]held{}
		entries, err := s.Index().Scan(name, 0, 1<<20)
		require.NoError(k.t, err, k.where)
		for _, e := range entries {
			entered = append(entered, place{name, e.Seq, e.Position})
			m, err := s.Enqueued(e.Position)
			require.NoError(k.t, err, "%s: %s %d", k.where, name, e.Seq)
			require.Equal(k.t, m.Message.Deadline, e.Deadline, k.where)
			got[e.Seq] = held{m.Message.ID, e.Position, e.Redeliveries}
		}
		require.Equal(k.t, live, got, "%s: queue %s at position %d", k.where, name, at)
	}
	require.NoError(k.t, s.Live(0, everywhere, func(l index.Live, _ record.Enqueue) error {
		found = append(found, place{l.Queue, l.Seq, l.Position})
		return nil
	}), k.where)
	require.ElementsMatch(k.t, entered, found, k.where)
}
