package repl

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestQueueKeepsItsOrderWhenItCompacts(t *testing.T) {
	var q queue
	pushed, popped := 0, 0
	for range 5000 {
		for range 3 {
			q.push(waiter{size: pushed})
			pushed++
		}
		for range 2 {
			require.Equal(t, popped, q.first().size)
			require.Equal(t, popped, q.pop().size)
			popped++
		}
	}
	for q.first() != nil {
		require.Equal(t, popped, q.pop().size)
		popped++
	}
	require.Equal(t, pushed, popped)
	require.Less(t, cap(q.items), 2*pushed)
}

func TestLatencies(t *testing.T) {
	var l latencies
	p50, p99 := l.percentiles()
	require.Zero(t, p50+p99)
	for i := range 2000 {
		l.add(time.Duration(i))
	}
	p50, p99 = l.percentiles()
	require.InDelta(t, 1488, int(p50), 2, "of the last 1024")
	require.InDelta(t, 1989, int(p99), 2)
}
