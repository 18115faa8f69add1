package wal_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store/record"
	"baton/store/vfs"
	"baton/store/wal"
)

func TestTruncateTo(t *testing.T) {
	for _, c := range []struct {
		name string
		keep int
	}{
		{"inside the active segment", 18}, {"across segments", 3}, {"at a segment's base", 8}, {"everything", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := vfs.NewMem()
			l, _ := open(t, mem)
			at := fill(t, l, 1, 10, 900)
			at = append(at[:10], fill(t, l, 2, 10, 900)...)
			all := readAll(t, l, 0)
			to, end := at[c.keep], at[20]
			require.NoError(t, l.TruncateTo(to))

			p := l.Positions()
			require.Equal(t, []record.Position{to, to, to}, []record.Position{p.Append, p.Written, p.Flush})
			require.Equal(t, string(all[:to]), string(readAll(t, l, 0)))
			kept, err := vfs.ReadFile(mem, fmt.Sprintf("/data/diverged/2-%016x-%016x.log", uint64(to), uint64(end)), 1<<20)
			require.NoError(t, err)
			require.Equal(t, string(all[to:]), string(kept))
			for _, b := range l.EpochBoundaries() {
				require.Less(t, b.Start, to)
			}

			// A shorter batch at the same place, a power loss, and no batch of
			// the old tail comes back behind it.
			after, err := l.AppendRaw(sealed(5, to, "new", 10))
			require.NoError(t, err)
			require.NoError(t, l.WaitFlushed(context.Background(), after))
			for seed := range uint64(5) {
				crashed := mem.Crash(seed)
				mem = crashed
				l2, r := open(t, crashed)
				require.Equal(t, after, r.Append)
				require.Zero(t, r.TornBytes)
				require.Equal(t, string(all[:to]), string(readAll(t, l2, 0)[:to]))
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		l, _ := open(t, vfs.NewMem())
		at := fill(t, l, 1, 3, 100)
		require.ErrorIs(t, l.TruncateTo(at[1]+1), wal.ErrPosition)
		require.ErrorIs(t, l.TruncateTo(at[3]+1), wal.ErrPosition)
		require.NoError(t, l.TruncateTo(at[3]))
		require.Equal(t, at[3], l.Positions().Append)
		fill(t, l, 1, 1, 100) // still alive
	})
	t.Run("frees those who wait for what is cut", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, _, err := wal.Open(wal.Config{Dir: "/data", FS: vfs.NewMem(), FlushInterval: time.Hour})
			require.NoError(t, err)
			at := fill(t, l, 1, 2, 100)
			end, err := l.Append(1, 0, newBatch("x", 100))
			require.NoError(t, err)
			waiting := make(chan error, 1)
			go func() { waiting <- l.WaitFlushed(context.Background(), end) }()
			synctest.Wait()
			require.NoError(t, l.TruncateTo(at[2]))
			require.ErrorIs(t, <-waiting, wal.ErrTruncated)
			require.NoError(t, l.Close())
		})
	})
}
