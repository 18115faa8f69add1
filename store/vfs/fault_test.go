package vfs_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/vfs"
)

func isWrite(op vfs.Op) bool { return op.Kind == vfs.OpWrite }

func TestFaults(t *testing.T) {
	errDisk := errors.New("broken")
	begin := func(t *testing.T, rules ...vfs.Rule) (*vfs.Faults, vfs.File) {
		fsys := vfs.NewFaults(vfs.NewMem())
		f, err := fsys.Create("/x")
		require.NoError(t, err)
		write(t, f, 0, "abcdef")
		fsys.Set(rules...)
		return fsys, f
	}
	t.Run("error on the nth call, some times", func(t *testing.T) {
		fsys, f := begin(t, vfs.Rule{Match: isWrite, Nth: 2, Times: 2, Err: errDisk})
		for _, want := range []error{nil, errDisk, errDisk, nil} {
			_, err := f.WriteAt([]byte("x"), 0)
			require.Equal(t, want, err)
		}
		require.Equal(t, 2, fsys.Hits())
	})
	t.Run("every kind of call", func(t *testing.T) {
		fsys, f := begin(t, vfs.Rule{Times: -1, Err: errDisk})
		_, e1 := fsys.Create("/y")
		_, e2 := fsys.Open("/x")
		_, e3 := fsys.List("/")
		_, e4 := fsys.Stat("/x")
		_, e5 := fsys.Lock("/l")
		_, e6 := f.ReadAt(make([]byte, 1), 0)
		for i, err := range []error{e1, e2, e3, e4, e5, e6, fsys.Rename("/x", "/y"), fsys.Remove("/x"), fsys.Mkdir("/d"),
			fsys.SyncDir("/"), f.Truncate(0), f.Sync()} {
			require.Equal(t, errDisk, err, "call %d", i)
		}
		fsys.Set()
		require.Equal(t, "abcdef", content(t, fsys, "/x"), "nothing was done")
	})
	t.Run("short write", func(t *testing.T) {
		fsys, f := begin(t, vfs.Rule{Match: isWrite, Err: vfs.ErrFull, Short: 2})
		n, err := f.WriteAt([]byte("XYZ"), 1)
		require.True(t, vfs.IsFull(err))
		require.Equal(t, 2, n)
		require.Equal(t, "aXYdef", content(t, fsys, "/x"))
	})
	t.Run("bit flipped in a write", func(t *testing.T) {
		fsys, f := begin(t, vfs.Rule{Match: isWrite, Flip: true, Bit: 8 + 5})
		given := []byte("abc")
		_, err := f.WriteAt(given, 0)
		require.NoError(t, err)
		require.Equal(t, "abc", string(given), "the caller's bytes are his")
		require.Equal(t, "aBcdef", content(t, fsys, "/x"))
	})
	t.Run("bit flipped in a read", func(t *testing.T) {
		fsys, f := begin(t, vfs.Rule{Match: func(op vfs.Op) bool { return op.Kind == vfs.OpRead }, Flip: true, Bit: 5})
		b := make([]byte, 2)
		_, err := f.ReadAt(b, 0)
		require.NoError(t, err)
		require.Equal(t, "Ab", string(b))
		require.Equal(t, "abcdef", content(t, fsys, "/x"), "only that read")
	})
	t.Run("slow", func(t *testing.T) {
		entered, gate := make(chan struct{}), make(chan struct{})
		_, f := begin(t, vfs.Rule{Match: func(op vfs.Op) bool { return op.Kind == vfs.OpSync }, Before: func(vfs.Op) {
			close(entered)
			<-gate
		}})
		done := make(chan error)
		go func() { done <- f.Sync() }()
		<-entered
		write(t, f, 0, "x") // others are not held up
		close(gate)
		require.NoError(t, <-done)
	})
}

func TestDisk(t *testing.T) {
	d := vfs.NewDisk(vfs.NewMem(), 10)
	f, err := d.Create("/x")
	require.NoError(t, err)
	write(t, f, 0, "12345678")
	n, err := f.WriteAt([]byte("abcd"), 7)
	require.True(t, vfs.IsFull(err))
	require.Equal(t, 3, n)
	require.Equal(t, "1234567abc", content(t, d, "/x"))
	write(t, f, 0, "0123456789") // overwriting is free
	_, err = d.Create("/y")
	require.True(t, vfs.IsFull(err))
	require.True(t, vfs.IsFull(f.Truncate(11)))
	require.NoError(t, f.Truncate(4))
	require.Equal(t, int64(4), d.Used())
	g, err := d.Create("/y")
	require.NoError(t, err)
	write(t, g, 0, "yyyyyy")
	require.NoError(t, d.Rename("/y", "/x"))
	require.Equal(t, int64(6), d.Used(), "what was replaced is free")
	require.NoError(t, d.Remove("/x"))
	require.Zero(t, d.Used())
	d.SetFree(3)
	h, err := d.Create("/z")
	require.NoError(t, err)
	n, err = h.WriteAt([]byte("zzzz"), 0)
	require.True(t, vfs.IsFull(err))
	require.Equal(t, 3, n)
	d.SetFree(1)
	write(t, h, 3, "z")
}
