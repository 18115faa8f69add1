package wal_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store/record"
	"baton/store/vfs"
	"baton/store/wal"
)

// stamp is when batches of tests were written.
var stamp = time.UnixMicro(1)

// newBatch is a batch of one message whose record is about size bytes.
func newBatch(id string, size int) *record.Batch {
	b := record.NewBatch(size + 64)
	e := record.Enqueue{Queue: "q", Message: record.Message{ID: id, Body: make([]byte, size)}}
	for i := range e.Message.Body {
		e.Message.Body[i] = byte('a' + i%26)
	}
	b.Add(record.TypeEnqueue, e.AppendTo)
	return b
}

// sealed is such a batch as a follower gets it.
func sealed(epoch record.Epoch, at record.Position, id string, size int) []byte {
	b := newBatch(id, size)
	return b.Seal(epoch, at, 0, time.UnixMicro(1), b.Prepare())
}

func open(t testing.TB, fs vfs.FS, set ...func(*wal.Config)) (*wal.Log, wal.Recovery) {
	t.Helper()
	cfg := wal.Config{Dir: "/data", FS: fs, SegmentSize: 8 << 10}
	for _, f := range set {
		f(&cfg)
	}
	l, r, err := wal.Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l, r
}

// fill appends n batches, each flushed by itself, and returns the positions
// where they begin, and the end.
func fill(t testing.TB, l *wal.Log, epoch record.Epoch, n, size int) []record.Position {
	t.Helper()
	at := []record.Position{l.Positions().Append}
	for i := range n {
		end, err := l.Append(epoch, at[i], newBatch(fmt.Sprint(i), size))
		require.NoError(t, err)
		require.NoError(t, l.WaitFlushed(context.Background(), end))
		at = append(at, end)
	}
	return at
}

func readAll(t testing.TB, l *wal.Log, from record.Position) []byte {
	t.Helper()
	var all []byte
	for {
		b, err := l.Read(from+record.Position(len(all)), 1)
		require.NoError(t, err)
		if b == nil {
			return all
		}
		all = append(all, b...)
	}
}

func segmentName(base record.Position) string {
	return filepath.Join("/data/log", fmt.Sprintf("%016x.log", uint64(base)))
}

func TestAppendAndRead(t *testing.T) {
	l, _ := open(t, vfs.NewMem())
	at := fill(t, l, 3, 40, 500)
	end := at[len(at)-1]
	require.Equal(t, record.Positions{Append: end, Written: end, Flush: end, Epoch: 3}, l.Positions())
	require.Equal(t, []record.EpochBoundary{{Epoch: 3, Start: 0}}, l.EpochBoundaries())

	t.Run("one batch at least", func(t *testing.T) {
		b, err := l.Read(at[2], 1)
		require.NoError(t, err)
		require.Len(t, b, int(at[3]-at[2]))
	})
	t.Run("no more than asked", func(t *testing.T) {
		b, err := l.Read(at[2], int(at[5]-at[2])-1)
		require.NoError(t, err)
		require.Len(t, b, int(at[4]-at[2]))
	})
	t.Run("across segments", func(t *testing.T) {
		require.Greater(t, end, record.Position(16<<10), "test needs three segments")
		require.Len(t, readAll(t, l, 0), int(end))
	})
	t.Run("nothing at the end", func(t *testing.T) {
		b, err := l.Read(end, 1000)
		require.NoError(t, err)
		require.Nil(t, b)
	})
	t.Run("beyond the end", func(t *testing.T) {
		_, err := l.Read(end+1, 1000)
		require.ErrorIs(t, err, wal.ErrPosition)
	})
	t.Run("one record", func(t *testing.T) {
		r, err := l.ReadRecord(at[7] + record.HeaderSize)
		require.NoError(t, err)
		e, err := record.ParseEnqueue(r.Body)
		require.NoError(t, err)
		require.Equal(t, "7", e.Message.ID)
	})
	t.Run("no record there", func(t *testing.T) {
		_, err := l.ReadRecord(at[7])
		var damaged *wal.CorruptionError
		require.ErrorAs(t, err, &damaged)
		_, err = l.ReadRecord(end)
		require.ErrorIs(t, err, wal.ErrPosition)
	})
	t.Run("older epoch panics", func(t *testing.T) {
		require.PanicsWithValue(t, fmt.Sprintf("wal: append in epoch 2 at position %d, the log is in epoch 3", end),
			func() { l.Append(2, 0, newBatch("x", 1)) })
	})
}

