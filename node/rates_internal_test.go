package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/adminapi"
)

func TestRates(t *testing.T) {
	var r rates
	begin := time.Unix(1700000000, 0)
	look := func(after time.Duration, enqueued, acked uint64) []float64 {
		list := []adminapi.Queue{{Name: "q", Enqueued: enqueued, Acked: acked}}
		r.fill(list, begin.Add(after))
		return []float64{list[0].InRate, list[0].OutRate}
	}
	require.Equal(t, []float64{0, 0}, look(0, 1000, 900), "one look is none")
	require.Equal(t, []float64{0, 0}, look(500*time.Millisecond, 1100, 900), "too soon")
	require.Equal(t, []float64{100, 50}, look(2*time.Second, 1200, 1000))
	require.Equal(t, []float64{100, 50}, look(2500*time.Millisecond, 9999, 1000), "stays as it is between two looks")
	require.Equal(t, []float64{0, 20}, look(12*time.Second, 1200, 1200))
	require.Equal(t, []float64{0, 0}, look(14*time.Second, 3, 0), "a new queue of the same name")
	require.Equal(t, []float64{1, 1}, look(16*time.Second, 5, 2))
	r.fill(nil, begin)
	require.Empty(t, r.of)
}
