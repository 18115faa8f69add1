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
		r.write(b, r.buf[:n])
		groups++
	}
	return time.Since(began) / time.Duration(groups)
}

func (r *rawFile) write(b *testing.B, p []byte) {
	if r.off+int64(len(p)) > r.size {
		r.off = 0
	}
	_, err := r.f.WriteAt(p, r.off)
	if err == nil {
		err = r.f.Sync()
	}
	if err != nil {
		b.Error(err)
	}
	r.off += int64(len(p))
}

// callers lets writers make batches of 1 KiB and hand each to appendOne, which
// returns when it is durable, for a time.
func callers(b *testing.B, writers int, atLeast time.Duration, appendOne func(*record.Batch) error) (batches int64, took time.Duration) {
	body := make([]byte, 1024)
	e := record.Enqueue{Queue: "q", Message: record.Message{ID: "m", Body: body}}
	var n atomic.Int64
	var stop atomic.Bool
	began := time.Now()
	time.AfterFunc(atLeast, func() { stop.Store(true) })
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for !stop.Load() {
				batch := reuse.NewBatch(1100)
				batch.Add(record.TypeEnqueue, e.AppendTo)
				if err := appendOne(batch); err != nil {
					b.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return n.Load(), time.Since(began)
}

// appendFor lets writers append to the log, each waiting for its flush, for a
// time, and returns what the log did.
func appendFor(b *testing.B, l *wal.Log, writers int, atLeast time.Duration) (batches int64, groups uint64, took time.Duration) {
	before := l.Metrics()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { consume(ctx, b, l) })
	batches, took = callers(b, writers, atLeast, func(batch *record.Batch) error {
		end, err := l.Append(1, 0, batch)
		if err != nil {
			return err
		}
		return l.WaitFlushed(context.Background(), end)
	})
	cancel()
	wg.Wait()
	return batches, l.Metrics().Flushes - before.Flushes, took
}

// consume frees what is written at once, so that segments are used again.
func consume(ctx context.Context, b *testing.B, l *wal.Log) {
	for freed := l.Bases()[0]; ; {
		if l.WaitFlushed(ctx, freed) != nil {
			return
		}
		if bases := l.Bases(); len(bases) > 1 {
			freed = bases[len(bases)-1]
			if err := l.TrimTo(freed); err != nil {
				b.Error(err)
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// rawGroups is the least that serves callers who wait: they put their bytes
// into one buffer, and one goroutine writes it and syncs it, plainly, and wakes
// them all. No log, no order of epochs, no readers, no segments.
type rawGroups struct {
	file *rawFile
	kick chan struct{}

	mu   sync.Mutex
	buf  []byte
	done chan struct{}
}

func (g *rawGroups) append(batch *record.Batch) error {
	crc := batch.Prepare()
	g.mu.Lock()
	g.buf = append(g.buf, batch.Seal(1, record.Position(len(g.buf)), 0, time.Time{}, crc)...)
	done := g.done
	g.mu.Unlock()
	reuse.Recycle(batch)
	select {
	case g.kick <- struct{}{}:
	default: // it knows
	}
	<-done
	return nil
}

func (g *rawGroups) runWrite(b *testing.B, stop <-chan struct{}) {
	var spare []byte
	for {
		select {
		case <-stop:
			return
		case <-g.kick:
		}
		g.mu.Lock()
		buf, done := g.buf, g.done
		g.buf, g.done = spare[:0], make(chan struct{})
		g.mu.Unlock()
		if len(buf) > 0 {
			g.file.write(b, buf)
		}
		spare = buf
		close(done)
	}
}

// rawFor is appendFor without a log.
func rawFor(b *testing.B, file *rawFile, writers int, atLeast time.Duration) (batches int64, took time.Duration) {
	g := &rawGroups{file: file, kick: make(chan struct{}, 1), done: make(chan struct{})}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { g.runWrite(b, stop) })
	batches, took = callers(b, writers, atLeast, g.append)
	close(stop)
	wg.Wait()
	return batches, took
}

// BenchmarkAppend: writers that each wait until their 1 KiB batch is on stable
// storage, beside two limits. The three take turns of 200 ms within one run,
// because the speed of a shared disk changes all the time; a ratio is the
// median of all turns, since one that met another program's burst may be off by
// a factor.
//
// %raw is against the same batches from the same writers with nothing between
// them and the disk but a buffer: a plain write and an fdatasync of what waits.
// %disk is against a loop of plain write and fdatasync of groups as large as
// those that the log made, with nobody who waits: while the callers of a log
// are told, and come back with more, they take the processors, and the disk
// stands still if all of them were in one group.
func BenchmarkAppend(b *testing.B) {
	const turn = 200 * time.Millisecond
	for _, writers := range []int{1, 16, 128, 1024} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			l, _, err := wal.Open(wal.Config{Dir: b.TempDir()})
			require.NoError(b, err)
			defer l.Close()
			raw := newRawFile(b, 64<<20)
			one := newBatch("m", 1024).Len()
			fillSegments(b, l)
			var batches int64
			var groups uint64
			var took time.Duration
			var rawRates, toRaw, toDisk []float64
			before := l.Metrics()
			b.ResetTimer()
			for int(batches) < b.N {
				n, g, d := appendFor(b, l, writers, turn)
				batches, groups, took = batches+n, groups+g, took+d
				rate := float64(n) / d.Seconds()
				rawN, rawTook := rawFor(b, raw, writers, turn)
				rawRate := float64(rawN) / rawTook.Seconds()
				size := max(1, int(n)/max(1, int(g)))
				diskRate := float64(size) / raw.run(b, size*one, turn).Seconds()
				rawRates = append(rawRates, rawRate)
				toRaw, toDisk = append(toRaw, 100*rate/rawRate), append(toDisk, 100*rate/diskRate)
			}
			b.ReportMetric(float64(took.Nanoseconds())/float64(batches), "ns/op")
			b.ReportMetric(float64(batches)/took.Seconds(), "batches/s")
			b.ReportMetric(median(rawRates), "raw/s")
			b.ReportMetric(float64(batches)/float64(groups), "batches/sync")
			m := l.Metrics()
			b.ReportMetric(float64((m.FlushTotal-before.FlushTotal).Microseconds())/float64(groups), "us/sync")
			b.ReportMetric(float64(m.Groups-before.Groups)/float64(groups), "writes/sync")
			b.ReportMetric(median(toRaw), "%raw")
			b.ReportMetric(median(toDisk), "%disk")
		})
	}
}

// fillSegments brings the log to the state in which segments are made ready
// ahead.
func fillSegments(b *testing.B, l *wal.Log) {
	big := record.Enqueue{Queue: "q", Message: record.Message{ID: "m", Body: make([]byte, 1<<20)}}
	for l.Positions().Append < 160<<20 {
		batch := record.NewBatch(1<<20 + 100)
		batch.Add(record.TypeEnqueue, big.AppendTo)
		end, err := l.Append(1, 0, batch)
		require.NoError(b, err)
		require.NoError(b, l.WaitFlushed(context.Background(), end))
	}
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
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
