package devserver_test

import (
	"io/fs"
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
