package journal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver/journal"
)

// open recovers a directory into a list of what was loaded and applied.
func open(dir string) (*journal.Journal, []string, error) {
	var state []string
	j, err := journal.Open(dir,
		func(p []byte) error { state = append(state, "snapshot "+string(p)); return nil },
		func(p []byte) error { state = append(state, string(p)); return nil })
	return j, state, err
}

func mustOpen(t *testing.T, dir string) (*journal.Journal, []string) {
	t.Helper()
	j, state, err := open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { j.Close() })
	return j, state
}

// record writes a directory with a snapshot "s" and records r0, r1, ...; each
// is written on its own and synced if sync says so.
func record(t *testing.T, dir string, count int, sync func(i int) bool) {
	j, _ := mustOpen(t, dir)
	require.NoError(t, j.Snapshot([]byte("s")))
	for i := range count {
		require.NoError(t, j.Append(fmt.Appendf(nil, "r%d", i)))
		require.NoError(t, j.Flush(sync(i)))
	}
	content, err := os.ReadFile(logFile(t, dir)) // as a crash leaves it: Close would sync
	require.NoError(t, err)
	require.NoError(t, j.Close())
	require.NoError(t, os.WriteFile(logFile(t, dir), content, 0o600))
}

func logFile(t *testing.T, dir string) string {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "log.*"))
	require.NoError(t, err)
	require.Len(t, logs, 1)
	return logs[0]
}

func always(int) bool { return true }
func never(int) bool  { return false }

func expected(records int) []string {
	state := []string{"snapshot s"}
	for i := range records {
		state = append(state, fmt.Sprintf("r%d", i))
	}
	return state
}

func TestRecovery(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	j, state := mustOpen(t, dir)
	require.Empty(t, state)
	require.NoError(t, j.Snapshot([]byte("one")))
	require.NoError(t, j.Append([]byte("a")))
	require.NoError(t, j.Append([]byte("b")))
	require.NoError(t, j.Flush(true))
	require.NoError(t, j.Close())
	j, state = mustOpen(t, dir)
	require.Equal(t, []string{"snapshot one", "a", "b"}, state)
	require.NoError(t, j.Snapshot([]byte("two")))
	require.NoError(t, j.Append(nil))
	require.NoError(t, j.Append([]byte("closed without a flush")))
	require.NoError(t, j.Close())
	_, state = mustOpen(t, dir)
	require.Equal(t, []string{"snapshot two", "", "closed without a flush"}, state)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 3, "lock, snapshot and log")
}

func TestOneUserAtATime(t *testing.T) {
	dir := t.TempDir()
	j, _ := mustOpen(t, dir)
	_, _, err := open(dir)
	require.ErrorIs(t, err, journal.ErrLocked)
	require.ErrorContains(t, err, dir)
	require.NoError(t, j.Close())
	mustOpen(t, dir)
}

// TestTornEnd cuts and damages a log that was never synced at every byte: all
// records before that byte must be there, and nothing else.
func TestTornEnd(t *testing.T) {
	dir := t.TempDir()
	const count = 6
	record(t, dir, count, never)
	path := logFile(t, dir)
	log, err := os.ReadFile(path)
	require.NoError(t, err)
	size := len(log) / count
	check := func(at int, content []byte) {
		require.NoError(t, os.WriteFile(path, content, 0o600))
		j, state, err := open(dir)
		require.NoError(t, err, "byte %d", at)
		require.Equal(t, expected(at/size), state, "byte %d", at)
		require.NoError(t, j.Close())
	}
	for at := range log {
		check(at, log[:at])
		damaged := append([]byte(nil), log...)
		damaged[at] ^= 0x40
		check(at, damaged)
	}
}

// TestDamageOfSyncedRecordsIsRefused damages each byte of records that a later
// one knows to be synced.
func TestDamageOfSyncedRecordsIsRefused(t *testing.T) {
	dir := t.TempDir()
	const count = 4
	record(t, dir, count, always)
	path := logFile(t, dir)
	log, err := os.ReadFile(path)
	require.NoError(t, err)
	size := len(log) / count
	for at := range log[:size*(count-1)] {
		damaged := append([]byte(nil), log...)
		damaged[at] ^= 0x40
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		_, _, err := open(dir)
		require.ErrorIs(t, err, journal.ErrCorrupt, "byte %d", at)
		require.ErrorContains(t, err, path)
	}
	require.NoError(t, os.WriteFile(path, log, 0o600))
	_, state := mustOpen(t, dir)
	require.Equal(t, expected(count), state)
}

