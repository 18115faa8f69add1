package trace

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/adminapi"
	"baton/node/client/clienttest"
)

// TestWhatTheNodesShowed: the first status that holds the record counts, the
// leader alone says what is committed, and what was not seen is said so.
func TestWhatTheNodesShowed(t *testing.T) {
	begun := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	at := func(ms int, append, flush, commit uint64, leads bool) sample {
		return sample{begun.Add(time.Duration(ms) * time.Millisecond), adminapi.Positions{Append: append, Flush: flush, Commit: commit, Applied: commit}, leads}
	}
	tr := Trace{ID: "m", Position: 100, Begun: begun}
	tr.add("receipted: the producer hears success", "", begun.Add(5*time.Millisecond))
	tr.seen([]*watcher{
		{id: "n1", samples: []sample{at(-3, 100, 100, 100, true), at(1, 180, 100, 100, true), at(3, 180, 180, 100, true), at(4, 180, 180, 180, true), at(9, 300, 300, 300, true)}},
		{id: "n2", samples: []sample{at(2, 180, 180, 100, false), at(6, 180, 180, 180, false)}},
		{id: "n3"},
	})
	var got []string
	for _, s := range tr.Steps {
		got = append(got, s.Node+" "+s.What+" "+s.At.String())
	}
	require.Equal(t, []string{" sent 0s", "n1 in the log 1ms", "n2 in the log 2ms", "n2 on disk 2ms", "n1 on disk 3ms", "n1 committed: a quorum has it 4ms", "n1 applied to the index 4ms",
		" receipted: the producer hears success 5ms", "n2 applied to the index 6ms", "n3 in the log -1ns", "n3 on disk -1ns", "n3 applied to the index -1ns"}, got)
	require.Contains(t, tr.Text(), "not seen")
}

// TestAReceiptProvesTheCommit: a status that shows the commit late, or never,
// does not put it behind the receipt and what follows.
func TestAReceiptProvesTheCommit(t *testing.T) {
	begun := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	late := func(commit uint64) []*watcher {
		p := adminapi.Positions{Append: 180, Flush: 180, Commit: commit}
		return []*watcher{{id: "n1", samples: []sample{{begun.Add(8 * time.Millisecond), p, true}}}}
	}
	for name, commit := range map[string]uint64{"late": 180, "never": 100} {
		tr := Trace{ID: "m", Position: 100, Begun: begun}
		tr.add(receipted, "", begun.Add(5*time.Millisecond))
		tr.add("delivered to the consumer", "", begun.Add(6*time.Millisecond))
		tr.seen(late(commit))
		require.Equal(t, []string{"sent", "committed: a quorum has it", receipted, "delivered to the consumer"},
			[]string{tr.Steps[0].What, tr.Steps[1].What, tr.Steps[2].What, tr.Steps[3].What}, name)
	}
}

// TestANodeThatIsLateIsWaitedFor: the consumer has the message, and has
// acknowledged it, before the follower shows it.
func TestANodeThatIsLateIsWaitedFor(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	broker, err := clienttest.New(clienttest.Config{Listener: ln}, nil)
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	whole := adminapi.Positions{Append: 180, Flush: 180, Commit: 180, Applied: 180}
	var asked atomic.Int64 // after the end
	nodes := map[string]*adminapi.Client{}
	for id, status := range map[string]func() adminapi.Status{
		"n1": func() adminapi.Status { return adminapi.Status{Role: adminapi.RoleLeader, Positions: whole} },
		"n2": func() adminapi.Status {
			if broker.Stats().Acked > 0 && asked.Add(1) > 20 {
				return adminapi.Status{Positions: whole}
			}
			return adminapi.Status{}
		},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/v1/status":
				_ = json.NewEncoder(w).Encode(status())
			case strings.HasSuffix(r.URL.Path, "/messages") && broker.Stats().Enqueued > 0:
				_ = json.NewEncoder(w).Encode(adminapi.Page{Messages: []adminapi.Message{{ID: "m", Position: 100}}})
			default:
				w.WriteHeader(http.StatusNotFound)
			}
		}))
		t.Cleanup(s.Close)
		nodes[id] = &adminapi.Client{Address: strings.TrimPrefix(s.URL, "http://")}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tr, err := Run(ctx, Config{Stomp: []string{broker.Addr()}, Nodes: nodes})
	require.NoError(t, err)
	require.NotContains(t, tr.Text(), "not seen")
	require.Equal(t, 2, strings.Count(tr.Text(), "applied to the index"))
}
