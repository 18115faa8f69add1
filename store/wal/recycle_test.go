package wal_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/record"
	"baton/store/vfs"
	"baton/store/wal"
)

// recycled appends equal batches and frees segments until the active segment
// is a file that was one before, with room for a few more batches. It returns the
// positions of the batches that are still there, and the end.
func recycled(t *testing.T, fs vfs.FS) (l *wal.Log, at []record.Position) {
	l, _ = open(t, fs)
	for l.Positions().Append < 1<<20 {
		end, err := l.Append(1, 0, newBatch("m", 700))
		require.NoError(t, err)
		require.NoError(t, l.WaitFlushed(context.Background(), end))
		bases := l.Bases()
		active := bases[len(bases)-1]
		require.NoError(t, l.TrimTo(active))
		if at = append(at, end); at[0] < active {
			at = []record.Position{active, end}
		}
		if len(at) == 4 && info(t, fs, active).Recycled {
			return l, at
		}
	}
	t.Fatal("no segment was recycled")
	return nil, nil
}

func info(t *testing.T, fs vfs.FS, base record.Position) wal.SegmentInfo {
	f, err := fs.Open(segmentName(base))
	require.NoError(t, err)
	defer f.Close()
	i, err := wal.ReadSegmentInfo(f)
	require.NoError(t, err)
	return i
}

// TestRecycledSegmentAfterACrash: what an earlier segment left behind the last
// batch is not taken for batches, for damage or for a torn tail, and what was
// flushed is there, whatever the crash kept of the rest.
func TestRecycledSegmentAfterACrash(t *testing.T) {
	mem := vfs.NewMem()
	l, at := recycled(t, mem)
	end := at[len(at)-1]
	start := func(c *wal.Config) { c.Start = at[0] }
	for seed := range uint64(64) {
		copies := map[string]*vfs.Mem{"crash": mem.Crash(seed), "tear": mem.Tear(seed), "kill": mem.Kill()}
		for way, m := range copies {
			l, r := open(t, m, start)
			require.Equal(t, end, r.Append, "%s, seed %d", way, seed)
			require.Zero(t, r.TornBytes, "%s, seed %d", way, seed)
			for from := at[0]; from < end; {
				b, err := l.Read(from, 1)
				require.NoError(t, err)
				from += record.Position(len(b))
			}
			require.NoError(t, l.Close())
		}
	}
	l.Close() // its machine has crashed
}

// TestRecycledSegmentForgetsWhatWasCutOff: a batch that a crash kept behind one
// that it lost is cut, or it would follow a new batch that fills the gap.
func TestRecycledSegmentForgetsWhatWasCutOff(t *testing.T) {
	mem := vfs.NewMem()
	l, at := recycled(t, mem)
	end := at[len(at)-1]
	require.NoError(t, l.Close())
	lost := sealed(1, end, "lost", 700)
	kept := sealed(1, end+record.Position(len(lost)), "kept", 700)
	edit(t, mem, segmentName(at[0]), func(f vfs.File) {
		_, err := f.WriteAt(kept, 4096+int64(end-at[0])+int64(len(lost)))
		require.NoError(t, err)
	})
	start := func(c *wal.Config) { c.Start = at[0] }
	l, r := open(t, mem, start)
	require.Equal(t, end, r.Append)
	require.Positive(t, r.TornBytes)
	next, err := l.AppendRaw(sealed(2, end, "lost", 700))
	require.NoError(t, err)
	require.Equal(t, end+record.Position(len(lost)), next, "the gap is filled exactly")
	require.NoError(t, l.WaitFlushed(context.Background(), next))
	require.NoError(t, l.Close())
	_, r = open(t, mem, start)
	require.Equal(t, next, r.Append)
}

// TestReadsOfFreedSegments: a position below the start is gone at once, also
// for whoever had its file open, while another segment is written over it.
func TestReadsOfFreedSegments(t *testing.T) {
	mem := vfs.NewMem()
	l, _ := open(t, mem)
	add := func() (at record.Position, id string) {
		at = l.Positions().Append
		id = fmt.Sprintf("m%010d", at)
		end, err := l.Append(1, 0, newBatch(id, 700))
		require.NoError(t, err)
		require.NoError(t, l.WaitFlushed(context.Background(), end))
		return at, id
	}
	ids := map[record.Position]string{}
	for l.Positions().Append < 64<<10 {
		at, id := add()
		ids[at] = id
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			for at, id := range ids {
				r, err := l.ReadRecord(at + record.HeaderSize)
				if err != nil {
					continue
				}
				if e, err := record.ParseEnqueue(r.Body); err != nil || e.Message.ID != id {
					t.Errorf("message %s read at %d (%v)", e.Message.ID, at, err)
				}
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for l.Positions().Append < 1<<20 {
		add()
		bases := l.Bases()
		require.NoError(t, l.TrimTo(bases[len(bases)-1]))
	}
	close(stop)
	<-done
}
