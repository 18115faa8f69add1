package wal_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"baton/store/record"
	"baton/store/vfs"
	"baton/store/wal"
)

// ackBatch is what drains a queue.
func ackBatch() *record.Batch {
	b := record.NewBatch(64)
	b.Add(record.TypeAck, record.Ack{Queue: "q", Sequences: []record.Sequence{1, 2, 3}}.AppendTo)
	return b
}

// fillUp appends ordinary batches until the disk is full and returns the end.
func fillUp(t *testing.T, l *wal.Log) record.Position {
	t.Helper()
	for range 10_000 {
		end, err := l.Append(1, 0, newBatch("m", 700))
		if err == nil {
			require.NoError(t, l.WaitFlushed(context.Background(), end))
			continue
		}
		require.ErrorIs(t, err, wal.ErrFull)
		return l.Positions().Append
	}
	t.Fatal("the disk never got full")
	return 0
}

// waitUntil waits for something that the log signals.
func waitUntil(l *wal.Log, is func() bool) {
	signal, cancel := l.Subscribe(record.MovesOfWritten | record.MovesOfFlush)
	defer cancel()
	for !is() {
		<-signal
	}
}

// waitFull waits until the log is, or is no longer, full.
func waitFull(l *wal.Log, full bool) {
	waitUntil(l, func() bool { return l.Full() == full })
}

func TestDiskFull(t *testing.T) {
	for _, segment := range []int64{8 << 10, 64 << 10} {
		disk := vfs.NewDisk(vfs.NewMem(), 150<<10)
		l, _ := open(t, disk, func(c *wal.Config) { c.SegmentSize = segment })
		end := fillUp(t, l)
		require.True(t, l.Full())
		require.NoError(t, l.Err(), "full is not broken")

		// What drains the queues still gets in, a bounded amount of it.
		acks := 0
		for {
			at, err := l.AppendUrgent(1, 0, ackBatch())
			if err != nil {
				require.ErrorIs(t, err, wal.ErrFull)
				break
			}
			require.NoError(t, l.WaitFlushed(context.Background(), at))
			acks++
		}
		require.GreaterOrEqual(t, acks*ackBatch().Len(), int(segment/4)-ackBatch().Len(), "the reserve")
		require.NoError(t, l.Err())
		_, err := l.Append(1, 0, newBatch("m", 10))
		require.ErrorIs(t, err, wal.ErrFull)

		// It goes on by itself.
		disk.SetFree(1 << 20)
		waitFull(l, false)
		more := fill(t, l, 1, 100, 700)
		require.Greater(t, more[100], end)
		require.NoError(t, l.Close())
		l, r := open(t, disk)
		require.Equal(t, more[100], r.Append)
		require.Len(t, readAll(t, l, 0), int(more[100]))
	}
}

// TestDiskFullFollower: replicated batches may use half of the reserve, acks
// all of it, so that a follower is not full before its leader is.
func TestDiskFullFollower(t *testing.T) {
	disk := vfs.NewDisk(vfs.NewMem(), 150<<10)
	l, _ := open(t, disk, func(c *wal.Config) { c.SegmentSize = 64 << 10 })
	end := fillUp(t, l)
	raw := sealed(1, end, "m", 700)
	n := 0
	for ; ; n++ {
		_, err := l.AppendRaw(sealed(1, l.Positions().Append, "m", 700))
		if err != nil {
			require.ErrorIs(t, err, wal.ErrFull)
			break
		}
	}
	require.InDelta(t, 8<<10, n*len(raw), 2000, "half of the reserve")
	b := ackBatch()
	_, err := l.AppendRaw(b.Seal(1, l.Positions().Append, 0, stamp, b.Prepare()))
	require.NoError(t, err)
	disk.SetFree(1 << 20)
	waitFull(l, false)
	at := l.Positions().Append
	got, err := l.AppendRaw(sealed(1, at, "m", 700))
	require.NoError(t, err)
	require.NoError(t, l.WaitFlushed(context.Background(), got))
}

// TestFullAfterRestart: a node that starts on a full disk still reads and
// takes acks once the filler found what is left of it.
func TestFullAfterRestart(t *testing.T) {
	disk := vfs.NewDisk(vfs.NewMem(), 150<<10)
	l, _ := open(t, disk, func(c *wal.Config) { c.SegmentSize = 64 << 10 })
	end := fillUp(t, l)
	require.NoError(t, l.Close())
	disk.SetFree(0)
	l, r := open(t, disk, func(c *wal.Config) { c.SegmentSize = 64 << 10 })
	require.Equal(t, end, r.Append)
	require.Len(t, readAll(t, l, 0), int(end))
	_, err := l.Append(1, 0, newBatch("m", 60<<10))
	require.ErrorIs(t, err, wal.ErrFull)
}

