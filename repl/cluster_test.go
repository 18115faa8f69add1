package repl_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl"
	"baton/repl/quorum"
	"baton/repl/repltest"
	"baton/repl/wire"
	"baton/store/record"
)

// deadline bounds every wait: the machine may be busy.
const deadline = time.Minute

// silence is after how long a peer is taken for dead in tests that are about
// something else: no busy machine stalls for so long, and who waits for it
// meets the deadline first.
const silence = 2 * deadline

// journal records callbacks by name.
type journal struct {
	mu     sync.Mutex
	events []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, fmt.Sprintf(format, args...))
}

func (j *journal) count(prefix string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.events {
		if strings.HasPrefix(e, prefix) {
			n++
		}
	}
	return n
}

func (j *journal) all() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.events, "\n")
}

func (j *journal) wait(t testing.TB, prefix string) {
	t.Helper()
	eventually(t, func() bool { return j.count(prefix) > 0 }, "%q in journal", prefix)
}

func eventually(t testing.TB, ok func() bool, format string, args ...any) {
	t.Helper()
	end := time.Now().Add(deadline)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("never: "+format, args...)
		}
		<-tick.C
	}
}

// node is one replica: a log, a promise, a server, and at most one role.
type node struct {
	t        testing.TB
	id       repl.Identity
	log      *repltest.Log
	server   *repl.Server
	leader   *repl.Leader
	follower *repl.Follower
	journal  *journal

	deadAfter time.Duration // of the server, 0 = silence

	mu     sync.Mutex
	sealed record.Epoch
}

func newNode(t testing.TB, name string) *node {
	t.Helper()
	return newNodeThat(t, name, 0)
}

// newNodeThat takes followers for dead after so long a silence.
func newNodeThat(t testing.TB, name string, deadAfter time.Duration) *node {
	t.Helper()
	n := &node{t: t, log: repltest.NewLog(), journal: &journal{}, deadAfter: deadAfter,
		id: repl.Identity{ClusterID: "c1", Node: name, Incarnation: name + "-a", Token: []byte("secret")}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	n.serve(ln)
	t.Cleanup(n.shutdown)
	return n
}

func (n *node) serve(ln net.Listener) {
	var err error
	n.server, err = repl.NewServer(repl.ServerConfig{Identity: func() repl.Identity { return n.id },
		Sealed: n.Sealed, Listener: ln, DeadAfter: cmp.Or(n.deadAfter, silence),
		Refused: func(r repl.Refusal) {
			n.journal.add("peer %s refused %s: %s", r.Node, r.Code, r.Text)
		}})
	require.NoError(n.t, err)
}

func (n *node) shutdown() {
	if n.follower != nil {
		n.follower.Stop()
	}
	n.server.Close()
	if n.leader != nil {
		n.leader.Stop(nil)
	}
}

func (n *node) Sealed() record.Epoch {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sealed
}

func (n *node) Seal(e record.Epoch) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e < n.sealed {
		return fmt.Errorf("seal %d after %d", e, n.sealed)
	}
	n.sealed = e
	return nil
}

