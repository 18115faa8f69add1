package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store"
	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
	"baton/store/wal"
)

func enqueue(b *record.Batch, queue, id string, body []byte) {
	e := record.Enqueue{Queue: queue, Message: record.Message{ID: id, Timestamp: 1700000000000, Priority: 4, Body: body}}
	b.Add(record.TypeEnqueue, e.AppendTo)
}

func openStore(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// fill appends n messages, each in a batch of its own that knows all before it
// to be committed, and returns where the batches begin, and the end.
func fill(t testing.TB, s *store.Store, epoch record.Epoch, n int) []record.Position {
	t.Helper()
	at := []record.Position{s.Log().Positions().Append}
	for i := range n {
		b := record.NewBatch(200)
		enqueue(b, "q"+strconv.Itoa(i%3), strconv.Itoa(i), make([]byte, 200))
		end, err := s.Log().Append(epoch, at[i], b)
		require.NoError(t, err)
		at = append(at, end)
	}
	require.NoError(t, s.Log().WaitFlushed(context.Background(), at[n]))
	return at
}

func dump(t testing.TB, s *store.Store) string {
	t.Helper()
	d, err := s.Index().Dump()
	require.NoError(t, err)
	return d
}

func TestStoreKeepsMessages(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"os": vfs.OS{}, "mem": vfs.NewMem()} {
		t.Run(name, func(t *testing.T) {
			cfg := store.Config{Dir: filepath.Join(t.TempDir(), "data"), FS: fs, SegmentSize: 8 << 10}
			s := openStore(t, cfg)
			at := fill(t, s, 1, 100)
			require.NoError(t, s.Apply(at[100], nil))
			want := dump(t, s)
			size, err := s.DiskBytes()
			require.NoError(t, err)
			require.Greater(t, size, int64(at[100]))
			require.NoError(t, s.Close())
			require.ErrorIs(t, s.Close(), store.ErrClosed)

			s = openStore(t, cfg)
			require.Equal(t, at[100], s.Recovered().Log.Append)
			require.Equal(t, at[99], s.Recovered().Log.Commit)
			require.Equal(t, at[100], s.Recovered().Applied)
			require.Empty(t, s.Recovered().IndexRebuilt)
			require.Equal(t, want, dump(t, s))
			entries, err := s.Index().Scan("q1", 5, 2)
			require.NoError(t, err)
			require.Len(t, entries, 2)
			e, err := s.Enqueued(entries[1].Position)
			require.NoError(t, err)
			require.Equal(t, "16", e.Message.ID, "the sixth of every third from 1")
			_, err = s.Enqueued(entries[1].Position + 1)
			require.Error(t, err)
			require.NoError(t, s.Close())
		})
	}
}

func TestDoubleOpen(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"os": vfs.OS{}, "mem": vfs.NewMem()} {
		t.Run(name, func(t *testing.T) {
			cfg := store.Config{Dir: filepath.Join(t.TempDir(), "data"), FS: fs}
			s := openStore(t, cfg)
			_, err := store.Open(cfg)
			require.ErrorIs(t, err, store.ErrLocked)
			require.ErrorContains(t, err, cfg.Dir)
			if name == "os" {
				require.ErrorContains(t, err, "pid "+strconv.Itoa(os.Getpid()))
			}
			fill(t, s, 1, 3) // unharmed
			require.NoError(t, s.Close())
			openStore(t, cfg)
		})
	}
}

func TestMeta(t *testing.T) {
	mem := vfs.NewMem()
	cfg := store.Config{Dir: "/data", FS: mem}
	s := openStore(t, cfg)
	incarnation := s.Meta().Incarnation
	require.Len(t, incarnation, 32)
	require.NoError(t, s.SetIdentity("", "n1"))
	require.NoError(t, s.SetIdentity("c1", ""))
	require.NoError(t, s.SetIdentity("c1", "n1"))
	require.ErrorIs(t, s.SetIdentity("c2", "n1"), store.ErrForeign)
	require.ErrorIs(t, s.SetIdentity("c1", "n2"), store.ErrForeign)
	require.NoError(t, s.Seal(5))
	require.NoError(t, s.Seal(5))
	require.ErrorIs(t, s.Seal(4), store.ErrSealed)
	want := store.Meta{ClusterID: "c1", Node: "n1", Incarnation: incarnation, Sealed: 5, HasLog: true}
	require.Equal(t, want, s.Meta())

	mem = mem.Crash(1) // all of it was durable at once
	cfg.FS = mem
	s = openStore(t, cfg)
	require.Equal(t, want, s.Meta())
	fill(t, s, 1, 1)
	require.NoError(t, s.Close())

	t.Run("log without META is refused", func(t *testing.T) {
		mem := mem.Crash(2)
		require.NoError(t, mem.Remove("/data/META"))
		_, err := store.Open(store.Config{Dir: "/data", FS: mem})
		require.ErrorIs(t, err, store.ErrNoMeta)
	})
}