// TestFullWhereItShouldNotBe: some file systems need space to overwrite. The
// writer then waits with what it has accepted, and takes a short write back by
// writing the same again.
func TestFullWhereItShouldNotBe(t *testing.T) {
	for name, match := range map[string]func(vfs.Op) bool{
		"write":  func(op vfs.Op) bool { return op.Kind == vfs.OpWrite && op.Offset > 0 && op.Length%776 == 0 },
		"rename": func(op vfs.Op) bool { return op.Kind == vfs.OpRename && strings.HasSuffix(op.Name, ".log") },
		"header": func(op vfs.Op) bool { return op.Kind == vfs.OpWrite && op.Offset == 0 && op.Length == 4096 },
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewMem()
			faults := vfs.NewFaults(mem)
			l, _ := open(t, faults)
			fill(t, l, 1, 2, 700)
			faults.Set(vfs.Rule{Match: match, Times: -1, Err: vfs.ErrFull, Short: 100})
			var end record.Position
			for faults.Hits() == 0 {
				var err error
				end, err = l.Append(1, 0, newBatch("m", 700))
				require.NoError(t, err)
				waitUntil(l, func() bool { return l.Positions().Flush == end || l.Full() })
			}
			waitFull(l, true)
			require.NoError(t, l.Err())
			faults.Set()
			require.NoError(t, l.WaitFlushed(context.Background(), end))
			waitFull(l, false)
			at := fill(t, l, 1, 20, 700)
			require.NoError(t, l.Close())
			_, r := open(t, mem)
			require.Equal(t, at[20], r.Append)
		})
	}
}

// TestFullSyncIsFinal: a sync that failed for want of space may have dropped
// data like any other.
func TestFullSyncIsFinal(t *testing.T) {
	for _, ext := range []string{".log", ".tmp"} {
		t.Run(ext, func(t *testing.T) {
			faults := vfs.NewFaults(vfs.NewMem())
			l, _ := open(t, faults)
			fill(t, l, 1, 1, 700)
			faults.Set(vfs.Rule{Match: func(op vfs.Op) bool {
				return op.Kind == vfs.OpSync && filepath.Ext(op.Name) == ext
			}, Err: vfs.ErrFull})
			var err error
			for err == nil {
				var end record.Position
				if end, err = l.Append(1, 0, newBatch("m", 700)); err == nil {
					err = l.WaitFlushed(context.Background(), end)
				}
			}
			require.ErrorIs(t, err, wal.ErrFailed)
		})
	}
}

// TestTruncateWhenFull: the copy of the tail finds no room, and nothing has
// happened.
func TestTruncateWhenFull(t *testing.T) {
	disk := vfs.NewDisk(vfs.NewMem(), 150<<10)
	l, _ := open(t, disk, func(c *wal.Config) { c.SegmentSize = 64 << 10 })
	at := fill(t, l, 1, 3, 700)
	end := fillUp(t, l)
	require.ErrorIs(t, l.TruncateTo(at[1]), wal.ErrFull)
	require.NoError(t, l.Err())
	require.Equal(t, end, l.Positions().Append)
	disk.SetFree(1 << 20)
	require.NoError(t, l.TruncateTo(at[1]))
	require.Equal(t, at[1], l.Positions().Append)
	waitFull(l, false)
	fill(t, l, 1, 50, 700)
}

// TestRollNeedsNoSpace: between the full disk and the end of the reserve the
// segment changes, with not one byte to spare.
func TestRollNeedsNoSpace(t *testing.T) {
	disk := vfs.NewDisk(vfs.NewMem(), 1<<20)
	var grew atomic.Bool
	var watching atomic.Bool
	hook := vfs.NewHook(disk, func(op vfs.Op) error {
		if watching.Load() && op.Kind == vfs.OpCreate {
			grew.Store(true)
			return errors.New("a roll makes no file")
		}
		return nil
	})
	l, _ := open(t, hook)
	at := fill(t, l, 1, 8, 700)
	disk.SetFree(0)
	base := len(segmentBases(t, disk))
	for range 200 {
		end, err := l.AppendUrgent(1, 0, ackBatch())
		if err != nil {
			require.ErrorIs(t, err, wal.ErrFull)
			break
		}
		require.NoError(t, l.WaitFlushed(context.Background(), end))
	}
	require.Greater(t, len(segmentBases(t, disk)), base)
	require.Greater(t, l.Positions().Append, at[8])
	require.NoError(t, l.Err())
	require.False(t, grew.Load())
}

// Who holds the log's space may take what is free then: no write of zeros is
// still under way that would get it first.
func TestHoldSpaceWaitsForTheZerosUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var gated atomic.Bool
		hook := vfs.NewHook(vfs.NewMem(), func(op vfs.Op) error {
			if op.Kind == vfs.OpWrite && op.Length >= 1<<20 && gated.Load() {
				<-gate
			}
			return nil
		})
		l, _, err := wal.Open(wal.Config{Dir: "/data", FS: hook, SegmentSize: 64 << 20})
		require.NoError(t, err)
		synctest.Wait()
		gated.Store(true)
		for range 10 {
			go l.Append(1, 0, newBatch("x", 500<<10))
		}
		synctest.Wait()
		var held atomic.Bool
		go func() { l.HoldSpace(true); held.Store(true) }()
		synctest.Wait()
		require.False(t, held.Load(), "zeros are being written")
		close(gate)
		synctest.Wait()
		require.True(t, held.Load())
		l.HoldSpace(false)
		synctest.Wait()
		require.NoError(t, l.Close())
	})
}
