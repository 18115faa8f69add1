package wal_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io/fs"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/record"
	"baton/store/vfs"
	"baton/store/wal"
)

// edit changes a file in place.
func edit(t testing.TB, fs vfs.FS, name string, change func(f vfs.File)) {
	t.Helper()
	f, err := fs.Open(name)
	require.NoError(t, err)
	change(f)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
}

func flip(t testing.TB, fs vfs.FS, name string, off int64) {
	edit(t, fs, name, func(f vfs.File) {
		b := make([]byte, 1)
		_, err := f.ReadAt(b, off)
		require.NoError(t, err)
		b[0] ^= 0x10
		_, err = f.WriteAt(b, off)
		require.NoError(t, err)
	})
}

func openErr(fs vfs.FS) error {
	l, _, err := wal.Open(wal.Config{Dir: "/data", FS: fs, SegmentSize: 8 << 10})
	if err == nil {
		l.Close()
	}
	return err
}

// killed is a log of n flushed batches whose process was killed.
func killed(t testing.TB, n, size int) (*vfs.Mem, []record.Position) {
	mem := vfs.NewMem()
	l, _ := open(t, mem)
	at := fill(t, l, 1, n, size)
	return mem.Kill(), at
}

// TestTornTail cuts the last batch at each of its bytes, as a crash in the
// middle of its write does: by the end of the file, by zeros, by garbage.
func TestTornTail(t *testing.T) {
	ways := map[string]func(f vfs.File, off, end int64) error{
		"end of file": func(f vfs.File, off, _ int64) error { return f.Truncate(off) },
		"zeros": func(f vfs.File, off, end int64) error {
			_, err := f.WriteAt(make([]byte, end-off), off)
			return err
		},
		"garbage": func(f vfs.File, off, end int64) error {
			_, err := f.WriteAt(slices.Repeat([]byte{0xa5}, int(end-off)+1000), off)
			return err
		},
	}
	for name, cut := range ways {
		t.Run(name, func(t *testing.T) {
			base, at := killed(t, 3, 60)
			last, end := at[2], at[3]
			for p := last; p < end; p++ {
				mem := cloneOf(base)
				edit(t, mem, segmentName(0), func(f vfs.File) {
					require.NoError(t, cut(f, 4096+int64(p), 4096+int64(end)))
				})
				l, r := open(t, mem)
				require.Equal(t, last, r.Append, "cut at %d", p)
				require.Equal(t, p == last && name != "garbage", r.TornBytes == 0, "cut at %d", p)
				if name == "end of file" {
					// The batch may end in zeros; those do not count.
					require.LessOrEqual(t, r.TornBytes, int64(p-last))
				}
				// The place is as good as new, and what was cut stays away.
				got, err := l.AppendRaw(sealed(1, last, "new", 10))
				require.NoError(t, err)
				require.NoError(t, l.Close())
				_, r = open(t, mem)
				require.Equal(t, got, r.Append)
				require.Zero(t, r.TornBytes)
			}
		})
	}
}

func setVersion(t *testing.T, fs vfs.FS, name string, v uint32) {
	edit(t, fs, name, func(f vfs.File) {
		b := make([]byte, 3072)
		_, err := f.ReadAt(b, 0)
		require.NoError(t, err)
		binary.LittleEndian.PutUint32(b[8:], v)
		binary.LittleEndian.PutUint32(b[3068:], crc32.Checksum(b[:3068], crc32.MakeTable(crc32.Castagnoli)))
		_, err = f.WriteAt(b, 0)
		require.NoError(t, err)
	})
}

// harm is something that recovery must not put up with. bases are where the
// three segments begin, at where the batches do.
type harm struct {
	name   string
	change func(t *testing.T, fs *vfs.Mem, bases, at []record.Position)
	want   error // nil: a *CorruptionError
}