func TestMetaDamaged(t *testing.T) {
	mem := vfs.NewMem()
	require.NoError(t, openStore(t, store.Config{Dir: "/data", FS: mem}).Close())
	require.NoError(t, vfs.WriteFile(mem, "/data/META", []byte("{}")))
	_, err := store.Open(store.Config{Dir: "/data", FS: mem})
	require.ErrorIs(t, err, store.ErrMeta)
	s, err := store.Open(store.Config{Dir: "/data", FS: mem})
	require.ErrorIs(t, err, store.ErrMeta, "the lock was released")
	require.Nil(t, s)
}

// TestLogLost: a node that lost its log has forgotten what it acknowledged and
// must not be taken for the one it was.
func TestLogLost(t *testing.T) {
	mem := vfs.NewMem()
	cfg := store.Config{Dir: "/data", FS: mem}
	s := openStore(t, cfg)
	require.NoError(t, s.Seal(9))
	at := fill(t, s, 1, 3)
	require.NoError(t, s.Apply(at[3], nil))
	before := s.Meta()
	require.NoError(t, s.Close())
	infos, err := mem.List("/data/log")
	require.NoError(t, err)
	for _, info := range infos {
		require.NoError(t, mem.Remove("/data/log/"+info.Name))
	}
	s = openStore(t, cfg)
	require.True(t, s.Recovered().LogLost)
	require.NotEqual(t, before.Incarnation, s.Meta().Incarnation)
	require.Equal(t, record.Epoch(9), s.Meta().Sealed)
	require.Zero(t, s.Log().Positions().Append)
	require.Empty(t, s.Index().Queues())
	require.Contains(t, s.Recovered().IndexRebuilt, "log ends at 0")
	incarnation := s.Meta().Incarnation
	require.NoError(t, s.Close())
	s = openStore(t, cfg)
	require.False(t, s.Recovered().LogLost)
	require.Equal(t, incarnation, s.Meta().Incarnation)
}

func TestSealFailureIsFinal(t *testing.T) {
	errDisk := errors.New("disk is broken")
	var broken atomic.Bool
	mem := vfs.NewMem()
	hook := vfs.NewHook(mem, func(op vfs.Op) error {
		if broken.Load() && op.Kind == vfs.OpSyncDir {
			return errDisk
		}
		return nil
	})
	s := openStore(t, store.Config{Dir: "/data", FS: hook})
	require.NoError(t, s.Seal(1))
	broken.Store(true)
	require.ErrorIs(t, s.Seal(2), errDisk)
	broken.Store(false)
	require.ErrorIs(t, s.Seal(2), errDisk)
	require.Equal(t, record.Epoch(1), s.Meta().Sealed)
}

func TestApplyStaysBelow(t *testing.T) {
	s := openStore(t, store.Config{Dir: "/data", FS: vfs.NewMem(), SegmentSize: 8 << 10})
	at := fill(t, s, 1, 60)
	for i := 1; i <= 60; i++ {
		require.NoError(t, s.Apply(at[i]-1, nil))
		got, _ := s.Applied()
		require.Equal(t, at[i-1], got)
	}
	require.NoError(t, s.Apply(at[60]+1000, nil), "what is not there yet comes later")
	got, _ := s.Applied()
	require.Equal(t, at[60], got)
	require.NoError(t, s.Apply(0, nil))
	require.Equal(t, rebuild(t, s, at[60]), dump(t, s))
}

func TestTruncate(t *testing.T) {
	s := openStore(t, store.Config{Dir: "/data", FS: vfs.NewMem(), SegmentSize: 8 << 10})
	at := fill(t, s, 1, 60)
	require.NoError(t, s.Apply(at[40], nil))
	before := dump(t, s)
	require.NoError(t, s.Truncate(at[40]))
	require.Equal(t, before, dump(t, s), "the index did not reflect what was cut")
	require.NoError(t, s.Truncate(at[20]))
	got, _ := s.Applied()
	require.Zero(t, got)
	more := fill(t, s, 2, 20)
	require.NoError(t, s.Apply(more[20], nil))
	require.Equal(t, rebuild(t, s, more[20]), dump(t, s))
}

