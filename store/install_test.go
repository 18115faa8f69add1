package store_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store"
	"baton/store/record"
	"baton/store/snapshot"
	"baton/store/vfs"
)

const segmentSize = 4 << 10

// stopped is a clock that makes logs comparable.
func stopped() time.Time { return time.UnixMicro(1700000000000000) }

// giver is a store of 60 messages in two epochs, all applied but the last.
func giver(t testing.TB) *store.Store {
	s := openStore(t, store.Config{Dir: "/giver", FS: vfs.NewMem(), SegmentSize: segmentSize})
	require.NoError(t, s.SetIdentity("c1", "n1"))
	fill(t, s, 1, 30)
	at := fill(t, s, 3, 30)
	require.NoError(t, s.Apply(at[29], nil))
	return s
}

// takerDisk is a disk with a store whose log went another way: 8 messages of
// epoch 2, all applied.
func takerDisk(t testing.TB) (*vfs.Mem, store.Config) {
	disk := vfs.NewMem()
	cfg := store.Config{Dir: "/node/data", FS: disk, SegmentSize: segmentSize, Now: stopped}
	s := openStore(t, cfg)
	require.NoError(t, s.SetIdentity("c1", "n2"))
	require.NoError(t, s.Seal(7))
	at := fill(t, s, 2, 8)
	require.NoError(t, s.Apply(at[8], nil))
	require.NoError(t, s.Close())
	return disk, cfg
}

// copyAll ships what is missing and returns the bytes that were.
func copyAll(r *snapshot.Receiver, from *snapshot.Snapshot, chunk int) (shipped int, err error) {
	for !r.Complete() {
		part, at := r.Next()
		b, sum, err := from.Chunk(part, at, chunk)
		if err != nil {
			return shipped, err
		}
		if err := r.Write(part, at, b, sum); err != nil {
			return shipped, err
		}
		shipped += len(b)
	}
	return shipped, r.Finish(context.Background())
}

func receiveAndInstall(s *store.Store, from *snapshot.Snapshot) (shipped int, err error) {
	r, err := s.Receive(from.Manifest())
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if shipped, err = copyAll(r, from, 1000); err != nil {
		return shipped, err
	}
	return shipped, s.Install()
}

func makeSnapshot(t testing.TB, s *store.Store) *snapshot.Snapshot {
	snap, err := s.Snapshot(context.Background())
	require.NoError(t, err)
	t.Cleanup(snap.Release)
	return snap
}

// logBytes is the content of a log.
func logBytes(t testing.TB, s *store.Store) (out []byte) {
	p := s.Log().Positions()
	for at := p.Start; at < p.Append; {
		b, err := s.Log().Read(at, 1<<20)
		require.NoError(t, err)
		out, at = append(out, b...), at+record.Position(len(b))
	}
	return out
}

func TestInstall(t *testing.T) {
	from := giver(t)
	snap := makeSnapshot(t, from)
	disk, cfg := takerDisk(t)
	s := openStore(t, cfg)
	before := s.Meta()
	shipped, err := receiveAndInstall(s, snap)
	require.NoError(t, err)
	require.Equal(t, int(from.Log().Positions().Append), shipped)

	check := func(s *store.Store) {
		t.Helper()
		require.Equal(t, before, s.Meta(), "what was promised stays")
		require.Equal(t, logBytes(t, from), logBytes(t, s))
		require.Equal(t, from.Log().EpochBoundaries(), s.Log().EpochBoundaries())
		applied, chain := from.Applied()
		require.NoError(t, s.Apply(applied, nil))
		at, hash := s.Applied()
		require.Equal(t, applied, at)
		require.Equal(t, chain, hash)
		require.Equal(t, dump(t, from), dump(t, s))
	}
	check(s)
	fill(t, s, 7, 3) // it goes on
	require.NoError(t, s.Truncate(from.Log().Positions().Append))
	require.NoError(t, s.Close())
	check(openStore(t, cfg))
	infos, err := disk.List(cfg.Dir)
	require.NoError(t, err)
	for _, info := range infos {
		require.NotContains(t, []string{"incoming", "install", "replaced"}, info.Name, "left over")
	}
}

