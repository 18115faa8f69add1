package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
)

// TestInstallTrimmedLog copies logs that were shortened, and that hold moved
// messages and void moves, and gets the same index from the copy.
func TestInstallTrimmedLog(t *testing.T) {
	seed := seedOf(t)
	for run := range uint64(6) {
		k := newKeeper(t, seed, run)
		k.where = fmt.Sprintf("seed %d run %d", seed, run)
		cfg := crashConfig(vfs.NewMem())
		cfg.Dir = "/giver"
		from := openStore(t, cfg)
		require.NoError(t, from.SetIdentity("c1", "n1"))
		require.NoError(t, k.work(from, 600))
		end := from.Log().Positions().Append
		require.NoError(t, from.Log().WaitFlushed(context.Background(), end))
		require.NoError(t, from.Apply(end, nil))
		require.NotZero(t, from.Log().Positions().Start, k.where)
		snap := makeSnapshot(t, from)

		disk, cfg := takerDisk(t)
		s := openStore(t, cfg)
		_, err := receiveAndInstall(s, snap)
		require.NoError(t, err, k.where)
		require.NoError(t, s.Apply(end, nil), k.where)
		require.Equal(t, dump(t, from), dump(t, s), k.where)
		k.compare(s)
		require.Equal(t, logBytes(t, from), logBytes(t, s))

		did, err := from.Trim(context.Background(), everywhere)
		require.NoError(t, err)
		require.Equal(t, did.From, did.To, "%s: the snapshot holds on to it", k.where)
		snap.Release()

		// The copy goes on as the original does.
		require.NoError(t, k.add(s, append(k.ackOld(), op{queue: "q0", acks: sequences(1, 400)}), nil))
		end = s.Log().Positions().Append
		require.NoError(t, s.Log().WaitFlushed(context.Background(), end))
		require.NoError(t, s.Apply(end, nil))
		did, err = s.Trim(context.Background(), everywhere)
		require.NoError(t, err)
		require.Greater(t, did.To, did.From, k.where)
		require.NoError(t, s.Close())
		require.NoError(t, errors.Join(index.Wipe(disk, filepath.Join(cfg.Dir, "index"))))
		s = openStore(t, cfg)
		require.NoError(t, s.Apply(end, nil))
		k.compare(s)
		require.NoError(t, s.Close())
		require.NoError(t, from.Close())
	}
}

func sequences(from, to record.Sequence) (out []record.Sequence) {
	for s := from; s <= to; s++ {
		out = append(out, s)
	}
	return out
}