func TestBatchLargerThanSegment(t *testing.T) {
	mem := vfs.NewMem()
	l, _ := open(t, mem)
	a := fill(t, l, 1, 2, 500)
	big := fill(t, l, 1, 1, 50_000)
	after := fill(t, l, 1, 1, 500)
	require.NoError(t, l.Close())
	for _, base := range []record.Position{0, big[0], after[0]} {
		_, err := mem.Stat(segmentName(base))
		require.NoError(t, err, "segment at %d", base)
	}
	l, _ = open(t, mem)
	require.Equal(t, after[1], l.Positions().Append)
	require.Len(t, readAll(t, l, a[1]), int(after[1]-a[1]))
	r, err := l.ReadRecord(big[0] + record.HeaderSize)
	require.NoError(t, err)
	require.Greater(t, len(r.Body), 50_000)
}

func TestAppendRaw(t *testing.T) {
	l, _ := open(t, vfs.NewMem())
	one := sealed(2, 0, "a", 100)
	two := sealed(4, record.Position(len(one)), "b", 100)
	both := append(append([]byte{}, one...), two...)
	end := record.Position(len(both))
	refused := func(b []byte, want error) {
		t.Helper()
		before := l.Positions()
		_, err := l.AppendRaw(b)
		require.ErrorIs(t, err, want)
		require.Equal(t, before, l.Positions())
	}
	refused(two, wal.ErrGap)
	for n := 1; n < len(both); n++ {
		if n != len(one) {
			refused(both[:n], record.ErrShort)
		}
		flipped := append([]byte{}, both...)
		flipped[n] ^= 1
		_, err := l.AppendRaw(flipped)
		require.Error(t, err, "byte %d", n)
	}
	require.Zero(t, l.Positions().Append)

	got, err := l.AppendRaw(both)
	require.NoError(t, err)
	require.Equal(t, end, got)
	clear(both) // the log has a copy
	require.NoError(t, l.WaitFlushed(context.Background(), end))
	require.Equal(t, []record.EpochBoundary{{Epoch: 2}, {Epoch: 4, Start: record.Position(len(one))}}, l.EpochBoundaries())
	require.Len(t, readAll(t, l, 0), int(end))

	refused(sealed(3, end, "c", 10), wal.ErrEpoch)
	refused(sealed(4, end+1, "c", 10), wal.ErrGap)
	refused(sealed(4, end-1, "c", 10), wal.ErrGap)
	refused(append(sealed(4, end, "c", 10), sealed(4, end, "c", 10)...), wal.ErrGap)
	got, err = l.AppendRaw(nil)
	require.NoError(t, err)
	require.Equal(t, end, got)
}

// TestRawSplitsAtSegments gives the log many batches at once, which must end
// up in several segments as whole batches.
func TestRawSplitsAtSegments(t *testing.T) {
	mem := vfs.NewMem()
	l, _ := open(t, mem)
	var raw []byte
	for i := range 60 {
		raw = append(raw, sealed(1, record.Position(len(raw)), fmt.Sprint(i), 700)...)
	}
	end, err := l.AppendRaw(raw)
	require.NoError(t, err)
	require.NoError(t, l.WaitFlushed(context.Background(), end))
	require.Equal(t, raw, readAll(t, l, 0))
	require.NoError(t, l.Close())
	l, r := open(t, mem)
	require.Equal(t, raw, readAll(t, l, 0))
	require.Greater(t, r.Segments, 4)
	require.Zero(t, r.TornBytes)
}

func TestGroupCommit(t *testing.T) {
	const n = 200
	mem := vfs.NewMem()
	var syncs, writes atomic.Int64
	var armed atomic.Bool
	gate, blocked := make(chan struct{}), make(chan struct{}, n)
	hook := vfs.NewHook(mem, func(op vfs.Op) error {
		if !armed.Load() || filepath.Ext(op.Name) != ".log" {
			return nil
		}
		switch {
		case op.Kind == vfs.OpSync:
			syncs.Add(1)
		case op.Kind == vfs.OpWrite && op.Offset >= 4096:
			writes.Add(1)
			blocked <- struct{}{}
			<-gate
		}
		return nil
	})
	l, _ := open(t, hook, func(c *wal.Config) { c.SegmentSize = 1 << 20 })
	armed.Store(true)
	var end record.Position
	var wg sync.WaitGroup
	for i := range n {
		at, err := l.Append(1, 0, newBatch(fmt.Sprint(i), 100))
		require.NoError(t, err)
		if i == 0 {
			<-blocked // all others arrive during the first write
		}
		end = at
		wg.Go(func() { require.NoError(t, l.WaitFlushed(context.Background(), at)) })
	}
	close(gate)
	wg.Wait()
	require.Equal(t, int64(2), writes.Load(), "writes for %d appends", n)
	require.LessOrEqual(t, syncs.Load(), int64(2))
	require.Equal(t, end, l.Positions().Flush)
	m := l.Metrics()
	require.Equal(t, uint64(n), m.Batches)
	require.Equal(t, uint64(2), m.Groups)
	require.Equal(t, uint64(end), m.Bytes)
}