func harms() []harm {
	return []harm{
		{"bit flipped in a flushed batch of the last segment", func(t *testing.T, fs *vfs.Mem, bases, at []record.Position) {
			flip(t, fs, segmentName(bases[2]), 4096+70)
		}, nil},
		{"last segment ends before its flush mark", func(t *testing.T, fs *vfs.Mem, bases, at []record.Position) {
			edit(t, fs, segmentName(bases[2]), func(f vfs.File) { require.NoError(t, f.Truncate(4096)) })
		}, nil},
		{"missing first segment", func(t *testing.T, fs *vfs.Mem, bases, _ []record.Position) {
			require.NoError(t, fs.Remove(segmentName(0)))
		}, nil},
		{"missing middle segment", func(t *testing.T, fs *vfs.Mem, bases, _ []record.Position) {
			require.NoError(t, fs.Remove(segmentName(bases[1])))
		}, nil},
		{"missing last segment", func(t *testing.T, fs *vfs.Mem, bases, _ []record.Position) {
			require.NoError(t, fs.Remove(segmentName(bases[2])))
		}, nil},
		{"earlier segment too short", func(t *testing.T, fs *vfs.Mem, bases, _ []record.Position) {
			edit(t, fs, segmentName(bases[1]), func(f vfs.File) { require.NoError(t, f.Truncate(5000)) })
		}, nil},
		{"earlier segment too long", func(t *testing.T, fs *vfs.Mem, bases, _ []record.Position) {
			edit(t, fs, segmentName(0), func(f vfs.File) {
				_, err := f.WriteAt([]byte{0}, 4096+int64(bases[1]))
				require.NoError(t, err)
			})
		}, nil},
		{"bit flipped in an earlier header", func(t *testing.T, fs *vfs.Mem, bases, _ []record.Position) {
			flip(t, fs, segmentName(0), 100)
		}, nil},
		{"bit flipped in the last header", func(t *testing.T, fs *vfs.Mem, bases, _ []record.Position) {
			flip(t, fs, segmentName(bases[2]), 9)
		}, nil},
		{"header of another segment", func(t *testing.T, fs *vfs.Mem, bases, _ []record.Position) {
			require.NoError(t, fs.Rename(segmentName(bases[1]), segmentName(bases[2])))
		}, nil},
		{"foreign file", func(t *testing.T, fs *vfs.Mem, bases, _ []record.Position) {
			require.NoError(t, vfs.WriteFile(fs, "/data/log/notes.txt", []byte("hello")))
		}, nil},
		{"newer segment version", func(t *testing.T, fs *vfs.Mem, bases, _ []record.Position) {
			setVersion(t, fs, segmentName(bases[1]), 3)
		}, wal.ErrVersion},
		{"newer batch version in the tail", func(t *testing.T, fs *vfs.Mem, bases, at []record.Position) {
			newer := sealed(1, at[len(at)-1], "newer", 10)
			newer[4] = 9
			binary.LittleEndian.PutUint32(newer[52:], crc32.Checksum(newer[:52], crc32.MakeTable(crc32.Castagnoli)))
			edit(t, fs, segmentName(bases[2]), func(f vfs.File) {
				_, err := f.WriteAt(newer, 4096+int64(at[len(at)-1]-bases[2]))
				require.NoError(t, err)
			})
		}, wal.ErrVersion},
	}
}

func TestRecoveryRefuses(t *testing.T) {
	for _, c := range harms() {
		t.Run(c.name, func(t *testing.T) {
			mem, at := killed(t, 20, 900)
			bases := segmentBases(t, mem)
			require.Len(t, bases, 3)
			c.change(t, mem, bases, at)
			before := snapshot(t, mem)
			err := openErr(mem)
			require.Error(t, err)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
			} else {
				var damaged *wal.CorruptionError
				require.ErrorAs(t, err, &damaged)
				require.NotEmpty(t, damaged.File)
				require.NotEmpty(t, damaged.Hint)
			}
			require.Equal(t, before, snapshot(t, mem), "recovery changed files that it refuses")
		})
	}
}

func segmentBases(t testing.TB, fs vfs.FS) []record.Position {
	infos, err := fs.List("/data/log")
	require.NoError(t, err)
	var bases []record.Position
	for _, info := range infos {
		if vfs.IsTemp(info.Name) {
			continue // a spare
		}
		var base uint64
		_, err := fmt.Sscanf(info.Name, "%016x.log", &base)
		require.NoError(t, err)
		bases = append(bases, record.Position(base))
	}
	return bases
}

// snapshot describes the content of all segments.
func snapshot(t testing.TB, fs vfs.FS) map[string]string {
	infos, err := fs.List("/data/log")
	require.NoError(t, err)
	out := map[string]string{}
	for _, info := range infos {
		if vfs.IsTemp(info.Name) {
			continue
		}
		b, err := vfs.ReadFile(fs, "/data/log/"+info.Name, 1<<30)
		require.NoError(t, err)
		out[info.Name] = fmt.Sprintf("%d bytes, checksum %x", len(b), sha256.Sum256(b))
	}
	return out
}

