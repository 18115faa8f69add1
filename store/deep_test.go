package store_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store"
	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
)

// feeder makes a log without keeping it, and applies it to an index.
type feeder struct {
	ix  *index.Index
	end record.Position
}

func (f *feeder) apply(tb testing.TB, fill func(b *record.Batch)) {
	b := record.NewBatch(64 << 10)
	fill(b)
	raw := b.Seal(1, f.end, f.end, time.UnixMicro(1), b.Prepare())
	require.NoError(tb, f.ix.Apply(raw, nil))
	f.end += record.Position(len(raw))
}

func (f *feeder) enqueue(tb testing.TB, queue string, n int) {
	for ; n > 0; n -= min(n, 1000) {
		f.apply(tb, func(b *record.Batch) {
			for range min(n, 1000) {
				enqueue(b, queue, "m", nil)
			}
		})
	}
}

// ack takes n messages out from sequence from on.
func (f *feeder) ack(tb testing.TB, queue string, from record.Sequence, n int) {
	for ; n > 0; n -= min(n, 1000) {
		f.apply(tb, func(b *record.Batch) {
			a := record.Ack{Queue: queue}
			for range min(n, 1000) {
				a.Sequences = append(a.Sequences, from)
				from++
			}
			b.Add(record.TypeAck, a.AppendTo)
		})
	}
}

func heapNow() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestDeepQueue: heap does not grow with depth, and a queue is as deep after a
// restart as it was. What its ends cost is BenchmarkDeep's matter.
func TestDeepQueue(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, depth := range []int{10_000, 300_000} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			d := buildDeep(t, depth)
			require.Less(t, d.heap, int64(96<<20), "heap with %d messages", depth)
			q, ok := d.ix.Queue("q")
			require.True(t, ok)
			require.EqualValues(t, depth, q.Depth)
			d.pass(t, 5000)
			d.turn(t, 5000)
			d.scan(t)
			q, _ = d.ix.Queue("q")
			require.EqualValues(t, depth, q.Depth)
		})
	}
}

// TestManyQueues: queues cost a bounded amount each, and opening reads them.
func TestManyQueues(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const queues = 100_000
	dir := t.TempDir()
	before := heapNow()
	ix, err := index.Open(vfs.OS{}, dir)
	require.NoError(t, err)
	f := &feeder{ix: ix}
	for i := 0; i < queues; i += 1000 {
		f.apply(t, func(b *record.Batch) {
			for j := range 1000 {
				enqueue(b, fmt.Sprintf("queue-%d", i+j), "m", nil)
			}
		})
	}
	heap := int64(heapNow()) - int64(before)
	require.NoError(t, ix.Close())
	began := time.Now()
	f.ix, err = index.Open(vfs.OS{}, dir)
	opened := time.Since(began)
	require.NoError(t, err)
	defer f.ix.Close()
	require.Len(t, f.ix.Queues(), queues)
	require.Less(t, heap, int64(128<<20))
	t.Logf("%d queues: heap %+.1f MiB, opened in %s", queues, float64(heap)/(1<<20), opened.Round(time.Millisecond))
}

// BenchmarkOpen opens stores of some sizes, closed cleanly, with their index
// and without it, which is then made from the log.
func BenchmarkOpen(b *testing.B) {
	for _, mib := range []int{16, 256} {
		cfg := store.Config{Dir: b.TempDir(), FS: vfs.OS{}}
		s, err := store.Open(cfg)
		require.NoError(b, err)
		body, messages := make([]byte, 1000), 0
		for s.Log().Positions().Append < record.Position(mib<<20) {
			batch := record.NewBatch(1 << 20)
			for range 1000 {
				enqueue(batch, "q"+strconv.Itoa(messages%10), "m", body)
				messages++
			}
			at := s.Log().Positions().Append
			_, err := s.Log().Append(1, at, batch)
			require.NoError(b, err)
		}
		end := s.Log().Positions().Append
		require.NoError(b, s.Log().WaitFlushed(b.Context(), end))
		require.NoError(b, s.Apply(end, nil))
		require.NoError(b, s.Close())
		open := func(b *testing.B) {
			s, err := store.Open(cfg)
			require.NoError(b, err)
			require.NoError(b, s.Apply(end, nil))
			b.StopTimer()
			require.NoError(b, s.Close())
			b.StartTimer()
		}
		b.Run(fmt.Sprintf("MiB=%d", mib), func(b *testing.B) {
			for range b.N {
				open(b)
			}
		})
		b.Run(fmt.Sprintf("MiB=%d/rebuild", mib), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				require.NoError(b, os.RemoveAll(cfg.Dir+"/index"))
				b.StartTimer()
				open(b)
			}
			b.ReportMetric(float64(messages)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