// lead starts a leader; voters are the named nodes with their incarnations.
func (n *node) lead(epoch record.Epoch, voters []*node, change ...func(*repl.LeaderConfig)) {
	n.t.Helper()
	require.NoError(n.t, n.Seal(epoch))
	j := n.journal
	cfg := repl.LeaderConfig{Identity: n.id, Epoch: epoch, Log: n.log, Replicas: 3, Policy: quorum.QuorumDisk,
		Voters: map[string]string{n.id.Node: n.id.Incarnation}, HeartbeatInterval: 20 * time.Millisecond,
		Listener: repl.LeaderListener{
			FollowerAttached: func(a repl.FollowerAttached) {
				j.add("attached %s voter=%v truncated=%v from=%d", a.Node, a.Voter, a.Truncated, a.From)
			},
			FollowerLost:    func(node string, err error) { j.add("lost %s: %v", node, err) },
			FollowerInSync:  func(node string) { j.add("in sync %s", node) },
			CatchUp:         func(node string, from, to record.Position) { j.add("catch up %s %d %d", node, from, to) },
			LearnerCaughtUp: func(node, inc string) { j.add("learner %s %s", node, inc) },
			Fenced:          func(e record.Epoch) { j.add("fenced %d", e) },
			QuorumLost:      func(m []string) { j.add("quorum lost %v", m) },
			QuorumBack:      func() { j.add("quorum back") },
			LogFailed:       func(err error) { j.add("log failed: %v", err) },
		}}
	for _, v := range voters {
		cfg.Voters[v.id.Node] = v.id.Incarnation
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	n.leader, err = repl.StartLeader(cfg)
	require.NoError(n.t, err)
	n.server.SetLeader(n.leader)
}

func (n *node) follow(l *node, epoch record.Epoch, change ...func(*repl.FollowerConfig)) {
	n.t.Helper()
	if n.follower != nil {
		n.follower.Stop()
	}
	j := n.journal
	cfg := repl.FollowerConfig{Identity: n.id, Leader: l.id.Node, Address: l.server.Addr().String(), Epoch: epoch,
		Log: n.log, Seal: n.Seal, Sealed: n.Sealed, HeartbeatInterval: 20 * time.Millisecond, DeadAfter: silence,
		// Tells the leader what has arrived, whatever is acknowledged about it.
		Applied: func() record.Position { return n.log.Positions().Append },
		Listener: repl.FollowerListener{
			LinkUp:     func() { j.add("link up") },
			LinkLost:   func(err error) { j.add("link lost: %v", err) },
			LeaderDead: func(r string) { j.add("leader dead: %s", r) },
			Commit:     func(c record.Position) { j.add("commit %d", c) },
			Truncated:  func(from, to record.Position, e record.Epoch) { j.add("truncated %d %d %d", from, to, e) },
			InSync:     func() { j.add("in sync") },
			Fenced:     func(e record.Epoch) { j.add("fenced %d", e) },
			Refused:    func(c wire.Code, text string) { j.add("refused %s: %s", c, text) },
			LogFailed:  func(err error) { j.add("log failed: %v", err) },
		}}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	n.follower, err = repl.StartFollower(cfg)
	require.NoError(n.t, err)
}

// trio is a leader of epoch 1 with two followers in sync, as all of them see it.
func trio(t testing.TB, change ...func(*repl.LeaderConfig)) (a, b, c *node) {
	t.Helper()
	a, b, c = newNode(t, "n1"), newNode(t, "n2"), newNode(t, "n3")
	a.lead(1, []*node{b, c}, change...)
	b.follow(a, 1)
	c.follow(a, 1)
	b.journal.wait(t, "in sync")
	c.journal.wait(t, "in sync")
	eventually(t, func() bool { return a.leader.Status().Quorum.Have == 3 }, "in sync as the leader sees it")
	return a, b, c
}

func message(body string) *record.Batch {
	b := record.NewBatch(len(body) + 64)
	b.Add(record.TypeEnqueue, record.Enqueue{Queue: "q", Message: record.Message{ID: "m", Body: []byte(body)}}.AppendTo)
	return b
}

// propose appends one message and returns where its outcome will come.
func (n *node) propose(body string) <-chan error {
	c := make(chan error, 2)
	n.leader.Propose(message(body), func(err error) { c <- err })
	return c
}

func (n *node) mustCommit(body string) {
	n.t.Helper()
	require.NoError(n.t, result(n.t, n.propose(body)))
}

func result(t testing.TB, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(deadline):
		t.Fatal("no outcome")
		return nil
	}
}

// pending checks that an outcome has not come although the leader has had
// reason to look: it waits until `settled` holds, then looks once.
func pending(t testing.TB, c <-chan error, settled func() bool) {
	t.Helper()
	eventually(t, settled, "settled")
	select {
	case err := <-c:
		t.Fatalf("came too early: %v", err)
	default:
	}
}

func sameLogs(t testing.TB, nodes ...*node) {
	t.Helper()
	for _, n := range nodes[1:] {
		eventually(t, func() bool { return bytes.Equal(n.log.Bytes(), nodes[0].log.Bytes()) },
			"log of %s equals that of %s", n.id.Node, nodes[0].id.Node)
	}
}

// checkGoroutines fails the test if goroutines of this module outlive it. It
// must be called first, so that its cleanup runs last.
func checkGoroutines(t testing.TB) {
	t.Cleanup(func() {
		eventually(t, func() bool { return !strings.Contains(stacks(), "baton/repl.") },
			"goroutines gone:\n%s", stacks())
	})
}

func stacks() string {
	buf := make([]byte, 1<<20)
	all := string(buf[:runtime.Stack(buf, true)])
	var ours []string
	for g := range strings.SplitSeq(all, "\n\n") {
		if strings.Contains(g, "baton/repl.") && !strings.Contains(g, "stacks(") {
			ours = append(ours, g)
		}
	}
	return strings.Join(ours, "\n\n")
}

func voters(m map[string]string) func(*repl.LeaderConfig) {
	return func(c *repl.LeaderConfig) { c.Voters = maps.Clone(m) }
}