func TestFailureIsFinal(t *testing.T) {
	errDisk := errors.New("disk is broken")
	for _, kind := range []vfs.Kind{vfs.OpSync, vfs.OpWrite} {
		t.Run(string(kind), func(t *testing.T) {
			var armed atomic.Bool
			var calls atomic.Int64
			hook := vfs.NewHook(vfs.NewMem(), func(op vfs.Op) error {
				if armed.Load() && op.Kind == kind && (kind == vfs.OpSync || op.Offset >= 4096) {
					calls.Add(1)
					return errDisk
				}
				return nil
			})
			l, _ := open(t, hook)
			at := fill(t, l, 1, 2, 100)
			signal, cancel := l.Subscribe(record.MovesOfFlush)
			defer cancel()
			armed.Store(true)
			end, err := l.Append(1, 0, newBatch("x", 100))
			require.NoError(t, err)
			err = l.WaitFlushed(context.Background(), end)
			require.ErrorIs(t, err, wal.ErrFailed)
			require.ErrorIs(t, err, errDisk)
			<-signal
			armed.Store(false) // the disk says that it is well again
			_, err = l.Append(1, 0, newBatch("y", 100))
			require.ErrorIs(t, err, wal.ErrFailed)
			_, err = l.AppendRaw(sealed(1, end, "y", 10))
			require.ErrorIs(t, err, wal.ErrFailed)
			require.ErrorIs(t, l.TruncateTo(0), wal.ErrFailed)
			require.ErrorIs(t, l.Err(), errDisk)
			require.Equal(t, at[2], l.Positions().Flush)
			require.ErrorIs(t, l.Close(), errDisk)
			require.Equal(t, int64(1), calls.Load(), "tried again")
		})
	}
}

// TestEveryFault lets each call that changes the disk fail in turn, until a
// run needs fewer calls: nothing is reported as flushed that is not there
// afterwards.
func TestEveryFault(t *testing.T) {
	errDisk := errors.New("disk is broken")
	for nth := 1; ; nth++ {
		mem := vfs.NewMem()
		var fired atomic.Bool
		fault := vfs.FailNth(nth, func(op vfs.Op) bool { return op.Changes() }, errDisk)
		hook := vfs.NewHook(mem, func(op vfs.Op) error {
			err := fault(op)
			if err != nil {
				fired.Store(true)
			}
			return err
		})
		cfg := wal.Config{Dir: "/data", FS: hook, SegmentSize: 4 << 10}
		l, _, err := wal.Open(cfg)
		if err != nil {
			require.ErrorIs(t, err, errDisk)
			continue
		}
		flushed := record.Position(0)
		for i := range 10 {
			end, err := l.Append(1, 0, newBatch(fmt.Sprint(i), 900))
			if err != nil || l.WaitFlushed(context.Background(), end) != nil {
				require.ErrorIs(t, l.Err(), errDisk)
				break
			}
			flushed = end
			if i == 7 {
				if err := l.TruncateTo(flushed / 8 * 3); err != nil {
					require.ErrorIs(t, err, errDisk)
					flushed = flushed / 8 * 3
					break
				}
				flushed = flushed / 8 * 3
			}
		}
		l.Close()
		after, r, err := wal.Open(wal.Config{Dir: "/data", FS: mem.Crash(uint64(nth)), SegmentSize: 4 << 10})
		require.NoError(t, err, "call %d", nth)
		require.GreaterOrEqual(t, r.Append, flushed, "call %d", nth)
		readAll(t, after, 0)
		require.NoError(t, after.Close())
		if !fired.Load() {
			require.Greater(t, nth, 50)
			return
		}
	}
}

func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		hook := vfs.NewHook(vfs.NewMem(), func(op vfs.Op) error {
			if op.Kind == vfs.OpWrite && op.Offset >= 4096 && op.Length < 100<<10 { // not the zeros
				<-gate
			}
			return nil
		})
		l, _, err := wal.Open(wal.Config{Dir: "/data", FS: hook, SegmentSize: 1 << 20, QueueBytes: 64 << 10})
		require.NoError(t, err)
		accepted := 0
		go func() {
			for range 12 {
				if _, err := l.Append(1, 0, newBatch("x", 10<<10)); err != nil {
					return
				}
				accepted++
			}
		}()
		synctest.Wait()
		require.Equal(t, 6, accepted, "of 10 KiB each, with 64 KiB allowed")
		close(gate)
		synctest.Wait()
		require.Equal(t, 12, accepted)
		require.NoError(t, l.Close())
	})
}

