package repl_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl"
	"baton/repl/repltest"
	"baton/repl/wire"
	"baton/store/record"
)

// giver gives a log from where it was trimmed; part 1 is what lies below.
type giver struct{ log *repltest.Log }

type given struct {
	start record.Position
	data  []byte
}

func (g giver) Give(context.Context) (repl.Given, error) {
	return &given{g.log.Positions().Start, g.log.Bytes()}, nil
}

func (g *given) Describe() (start, end record.Position, manifest []byte) {
	return g.start, record.Position(len(g.data)), fmt.Appendf(nil, "%d %d", g.start, len(g.data))
}

func (g *given) Next(w wire.Want, limit int) (c wire.Chunk, next wire.Want, err error) {
	end := len(g.data)
	if w.Part == 1 {
		end = int(g.start)
	}
	if int(w.At) > end {
		return c, w, fmt.Errorf("no position %d", w.At)
	}
	b := g.data[w.At:end]
	b = b[:min(len(b), limit, 900)]
	c = wire.Chunk{Part: w.Part, At: w.At, Sum: sha256.Sum256(b), Data: b}
	next = wire.Want{Part: w.Part, At: w.At + record.Position(len(b))}
	if w.Part == 1 && int(next.At) == end {
		next.Part = 2
	}
	return c, next, nil
}

func (g *given) Release() {}

// taker takes a log in; it is the Taken as well, and is kept between links.
type taker struct {
	mu         sync.Mutex
	start, end int
	data       []byte
	finished   bool
	takes      int
	begin      func()            // called by Take; may be nil
	write      func(n int) error // called before the n-th byte is kept; may be nil
}

func (t *taker) Take(m []byte) (repl.Taken, error) {
	if t.begin != nil {
		t.begin()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.takes++
	_, err := fmt.Sscan(string(m), &t.start, &t.end)
	return t, err
}

func (t *taker) Want() (wire.Want, record.Position, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := record.Position(len(t.data))
	if len(t.data) < t.start {
		return wire.Want{Part: 1, At: at}, at, false
	}
	return wire.Want{Part: 2, At: at}, at, len(t.data) == t.end
}

func (t *taker) Write(c wire.Chunk) error {
	want, _, _ := t.Want()
	if c.Part != want.Part || c.At != want.At || c.Sum != sha256.Sum256(c.Data) {
		return errors.New("another chunk")
	}
	if t.write != nil {
		if err := t.write(int(c.At)); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, c.Data...)
	return nil
}

func (t *taker) Finish(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finished = true
	return nil
}

func (t *taker) Close() error { return nil }

func takes(tk *taker, change ...func(*repl.FollowerConfig)) func(*repl.FollowerConfig) {
	return func(c *repl.FollowerConfig) {
		c.Taker = tk
		for _, f := range change {
			f(c)
		}
	}
}

func whole(c *repl.FollowerConfig) { c.Whole = true }

// events adds the callbacks of snapshots to the journal.
func (n *node) snapshotEvents(c *repl.FollowerConfig) {
	c.Listener.SnapshotStarted = func(e repl.SnapshotEvent) { n.journal.add("snapshot started from %d at %d", e.Start, e.Resumed) }
	c.Listener.SnapshotReceived = func(e repl.SnapshotEvent) { n.journal.add("snapshot received up to %d", e.End) }
}

func gives(n *node) func(*repl.LeaderConfig) {
	return func(c *repl.LeaderConfig) {
		c.Giver = giver{n.log}
		c.Listener.SnapshotStarted = func(e repl.SnapshotEvent) { n.journal.add("giving %s from %d: %s", e.Node, e.Resumed, e.Reason) }
		c.Listener.SnapshotFinished = func(e repl.SnapshotEvent, err error) { n.journal.add("gave %s: %v", e.Node, err) }
	}
}

// install makes what was received the node's log.
func (n *node) install(tk *taker) {
	n.t.Helper()
	n.follower.Stop()
	require.True(n.t, tk.finished)
	n.log = repltest.NewLog()
	_, err := n.log.AppendRaw(tk.data)
	require.NoError(n.t, err)
	n.log.Trim(record.Position(tk.start))
}

// trimmed is a leader with one follower in sync that retains only the second
// half of what it committed, and a node that lacks everything.
func trimmed(t testing.TB) (a, b, c *node) {
	t.Helper()
	a, b, c = newNode(t, "n1"), newNode(t, "n2"), newNode(t, "n3")
	a.lead(1, []*node{b, c}, gives(a))
	b.follow(a, 1)
	b.journal.wait(t, "in sync")
	for i := range 20 {
		a.mustCommit(strings.Repeat("x", 500))
		if i == 9 {
			a.log.Trim(a.log.Positions().Append)
		}
	}
	return a, b, c
}

func TestSnapshot(t *testing.T) {
	checkGoroutines(t)
	a, b, c := trimmed(t)
	tk := &taker{}
	c.follow(a, 1, takes(tk, c.snapshotEvents))
	c.journal.wait(t, "snapshot received")
	a.journal.wait(t, "giving n3 from "+fmt.Sprint(a.log.Positions().Start)+": the follower needs the log from 0 but the leader retains it only from")
	a.journal.wait(t, "gave n3: <nil>")
	<-c.follower.Done()
	st := c.follower.Status()
	require.True(t, st.Ended)
	require.ErrorIs(t, st.Err, repl.ErrSnapshot)
	require.Zero(t, c.journal.count("commit"), "nothing is applied meanwhile")
	a.mustCommit("and one more")
	c.install(tk)
	c.follow(a, 1, takes(tk))
	c.journal.wait(t, "in sync")
	require.Equal(t, 1, tk.takes)
	sameLogs(t, a, b, c)
	b.follower.Stop()
	a.mustCommit("it counts")
}

// A Taker that goes on with what it has may have gigabytes to read first.
func TestSnapshotWaitsForATakerThatReads(t *testing.T) {
	checkGoroutines(t)
	a, _, c := trimmed(t)
	const deadAfter = shortSilence
	a.server.Close()
	a.deadAfter = deadAfter
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	a.serve(ln)
	a.server.SetLeader(a.leader)
	tk := &taker{begin: func() {
		began := time.Now()
		eventually(t, func() bool { return time.Since(began) > 4*deadAfter }, "long enough to be taken for dead")
	}}
	c.follow(a, 1, takes(tk, c.snapshotEvents))
	c.journal.wait(t, "snapshot received")
	require.Equal(t, 1, tk.takes, "the leader took it for dead")
}

func TestSnapshotIsRefusedWithoutATaker(t *testing.T) {
	a, _, c := trimmed(t)
	c.follow(a, 1)
	c.journal.wait(t, "refused snapshot needed")
}

// TestAcksAreForgotten: what a follower acknowledged before its log is replaced
// must not count afterwards.
func TestAcksAreForgotten(t *testing.T) {
	a, b, c := trio(t, func(cfg *repl.LeaderConfig) {})
	a.leader.Stop(nil)
	b.follower.Stop()
	c.follower.Stop()
	a.lead(2, []*node{b, c}, gives(a))
	c.follow(a, 2)
	c.journal.wait(t, "in sync")
	a.mustCommit("with n3")
	a.log.HoldFlush(true)
	out := a.propose("n3 alone has it on its disk")
	end := a.log.Positions().Append
	eventually(t, func() bool { return flushedAt(a, "n3") >= end }, "n3 has acknowledged")

	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open)
	tk := &taker{write: func(int) error { <-gate; return nil }}
	c.follow(a, 2, takes(tk, whole, c.snapshotEvents))
	a.journal.wait(t, "giving n3 from 0: the follower's log is damaged")
	a.log.HoldFlush(false)
	ticks := a.leader.Status()
	pending(t, out, func() bool {
		s := a.leader.Status()
		return s.Commit == ticks.Commit && a.log.Positions().Flush >= end && flushedAt(a, "n3") == 0
	})
	open()
	c.journal.wait(t, "snapshot received")
	c.install(tk)
	c.follow(a, 2)
	require.NoError(t, result(t, out))
	sameLogs(t, a, c)
}

