package wal_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store/record"
	"baton/store/record/reuse"
	"baton/store/vfs"
	"baton/store/wal"
)

// rawFile measures the limit: one write and one sync at a time, into a file of
// zeros that is as large as a segment.
type rawFile struct {
	f    vfs.File
	size int64
	off  int64
	buf  []byte
}

func newRawFile(b *testing.B, size int64) *rawFile {
	f, err := vfs.OS{}.Create(filepath.Join(b.TempDir(), "raw"))
	require.NoError(b, err)
	b.Cleanup(func() { f.Close() })
	zeros := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(zeros)) {
		_, err := f.WriteAt(zeros, off)
		require.NoError(b, err)
	}
	require.NoError(b, f.Sync())
	return &rawFile{f: f, size: size}
}

// run writes groups of n bytes for a time and returns the time of one.
func (r *rawFile) run(b *testing.B, n int, atLeast time.Duration) time.Duration {
	for len(r.buf) < n {
		r.buf = append(r.buf, byte(len(r.buf)))
	}
	groups := 0
	began := time.Now()
	for time.Since(began) < atLeast {
		if r.off+int64(n) > r.size {
			r.off = 0
		}
		_, err := r.f.WriteAt(r.buf[:n], r.off)
		if err == nil {
			err = r.f.Sync()
		}
		require.NoError(b, err)
		r.off += int64(n)
		groups++
	}
	return time.Since(began) / time.Duration(groups)
}

// appendFor lets writers append batches of 1 KiB, each waiting for its flush,
// for a time or a number of batches, and returns what the log did.
func appendFor(b *testing.B, l *wal.Log, writers int, atLeast time.Duration) (batches int64, groups uint64, took time.Duration) {
	body := make([]byte, 1024)
	e := record.Enqueue{Queue: "q", Message: record.Message{ID: "m", Body: body}}
	var n atomic.Int64
	before, began := l.Metrics(), time.Now()
	var wg sync.WaitGroup
	wg.Go(func() { // what is written is consumed at once, and freed
		for freed := l.Bases()[0]; time.Since(began) < atLeast; {
			if err := l.WaitFlushed(context.Background(), freed); err != nil {
				b.Error(err)
				return
			}
			if bases := l.Bases(); len(bases) > 1 {
				freed = bases[len(bases)-1]
				if err := l.TrimTo(freed); err != nil {
					b.Error(err)
					return
				}
			}
			pause(time.Millisecond)
		}
	})
	for range writers {
		wg.Go(func() {
			for time.Since(began) < atLeast {
				batch := reuse.NewBatch(1100)
				batch.Add(record.TypeEnqueue, e.AppendTo)
				end, err := l.Append(1, 0, batch)
				if err == nil {
					err = l.WaitFlushed(context.Background(), end)
				}
				if err != nil {
					b.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return n.Load(), l.Metrics().Flushes - before.Flushes, time.Since(began)
}

// BenchmarkAppend: writers that each wait until their 1 KiB batch is on stable
// storage, beside the raw limit of the disk. The two take turns of 200 ms
// within one run, because the speed of a shared disk changes all the time.
// "raw" writes groups as large as those that the log makes; %raw is the part
// of that limit which the log reached, the median of all pairs of turns, since
// one pair that met another program's burst may be off by a factor. %ideal is against one group of all
// writers at once, which no log whose clients wait can reach: while they are
// told and come back the disk has nothing to do.
func BenchmarkAppend(b *testing.B) {
	const turn = 200 * time.Millisecond
	for _, writers := range []int{1, 16, 128, 1024} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			l, _, err := wal.Open(wal.Config{Dir: b.TempDir()})
			require.NoError(b, err)
			defer l.Close()
			raw := newRawFile(b, 64<<20)
			one := newBatch("m", 1024).Len()
			// Up to the state in which segments are made ready ahead.
			big := record.Enqueue{Queue: "q", Message: record.Message{ID: "m", Body: make([]byte, 1<<20)}}
			for l.Positions().Append < 160<<20 {
				batch := record.NewBatch(1<<20 + 100)
				batch.Add(record.TypeEnqueue, big.AppendTo)
				end, err := l.Append(1, 0, batch)
				require.NoError(b, err)
				require.NoError(b, l.WaitFlushed(context.Background(), end))
			}
			var batches int64
			var groups uint64
			var took, rawTook, idealTook time.Duration
			var ratios []float64
			before := l.Metrics()
			b.ResetTimer()
			for int(batches) < b.N {
				n, g, d := appendFor(b, l, writers, turn)
				batches, groups, took = batches+n, groups+g, took+d
				size := max(1, int(n)/max(1, int(g)))
				perGroup := raw.run(b, size*one, turn)
				rawTurn := perGroup * time.Duration(n) / time.Duration(size)
				rawTook += rawTurn
				ratios = append(ratios, 100*rawTurn.Seconds()/d.Seconds())
				idealTook += raw.run(b, writers*one, turn) * time.Duration(n) / time.Duration(writers)
			}
			b.ReportMetric(float64(took.Nanoseconds())/float64(batches), "ns/op")
			b.ReportMetric(float64(batches)/took.Seconds(), "batches/s")
			b.ReportMetric(float64(batches)/rawTook.Seconds(), "raw/s")
			b.ReportMetric(float64(batches)/float64(groups), "batches/sync")
			m := l.Metrics()
			b.ReportMetric(float64((m.FlushTotal-before.FlushTotal).Microseconds())/float64(groups), "us/sync")
			b.ReportMetric(float64(rawTook.Microseconds())/float64(groups), "raw-us/group")
			b.ReportMetric(float64(m.Groups-before.Groups)/float64(groups), "writes/sync")
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "%raw")
			b.ReportMetric(100*idealTook.Seconds()/took.Seconds(), "%ideal")
		})
	}
}

// pause is the rhythm of the goroutine that frees segments.
func pause(d time.Duration) { <-time.After(d) }

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