// An active segment that was taken into use before it was filled, with used
// segments behind it that need no zeros: appends to it do not wait for zeros of
// their own each.
func TestZerosAreWrittenInLargePieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var mu sync.Mutex
		fills, ends := 0, map[string]int64{}
		hook := vfs.NewHook(vfs.NewMem(), func(op vfs.Op) error {
			mu.Lock()
			name := filepath.Base(op.Name)
			fresh := op.Kind == vfs.OpWrite && op.Offset >= ends[name]
			if fresh {
				ends[name] = op.Offset + op.Length
				fills++
			}
			mu.Unlock()
			if fresh && op.Offset > 4<<20 && name == "spare-3.tmp" {
				<-gate
			}
			return nil
		})
		l, _, err := wal.Open(wal.Config{Dir: "/data", FS: hook, SegmentSize: 16 << 20, ReserveBytes: 1})
		require.NoError(t, err)
		write := func(size int) {
			end, err := l.Append(1, 0, newBatch("x", size))
			require.NoError(t, err)
			require.NoError(t, l.WaitFlushed(t.Context(), end))
			synctest.Wait()
		}
		for len(l.Bases()) < 4 {
			write(1 << 20)
		}
		require.NoError(t, l.TrimTo(l.Bases()[3]))
		close(gate)
		synctest.Wait()
		mu.Lock()
		fills = 0
		mu.Unlock()
		for range 1000 {
			write(10 << 10)
		}
		mu.Lock()
		n := fills
		mu.Unlock()
		require.NoError(t, l.Close())
		require.Less(t, n, 100, "writes of zeros for 1000 appends, 10 MB")
	})
}

func TestFlushInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var syncs atomic.Int64
		hook := vfs.NewHook(vfs.NewMem(), func(op vfs.Op) error {
			if op.Kind == vfs.OpSync {
				syncs.Add(1)
			}
			return nil
		})
		l, _, err := wal.Open(wal.Config{Dir: "/data", FS: hook, FlushInterval: time.Second})
		require.NoError(t, err)
		defer l.Close()
		before := syncs.Load()
		for i := range 98 {
			_, err := l.Append(1, 0, newBatch(fmt.Sprint(i), 10))
			require.NoError(t, err)
			<-time.After(50 * time.Millisecond)
		}
		require.InDelta(t, 5, syncs.Load()-before, 0, "in 4.9 seconds")
		p := l.Positions()
		require.Greater(t, p.Written, p.Flush)
		require.NoError(t, l.Close())
		require.Equal(t, p.Append, l.Positions().Flush, "Close flushes")
	})
}

func TestWaitFlushed(t *testing.T) {
	l, _ := open(t, vfs.NewMem())
	at := fill(t, l, 1, 3, 100)
	end := at[3]
	require.NoError(t, l.WaitFlushed(context.Background(), end))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, l.WaitFlushed(ctx, end+1), context.Canceled)
	require.NoError(t, l.Close())
	require.ErrorIs(t, l.WaitFlushed(context.Background(), end+1), wal.ErrClosed)
	require.ErrorIs(t, l.Close(), wal.ErrClosed)
}

func TestSubscribe(t *testing.T) {
	l, _ := open(t, vfs.NewMem())
	signal, cancel := l.Subscribe(record.MovesOfFlush)
	written, cancelWritten := l.Subscribe(record.MovesOfWritten)
	defer cancelWritten()
	nothing, cancelNothing := l.Subscribe(0)
	defer cancelNothing()
	end, err := l.Append(1, 0, newBatch("a", 10))
	require.NoError(t, err)
	for l.Positions().Flush < end {
		<-signal
	}
	cancel()
	for len(signal) > 0 {
		<-signal
	}
	fill(t, l, 1, 1, 10)
	require.Empty(t, signal)
	require.NotEmpty(t, written)
	require.Empty(t, nothing, "who listens for no mark hears of failures only")
}

func TestValidate(t *testing.T) {
	for name, cfg := range map[string]wal.Config{
		"no directory":      {},
		"tiny segments":     {Dir: "/d", SegmentSize: 1},
		"negative interval": {Dir: "/d", FlushInterval: -1},
		"negative bound":    {Dir: "/d", QueueBytes: -1},
	} {
		_, _, err := wal.Open(cfg)
		require.Error(t, err, name)
	}
}