func flushedAt(a *node, id string) record.Position {
	for _, f := range a.leader.Status().Followers {
		if f.Node == id {
			return f.Flushed
		}
	}
	return 0
}

func TestSnapshotGoesOnAfterACut(t *testing.T) {
	a, _, c := trimmed(t)
	fail := true
	tk := &taker{write: func(n int) error {
		if fail && n > 7000 {
			fail = false
			return errors.New("the disk says no")
		}
		return nil
	}}
	c.follow(a, 1, takes(tk, c.snapshotEvents))
	c.journal.wait(t, "refused cannot take in the snapshot: node n3 cannot take in the snapshot at")
	c.journal.wait(t, "snapshot received")
	require.Equal(t, 2, tk.takes)
	// The first one ends with whatever the leader meets first on the closed link.
	a.journal.wait(t, "gave n3: <nil>")
	eventually(t, func() bool { return a.journal.count("gave n3: ") == 2 }, "the end of both is told")
	require.Equal(t, a.log.Bytes(), tk.data)
}

func TestSnapshotIsVisibleAndHoldsNobodyUp(t *testing.T) {
	a, _, c := trimmed(t)
	whole := len(a.log.Bytes())
	half := whole / 2
	gate := make(chan struct{})
	tk := &taker{write: func(n int) error {
		if n > half {
			<-gate
		}
		return nil
	}}
	c.follow(a, 1, takes(tk, c.snapshotEvents))
	eventually(t, func() bool {
		for _, f := range a.leader.Status().Followers {
			if f.Node == "n3" && f.Snapshot && f.CatchUp.Done > record.Position(half) && f.CatchUp.To == record.Position(whole) {
				return true
			}
		}
		return false
	}, "the leader shows progress")
	eventually(t, func() bool {
		s := c.follower.Status().Snapshot
		return s != nil && int(s.At) > half && int(s.End) == whole
	}, "the follower shows progress")
	a.mustCommit("meanwhile")
	require.Zero(t, a.journal.count("lost n3"))
	close(gate)
	c.journal.wait(t, "snapshot received")
}

func TestSnapshotEnds(t *testing.T) {
	for name, end := range map[string]func(a, c *node){
		"the follower is stopped":   func(a, c *node) { c.follower.Stop() },
		"the leader is stopped":     func(a, c *node) { a.leader.Stop(nil) },
		"a higher epoch was sealed": func(a, c *node) { require.NoError(c.t, c.Seal(2)); <-c.follower.Done() },
	} {
		t.Run(name, func(t *testing.T) {
			checkGoroutines(t)
			a, _, c := trimmed(t)
			begun, once := make(chan struct{}), sync.Once{}
			gate := make(chan struct{})
			tk := &taker{write: func(n int) error {
				once.Do(func() { close(begun) })
				<-gate
				return nil
			}}
			c.follow(a, 1, takes(tk, c.snapshotEvents))
			<-begun
			close(gate)
			if strings.HasPrefix(name, "a higher") {
				tk.mu.Lock()
				tk.end = 1 << 40 // never complete
				tk.mu.Unlock()
			}
			end(a, c)
			if strings.HasPrefix(name, "a higher") {
				require.Equal(t, 1, c.journal.count("fenced 2"))
			}
		})
	}
}