// cloneOf copies the log directory to another file system.
func cloneOf(fs *vfs.Mem) *vfs.Mem {
	out := vfs.NewMem()
	if err := vfs.MkdirAll(out, "/data/log"); err != nil {
		panic(err)
	}
	infos, err := fs.List("/data/log")
	if err != nil {
		panic(err)
	}
	for _, info := range infos {
		b, err := vfs.ReadFile(fs, "/data/log/"+info.Name, 1<<30)
		if err == nil {
			err = vfs.WriteFile(out, "/data/log/"+info.Name, b)
		}
		if err != nil {
			panic(err)
		}
	}
	return out
}

func TestRecovery(t *testing.T) {
	t.Run("the exact end is known after Close", func(t *testing.T) {
		mem := vfs.NewMem()
		l, _ := open(t, mem)
		at := fill(t, l, 1, 3, 60)
		require.NoError(t, l.Close())
		edit(t, mem, segmentName(0), func(f vfs.File) { require.NoError(t, f.Truncate(4096+int64(at[3])-1)) })
		var damaged *wal.CorruptionError
		require.ErrorAs(t, openErr(mem), &damaged)
		require.Equal(t, at[2], damaged.Position)
	})
	t.Run("damage in an earlier segment is found by reading", func(t *testing.T) {
		mem, at := killed(t, 20, 900)
		flip(t, mem, segmentName(0), 4096+int64(at[2])+80)
		l, _ := open(t, mem)
		b, err := l.Read(0, int(at[2]))
		require.NoError(t, err)
		require.Len(t, b, int(at[2]))
		for _, read := range []func() error{
			func() error { _, err := l.Read(at[2], 1<<20); return err },
			func() error { _, err := l.ReadRecord(at[2] + record.HeaderSize); return err },
		} {
			var damaged *wal.CorruptionError
			require.ErrorAs(t, read(), &damaged)
			require.Equal(t, segmentName(0), damaged.File)
			require.ErrorIs(t, damaged, record.ErrCorrupt)
		}
	})
	t.Run("leftovers of a creation are removed", func(t *testing.T) {
		mem, at := killed(t, 3, 60)
		f, err := mem.Create(segmentName(999) + ".tmp")
		require.NoError(t, err)
		require.NoError(t, f.Close())
		_, r := open(t, mem)
		require.Equal(t, at[3], r.Append)
		_, err = mem.Stat(segmentName(999) + ".tmp")
		require.ErrorIs(t, err, fs.ErrNotExist)
	})
}

func TestRecoveryReports(t *testing.T) {
	t.Run("epochs and commit survive", func(t *testing.T) {
		mem := vfs.NewMem()
		l, _ := open(t, mem)
		for e := record.Epoch(1); e < 400; e++ {
			fill(t, l, e, 1, 200)
		}
		want, end := l.EpochBoundaries(), l.Positions().Append
		require.Len(t, want, 399)
		require.NoError(t, l.Close())
		l, r := open(t, mem)
		require.Equal(t, want, l.EpochBoundaries())
		require.Equal(t, record.Epoch(399), r.Epoch)
		require.Equal(t, want[398].Start, r.Commit, "fill tells the append position of before as commit")
		require.Equal(t, end, r.Append)
	})
	t.Run("what a killed process wrote is synced before it is called flushed", func(t *testing.T) {
		mem := vfs.NewMem()
		l, _ := open(t, mem)
		at := fill(t, l, 1, 2, 60)
		mem = mem.Kill()
		edit(t, mem, segmentName(0), func(f vfs.File) {
			_, err := f.WriteAt(sealed(1, at[2], "unsynced", 10), 4096+int64(at[2]))
			require.NoError(t, err)
		})
		synced := false
		hook := vfs.NewHook(mem, func(op vfs.Op) error {
			synced = synced || op.Kind == vfs.OpSync && op.Name == segmentName(0)
			return nil
		})
		_, r := open(t, hook)
		require.True(t, synced)
		require.Greater(t, r.Append, at[2])
	})
	t.Run("a lost start is noticed", func(t *testing.T) {
		mem := vfs.NewMem()
		l, _, err := wal.Open(wal.Config{Dir: "/data", FS: mem, Start: 5000})
		require.NoError(t, err)
		require.Equal(t, record.Position(5000), l.Positions().Append)
		require.NoError(t, l.Close())
		_, _, err = wal.Open(wal.Config{Dir: "/data", FS: mem, Start: 4999})
		var damaged *wal.CorruptionError
		require.ErrorAs(t, err, &damaged)
	})
}
