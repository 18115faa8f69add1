package tui

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"baton/node/adminapi"
	"baton/tui/data"
	"baton/tui/style"
	"baton/tui/tuitest"
)

// thousand is the healthy cluster with a thousand queues whose figures move.
func thousand(n int) *data.Snapshot {
	s := tuitest.Healthy()
	s.At = s.At.Add(time.Duration(n) * 250 * time.Millisecond)
	s.Queues = nil
	for i := range 1000 {
		s.Queues = append(s.Queues, data.QueueRow{Queue: adminapi.Queue{Name: fmt.Sprintf("queue.%04d", i), Depth: uint64((i*7919 + n) % 5000), Consumers: i % 5},
			InRate: float64(i % 300), OutRate: float64((i + n) % 300), Trend: []float64{1, 2, 3, float64(n % 9)}})
	}
	s.Ledger.Sent += uint64(n * 75)
	s.Derive()
	return s
}

// BenchmarkFrame draws one frame of each screen after a new snapshot, with a
// thousand queues.
func BenchmarkFrame(b *testing.B) {
	snaps := []*data.Snapshot{thousand(0), thousand(1), thousand(2), thousand(3)}
	for _, size := range [][2]int{{80, 24}, {140, 40}} {
		for i, name := range pageNames {
			b.Run(fmt.Sprintf("%s-%dx%d", name, size[0], size[1]), func(b *testing.B) {
				m := screen(b, Config{Launched: true, Theme: style.New(style.Colour, false, false)}, snaps[0], size[0], size[1])
				m.show(i)
				for n := 0; b.Loop(); n++ {
					m.Update(snapMsg{snaps[n%len(snaps)], time.Time{}})
					_ = m.View()
				}
			})
		}
	}
}

// moving publishes four snapshots a second.
type moving struct{ still }

func (*moving) Run(ctx context.Context, publish func(*data.Snapshot)) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		publish(thousand(n))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// BenchmarkConsoleSecond is one second of a console that nobody touches, at
// 140x40 with a thousand queues: bytes to the terminal, and processor time of
// the program in percent of one core, making up the snapshots not counted.
func BenchmarkConsoleSecond(b *testing.B) {
	control, tty, err := pty.Open()
	require.NoError(b, err)
	require.NoError(b, pty.Setsize(control, &pty.Winsize{Rows: 40, Cols: 140}))
	screenFile, err := os.OpenFile(tty.Name(), os.O_RDWR, 0)
	require.NoError(b, err)
	defer func() { control.Close(); tty.Close(); screenFile.Close() }()
	var written atomic.Int64
	go func() { // ends when the pty is closed
		_, _ = io.Copy(counting{&written}, control)
	}()
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{Source: &moving{}, In: tty, Out: screenFile, Launched: true, Theme: style.New(style.Colour, false, false)})
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	<-tick.C // it has begun
	made := cost(func() {
		for n := range 40 {
			thousand(n)
		}
	}) / 40
	bytes, cpu := written.Load(), used()
	seconds := 0
	for b.Loop() {
		<-tick.C
		seconds++
	}
	spent := used() - cpu - 4*time.Duration(seconds)*made
	b.ReportMetric(float64(written.Load()-bytes)/float64(seconds), "bytes/s")
	b.ReportMetric(100*spent.Seconds()/float64(seconds), "cpu%")
	cancel()
	<-ended
}

type counting struct{ n *atomic.Int64 }

func (c counting) Write(b []byte) (int, error) { c.n.Add(int64(len(b))); return len(b), nil }

// used is the processor time of this process so far.
func used() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func cost(do func()) time.Duration {
	before := used()
	do()
	return used() - before
}
