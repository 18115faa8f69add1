package data_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo/failover"
	"baton/node/adminapi"
	"baton/tui/data"
)

// fakeNode answers as a node would.
type fakeNode struct {
	*httptest.Server
	mu     sync.Mutex
	status adminapi.Status
	queues []adminapi.Queue
	events []adminapi.Event
	hang   bool
	posts  []string
	streams,
	lastAfter int
}

func newNode(t *testing.T, id, role string, epoch uint64) *fakeNode {
	n := &fakeNode{status: adminapi.Status{
		Node: id, Role: role, State: adminapi.StateServing, Epoch: epoch, PID: 1, StartedAt: time.Unix(1, 0),
		Quorum: adminapi.Quorum{Replicas: 3, Size: 2, Have: 3, OK: true}, ZooKeeper: adminapi.ZooKeeper{Path: "/b", Connected: true, Eid: "0000000001"},
	}}
	if role == adminapi.RoleFollower {
		n.status.State = adminapi.StateInSync
	}
	mux := http.NewServeMux()
	stop := make(chan struct{})
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		st, hang := n.status, n.hang
		n.mu.Unlock()
		if hang {
			select {
			case <-r.Context().Done():
			case <-stop:
			}
			return
		}
		st.Now = time.Now()
		_ = json.NewEncoder(w).Encode(st)
	})
	mux.HandleFunc("GET /v1/queues", func(w http.ResponseWriter, _ *http.Request) {
		n.mu.Lock()
		defer n.mu.Unlock()
		_ = json.NewEncoder(w).Encode(n.queues)
	})
	mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, r *http.Request) {
		after, _ := strconv.Atoi(r.URL.Query().Get("after"))
		n.mu.Lock()
		n.streams++
		n.lastAfter = after
		n.mu.Unlock()
		for sent := after; ; {
			n.mu.Lock()
			todo := n.events
			n.mu.Unlock()
			for _, e := range todo {
				if int(e.Seq) > sent {
					b, _ := json.Marshal(e)
					fmt.Fprintf(w, "data: %s\n\n", b)
					sent = int(e.Seq)
				}
			}
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	mux.HandleFunc("POST /", func(_ http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.posts = append(n.posts, r.URL.String())
	})
	n.Server = httptest.NewServer(mux)
	t.Cleanup(func() { close(stop); n.CloseClientConnections(); n.Close() })
	return n
}

func (n *fakeNode) set(f func(*fakeNode)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(n)
}

func (n *fakeNode) address() string { return strings.TrimPrefix(n.URL, "http://") }

func (n *fakeNode) tell(kind, text string, epoch uint64) {
	n.set(func(n *fakeNode) {
		n.events = append(n.events, adminapi.Event{Seq: uint64(len(n.events) + 1), At: time.Now(), Node: n.status.Node, Kind: kind, Epoch: epoch, Text: text})
	})
}

// watch runs a source and returns a function that waits for a snapshot.
func watch(t *testing.T, cfg data.Config) (*data.Source, func(what string, ok func(*data.Snapshot) bool) *data.Snapshot) {
	cfg.Refresh, cfg.Timeout, cfg.StaleAfter, cfg.UnknownAfter = 10*time.Millisecond, 100*time.Millisecond, 80*time.Millisecond, 400*time.Millisecond
	src, err := data.New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	newest := make(chan *data.Snapshot, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- src.Run(ctx, func(s *data.Snapshot) {
			select {
			case <-newest:
			default:
			}
			newest <- s
		})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			require.ErrorIs(t, err, context.Canceled)
		case <-time.After(time.Minute):
			t.Error("Run did not end with its context")
		}
	})
	return src, func(what string, ok func(*data.Snapshot) bool) *data.Snapshot {
		t.Helper()
		deadline := time.After(time.Minute)
		var last *data.Snapshot
		for {
			select {
			case last = <-newest:
				if ok(last) {
					return last
				}
			case <-deadline:
				t.Fatalf("never: %s; last snapshot: %+v", what, last)
			}
		}
	}
}

func three(t *testing.T) (ns [3]*fakeNode, cfg data.Config) {
	for i := range ns {
		role := adminapi.RoleFollower
		if i == 0 {
			role = adminapi.RoleLeader
		}
		ns[i] = newNode(t, fmt.Sprintf("n%d", i+1), role, 7)
		cfg.Nodes = append(cfg.Nodes, data.Endpoint{Admin: ns[i].address()})
	}
	ns[0].set(func(n *fakeNode) {
		n.status.Followers = []adminapi.Follower{{Node: "n2", State: "in sync"}, {Node: "n3", State: "in sync", LagBytes: 9}}
		n.queues = []adminapi.Queue{{Name: "evil\x1b[2J\u202e", Depth: 4}}
	})
	return ns, cfg
}