func TestReceiveGoesOnWhereItWasCut(t *testing.T) {
	from := giver(t)
	snap := makeSnapshot(t, from)
	disk, cfg := takerDisk(t)
	s := openStore(t, cfg)
	r, err := s.Receive(snap.Manifest())
	require.NoError(t, err)
	half := 0
	for half < int(snap.Manifest().End)/2 {
		part, at := r.Next()
		b, sum, err := snap.Chunk(part, at, 1000)
		require.NoError(t, err)
		require.NoError(t, r.Write(part, at, b, sum))
		half += len(b)
	}
	t.Run("after a cut, from another giver that is further", func(t *testing.T) {
		require.NoError(t, r.Close())
		fill(t, from, 3, 5)
		r, err = s.Receive(makeSnapshot(t, from).Manifest())
		require.NoError(t, err)
		_, at := r.Next()
		require.EqualValues(t, half, at)
	})
	t.Run("after a restart", func(t *testing.T) {
		require.NoError(t, r.Close())
		require.NoError(t, s.Close())
		disk = disk.Crash(1)
		cfg.FS = disk
		s = openStore(t, cfg)
		require.EqualValues(t, 2, s.Log().Positions().Epoch, "the old log is in use meanwhile")
		shipped, err := receiveAndInstall(s, snap)
		require.NoError(t, err)
		require.Equal(t, int(snap.Manifest().End)-half, shipped)
	})
	t.Run("of another history it begins anew", func(t *testing.T) {
		other := openStore(t, store.Config{Dir: "/other", FS: vfs.NewMem(), SegmentSize: segmentSize})
		require.NoError(t, other.SetIdentity("c1", "n3"))
		fill(t, other, 4, 40)
		snap := makeSnapshot(t, other)
		r, err := s.Receive(snap.Manifest())
		require.NoError(t, err)
		part, at := r.Next()
		b, sum, err := snap.Chunk(part, at, 1000)
		require.NoError(t, err)
		require.NoError(t, r.Write(part, at, b, sum))
		require.NoError(t, r.Close())
		r, err = s.Receive(makeSnapshot(t, from).Manifest())
		require.NoError(t, err)
		_, at = r.Next()
		require.Zero(t, at)
		require.NoError(t, r.Close())
	})
}

func TestReceiveRefuses(t *testing.T) {
	from := giver(t)
	snap := makeSnapshot(t, from)
	_, cfg := takerDisk(t)
	s := openStore(t, cfg)
	foreign := snap.Manifest()
	foreign.ClusterID = "c2"
	_, err := s.Receive(foreign)
	require.ErrorIs(t, err, snapshot.ErrForeign)

	r, err := s.Receive(snap.Manifest())
	require.NoError(t, err)
	b, sum, err := snap.Chunk(snapshot.PartLog, 0, 1000)
	require.NoError(t, err)
	bad := append([]byte(nil), b...)
	bad[70] ^= 1
	for name, write := range map[string]func() error{
		"a flipped bit":         func() error { return r.Write(snapshot.PartLog, 0, bad, sum) },
		"a flipped bit, signed": func() error { return r.Write(snapshot.PartLog, 0, bad, sha256.Sum256(bad)) },
		"another position":      func() error { return r.Write(snapshot.PartLog, record.Position(len(b)), b, sum) },
		"another part":          func() error { return r.Write(snapshot.PartSide, 0, b, sum) },
		"half a batch":          func() error { return r.Write(snapshot.PartLog, 0, b[:100], sha256.Sum256(b[:100])) },
		"nothing":               func() error { return r.Write(snapshot.PartLog, 0, nil, sha256.Sum256(nil)) },
	} {
		require.ErrorIs(t, write(), snapshot.ErrChunk, name)
	}
	require.ErrorIs(t, r.Finish(context.Background()), snapshot.ErrIncomplete)
	require.NoError(t, r.Write(snapshot.PartLog, 0, b, sum), "what was refused left no trace")
	require.NoError(t, r.Close())
	require.ErrorIs(t, s.Install(), snapshot.ErrIncomplete)
	require.Equal(t, uint64(2), uint64(s.Log().Positions().Epoch), "and is as it was")

	t.Run("a log that is not the giver's", func(t *testing.T) {
		_, cfg := takerDisk(t)
		s := openStore(t, cfg)
		m := snap.Manifest()
		m.Chain++
		r, err := s.Receive(m)
		require.NoError(t, err)
		_, err = copyAll(r, snap, 1000)
		require.ErrorIs(t, err, snapshot.ErrDiffers)
		require.NoError(t, r.Close())
	})
	t.Run("released", func(t *testing.T) {
		snap.Release()
		snap.Release()
		_, _, err := snap.Chunk(snapshot.PartLog, 0, 1000)
		require.ErrorIs(t, err, snapshot.ErrReleased)
	})
}

