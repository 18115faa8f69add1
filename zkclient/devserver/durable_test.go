package devserver_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver"
	"baton/zkclient/devserver/wire"
)

// TestWhatIsSynced counts the syncs of the journal: everything that a session
// or another client counts on after a power loss waits for the disk, and what
// an election publishes in ephemeral nodes does not.
func TestWhatIsSynced(t *testing.T) {
	s := start(t, devserver.Config{DataDir: t.TempDir()})
	c := connect(t, s.Addr(), time.Minute)
	syncs := func(op wire.Op, fill func(*wire.Encoder)) int64 {
		t.Helper()
		before := s.Stats().Syncs
		c.must(op, fill)
		return s.Stats().Syncs - before
	}
	require.EqualValues(t, 1, syncs(wire.OpCreate, create("/eph", nil, wire.ModeEphemeral)), "its session relies on it")
	require.EqualValues(t, 0, syncs(wire.OpSetData, setData("/eph", []byte("suspect"))))
	require.EqualValues(t, 1, syncs(wire.OpCreate, create("/kept", nil, 0)))
	require.EqualValues(t, 1, syncs(wire.OpSetData, setData("/kept", []byte("elected"))))
	require.EqualValues(t, 1, syncs(wire.OpDelete, versioned("/eph", -1)))
	require.EqualValues(t, 0, syncs(wire.OpExists, path("/kept", false)))
}

// TestPowerLoss starts a server from what was on the disk at the last sync: all
// that came later is gone, as after a power loss at the worst moment.
func TestPowerLoss(t *testing.T) {
	dir, disk := t.TempDir(), t.TempDir()
	s := start(t, devserver.Config{DataDir: dir})
	c := connect(t, s.Addr(), time.Minute)
	c.must(wire.OpCreate, create("/member", []byte("joined"), wire.ModeEphemeral))
	syncs := s.Stats().Syncs
	require.NoError(t, os.CopyFS(disk, os.DirFS(dir)))
	c.must(wire.OpSetData, setData("/member", []byte("sealed")))
	later := connect(t, s.Addr(), time.Minute)
	require.Equal(t, syncs, s.Stats().Syncs, "nothing after the copy was synced, so it may be lost")
	require.NoError(t, s.Close())

	s = start(t, devserver.Config{DataDir: disk})
	session := c.session
	c = reattach(t, s.Addr(), c)
	require.Equal(t, session, c.session)
	_, body := c.must(wire.OpGetData, path("/member", false))
	require.Equal(t, "joined", string(body.Buffer()), "the session is there, and so is its node")
	require.Equal(t, c.session, body.Stat().EphemeralOwner)
	require.Equal(t, wire.BadVersion, c.code(wire.OpSetData, func(e *wire.Encoder) {
		e.String("/member")
		e.Buffer([]byte("elected"))
		e.Int32(1) // of what it wrote last
	}), "the owner is told that its newest data is gone")
	stranger := dial(t, s.Addr())
	require.NoError(t, stranger.attach(wire.ConnectRequest{TimeoutMillis: 1000, SessionID: later.session, Password: later.password}))
	require.Zero(t, stranger.session, "a session that had created nothing has expired")
}

// TestDataDirDoesNotGrow writes a hundred times the length of log after which a
// snapshot replaces it.
func TestDataDirDoesNotGrow(t *testing.T) {
	const limit = 32 << 10
	dir := t.TempDir()
	s := start(t, devserver.Config{DataDir: dir, SnapshotBytes: limit})
	c := connect(t, s.Addr(), time.Minute)
	c.must(wire.OpCreate, create("/a", nil, wire.ModeEphemeral)) // whose data is not synced, to save time
	data := make([]byte, 1<<10)
	most := int64(0)
	for i := range 100 * limit / len(data) {
		c.must(wire.OpSetData, setData("/a", data))
		if i%100 == 0 {
			most = max(most, size(t, dir))
		}
	}
	require.Less(t, most, int64(2*limit+8<<10), "one log, and two snapshots of a small tree")
	require.NoError(t, s.Close())
	s = start(t, devserver.Config{DataDir: dir})
	c = reattach(t, s.Addr(), c)
	_, body := c.must(wire.OpGetData, path("/a", false))
	require.Equal(t, data, body.Buffer())
	require.EqualValues(t, 100*limit/len(data), body.Stat().Version)
}

func size(t *testing.T, dir string) (total int64) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return nil // replaced meanwhile
		}
		total += info.Size()
		return nil
	}))
	return total
}
