package vfs_test

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/vfs"
)

func write(t *testing.T, f vfs.File, off int64, s string) {
	t.Helper()
	n, err := f.WriteAt([]byte(s), off)
	require.NoError(t, err)
	require.Len(t, s, n)
}

func content(t *testing.T, fsys vfs.FS, name string) string {
	t.Helper()
	b, err := vfs.ReadFile(fsys, name, 1<<20)
	require.NoError(t, err)
	return string(b)
}

// TestFileSystems holds every FS to the same contract.
func TestFileSystems(t *testing.T) {
	for name, fsys := range map[string]vfs.FS{
		"os": vfs.OS{}, "mem": vfs.NewMem(), "hook": vfs.NewHook(vfs.NewMem(), func(vfs.Op) error { return nil }),
		"faults": vfs.NewFaults(vfs.NewMem()), "disk": vfs.NewDisk(vfs.NewMem(), 1<<20),
		"losable": vfs.NewLosable(vfs.NewMem()),
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a", "b")
			at := func(name string) string { return filepath.Join(dir, name) }
			require.NoError(t, vfs.MkdirAll(fsys, dir))
			require.NoError(t, vfs.MkdirAll(fsys, dir))
			require.NoError(t, fsys.Mkdir(dir))

			_, err := fsys.Open(at("x"))
			require.ErrorIs(t, err, fs.ErrNotExist)
			_, err = fsys.Stat(at("x"))
			require.ErrorIs(t, err, fs.ErrNotExist)
			require.ErrorIs(t, fsys.Remove(at("x")), fs.ErrNotExist)
			require.ErrorIs(t, fsys.Rename(at("x"), at("y")), fs.ErrNotExist)
			_, err = fsys.List(at("x"))
			require.ErrorIs(t, err, fs.ErrNotExist)

			f, err := fsys.Create(at("x"))
			require.NoError(t, err)
			write(t, f, 3, "def")
			write(t, f, 0, "abc")
			b := make([]byte, 8)
			n, err := f.ReadAt(b, 2)
			require.ErrorIs(t, err, io.EOF)
			require.Equal(t, "cdef", string(b[:n]))
			require.NoError(t, f.Truncate(4))
			require.NoError(t, f.Truncate(6))
			require.NoError(t, f.Sync())
			size, err := f.Size()
			require.NoError(t, err)
			require.Equal(t, int64(6), size)
			require.NoError(t, f.Close())
			require.Equal(t, "abcd\x00\x00", content(t, fsys, at("x")))
			_, err = vfs.ReadFile(fsys, at("x"), 5)
			require.ErrorContains(t, err, "at most 5")

			require.NoError(t, vfs.WriteFile(fsys, at("y"), []byte("one")))
			require.NoError(t, vfs.WriteFile(fsys, at("y"), []byte("2")))
			require.Equal(t, "2", content(t, fsys, at("y")))
			require.NoError(t, fsys.Rename(at("y"), at("x")))
			infos, err := fsys.List(dir)
			require.NoError(t, err)
			require.Equal(t, []vfs.Info{{Name: "x", Size: 1}}, infos)
			f, err = fsys.Create(at("x"))
			require.NoError(t, err)
			require.NoError(t, f.Close())
			require.Empty(t, content(t, fsys, at("x")))
			require.Error(t, fsys.Remove(dir))
			require.NoError(t, fsys.Remove(at("x")))
			require.NoError(t, fsys.SyncDir(dir))

			l, err := fsys.Lock(at("lock"))
			require.NoError(t, err)
			_, err = fsys.Lock(at("lock"))
			require.ErrorIs(t, err, vfs.ErrLocked)
			require.ErrorContains(t, err, "pid")
			require.NoError(t, l.Close())
			l, err = fsys.Lock(at("lock"))
			require.NoError(t, err)
			require.NoError(t, l.Close())
		})
	}
}

