package snapshot_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/record"
	"baton/store/snapshot"
	"baton/store/vfs"
	"baton/store/wal"
)

// TestLogThatBeginsAboveZero: the side files travel along, and the epochs that
// began below the start stay known.
func TestLogThatBeginsAboveZero(t *testing.T) {
	before := []record.EpochBoundary{{Epoch: 2, Start: 0}, {Epoch: 3, Start: 70000}}
	log, _, err := wal.Open(wal.Config{Dir: "/giver", FS: vfs.NewMem(), Start: 100000, Boundaries: before, SegmentSize: 4096})
	require.NoError(t, err)
	defer log.Close()
	chain := uint64(77)
	for i := range 40 {
		b := record.NewBatch(300)
		e := record.Enqueue{Queue: "q", Message: record.Message{ID: strconv.Itoa(i), Body: make([]byte, 200)}}
		b.Add(record.TypeEnqueue, e.AppendTo)
		_, err := log.Append(3, 0, b)
		require.NoError(t, err)
	}
	p := log.Positions()
	require.NoError(t, log.WaitFlushed(context.Background(), p.Append))
	for at := p.Start; at < p.Append; {
		b, err := log.Read(at, 1)
		require.NoError(t, err)
		chain, at = record.Chain(chain, b), at+record.Position(len(b))
	}
	side := snapshot.Side{Start: []byte("why it begins there"), Base: make([]byte, 5000)}
	m := snapshot.Manifest{ClusterID: "c", Start: p.Start, End: p.Append, Epoch: 3, StartChain: 77, Check: p.Append, Chain: chain, Boundaries: before}
	snap, err := snapshot.New(m, log, side, func() {})
	require.NoError(t, err)

	disk := vfs.NewMem()
	cfg := wal.Config{Dir: "/taker", FS: disk, SegmentSize: 8192}
	for _, stopAfter := range []int{2, 7, 1000} { // each time it is cut, and goes on
		r, err := snapshot.Receive(cfg, snap.Manifest())
		require.NoError(t, err)
		for n := 0; n < stopAfter && !r.Complete(); n++ {
			part, at := r.Next()
			b, sum, err := snap.Chunk(part, at, 1000)
			require.NoError(t, err)
			require.NoError(t, r.Write(part, at, b, sum))
		}
		if r.Complete() {
			require.NoError(t, r.Finish(context.Background()))
		}
		require.NoError(t, r.Close())
	}
	disk = disk.Crash(3)
	require.NoError(t, snapshot.Commit(disk, "/taker"))
	installed, err := snapshot.Resume(disk, "/taker")
	require.NoError(t, err)
	require.True(t, installed)
	got, err := snapshot.ReadSide(disk, "/taker/log", p.Start)
	require.NoError(t, err)
	require.Equal(t, side, got)
	cfg.FS, cfg.Start = disk, p.Start
	taken, _, err := wal.Open(cfg)
	require.NoError(t, err)
	defer taken.Close()
	require.Equal(t, log.EpochBoundaries(), taken.EpochBoundaries())
	require.Equal(t, log.Positions(), taken.Positions())
}