func allFresh(s *data.Snapshot) bool {
	for _, n := range s.Nodes {
		if n.Fresh != data.Fresh {
			return false
		}
	}
	return len(s.Nodes) == 3 && s.Leader == "n1" && !s.QueuesStale
}

func TestSourceShowsACluster(t *testing.T) {
	ns, cfg := three(t)
	_, wait := watch(t, cfg)
	s := wait("healthy", func(s *data.Snapshot) bool { return allFresh(s) && s.Health == data.HealthHealthy })
	require.Equal(t, "evil", s.Queues[0].Name, "text of the outside is cleaned")
	require.Equal(t, 9.0, s.NodeByID("n3").LagBytes)
	require.True(t, s.Tree.Derived)
	ns[0].set(func(n *fakeNode) { n.queues = []adminapi.Queue{{Name: "q", Depth: 10, Enqueued: 1000}} })
	wait("new depth", func(s *data.Snapshot) bool { return len(s.Queues) == 1 && s.Queues[0].Depth == 10 })
	go func() {
		for i := uint64(0); ; i++ {
			ns[0].set(func(n *fakeNode) { n.queues[0].Enqueued = 1000 + i*10 })
			select {
			case <-t.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	wait("a rate", func(s *data.Snapshot) bool { return s.Queues[0].InRate > 100 && s.Queues[0].InRate < 3000 })
}

func TestHangingNodeBecomesStaleThenUnknownAndComesBack(t *testing.T) {
	ns, cfg := three(t)
	_, wait := watch(t, cfg)
	wait("fresh", allFresh)
	ns[2].set(func(n *fakeNode) { n.hang = true })
	wait("stale", func(s *data.Snapshot) bool { return s.NodeByID("n3").Fresh == data.Stale })
	s := wait("unknown, without holding up the others", func(s *data.Snapshot) bool {
		return s.NodeByID("n3").Fresh == data.Unknown && s.NodeByID("n1").Fresh == data.Fresh && s.NodeByID("n2").Fresh == data.Fresh
	})
	require.Equal(t, data.StateUnknown, s.NodeByID("n3").State, "a node that hangs is not called down")
	require.Equal(t, data.HealthDegraded, s.Health)
	require.NotEmpty(t, s.NodeByID("n3").Error)
	ns[2].set(func(n *fakeNode) { n.hang = false })
	wait("fresh again", allFresh)
}

func TestQueuesOfALeaderThatIsGoneAreStale(t *testing.T) {
	ns, cfg := three(t)
	cfg.Tree = func(context.Context) (data.Tree, error) {
		return data.Tree{Path: "/b", Registered: []string{"n1"}}, nil
	}
	_, wait := watch(t, cfg)
	wait("fresh", allFresh)
	ns[0].CloseClientConnections()
	ns[0].Listener.Close()
	s := wait("down", func(s *data.Snapshot) bool { return s.NodeByID("n1").State == data.StateDown })
	require.True(t, s.QueuesStale)
	require.Equal(t, "evil", s.Queues[0].Name, "the last figures stay, marked")
	require.Empty(t, s.Leader)
}

func TestZombieLeaderIsNotTheLeader(t *testing.T) {
	ns, cfg := three(t)
	_, wait := watch(t, cfg)
	wait("fresh", allFresh)
	ns[1].set(func(n *fakeNode) {
		n.status.Role, n.status.State, n.status.Epoch = adminapi.RoleLeader, adminapi.StateServing, 8
		n.queues = []adminapi.Queue{{Name: "new"}}
	})
	s := wait("n2 leads and its queues are shown", func(s *data.Snapshot) bool { return s.Leader == "n2" && s.QueuesOf == "n2" && s.NodeByID("n1").Zombie })
	require.Equal(t, "new", s.Queues[0].Name)
}

func TestEventsReconnectWithoutLossOrRepeat(t *testing.T) {
	n := newNode(t, "n1", adminapi.RoleLeader, 7)
	_, wait := watch(t, data.Config{Nodes: []data.Endpoint{{ID: "n1", Admin: n.address()}}})
	n.tell(adminapi.KindServing, "one", 7)
	n.tell(adminapi.KindFirstReceipt, "two", 7)
	wait("two events", func(s *data.Snapshot) bool { return len(s.Events) == 2 })
	n.CloseClientConnections()
	n.tell(adminapi.KindSuspected, "three", 7)
	s := wait("three events", func(s *data.Snapshot) bool { return len(s.Events) >= 3 })
	require.Len(t, s.Events, 3)
	require.EqualValues(t, 3, s.EventsAll)
	require.Len(t, s.Failovers, 1, "the own tracker times it")
	require.Equal(t, "n1", s.Failovers[0].LeaderBefore)

	// The process restarts: sequences begin anew and must not be asked for above the old ones.
	n.set(func(n *fakeNode) { n.status.PID, n.events = 2, nil })
	n.tell(adminapi.KindStarted, "again", 0)
	s = wait("events of the new process", func(s *data.Snapshot) bool { return len(s.Events) == 4 })
	require.Equal(t, "again", s.Events[3].Text)
}

func TestEventsAreMergedByTimeAndBounded(t *testing.T) {
	a, b := newNode(t, "n1", adminapi.RoleLeader, 1), newNode(t, "n2", adminapi.RoleFollower, 1)
	for i := range 40 {
		for _, n := range []*fakeNode{a, b} {
			n.tell(adminapi.KindInSync, strconv.Itoa(i), 1)
		}
	}
	_, wait := watch(t, data.Config{EventsMax: 30, Nodes: []data.Endpoint{{Admin: a.address()}, {Admin: b.address()}}})
	s := wait("all events", func(s *data.Snapshot) bool { return s.EventsAll == 80 })
	require.Len(t, s.Events, 30)
	for i := 1; i < len(s.Events); i++ {
		require.False(t, s.Events[i].At.Before(s.Events[i-1].At))
	}
	require.Equal(t, "39", s.Events[29].Text, "the newest are kept")
}

func TestTreeFindsNodesAndFailsApart(t *testing.T) {
	n := newNode(t, "n1", adminapi.RoleLeader, 7)
	var mu sync.Mutex
	var broken error
	_, wait := watch(t, data.Config{Tree: func(context.Context) (data.Tree, error) {
		mu.Lock()
		defer mu.Unlock()
		return data.Tree{Path: "/b", Epoch: 7, Replicas: 3, Registered: []string{"n1", "n9"}, Members: []data.Member{{Node: "n1", Eid: "0000000001", Admin: n.address()}}}, broken
	}})
	s := wait("n1 found in the tree; n9 is registered, but not there", func(s *data.Snapshot) bool {
		n9 := s.NodeByID("n9")
		return s.Leader == "n1" && n9 != nil && n9.State == data.StateDown
	})
	mu.Lock()
	broken = errors.New("no server \x1b[31m")
	mu.Unlock()
	s = wait("tree marked", func(s *data.Snapshot) bool { return s.Tree.Error != "" })
	require.Equal(t, "no server ", s.Tree.Error)
	require.Len(t, s.Tree.Members, 1, "what was read last stays")
	require.Equal(t, data.HealthZKDown, s.Health)
}

// local is a launched cluster made of words.
type local struct {
	mu  sync.Mutex
	did []string
	ps  []data.Process
}

func (l *local) Processes() []data.Process {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]data.Process(nil), l.ps...)
}
func (l *local) Do(_ context.Context, action, node string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.did = append(l.did, action+" "+node)
	if action == data.ActionStop {
		l.ps[0].State = data.ProcessExited
	}
	return nil
}
func (l *local) Ledger() data.Ledger              { return data.Ledger{OK: true, Sent: 5} }
func (l *local) Failovers() []failover.Run        { return []failover.Run{{ID: 3}} }
func (l *local) Supports(a string) (bool, string) { return a != data.ActionCut, "no proxies" }

func TestLocalCluster(t *testing.T) {
	ns, cfg := three(t)
	l := &local{ps: []data.Process{{Name: "n3", Kind: "node", State: data.ProcessPaused}}}
	cfg.Local = l
	src, wait := watch(t, cfg)
	s := wait("paused", func(s *data.Snapshot) bool { return allFresh(s) && s.NodeByID("n3").State == data.StatePaused })
	require.True(t, s.Launched)
	require.EqualValues(t, 5, s.Ledger.Sent)
	require.Equal(t, 3, s.Failovers[0].ID)
	require.ErrorIs(t, src.Do(t.Context(), data.ActionCut, "n3"), data.ErrUnsupported)
	require.NoError(t, src.Do(t.Context(), data.ActionRestart, "n3"))
	require.Equal(t, []string{"stop n3", "start n3"}, l.did)
	s = wait("noted", func(s *data.Snapshot) bool { return len(s.Events) == 1 })
	require.Equal(t, "you: restart n3", s.Events[0].Text)
	require.Empty(t, ns[2].posts)
}

func TestAttachedActionsGoThroughTheAdminListener(t *testing.T) {
	ns, cfg := three(t)
	src, wait := watch(t, cfg)
	wait("fresh", allFresh)
	require.ErrorIs(t, src.Do(t.Context(), data.ActionKill, "n1"), data.ErrUnsupported)
	require.NoError(t, src.Do(t.Context(), data.ActionTransfer, "n2"))
	require.NoError(t, src.Do(t.Context(), data.ActionStop, "n3"))
	require.Equal(t, []string{"/v1/transfer?to=n2"}, ns[0].posts)
	require.Equal(t, []string{"/v1/shutdown"}, ns[2].posts)
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []data.Config{{}, {Nodes: []data.Endpoint{{ID: "n1"}}}, {Nodes: []data.Endpoint{{Admin: "a"}}, Refresh: -1}} {
		_, err := data.New(cfg)
		require.ErrorIs(t, err, data.ErrConfig)
	}
}
