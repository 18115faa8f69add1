package vfs_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store/vfs"
)

// A random history of writes, truncations, syncs, renames and second handles:
// when the power is off, each file holds what it held at its last sync, or what
// of it was left by a truncation since.
func TestPowerOffTakesBackWhatWasNotSynced(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("BATON_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("BATON_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		inner := vfs.NewMem()
		f, err := inner.Create("/old")
		require.NoError(t, err)
		write(t, f, 0, "old content, there before the drill began")
		require.NoError(t, f.Close())
		l := vfs.NewLosable(inner)
		name, data, durable := "/old", []byte(content(t, inner, "/old")), []byte(content(t, inner, "/old"))
		for range 1 + r.IntN(40) {
			f, err := l.Open(name)
			require.NoError(t, err)
			switch r.IntN(8) {
			case 0:
				require.NoError(t, f.Sync())
				durable = append([]byte(nil), data...)
			case 1:
				size := r.IntN(20_000)
				require.NoError(t, f.Truncate(int64(size)))
				durable = durable[:min(size, len(durable))]
				data = append(data[:min(size, len(data))], make([]byte, max(0, size-len(data)))...)
			case 2:
				next := "/" + strconv.Itoa(r.IntN(5))
				require.NoError(t, l.Rename(name, next))
				name = next
			default:
				off, p := r.IntN(15_000), make([]byte, 1+r.IntN(6000))
				for i := range p {
					p[i] = byte('a' + r.IntN(26))
				}
				write(t, f, int64(off), string(p))
				data = append(data, make([]byte, max(0, off+len(p)-len(data)))...)
				copy(data[off:], p)
			}
			require.NoError(t, f.Close())
			require.True(t, string(data) == content(t, l, name), "reads see what was written")
		}
		require.NoError(t, l.PowerOff())
		require.True(t, string(durable) == content(t, inner, name), "%d bytes, want %d", len(content(t, inner, name)), len(durable))
	}
}

// A file that was removed, replaced or made anew is as it is now.
func TestPowerOffAndNames(t *testing.T) {
	inner := vfs.NewMem()
	l := vfs.NewLosable(inner)
	put := func(name, s string, sync bool) {
		f, err := l.Create(name)
		require.NoError(t, err)
		write(t, f, 0, s)
		if sync {
			require.NoError(t, f.Sync())
		}
		require.NoError(t, f.Close())
	}
	put("/gone", "x", false)
	require.NoError(t, l.Remove("/gone"))
	put("/target", "was synced", true)
	put("/source", "was not", false)
	require.NoError(t, l.Rename("/source", "/target"))
	put("/again", "long and synced", true)
	put("/again", "no", false)
	require.NoError(t, l.PowerOff())
	require.Empty(t, content(t, inner, "/target"))
	require.Empty(t, content(t, inner, "/again"))
	_, err := inner.Stat("/gone")
	require.ErrorIs(t, err, os.ErrNotExist)
}

// What is written while a sync runs is part of the next one; a sync that the
// power loss overtakes, or that fails, made nothing durable.
func TestPowerOffDuringASync(t *testing.T) {
	errDisk := errors.New("broken")
	for _, c := range []struct {
		name  string
		ends  bool
		fails error
		want  string
	}{
		{"overtaken", false, nil, "first "},
		{"done", true, nil, "first second"},
		{"failed", true, errDisk, "first "},
	} {
		t.Run(c.name, func(t *testing.T) {
			inner := vfs.NewMem()
			held, entered, release := false, make(chan struct{}), make(chan struct{})
			l := vfs.NewLosable(vfs.NewHook(inner, func(op vfs.Op) error {
				if op.Kind != vfs.OpSync || !held {
					return nil
				}
				close(entered)
				<-release
				return c.fails
			}))
			f, err := l.Create("/x")
			require.NoError(t, err)
			write(t, f, 0, "first ")
			require.NoError(t, f.Sync())
			write(t, f, 6, "second")
			held = true
			synced := make(chan error, 1)
			go func() { synced <- f.Sync() }()
			<-entered
			write(t, f, 0, "FIRST SECOND THIRD")
			if c.ends {
				close(release)
				require.ErrorIs(t, <-synced, c.fails)
			}
			require.NoError(t, l.PowerOff())
			require.Equal(t, c.want, content(t, inner, "/x"))
			if !c.ends {
				close(release)
				select {
				case <-synced:
					t.Fatal("a sync returned when the power was off")
				default: // it waits at the gate, for ever
				}
			}
		})
	}
}

// On real files, too, and a new one begins with all of it synced.
func TestPowerOffOnRealFiles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	l := vfs.NewLosable(vfs.OS{})
	f, err := l.Create(name)
	require.NoError(t, err)
	write(t, f, 0, "kept")
	require.NoError(t, f.Sync())
	write(t, f, 2, "lost and longer")
	require.NoError(t, l.PowerOff())
	require.Equal(t, "kept", content(t, vfs.OS{}, name))
	again := vfs.NewLosable(vfs.OS{})
	require.Equal(t, "kept", content(t, again, name))
	require.NoError(t, again.PowerOff())
	require.Equal(t, "kept", content(t, vfs.OS{}, name))
}