func TestCrashKeepsWhatIsSyncedAndAnyOfTheRest(t *testing.T) {
	old, changed := strings.Repeat("o", 4*vfs.SectorSize), strings.Repeat("n", 4*vfs.SectorSize)
	sectors, names, sizes := map[string]bool{}, map[string]bool{}, map[int]bool{}
	for seed := range uint64(300) {
		mem := vfs.NewMem()
		require.NoError(t, mem.Mkdir("/d"))
		require.NoError(t, mem.SyncDir("/"))
		require.NoError(t, vfs.WriteFile(mem, "/d/kept", []byte(old)))
		f, err := mem.Open("/d/kept")
		require.NoError(t, err)
		write(t, f, 0, changed)
		g, err := mem.Create("/d/new")
		require.NoError(t, err)
		write(t, g, 0, "x")
		require.NoError(t, g.Sync())
		write(t, g, 1, strings.Repeat("y", 99))

		after := mem.Crash(seed)
		require.ErrorIs(t, f.Sync(), vfs.ErrCrashed)
		_, err = mem.List("/d")
		require.ErrorIs(t, err, vfs.ErrCrashed)

		got := content(t, after, "/d/kept")
		require.Len(t, got, len(old))
		pattern := ""
		for i := 0; i < len(got); i += vfs.SectorSize {
			s := got[i : i+vfs.SectorSize]
			require.True(t, s == old[:vfs.SectorSize] || s == changed[:vfs.SectorSize], "a sector is kept or dropped as a whole")
			pattern += s[:1]
		}
		sectors[pattern] = true
		info, err := after.Stat("/d/new")
		names[strings.Repeat("there", 1)+map[bool]string{true: "", false: " not"}[err == nil]] = true
		if err == nil {
			sizes[int(info.Size)] = true
			require.GreaterOrEqual(t, info.Size, int64(1), "synced")
		}
		again := after.Crash(seed + 1)
		require.Equal(t, got, content(t, again, "/d/kept"), "after a crash all that is left is durable")
	}
	require.Len(t, sectors, 16, "every combination comes up")
	require.Len(t, names, 2)
	require.Greater(t, len(sizes), 10)
}

func TestCrashAndNames(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(100) {
		mem := vfs.NewMem()
		require.NoError(t, vfs.WriteFile(mem, "/a", []byte("old")))
		require.NoError(t, vfs.WriteFile(mem, "/b", []byte("new")))
		require.NoError(t, mem.Rename("/b", "/a"))
		after := mem.Crash(seed)
		seen[content(t, after, "/a")] = true
		_, err := after.Stat("/b")
		require.Equal(t, content(t, after, "/a") == "old", err == nil, "rename is atomic")
	}
	require.Len(t, seen, 2)
}

func TestKillKeepsEverythingUnsynced(t *testing.T) {
	mem := vfs.NewMem()
	f, err := mem.Create("/x")
	require.NoError(t, err)
	write(t, f, 0, "abc")
	lock, err := mem.Lock("/lock")
	require.NoError(t, err)
	defer lock.Close()
	after := mem.Kill()
	require.Equal(t, "abc", content(t, after, "/x"))
	_, err = after.Lock("/lock")
	require.NoError(t, err, "the lock died with the process")
	gone := false
	for seed := range uint64(20) {
		copied := after.Kill()
		after = copied.Kill()
		_, err := copied.Stat("/x")
		require.ErrorIs(t, err, vfs.ErrCrashed)
		crashed := after.Crash(seed)
		if _, err := crashed.Stat("/x"); errors.Is(err, fs.ErrNotExist) {
			gone = true
			break
		}
		after = crashed
		f, err := after.Create("/y")
		require.NoError(t, err)
		write(t, f, 0, "z")
	}
	require.True(t, gone, "it was never synced")
}

func TestFailNth(t *testing.T) {
	errDisk := errors.New("broken")
	fsys := vfs.NewHook(vfs.NewMem(), vfs.FailNth(2, func(op vfs.Op) bool { return op.Kind == vfs.OpWrite && op.Name == "/x" }, errDisk))
	f, err := fsys.Create("/x")
	require.NoError(t, err)
	g, err := fsys.Create("/y")
	require.NoError(t, err)
	for _, want := range []error{nil, errDisk, nil} {
		_, err = f.WriteAt([]byte("a"), 0)
		require.Equal(t, want, err)
		_, err = g.WriteAt([]byte("a"), 0)
		require.NoError(t, err)
	}
}
