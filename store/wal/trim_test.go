package wal_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/record"
	"baton/store/vfs"
	"baton/store/wal"
)

// long makes a log of several segments of 4 KiB.
func long(t *testing.T, fs vfs.FS) *wal.Log {
	l, _, err := wal.Open(wal.Config{Dir: "/data", FS: fs, SegmentSize: 4 << 10})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	for range 40 {
		b := record.NewBatch(600)
		b.Add(record.TypeAck, func(b []byte) []byte { return append(b, make([]byte, 600)...) })
		end, err := l.Append(1, 0, b)
		require.NoError(t, err)
		require.NoError(t, l.WaitFlushed(context.Background(), end))
	}
	return l
}

func segmentsIn(t *testing.T, fs vfs.FS) (n int) {
	infos, err := fs.List("/data/log")
	require.NoError(t, err)
	for _, info := range infos {
		if wal.IsSegmentName(info.Name) {
			n++
		}
	}
	return n
}

func TestTrimTo(t *testing.T) {
	mem := vfs.NewMem()
	l := long(t, mem)
	bases := l.Bases()
	require.Greater(t, len(bases), 5)
	before, err := l.Read(bases[3], 1<<20)
	require.NoError(t, err)

	require.ErrorIs(t, l.TrimTo(bases[3]+1), wal.ErrPosition)
	require.NoError(t, l.TrimTo(0))
	require.Equal(t, bases, l.Bases())
	require.NoError(t, l.TrimTo(bases[3]))
	require.Equal(t, bases[3:], l.Bases())
	require.NoError(t, l.TrimTo(bases[1]), "below the start there is nothing to do")
	require.Equal(t, bases[3], l.Positions().Start)
	require.Equal(t, len(bases)-3, segmentsIn(t, mem))
	require.True(t, l.IsBase(bases[4]))
	require.False(t, l.IsBase(bases[4]+1))
	_, err = l.Read(bases[2], 1)
	require.ErrorIs(t, err, wal.ErrBelowStart)
	require.ErrorIs(t, l.TruncateTo(bases[2]), wal.ErrBelowStart)
	after, err := l.Read(bases[3], 1<<20)
	require.NoError(t, err)
	require.Equal(t, before, after)

	require.NoError(t, l.TruncateTo(bases[5]))
	require.NoError(t, l.TrimTo(bases[5]), "the active segment stays, and is all that does")
	require.Equal(t, []record.Position{bases[5]}, l.Bases())
	b := record.NewBatch(600)
	b.Add(record.TypeAck, func(b []byte) []byte { return append(b, make([]byte, 600)...) })
	end, err := l.Append(1, 0, b)
	require.NoError(t, err)
	require.NoError(t, l.Close())

	_, _, err = wal.Open(wal.Config{Dir: "/data", FS: mem, SegmentSize: 4 << 10})
	var damage *wal.CorruptionError
	require.ErrorAs(t, err, &damage, "whoever trims has to say so")
	l, rec, err := wal.Open(wal.Config{Dir: "/data", FS: mem, SegmentSize: 4 << 10, Start: bases[5]})
	require.NoError(t, err)
	require.Equal(t, []record.Position{bases[5], end}, []record.Position{rec.Start, rec.Append})
	require.NoError(t, l.Close())
}

// TestTrimGoesOn: a segment that could not be removed is the first that the
// next call removes, so that there is never a gap.
func TestTrimGoesOn(t *testing.T) {
	errDisk := errors.New("disk is busy")
	var broken atomic.Bool
	mem := vfs.NewMem()
	l := long(t, vfs.NewHook(mem, func(op vfs.Op) error {
		if broken.Load() && (op.Kind == vfs.OpRemove || op.Kind == vfs.OpRename || op.Kind == vfs.OpSyncDir) {
			return errDisk
		}
		return nil
	}))
	bases := l.Bases()
	broken.Store(true)
	require.ErrorIs(t, l.TrimTo(bases[2]), errDisk)
	require.Equal(t, bases[2], l.Positions().Start)
	require.Equal(t, len(bases), segmentsIn(t, mem))
	require.ErrorIs(t, l.TrimTo(bases[4]), errDisk)
	require.Equal(t, len(bases), segmentsIn(t, mem), "not those behind what is left")
	broken.Store(false)
	require.NoError(t, l.TrimTo(bases[4]))
	require.Equal(t, len(bases)-4, segmentsIn(t, mem))
}

// TestTrimUnderReaders: a reader gets what it asked for, or is told that it is
// gone, and never a missing file.
func TestTrimUnderReaders(t *testing.T) {
	l := long(t, vfs.NewMem())
	bases := l.Bases()
	done := make(chan error, 4)
	for range 4 {
		go func() {
			for l.Positions().Start < bases[len(bases)-1] {
				for _, at := range bases {
					if _, err := l.Read(at, 1); err != nil && !errors.Is(err, wal.ErrBelowStart) {
						done <- err
						return
					}
				}
			}
			done <- nil
		}()
	}
	for _, b := range bases {
		require.NoError(t, l.TrimTo(b))
	}
	for range 4 {
		require.NoError(t, <-done)
	}
}