func TestIndexIsRebuilt(t *testing.T) {
	for _, c := range []struct {
		name, why string
		harm      func(t *testing.T, mem *vfs.Mem, at []record.Position)
	}{
		{"lost", "no index", func(t *testing.T, mem *vfs.Mem, _ []record.Position) {
			infos, err := mem.List("/data/index")
			require.NoError(t, err)
			for _, info := range infos {
				require.NoError(t, mem.Remove("/data/index/"+info.Name))
			}
		}},
		{"damaged", "damaged", func(t *testing.T, mem *vfs.Mem, _ []record.Position) {
			require.NoError(t, vfs.WriteFile(mem, "/data/index/CURRENT", []byte("what?")))
		}},
		{"of an earlier format", "format 4", func(t *testing.T, mem *vfs.Mem, _ []record.Position) {
			const old = "testdata/index-format-4" // made by the program that had it
			require.NoError(t, index.Wipe(mem, "/data/index"))
			infos, err := vfs.OS{}.List(old)
			require.NoError(t, err)
			for _, info := range infos {
				b, err := vfs.ReadFile(vfs.OS{}, filepath.Join(old, info.Name), 1<<20)
				require.NoError(t, err)
				require.NoError(t, vfs.WriteFile(mem, "/data/index/"+info.Name, b))
			}
		}},
		{"ahead of the log", "log ends at", func(t *testing.T, mem *vfs.Mem, at []record.Position) {
			require.NoError(t, cutLog(t, mem, at[len(at)-2]).Close())
		}},
		{"of another history", "epoch", func(t *testing.T, mem *vfs.Mem, at []record.Position) {
			l := cutLog(t, mem, at[len(at)-3])
			b := record.NewBatch(1000)
			enqueue(b, "other", "x", make([]byte, 2000))
			_, err := l.Append(7, 0, b)
			require.NoError(t, err)
			require.NoError(t, l.Close())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := vfs.NewMem()
			cfg := store.Config{Dir: "/data", FS: mem}
			s := openStore(t, cfg)
			at := fill(t, s, 1, 30)
			require.NoError(t, s.Apply(at[30], nil))
			require.NoError(t, s.Close())
			c.harm(t, mem, at)
			s = openStore(t, cfg)
			require.Contains(t, s.Recovered().IndexRebuilt, c.why)
			applied, _ := s.Applied()
			require.Equal(t, s.Recovered().Log.Commit, applied)
			require.Greater(t, applied, at[20])
			end := s.Log().Positions().Append
			require.NoError(t, s.Apply(end, nil))
			require.Equal(t, rebuild(t, s, end), dump(t, s))
		})
	}
}

// Whoever reads while a damaged index is made anew sees the one before, or all
// of what was applied, and never a part of it.
func TestDamagedIndexIsReplacedAsAWhole(t *testing.T) {
	const many = 5000 // so that not all of the index is in memory once it is opened
	faults := vfs.NewFaults(vfs.NewMem())
	cfg := store.Config{Dir: "/data", FS: faults}
	s := openStore(t, cfg)
	at := fill(t, s, 1, many)
	require.NoError(t, s.Apply(at[many], nil))
	require.NoError(t, s.Close())
	s = openStore(t, cfg)
	require.NoError(t, s.Apply(at[many], nil))
	before, _ := s.Applied()

	b := record.NewBatch(100)
	b.Add(record.TypeAck, record.Ack{Queue: "q0", Sequences: []record.Sequence{1}}.AppendTo)
	end, err := s.Log().Append(1, at[many], b)
	require.NoError(t, err)
	require.NoError(t, s.Log().WaitFlushed(context.Background(), end))
	replayed := 0
	faults.Set(
		vfs.Rule{Match: func(op vfs.Op) bool { return op.Kind == vfs.OpRead && strings.HasSuffix(op.Name, ".ldb") }, Flip: true},
		vfs.Rule{Match: func(op vfs.Op) bool { return op.Kind == vfs.OpRead && strings.Contains(op.Name, "/log/") }, Times: -1,
			Before: func(vfs.Op) {
				replayed++
				applied, _ := s.Applied()
				require.GreaterOrEqual(t, applied, before, "read while the index is made anew")
			}},
	)
	require.NoError(t, s.Apply(end, nil))
	require.Greater(t, replayed, 1, "the index was not damaged")
	require.Equal(t, rebuild(t, s, end), dump(t, s))
}

// cutLog truncates a closed store's log behind its back.
func cutLog(t *testing.T, mem *vfs.Mem, to record.Position) *wal.Log {
	l, _, err := wal.Open(wal.Config{Dir: "/data", FS: mem})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	require.NoError(t, l.TruncateTo(to))
	return l
}