func TestDamagedSnapshotIsRefused(t *testing.T) {
	dir := t.TempDir()
	record(t, dir, 1, always)
	path := filepath.Join(dir, strings.Replace(filepath.Base(logFile(t, dir)), "log", "snapshot", 1))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for at := range whole {
		damaged := append([]byte(nil), whole...)
		damaged[at] ^= 1
		for _, content := range [][]byte{damaged, whole[:at]} {
			require.NoError(t, os.WriteFile(path, content, 0o600))
			_, _, err := open(dir)
			require.ErrorIs(t, err, journal.ErrCorrupt, "byte %d", at)
			require.ErrorContains(t, err, path)
		}
	}
}

// TestCrashWhileASnapshotReplacesTheLog goes through the states in which the
// change of generations can stop.
func TestCrashWhileASnapshotReplacesTheLog(t *testing.T) {
	build := func(t *testing.T) (dir string, newSnapshot []byte) {
		dir = t.TempDir()
		record(t, dir, 2, always)
		other := t.TempDir()
		j, _ := mustOpen(t, other)
		require.NoError(t, j.Snapshot([]byte("n")))
		newSnapshot, err := os.ReadFile(filepath.Join(other, "snapshot.0000000000000001"))
		require.NoError(t, err)
		return dir, newSnapshot
	}
	write := func(t *testing.T, dir, name string, content []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	cases := []struct {
		name  string
		crash func(t *testing.T, dir string, snapshot []byte)
		want  []string
	}{
		{"temporary file half written", func(t *testing.T, dir string, s []byte) {
			write(t, dir, "snapshot.0000000000000002.tmp", s[:len(s)-1])
		}, expected(2)},
		{"temporary file not renamed", func(t *testing.T, dir string, s []byte) {
			write(t, dir, "snapshot.0000000000000002.tmp", s)
		}, expected(2)},
		{"no new log", func(t *testing.T, dir string, s []byte) {
			write(t, dir, "snapshot.0000000000000002", s)
		}, []string{"snapshot n"}},
		{"old generation not removed", func(t *testing.T, dir string, s []byte) {
			write(t, dir, "snapshot.0000000000000002", s)
			write(t, dir, "log.0000000000000002", nil)
		}, []string{"snapshot n"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir, snapshot := build(t)
			c.crash(t, dir, snapshot)
			j, state := mustOpen(t, dir)
			require.Equal(t, c.want, state)
			require.NoError(t, j.Snapshot([]byte("after")))
			require.NoError(t, j.Append([]byte("x")))
			require.NoError(t, j.Close())
			_, state = mustOpen(t, dir)
			require.Equal(t, []string{"snapshot after", "x"}, state)
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, entries, 3)
		})
	}
}

func TestLongRecordIsRefused(t *testing.T) {
	j, _ := mustOpen(t, t.TempDir())
	require.NoError(t, j.Snapshot(nil))
	require.ErrorIs(t, j.Append(make([]byte, journal.MaxRecord+1)), journal.ErrTooLong)
	require.NoError(t, j.Append(make([]byte, journal.MaxRecord)))
	require.NoError(t, j.Flush(true))
	count, _, _ := j.Syncs()
	require.EqualValues(t, 1, count)
	require.NoError(t, j.Flush(true))
	count, _, _ = j.Syncs()
	require.EqualValues(t, 1, count, "nothing to sync")
}

// FuzzRecovery gives recovery arbitrary files: it must refuse or recover, and
// what it recovers must survive another round.
func FuzzRecovery(f *testing.F) {
	seed := f.TempDir()
	j, _, err := open(seed)
	require.NoError(f, err)
	require.NoError(f, j.Snapshot([]byte("s")))
	require.NoError(f, j.Append([]byte("r")))
	require.NoError(f, j.Close())
	snapshot, err := os.ReadFile(filepath.Join(seed, "snapshot.0000000000000001"))
	require.NoError(f, err)
	log, err := os.ReadFile(filepath.Join(seed, "log.0000000000000001"))
	require.NoError(f, err)
	f.Add(snapshot, log)
	f.Add([]byte{}, []byte{})
	f.Add([]byte("BZKSNAP1"), []byte("BZKR\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, snapshot, log []byte) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "snapshot.0000000000000001"), snapshot, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "log.0000000000000001"), log, 0o600))
		j, _, err := open(dir)
		if err != nil {
			require.ErrorIs(t, err, journal.ErrCorrupt)
			return
		}
		require.NoError(t, j.Snapshot([]byte("s")))
		require.NoError(t, j.Close())
		j, state, err := open(dir)
		require.NoError(t, err)
		require.Equal(t, []string{"snapshot s"}, state)
		require.NoError(t, j.Close())
	})
}
