package repl_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkPropose is a leader with two followers over loopback, in-memory
// logs: what replication itself costs for each committed 1 KiB message.
func BenchmarkPropose(b *testing.B) {
	for _, window := range []int{1, 64, 1024} {
		b.Run("outstanding="+strconv.Itoa(window), func(b *testing.B) {
			a, _, _ := trio(b)
			<-a.leader.Ready()
			body := strings.Repeat("x", 1024)
			slots := make(chan struct{}, window)
			var wg sync.WaitGroup
			var once sync.Once
			var failed error
			b.SetBytes(1024)
			b.ResetTimer()
			for range b.N {
				slots <- struct{}{}
				wg.Add(1)
				a.leader.Propose(message(body), func(err error) {
					if err != nil {
						once.Do(func() { failed = err })
					}
					<-slots
					wg.Done()
				})
			}
			wg.Wait()
			b.StopTimer()
			require.NoError(b, failed)
			s := a.leader.Status()
			b.ReportMetric(float64(s.CommitP50.Microseconds()), "p50-µs")
			b.ReportMetric(float64(s.CommitP99.Microseconds()), "p99-µs")
		})
	}
}
