package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store"
	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
	"baton/store/wal"
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
	var found []index.Live
	err = s.Index().LiveIn(0, everywhere, func(l index.Live) bool {
		found = append(found, l)
		return len(found) < 12
	})
	for _, l := range found {
		if err != nil || k.rng.IntN(4) == 0 {
			continue
		}
		var e record.Enqueue
		if e, err = s.Enqueued(l.Position); err == nil {
			moves = append(moves, record.Move{Sequence: l.Seq, From: l.Position, Enqueue: e})
		}
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
	for name, want := range k.h.at(at) {
		got := []record.Sequence{}
		if _, ok := s.Index().Queue(name); ok || len(want) > 0 {
			entries, err := s.Index().Scan(name, 0, 1<<20)
			require.NoError(k.t, err, k.where)
			for _, e := range entries {
				got = append(got, e.Seq)
				m, err := s.Enqueued(e.Position)
				require.NoError(k.t, err, "%s: %s %d", k.where, name, e.Seq)
				require.Equal(k.t, messageID(name, e.Seq), m.Message.ID, k.where)
			}
		}
		require.Equal(k.t, want, got, "%s: queue %s at position %d", k.where, name, at)
	}
}

// TestRetentionModel puts stores through random lives with acks, moves, trims,
// crashes and rebuilds.
func TestRetentionModel(t *testing.T) {
	seed := seedOf(t)
	lives := 25
	if testing.Short() {
		lives = 10
	}
	for run := range uint64(3) {
		k := newKeeper(t, seed, run)
		disk := vfs.NewMem()
		for life := range lives {
			k.where = fmt.Sprintf("seed %d run %d life %d", seed, run, life)
			var calls atomic.Int64
			dieAt := int64(20 + k.rng.IntN(400))
			hook := vfs.NewHook(disk, func(op vfs.Op) error {
				if op.Changes() && calls.Add(1) > dieAt {
					return vfs.ErrCrashed
				}
				return nil
			})
			s, err := store.Open(crashConfig(hook))
			if err == nil {
				k.opened(s)
				err = k.work(s, 400)
			}
			if err != nil {
				requireCrash(t, err, k.where)
			}
			if k.rng.IntN(3) == 0 {
				disk = disk.Kill()
			} else {
				disk = disk.Crash(k.rng.Uint64())
			}
			if s != nil {
				s.Close()
			}
			if life%3 == 2 {
				s, err = store.Open(crashConfig(disk))
				require.NoError(t, err, k.where)
				s = k.check(disk, s)
				require.NoError(t, s.Close(), k.where)
			}
		}
		require.Greater(t, k.trims, 5, "%s: the test shows little", k.where)
		t.Logf("run %d: %d records, %d trims, log cut at %d", run, len(k.h.ops), k.trims, k.flushed)
	}
}