// TestInstallCrash dies before each call that changes the disk, in turn, while
// a snapshot is received and installed, and with several outcomes of what the
// disk kept: the directory must then hold the old log or the new one, whole,
// with an index of its own, and the same must be possible again.
func TestInstallCrash(t *testing.T) {
	from := giver(t)
	snap := makeSnapshot(t, from)
	newLog := logBytes(t, from)
	_, cfg := takerDisk(t)
	oldLog := logBytes(t, openStore(t, cfg))
	outcomes := []int{0, 0}
	points := 0
	for dieAt, done := 1, false; !done; dieAt++ {
		for outcome := range 4 {
			where := fmt.Sprintf("call %d outcome %d", dieAt, outcome)
			disk, cfg := takerDisk(t)
			var calls atomic.Int64
			var dead atomic.Bool
			cfg.FS = vfs.NewHook(disk, func(op vfs.Op) error {
				if op.Changes() && calls.Add(1) >= int64(dieAt) {
					dead.Store(true)
					return vfs.ErrCrashed
				}
				return nil
			})
			s, err := store.Open(cfg)
			if err == nil {
				_, err = receiveAndInstall(s, snap)
			}
			if err == nil {
				err = s.Close()
			}
			if !dead.Load() {
				require.NoError(t, err, where)
				done = true
				break
			}
			require.Error(t, err, where)
			points++
			if outcome == 0 {
				disk = disk.Kill()
			} else {
				disk = disk.Crash(uint64(dieAt*10 + outcome))
			}
			if s != nil {
				s.Close()
			}
			outcomes[afterCrash(t, where, disk, oldLog, newLog, snap)]++
		}
	}
	t.Logf("%d crashes: %d left the old log, %d the new one", points, outcomes[0], outcomes[1])
	require.Positive(t, outcomes[0])
	require.Positive(t, outcomes[1])
}

// afterCrash returns 0 for the old log, 1 for the new one.
func afterCrash(t *testing.T, where string, disk *vfs.Mem, oldLog, newLog []byte, snap *snapshot.Snapshot) int {
	t.Helper()
	s, err := store.Open(store.Config{Dir: "/node/data", FS: disk, SegmentSize: segmentSize})
	require.NoError(t, err, where)
	defer s.Close()
	m := s.Meta()
	require.Equal(t, []any{"c1", "n2", record.Epoch(7)}, []any{m.ClusterID, m.Node, m.Sealed}, where)
	require.False(t, s.Recovered().LogLost, where)
	which, want := 0, oldLog
	if got := s.Log().Positions().Append; got != record.Position(len(oldLog)) {
		which, want = 1, newLog
	}
	require.Equal(t, want, logBytes(t, s), where)
	applied, _ := s.Applied()
	require.Equal(t, rebuild(t, s, applied), dump(t, s), where)
	_, err = receiveAndInstall(s, snap)
	require.NoError(t, err, where)
	require.Equal(t, newLog, logBytes(t, s), where)
	require.NoError(t, s.Apply(snap.Manifest().End, nil), where)
	return which
}
