package wal_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/record"
	"baton/store/vfs"
	"baton/store/wal"
)

// BenchmarkAppend: writers that each wait for their 1 KiB batch to be on
// stable storage, beside the raw limit, which is one write and one sync of the
// same bytes for all writers at once, into a file of zeros.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("log/writers=%d", writers), func(b *testing.B) {
			l, _, err := wal.Open(wal.Config{Dir: b.TempDir()})
			require.NoError(b, err)
			defer l.Close()
			b.SetBytes(1024)
			b.ReportAllocs()
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						end, err := l.Append(1, 0, newBatch("m", 1024))
						if err == nil {
							err = l.WaitFlushed(context.Background(), end)
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			m := l.Metrics()
			b.ReportMetric(float64(m.Batches)/float64(m.Flushes), "batches/sync")
			b.ReportMetric(float64(m.FlushTotal.Microseconds())/float64(m.Flushes), "us/sync")
		})
		b.Run(fmt.Sprintf("raw/writers=%d", writers), func(b *testing.B) {
			const size = 256 << 20
			f, err := vfs.OS{}.Create(filepath.Join(b.TempDir(), "raw"))
			require.NoError(b, err)
			defer f.Close()
			zeros := make([]byte, 1<<20)
			for off := int64(0); off < size; off += int64(len(zeros)) {
				_, err := f.WriteAt(zeros, off)
				require.NoError(b, err)
			}
			require.NoError(b, f.Sync())
			one := newBatch("m", 1024)
			group := make([]byte, writers*one.Len())
			for i := range group {
				group[i] = byte(i)
			}
			b.SetBytes(1024)
			off := int64(0)
			b.ResetTimer()
			for n := 0; n < b.N; n += writers {
				if off+int64(len(group)) > size {
					off = 0
				}
				_, err := f.WriteAt(group, off)
				if err == nil {
					err = f.Sync()
				}
				if err != nil {
					b.Fatal(err)
				}
				off += int64(len(group))
			}
		})
	}
}

// BenchmarkRead reads the log as a leader does for a follower that is behind.
func BenchmarkRead(b *testing.B) {
	l, _, err := wal.Open(wal.Config{Dir: b.TempDir()})
	require.NoError(b, err)
	defer l.Close()
	var end record.Position
	for end < 128<<20 {
		end, err = l.Append(1, 0, newBatch("m", 1024))
		require.NoError(b, err)
	}
	require.NoError(b, l.WaitFlushed(context.Background(), end))
	at := record.Position(0)
	b.SetBytes(1 << 20)
	for b.Loop() {
		raw, err := l.Read(at, 1<<20)
		require.NoError(b, err)
		if at += record.Position(len(raw)); raw == nil {
			at = 0
		}
	}
}
