package store_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
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
		// A run in which no message was put twice yet shows little and goes on.
		for life := 0; life < lives || life < 4*lives && k.h.now.saved == 0; life++ {
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
		require.Positive(t, k.h.now.saved, "%s: no message was put twice", k.where)
		t.Logf("run %d: %d records, %d trims, %d duplicates, log cut at %d", run, len(k.h.ops), k.trims, k.h.now.saved, k.flushed)
	}
}

// TestRetentionCrashPoints runs one small workload with three trims and crashes
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
		// Two ids, each twice, before and behind the end of a segment; a queue that
		// is deleted, and one that is not since it has a message.
		for at, ops := range map[int][]op{
			2:  {{queue: "q2", seq: 1, id: "a"}, {queue: "q0", counts: []record.Redelivered{{Sequence: 1, Count: 3}}}},
			12: {{queue: "q2", seq: 1, id: "a"}, {queue: "q2", seq: 1, id: "b"}, {queue: "q0", deletes: true}},
			38: {{queue: "q2", acks: []record.Sequence{1, 2}}, {queue: "q2", deletes: true}, {queue: "q2", seq: 1, id: "b"}},
			44: {{queue: "q2", seq: 1, id: "c"}, {queue: "q2", seq: 1, id: "a"}},
		} {
			step := steps[at]
			steps[at] = func() error {
				if err := k.add(s, ops, nil); err != nil {
					return err
				}
				return step()
			}
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
			err := s.Live(0, everywhere, func(l index.Live, e record.Enqueue) error {
				moves = append(moves, record.Move{Sequence: l.Seq, From: l.Position, Enqueue: e})
				return nil
			})
			if err == nil && len(moves) > 0 { // one is acknowledged before its move
				err = k.add(s, []op{{queue: "q1", acks: []record.Sequence{25}}}, nil)
			}
			if err == nil && len(moves) > 0 {
				err = k.add(s, nil, moves)
			}
			return err
		}
		forget := func() error {
			return k.add(s, []op{{below: s.Log().Positions().Append - 700}}, nil)
		}
		steps = append(steps, flush, trim, moveAll, flush, trim, forget, flush, trim, flush)
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
	oldest, _ := s.Index().OldestLive()
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
// what passes by it. As many segments pass as 100 GB have of the usual size;
// they are smaller, which changes nothing in what is decided for each of them.
// BATON_PASS is another number of bytes.
func TestStuckMessage(t *testing.T) {
	const segment, body, batch = 64 << 10, 8 << 10, 3
	through := int64(100e9 / wal.DefaultSegmentSize * segment)
	if s := os.Getenv("BATON_PASS"); s != "" {
		var err error
		through, err = strconv.ParseInt(s, 10, 64)
		require.NoError(t, err)
	} else if testing.Short() {
		through /= 8
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
	most, mostLog, seq := int64(0), int64(0), record.Sequence(0)
	for int64(s.Log().Positions().Append) < through {
		add(func(b *record.Batch) {
			acks := record.Ack{Queue: "q"}
			for range batch {
				seq++
				enqueue(b, "q", fmt.Sprintf("q-%d", seq), make([]byte, body))
				acks.Sequences = append(acks.Sequences, seq)
			}
			b.Add(record.TypeAck, acks.AppendTo)
		})
		if front, ok, err := s.Front(); ok {
			require.NoError(t, err)
			add(func(b *record.Batch) {
				require.NoError(t, s.Live(front.From, front.To, func(l index.Live, e record.Enqueue) error {
					b.Add(record.TypeMove, record.Move{Sequence: l.Seq, From: l.Position, Enqueue: e}.AppendTo)
					return nil
				}))
			})
		}
		_, err := s.Trim(ctx, everywhere)
		require.NoError(t, err)
		size, err := s.DiskBytes()
		require.NoError(t, err)
		most = max(most, size)
		size, err = vfs.DiskBytes(fs, "/node/data/log")
		require.NoError(t, err)
		mostLog = max(mostLog, size)
	}
	require.Less(t, mostLog, int64(8*segment), "%d bytes passed", through)
	require.Less(t, most, mostLog+2<<20, "index and reserves")
	t.Logf("%d segments, %d bytes passed; the directory had %d at the most, %d of it log", through/segment, through, most, mostLog)
	entries, err := s.Index().Scan("stuck", 0, 2)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	m, err := s.Enqueued(entries[0].Position)
	require.NoError(t, err)
	require.Equal(t, "stuck-1", m.Message.ID)
}
