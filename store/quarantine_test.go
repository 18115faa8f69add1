package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store"
	"baton/store/vfs"
)

// TestDamagedLogIsMovedAsideWhole: the log is still making a spare file when it
// turns out that it is damaged.
func TestDamagedLogIsMovedAsideWhole(t *testing.T) {
	cfg := store.Config{Dir: t.TempDir(), SegmentSize: 16 << 10}
	s := openStore(t, cfg)
	at := fill(t, s, 1, 200)
	end := at[len(at)-1]
	require.NoError(t, s.Apply(end, nil))
	before := s.Meta().Incarnation
	require.NoError(t, s.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(cfg.Dir, "index"))) // so that all of the log is read
	logs, err := filepath.Glob(filepath.Join(cfg.Dir, "log", "*.log"))
	require.NoError(t, err)
	f, err := os.OpenFile(logs[0], os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte{0xff, 0xfe, 0xfd}, 8<<10)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	spare := make(chan struct{}, 100)
	cfg.FS = vfs.NewHook(vfs.OS{}, func(op vfs.Op) error {
		if op.Kind == vfs.OpCreate && strings.Contains(op.Name, "spare") {
			<-time.After(50 * time.Millisecond) // long enough for all that does not wait for it
			spare <- struct{}{}
		}
		return nil
	})
	cfg.Quarantine = true
	s = openStore(t, cfg)
	require.NotEqual(t, before, s.Meta().Incarnation)
	require.NotEmpty(t, spare, "the log that was moved had one under way")
	moved, err := filepath.Glob(filepath.Join(cfg.Dir, "damaged-1", "*.log"))
	require.NoError(t, err)
	require.Equal(t, len(logs), len(moved))
}
