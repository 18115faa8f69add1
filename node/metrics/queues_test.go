package metrics_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/adminapi"
	"baton/node/metrics"
)

// queues is a source whose queues change.
type queues struct {
	source
	list []adminapi.Queue
}

func (q *queues) Queues() []adminapi.Queue { return q.list }

func scrape(t *testing.T, h http.Handler) string {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
	return rec.Body.String()
}

func TestQueueMetrics(t *testing.T) {
	src := &queues{list: []adminapi.Queue{
		{Name: "q", Depth: 1, Bytes: 2, Pending: 3, Consumers: 4, Enqueued: 5, Acked: 6, OldestMS: 7000, Duplicates: 8, Redelivered: 9,
			Expired: 10, DeadLettered: 11, Discarded: 12, Delayed: 13, Waiting: "why"},
		{Name: "\x02c\x00n\x007", ClientID: "c", Subscription: "n", Depth: 20, Blocked: "why"},
	}}
	text := scrape(t, metrics.Handler(src))
	for _, line := range []string{
		`depth{queue="q"} 1`, `bytes{queue="q"} 2`, `pending{queue="q"} 3`, `consumers{queue="q"} 4`, `enqueued_total{queue="q"} 5`, `acked_total{queue="q"} 6`,
		`oldest_seconds{queue="q"} 7`, `duplicates_total{queue="q"} 8`, `redelivered_total{queue="q"} 9`, `expired_total{queue="q"} 10`,
		`dead_lettered_total{queue="q"} 11`, `discarded_total{queue="q"} 12`, `delayed{queue="q"} 13`, `waiting{queue="q"} 1`, `blocked{queue="q"} 0`,
		`depth{queue="durable:c:n"} 20`, `waiting{queue="durable:c:n"} 0`, `blocked{queue="durable:c:n"} 1`,
	} {
		require.Contains(t, text, "baton_queue_"+line)
	}
	require.Contains(t, text, "baton_queues 2\n")
	require.Contains(t, text, "baton_queues_unlisted 0\n")
}

// However many queues there are, and whatever their names, there are so many
// series, and those of a queue do not go while it is there.
func TestSeriesAreBounded(t *testing.T) {
	src := &queues{}
	for i := range metrics.QueuesMax + 500 {
		src.list = append(src.list, adminapi.Queue{Name: fmt.Sprintf("q%05d", i), Depth: uint64(i)})
	}
	h := metrics.Handler(src)
	own := func() map[string]bool {
		out := map[string]bool{}
		for line := range strings.Lines(scrape(t, h)) {
			if name, ok := strings.CutPrefix(line, `baton_queue_depth{queue="`); ok {
				name, _, _ = strings.Cut(name, `"`)
				require.False(t, out[name], "twice: %s", name)
				out[name] = true
			}
		}
		return out
	}
	first := own()
	require.Len(t, first, metrics.QueuesMax)
	require.True(t, first["q01499"], "the deepest have series")
	require.False(t, first["q00499"])
	require.Contains(t, scrape(t, h), "baton_queues_unlisted 500\n")
	require.Contains(t, scrape(t, h), fmt.Sprintf("baton_queues_unlisted_depth %d\n", 499*500/2))
	for i := range src.list {
		src.list[i].Depth = uint64(5000 - i)
	}
	require.Equal(t, first, own(), "the others are deeper now")
	src.list = src.list[:1400]
	after := own()
	require.Len(t, after, metrics.QueuesMax)
	require.True(t, after["q00000"], "a place that is free is given away")
	src.list = []adminapi.Queue{{Name: "a\x01"}, {Name: "a\x02"}, {Name: "a\uFFFD"}}
	require.Len(t, own(), 1, "names that look alike are one")
	require.Contains(t, scrape(t, h), "baton_queues_unlisted 2\n")
}
