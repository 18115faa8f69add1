package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
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
	ops  []op
	next map[string]record.Sequence
}

// op is a record with an effect on the queues, in a batch that ends at end.
type op struct {
	end   record.Position
	queue string
	seq   record.Sequence // 0: an ack of acks
	acks  []record.Sequence
}

// at folds the history up to a position: the live messages by queue.
func (h *history) at(p record.Position) map[string][]record.Sequence {
	live := map[string]map[record.Sequence]bool{}
	for _, o := range h.ops {
		if o.end > p {
			break
		}
		q := live[o.queue]
		if q == nil {
			q = map[record.Sequence]bool{}
			live[o.queue] = q
		}
		if o.seq > 0 {
			q[o.seq] = true
		}
		for _, a := range o.acks {
			delete(q, a)
		}
	}
	out := map[string][]record.Sequence{}
	for name, q := range live {
		out[name] = []record.Sequence{}
		for seq := range q {
			out[name] = append(out[name], seq)
		}
		slices.Sort(out[name])
	}
	return out
}

// cutTo forgets what the log lost.
func (h *history) cutTo(p record.Position) {
	h.ops = slices.DeleteFunc(h.ops, func(o op) bool { return o.end > p })
	h.next = map[string]record.Sequence{}
	for _, o := range h.ops {
		h.next[o.queue] = max(h.next[o.queue], o.seq)
	}
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
}

func newKeeper(t *testing.T, seed, run uint64) *keeper {
	return &keeper{t: t, rng: rand.New(rand.NewPCG(seed, run)), h: history{next: map[string]record.Sequence{}}}
}

func messageID(queue string, seq record.Sequence) string { return fmt.Sprintf("%s-%d", queue, seq) }

// add appends a batch of records.
func (k *keeper) add(s *store.Store, ops []op, moves []record.Move) error {
	b := record.NewBatch(1000)
	for i, o := range ops {
		if o.seq > 0 {
			body := make([]byte, k.rng.IntN(500))
			enqueue(b, o.queue, messageID(o.queue, o.seq), body)
		} else {
			b.Add(record.TypeAck, record.Ack{Queue: o.queue, Sequences: ops[i].acks}.AppendTo)
		}
	}
	for _, m := range moves {
		b.Add(record.TypeMove, m.AppendTo)
	}
	end, err := s.Log().Append(1, s.Log().Positions().Flush, b)
	if err != nil {
		return err
	}
	for _, o := range ops {
		o.end = end
		k.h.ops = append(k.h.ops, o)
		k.h.next[o.queue] = max(k.h.next[o.queue], o.seq)
	}
	return nil
}

// randomOps makes new messages, and acks of old ones. One queue is hardly ever
// acknowledged, so that it holds on to old segments.
func (k *keeper) randomOps() (ops []op) {
	given := map[string]record.Sequence{}
	for range 1 + k.rng.IntN(4) {
		name := fmt.Sprintf("q%d", k.rng.IntN(4))
		last := k.h.next[name] + given[name]
		if last > 0 && (k.rng.IntN(2) == 0 || last > 200) && (name != "q0" || k.rng.IntN(40) == 0) {
			o := op{queue: name}
			for range 1 + k.rng.IntN(6) {
				back := record.Sequence(k.rng.IntN(int(min(last, 30))))
				o.acks = append(o.acks, last-back)
			}
			ops = append(ops, o)
			continue
		}
		given[name]++
		ops = append(ops, op{queue: name, seq: last + 1})
	}
	return ops
}

// ackOld acknowledges most of what is live and old.
func (k *keeper) ackOld() (ops []op) {
	for name, live := range k.h.at(everywhere) {
		if n := len(live) * 2 / 3; n > 0 && name != "q0" {
			ops = append(ops, op{queue: name, acks: live[:n]})
		}
	}
	slices.SortFunc(ops, func(x, y op) int { return strings.Compare(x.queue, y.queue) })
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
	for name, want := range k.h.at(at) {
		got := []record.Sequence{}
		if _, ok := s.Index().Queue(name); ok || len(want) > 0 {
			entries, err := s.Index().Scan(name, 0, 1<<20)
			require.NoError(k.t, err, k.where)
			for _, e := range entries {
				got = append(got, e.Seq)
				entered = append(entered, place{name, e.Seq, e.Position})
				m, err := s.Enqueued(e.Position)
				require.NoError(k.t, err, "%s: %s %d", k.where, name, e.Seq)
				require.Equal(k.t, messageID(name, e.Seq), m.Message.ID, k.where)
			}
		}
		require.Equal(k.t, want, got, "%s: queue %s at position %d", k.where, name, at)
	}
	require.NoError(k.t, s.Live(0, everywhere, func(l index.Live, _ record.Enqueue) error {
		found = append(found, place{l.Queue, l.Seq, l.Position})
		return nil
	}), k.where)
	require.ElementsMatch(k.t, entered, found, k.where)
}
