package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
)

// deep is an index with one queue, "q", from head up to next.
type deep struct {
	feeder
	head, next record.Sequence
	heap       int64 // after the messages came, bytes more than before
	built      spent
	opened     spent
}

// spent is what something took: processor time and time that passed.
type spent struct{ cpu, wall time.Duration }

func (s *spent) add(o spent) { s.cpu, s.wall = s.cpu+o.cpu, s.wall+o.wall }

// measure counts the processor time of the whole process: merges in the
// background are part of what a write costs.
func measure(do func()) spent {
	cpu, began := processorTime(syscall.RUSAGE_SELF), time.Now()
	do()
	return spent{processorTime(syscall.RUSAGE_SELF) - cpu, time.Since(began)}
}

// measureRead counts the calling thread alone: a merge that an earlier write
// left behind is no part of what a read costs.
func measureRead(do func()) spent {
	const thread = 1 // RUSAGE_THREAD, which package syscall lacks
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpu, began := processorTime(thread), time.Now()
	do()
	return spent{processorTime(thread) - cpu, time.Since(began)}
}

// processorTime is that of the whole process or of the calling thread, 0 where
// the system does not tell.
func processorTime(who int) time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(who, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// settle waits until the process has had next to nothing to do for a while: the
// merges that one measurement leaves behind would count in the next.
func settle() {
	const tick = 50 * time.Millisecond
	every := time.NewTicker(tick)
	defer every.Stop()
	for quiet, before := 0, processorTime(syscall.RUSAGE_SELF); quiet < 4; {
		<-every.C
		now := processorTime(syscall.RUSAGE_SELF)
		if quiet++; now-before > tick/10 {
			quiet = 0
		}
		before = now
	}
}

// buildDeep makes a queue of a depth, closes the index and opens it again.
func buildDeep(tb testing.TB, depth int) *deep {
	dir := tb.TempDir()
	before := heapNow()
	ix, err := index.Open(vfs.OS{}, dir)
	require.NoError(tb, err)
	d := &deep{feeder: feeder{ix: ix}, head: 1, next: record.Sequence(depth + 1)}
	d.built = measure(func() { d.enqueue(tb, "q", depth) })
	d.heap = int64(heapNow()) - int64(before)
	require.NoError(tb, ix.Close())
	d.opened = measure(func() { d.ix, err = index.Open(vfs.OS{}, dir) })
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, d.ix.Close()) })
	return d
}

// pass enqueues n messages and takes as many out at the head.
func (d *deep) pass(tb testing.TB, n int) (enqueue, ack spent) {
	enqueue = measure(func() { d.enqueue(tb, "q", n) })
	ack = measure(func() { d.ack(tb, "q", d.head, n) })
	d.head, d.next = d.head+record.Sequence(n), d.next+record.Sequence(n)
	return enqueue, ack
}

// turn enqueues n messages and takes the same out, at the tail.
func (d *deep) turn(tb testing.TB, n int) (enqueue, ack spent) {
	enqueue = measure(func() { d.enqueue(tb, "q", n) })
	ack = measure(func() { d.ack(tb, "q", d.next, n) })
	d.next += record.Sequence(n)
	return enqueue, ack
}

// scan reads the first 1000 messages, 100 at a time.
func (d *deep) scan(tb testing.TB) {
	for from := record.Sequence(0); from < d.head+1000; {
		entries, err := d.ix.Scan("q", from, 100)
		require.NoError(tb, err)
		require.Len(tb, entries, 100)
		if from == 0 {
			require.Equal(tb, d.head, entries[0].Seq, "the head")
		}
		from = entries[99].Seq + 1
	}
}

// ratios reports what a message costs, and how much more than it did in the
// benchmark of the same name of the depth before.
type ratios struct {
	before map[string]float64
	deep   bool
}

func (r ratios) report(b *testing.B, what string, s spent) {
	n := float64(1000 * b.N)
	cpu := float64(s.cpu.Nanoseconds()) / n
	b.ReportMetric(0, "ns/op") // would be of 1000 messages
	b.ReportMetric(cpu, what+"-cpu-ns")
	b.ReportMetric(float64(s.wall.Nanoseconds())/n, what+"-ns")
	key := filepath.Base(b.Name()) + what
	if !r.deep {
		r.before[key] = cpu
	} else if was := r.before[key]; was > 0 {
		b.ReportMetric(cpu/was, what+"-x-shallow")
	}
}

// BenchmarkDeep says what a message costs at the ends of a shallow queue and of
// a deep one, and how much more the deep one costs ("x-shallow"). The depth
// stays: each operation is 1000 messages in at the tail and 1000 out, at the
// head or at the tail, or 1000 read at the head. BATON_DEEP sets the depth of
// the deep one, such as 10000000.
func BenchmarkDeep(b *testing.B) {
	depths := []int{10_000, 1_000_000}
	if s := os.Getenv("BATON_DEEP"); s != "" {
		n, err := strconv.Atoi(s)
		require.NoError(b, err)
		depths[1] = n
	}
	r := ratios{before: map[string]float64{}}
	for i, depth := range depths {
		r.deep = i > 0
		b.Run(fmt.Sprintf("depth=%d", depth), func(b *testing.B) { benchmarkDepth(b, depth, r) })
	}
}

func benchmarkDepth(b *testing.B, depth int, r ratios) {
	d := buildDeep(b, depth)
	b.Run("build", func(b *testing.B) { // once, whatever b.N is
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(depth)/d.built.wall.Seconds(), "messages/s")
		b.ReportMetric(float64(d.built.cpu.Nanoseconds())/float64(depth), "build-cpu-ns")
		b.ReportMetric(float64(d.heap)/(1<<20), "heap-MiB")
		b.ReportMetric(d.opened.wall.Seconds()*1e3, "open-ms")
		b.ReportMetric(d.opened.cpu.Seconds()*1e3, "open-cpu-ms")
	})
	ends := func(name string, step func(testing.TB, int) (enqueue, ack spent)) {
		b.Run(name, func(b *testing.B) {
			settle()
			var in, out spent
			for range b.N {
				enqueue, ack := step(b, 1000)
				in.add(enqueue)
				out.add(ack)
			}
			q, _ := d.ix.Queue("q")
			require.EqualValues(b, depth, q.Depth)
			r.report(b, "enqueue", in)
			r.report(b, "ack", out)
		})
	}
	b.Run("scan", func(b *testing.B) {
		settle()
		var all spent
		for range b.N {
			all.add(measureRead(func() { d.scan(b) }))
		}
		r.report(b, "scan", all)
	})
	ends("head", d.pass)
	ends("tail", d.turn) // last: it leaves holes in front of later heads
}
