package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/adminapi"
	"baton/node/metrics"
)

type source struct{}

func (source) Status() adminapi.Status {
	return adminapi.Status{Role: adminapi.RoleLeader, State: adminapi.StateServing, Epoch: 7,
		Quorum:    adminapi.Quorum{OK: true},
		Clients:   adminapi.Clients{Refused: 5, Memory: adminapi.ClientMemory{Bodies: 1, Transactions: 2, Outputs: 7, Topics: 3, Proposals: 4, Waiting: 6}},
		Followers: []adminapi.Follower{{Node: "n2", State: adminapi.StateInSync, LagBytes: 12}}}
}

func (source) Queues() []adminapi.Queue {
	return []adminapi.Queue{{Name: `odd "name"`, Depth: 3, OldestMS: 1500}}
}

func TestScrape(t *testing.T) {
	rec := httptest.NewRecorder()
	metrics.Handler(source{}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, rec.Code)
	for _, line := range []string{
		"baton_leader 1", "baton_epoch 7", "baton_quorum 1",
		`baton_follower_lag_bytes{follower="n2"} 12`,
		`baton_queue_depth{queue="odd \"name\""} 3`,
		`baton_queue_oldest_seconds{queue="odd \"name\""} 1.5`,
		"baton_stomp_connections_refused_total 5",
		`baton_client_memory_bytes{use="bodies"} 1`, `baton_client_memory_bytes{use="transactions"} 2`, `baton_client_memory_bytes{use="topics"} 3`,
		`baton_client_memory_bytes{use="outputs"} 7`, `baton_client_memory_bytes{use="proposals"} 4`, `baton_client_memory_bytes{use="waiting"} 6`,
		"go_goroutines",
	} {
		require.Contains(t, rec.Body.String(), line)
	}
}