// TestRetentionCrashPoints runs one small workload with two trims and crashes
// it before every single call that changes the disk.
func TestRetentionCrashPoints(t *testing.T) {
	seed := seedOf(t)
	script := func(k *keeper, s *store.Store) error {
		steps := []func() error{
			func() error { return k.add(s, []op{{queue: "q0", seq: 1}, {queue: "q1", seq: 1}}, nil) },
		}
		for i := range record.Sequence(24) {
			steps = append(steps, func() error {
				return k.add(s, []op{{queue: "q1", seq: i + 2}, {queue: "q1", acks: []record.Sequence{i + 1}}}, nil)
			}, func() error { return s.Apply(s.Log().Positions().Written, nil) })
		}
		flush := func() error {
			end := s.Log().Positions().Append
			err := s.Log().WaitFlushed(context.Background(), end)
			if err == nil {
				k.flushed = end
				err = s.Apply(end, nil)
			}
			return err
		}
		trim := func() error {
			_, err := s.Trim(context.Background(), everywhere)
			return err
		}
		moveAll := func() error {
			var moves []record.Move
			err := s.Index().LiveIn(0, everywhere, func(l index.Live) bool {
				e, err := s.Enqueued(l.Position)
				if err == nil {
					moves = append(moves, record.Move{Sequence: l.Seq, From: l.Position, Enqueue: e})
				}
				return err == nil
			})
			if err == nil && len(moves) > 0 { // one is acknowledged before its move
				err = k.add(s, []op{{queue: "q1", acks: []record.Sequence{25}}}, nil)
			}
			if err == nil && len(moves) > 0 {
				err = k.add(s, nil, moves)
			}
			return err
		}
		steps = append(steps, flush, trim, moveAll, flush, trim, flush)
		for _, step := range steps {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	}
	points, trimmed := 0, 0
	for dieAt := int64(0); ; dieAt++ {
		k := newKeeper(t, seed, 1)
		k.where = fmt.Sprintf("seed %d, dies before call %d", seed, dieAt)
		disk := vfs.NewMem()
		var calls atomic.Int64
		hook := vfs.NewHook(disk, func(op vfs.Op) error {
			if op.Changes() && calls.Add(1) > dieAt {
				return vfs.ErrCrashed
			}
			return nil
		})
		s, err := store.Open(crashConfig(hook))
		if err == nil {
			err = script(k, s)
		}
		finished := err == nil
		if err != nil {
			requireCrash(t, err, k.where)
		} else if s.Log().Positions().Start > 0 {
			trimmed++
		}
		if dieAt%2 == 0 {
			disk = disk.Crash(seed + uint64(dieAt))
		} else {
			disk = disk.Kill()
		}
		if s != nil {
			s.Close()
		}
		s, err = store.Open(crashConfig(disk))
		require.NoError(t, err, k.where)
		s = k.check(disk, s)
		require.NoError(t, s.Close())
		if finished {
			break
		}
		points++
	}
	require.Equal(t, 1, trimmed, "the whole script trims")
	t.Logf("%d crash points", points)
}

// TestTrimOnFullDisk: there is not even room for START, and the log is
// shortened all the same.
func TestTrimOnFullDisk(t *testing.T) {
	var full atomic.Bool
	mem := vfs.NewMem()
	hook := vfs.NewHook(mem, func(op vfs.Op) error {
		if op.Kind == vfs.OpRemove {
			full.Store(false)
		}
		if full.Load() && (op.Kind == vfs.OpCreate || op.Kind == vfs.OpWrite) {
			return syscall.ENOSPC
		}
		return nil
	})
	s := openStore(t, crashConfig(hook))
	k := newKeeper(t, 1, 1)
	for i := range record.Sequence(60) {
		require.NoError(t, k.add(s, []op{{queue: "q", seq: i + 1}, {queue: "q", acks: []record.Sequence{i + 1}}}, nil))
	}
	end := s.Log().Positions().Append
	require.NoError(t, s.Log().WaitFlushed(context.Background(), end))
	require.NoError(t, s.Apply(end, nil))
	full.Store(true)
	did, err := s.Trim(context.Background(), everywhere)
	require.NoError(t, err)
	require.Greater(t, did.Segments, 2)
	require.NoError(t, s.Close())
	k.where = "full disk"
	s, err = store.Open(crashConfig(mem))
	require.NoError(t, err)
	require.NoError(t, k.check(mem, s).Close())
}

func TestTrimKeepsWhatIsNeeded(t *testing.T) {
	mem := vfs.NewMem()
	s := openStore(t, crashConfig(mem))
	ctx := context.Background()
	k := newKeeper(t, 1, 1)
	for i := range record.Sequence(60) {
		require.NoError(t, k.add(s, []op{{queue: "q", seq: i + 1}}, nil))
	}
	end := s.Log().Positions().Append
	did, err := s.Trim(ctx, everywhere)
	require.NoError(t, err)
	require.Equal(t, did.From, did.To, "nothing is applied")
	require.NoError(t, s.Log().WaitFlushed(ctx, end))
	require.NoError(t, s.Apply(end, nil))
	did, err = s.Trim(ctx, everywhere)
	require.NoError(t, err)
	require.Equal(t, did.From, did.To, "everything is live")

	var acks []record.Sequence
	for i := range record.Sequence(59) {
		acks = append(acks, i+1)
	}
	require.NoError(t, k.add(s, []op{{queue: "q", acks: acks}}, nil))
	end = s.Log().Positions().Append
	require.NoError(t, s.Log().WaitFlushed(ctx, end))
	require.NoError(t, s.Apply(end, nil))
	bases := s.Log().Bases()
	before, err := s.DiskBytes()
	require.NoError(t, err)
	did, err = s.Trim(ctx, bases[2]+1)
	require.NoError(t, err)
	require.Equal(t, bases[2], did.To, "never above the limit")
	require.Equal(t, 2, did.Segments)
	_, err = s.Log().Read(0, 1)
	require.ErrorIs(t, err, wal.ErrBelowStart)
	did, err = s.Trim(ctx, everywhere)
	require.NoError(t, err)
	front, ok, err := s.Front()
	require.NoError(t, err)
	oldest, _, err := s.Index().OldestLive()
	require.NoError(t, err)
	if ok { // else the live one is in the active segment
		require.Equal(t, did.To, front.From, "the segment of the live message is the first")
	}
	require.LessOrEqual(t, did.To, oldest)
	after, err := s.DiskBytes()
	require.NoError(t, err)
	require.Less(t, after, before)
	require.GreaterOrEqual(t, s.Checkpoint(), did.To)
	k.where = "after trims"
	k.compare(s)

	t.Run("what the start stands on is not cut", func(t *testing.T) {
		require.ErrorIs(t, s.Truncate(did.To), store.ErrTrimmed)
		k.compare(s)
	})
	require.NoError(t, s.Close())
	for name, harm := range map[string]func(mem *vfs.Mem) error{
		"missing base": func(mem *vfs.Mem) error { return mem.Remove(wal.BasePath("/node/data", did.To)) },
		"damaged base": func(mem *vfs.Mem) error {
			return vfs.WriteFile(mem, wal.BasePath("/node/data", did.To), []byte("BTNBASE1 nonsense"))
		},
		"missing START": func(mem *vfs.Mem) error { return mem.Remove(wal.StartPath("/node/data")) },
		"damaged START": func(mem *vfs.Mem) error { return vfs.WriteFile(mem, wal.StartPath("/node/data"), []byte("x")) },
	} {
		t.Run(name, func(t *testing.T) {
			mem := mem.Kill()
			require.NoError(t, index.Wipe(mem, "/node/data/index"))
			require.NoError(t, harm(mem))
			_, err := store.Open(crashConfig(mem))
			var damage *wal.CorruptionError
			require.ErrorAs(t, err, &damage)
			require.NotEmpty(t, damage.Hint)
		})
	}
	t.Run("lost log", func(t *testing.T) {
		mem := mem.Kill()
		infos, err := mem.List("/node/data/log")
		require.NoError(t, err)
		for _, info := range infos {
			if wal.IsSegmentName(info.Name) {
				require.NoError(t, mem.Remove("/node/data/log/"+info.Name))
			}
		}
		s := openStore(t, crashConfig(mem))
		require.True(t, s.Recovered().LogLost)
		require.Zero(t, s.Log().Positions().Start)
		at := fill(t, s, 1, 30)
		require.NoError(t, s.Apply(at[30], nil))
	})
}

// TestStuckMessage: one message that nobody acknowledges does not hold on to
// what passes by it.
func TestStuckMessage(t *testing.T) {
	const segment, body, batch = 256 << 10, 32 << 10, 3
	through := int64(256 << 20)
	if testing.Short() {
		through = 32 << 20
	}
	fs := vfs.NewMem()
	s := openStore(t, store.Config{Dir: "/node/data", FS: fs, SegmentSize: segment})
	ctx := context.Background()
	applyAll := func() {
		end := s.Log().Positions().Append
		require.NoError(t, s.Log().WaitFlushed(ctx, end))
		require.NoError(t, s.Apply(end, nil))
	}
	add := func(fill func(b *record.Batch)) {
		b := record.NewBatch(batch * body)
		fill(b)
		_, err := s.Log().Append(1, s.Log().Positions().Flush, b)
		require.NoError(t, err)
		applyAll()
	}
	add(func(b *record.Batch) { enqueue(b, "stuck", "stuck-1", nil) })
	most, seq := int64(0), record.Sequence(0)
	for int64(s.Log().Positions().Append) < through {
		add(func(b *record.Batch) {
			acks := record.Ack{Queue: "q"}
			for range batch {
				seq++
				enqueue(b, "q", messageID("q", seq), make([]byte, body))
				acks.Sequences = append(acks.Sequences, seq)
			}
			b.Add(record.TypeAck, acks.AppendTo)
		})
		if front, ok, err := s.Front(); ok {
			require.NoError(t, err)
			add(func(b *record.Batch) {
				require.NoError(t, s.Index().LiveIn(front.From, front.To, func(l index.Live) bool {
					e, err := s.Enqueued(l.Position)
					require.NoError(t, err)
					b.Add(record.TypeMove, record.Move{Sequence: l.Seq, From: l.Position, Enqueue: e}.AppendTo)
					return true
				}))
			})
		}
		_, err := s.Trim(ctx, everywhere)
		require.NoError(t, err)
		size, err := s.DiskBytes()
		require.NoError(t, err)
		most = max(most, size)
	}
	require.Less(t, most, int64(8*segment), "%d bytes passed", through)
	t.Logf("%d bytes passed, the directory had %d at the most", through, most)
	entries, err := s.Index().Scan("stuck", 0, 2)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	m, err := s.Enqueued(entries[0].Position)
	require.NoError(t, err)
	require.Equal(t, "stuck-1", m.Message.ID)
}
