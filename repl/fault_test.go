package repl_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl"
	"baton/repl/quorum"
	"baton/repl/wire"
	"baton/store/record"
)

var errRefusedDial = syscall.ECONNREFUSED

const shortSilence = 500 * time.Millisecond

func short(c *repl.FollowerConfig) { c.DeadAfter = shortSilence }

// kill ends a node's connections and listener as the death of its process does.
func (n *node) kill() {
	n.t.Helper()
	require.NoError(n.t, n.server.Close())
	if n.leader != nil {
		n.leader.Stop(nil)
	}
}

func TestFollowerThatComesBackCatchesUp(t *testing.T) {
	checkGoroutines(t)
	a, b, c := trio(t)
	<-a.leader.Ready()
	c.follower.Stop()
	body := strings.Repeat("x", 100<<10)
	for range 50 {
		a.mustCommit(body)
	}
	before := a.journal.count("catch up n3")
	c.follow(a, 1)
	for range 20 {
		a.mustCommit(body) // producers go on meanwhile
	}
	sameLogs(t, a, b, c)
	require.Equal(t, before+1, a.journal.count("catch up n3"))
	eventually(t, func() bool { return a.leader.Status().Quorum.Have == 3 }, "in sync again")
	require.Empty(t, c.log.Cuts())
}

func TestDivergentTailIsCut(t *testing.T) {
	checkGoroutines(t)
	a, b, c := trio(t)
	a.mustCommit("committed")
	sameLogs(t, a, b, c)
	common := a.log.Positions().Append
	b.follower.Stop()
	c.follower.Stop()
	lost := a.propose("never left the node")
	lostToo := a.propose("nor did this")
	a.leader.Stop(nil)
	require.ErrorIs(t, result(t, lost), repl.ErrInDoubt)
	require.ErrorIs(t, result(t, lostToo), repl.ErrStopped)
	tail := a.log.Positions().Append

	b.lead(2, []*node{a, c})
	c.follow(b, 2)
	b.mustCommit("a newer history")
	a.follow(b, 2)
	sameLogs(t, b, a, c)
	a.journal.wait(t, fmt.Sprintf("truncated %d %d 1", tail, common))
	require.Len(t, a.log.Cuts(), 1)
	require.Empty(t, c.log.Cuts())
	require.Empty(t, b.log.Cuts())
}

func TestZombieLeaderCommitsNothing(t *testing.T) {
	checkGoroutines(t)
	t.Run("a follower seals a higher epoch while it is connected", func(t *testing.T) {
		a, b, c := trio(t)
		a.mustCommit("x")
		b.log.HoldFlush(true)
		c.log.HoldFlush(true)
		out := a.propose("too late")
		require.NoError(t, b.Seal(2))
		err := result(t, out)
		require.ErrorIs(t, err, repl.ErrFenced)
		require.ErrorIs(t, err, repl.ErrInDoubt)
		a.journal.wait(t, "fenced 2")
		b.journal.wait(t, "fenced 2")
		<-b.follower.Done()
		require.ErrorIs(t, result(t, a.propose("y")), repl.ErrFenced)
		require.Equal(t, 1, a.journal.count("fenced"))
		require.Equal(t, 1, b.journal.count("fenced"))
		c.journal.wait(t, "fenced 2") // the old leader tells it why it no longer leads
	})
	t.Run("both followers sealed and left; the leader wakes up", func(t *testing.T) {
		a, b, c := trio(t)
		a.mustCommit("x")
		for _, n := range []*node{b, c} {
			require.NoError(t, n.Seal(2))
			n.follower.Stop()
		}
		b.lead(2, []*node{a, c})
		c.follow(b, 2)
		<-b.leader.Ready()
		err := result(t, a.propose("too late"))
		require.ErrorIs(t, err, repl.ErrFenced)
	})
	t.Run("a follower of the new epoch reaches the old leader", func(t *testing.T) {
		a, b, c := trio(t)
		b.follower.Stop()
		c.follower.Stop()
		a.journal.wait(t, "lost n3")
		// c was told of epoch 2 but has the old leader's address.
		c.follow(a, 2)
		a.journal.wait(t, "fenced 2")
		require.ErrorIs(t, a.leader.Err(), repl.ErrFenced)
		require.Zero(t, c.journal.count("truncated"))
	})
	t.Run("a frame of an older epoch is never appended", func(t *testing.T) {
		b := newNode(t, "n2")
		require.NoError(t, b.Seal(5))
		a := newNode(t, "n1")
		a.lead(4, []*node{b})
		b.follow(a, 4)
		b.journal.wait(t, "fenced 5")
		a.journal.wait(t, "fenced 5")
		require.Zero(t, b.log.Positions().Append)
		require.EqualValues(t, 5, b.Sealed())
	})
	t.Run("an unauthenticated hello fences nobody", func(t *testing.T) {
		a, _, _ := trio(t)
		evil := newNode(t, "n2")
		evil.id.Token = []byte("guess")
		evil.follow(a, 99)
		evil.journal.wait(t, "refused wrong token")
		a.mustCommit("still leading")
		require.Zero(t, a.journal.count("fenced"))
	})
}

func TestFollowerOfAnOlderEpochIsOver(t *testing.T) {
	checkGoroutines(t)
	a, b := newNode(t, "n1"), newNode(t, "n2")
	a.lead(7, []*node{b})
	b.follow(a, 6)
	b.journal.wait(t, "fenced 7")
	<-b.follower.Done()
	require.True(t, b.follower.Status().Ended)
	require.Zero(t, b.log.Positions().Append)
	require.Zero(t, a.journal.count("fenced"), "a lower epoch does not bother a leader")
}

// TestSecondSessionCountsOnce has five replicas, so that a node counted twice
// would make a quorum of three out of two nodes.
// The role loop may promise a higher epoch between the moment at which a link
// looks and the one at which it promises its own: the epoch is over then, and
// the node has nothing to fail for.
func TestPromiseOvertakesTheLinksOwn(t *testing.T) {
	checkGoroutines(t)
	a, b := newNode(t, "n1"), newNode(t, "n2")
	a.lead(2, []*node{b})
	b.follow(a, 2, func(c *repl.FollowerConfig) {
		seal := c.Seal
		c.Seal = func(e record.Epoch) error {
			require.NoError(t, b.Seal(3))
			return seal(e)
		}
	})
	b.journal.wait(t, "fenced 3")
	<-b.follower.Done()
	require.NotContains(t, b.journal.all(), "log failed")
}

func TestSecondSessionCountsOnce(t *testing.T) {
	checkGoroutines(t)
	a, b, twin := newNode(t, "n1"), newNode(t, "n2"), newNode(t, "n2")
	c := newNode(t, "n3")
	a.lead(1, []*node{b, c, newNode(t, "n4"), newNode(t, "n5")}, func(cfg *repl.LeaderConfig) { cfg.Replicas = 5 })
	b.follow(a, 1)
	b.journal.wait(t, "in sync")
	twin.follow(a, 1)
	b.journal.wait(t, "link lost")
	twin.journal.wait(t, "in sync")
	out := a.propose("x")
	end := a.log.Positions().Append
	pending(t, out, func() bool {
		f := a.leader.Status().Followers[0]
		return f.Node == "n2" && f.Flushed == end
	})
	twin.follower.Stop()
	c.follow(a, 1)
	require.NoError(t, result(t, out), "a third node makes the quorum")
}

func TestLearner(t *testing.T) {
	checkGoroutines(t)
	a, b, c := newNode(t, "n1"), newNode(t, "n2"), newNode(t, "n3")
	b.id.Incarnation = "replaced-disk"
	a.lead(1, []*node{c}, func(cfg *repl.LeaderConfig) { cfg.Voters["n2"] = "n2-a" })
	b.follow(a, 1)
	a.journal.wait(t, "attached n2 voter=false")
	out := a.propose("x")
	end := a.log.Positions().Append
	pending(t, out, func() bool { return a.leader.Status().Followers[0].Flushed == end })
	require.Zero(t, a.journal.count("learner"), "nothing is committed that it could have caught up with")
	require.False(t, a.leader.Status().Quorum.OK)

	c.follow(a, 1)
	require.NoError(t, result(t, out))
	a.journal.wait(t, "learner n2 replaced-disk")
	c.follower.Stop()
	a.journal.wait(t, "lost n3")
	out = a.propose("y")
	end = a.log.Positions().Append
	pending(t, out, func() bool { return a.leader.Status().Followers[0].Flushed == end })
	a.leader.SetVoter("n2", "replaced-disk")
	require.NoError(t, result(t, out))
	require.True(t, a.leader.Status().Followers[0].Voter)

	t.Run("the incarnation that it replaced no longer counts", func(t *testing.T) {
		old := newNode(t, "n2")
		b.follower.Stop()
		old.follow(a, 1)
		old.journal.wait(t, "in sync")
		out := a.propose("z")
		end := a.log.Positions().Append
		pending(t, out, func() bool { return a.leader.Status().Followers[0].Flushed == end })
		old.follower.Stop()
		c.follow(a, 1)
		require.NoError(t, result(t, out))
	})
	t.Run("nor while the registration is under way", func(t *testing.T) {
		x, y, old, wiped := newNode(t, "n1"), newNode(t, "n3"), newNode(t, "n2"), newNode(t, "n2")
		wiped.id.Incarnation = "n2-b"
		x.lead(1, []*node{old, y})
		y.follow(x, 1)
		wiped.follow(x, 1)
		x.journal.wait(t, "learner n2 n2-b")
		wiped.follower.Stop()
		y.follower.Stop()
		old.follow(x, 1)
		old.journal.wait(t, "in sync")
		out := x.propose("z")
		end := x.log.Positions().Append
		pending(t, out, func() bool {
			f := x.leader.Status().Followers[0]
			return f.Incarnation == "n2-a" && f.Flushed == end && f.Applied == end
		})
		x.journal.wait(t, "learner n2 n2-a") // offered again, as any learner
		x.leader.SetVoter("n2", "n2-a")
		require.NoError(t, result(t, out))
	})
	t.Run("a member that registered during the epoch is served", func(t *testing.T) {
		late := newNode(t, "n7")
		late.follow(a, 1)
		late.journal.wait(t, "refused stranger")
		a.leader.SetVoter("n7", "")
		late.journal.wait(t, "in sync")
		a.journal.wait(t, "learner n7 n7-a")
	})
}

func TestRefusals(t *testing.T) {
	checkGoroutines(t)
	a, _, _ := trio(t)
	for name, c := range map[string]struct {
		change  func(*node)
		refused string
	}{
		"stranger":          {func(n *node) { n.id.Node = "n9" }, "refused stranger: node n9 is not a member"},
		"other cluster":     {func(n *node) { n.id.ClusterID = "c2" }, "refused other cluster: node n2 belongs to cluster \"c2\", node n1 to \"c1\""},
		"other token":       {func(n *node) { n.id.Token = []byte("other") }, "refused wrong token: nodes n2 and n1"},
		"no token":          {func(n *node) { n.id.Token = nil }, "refused wrong token: nodes n2 and n1"},
		"an impossible log": {func(n *node) { fill(t, n, 1, 3) }, "refused diverged: the follower holds epoch 1"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "n2")
			c.change(n)
			n.follow(a, 1)
			n.journal.wait(t, c.refused)
			a.journal.wait(t, "peer "+n.id.Node+" "+c.refused) // both sides know
			eventually(t, func() bool { return n.follower.Status().Err != nil }, "status says why")
			require.Equal(t, 1, n.journal.count("refused"), "told once")
			require.Zero(t, n.journal.count("leader dead"), "a leader that answers is not dead")
			// It goes on trying: once the cause is gone, it follows.
		})
	}
	t.Run("wrong node at the address", func(t *testing.T) {
		n, other := newNode(t, "n2"), newNode(t, "n3")
		n.follow(other, 1, func(c *repl.FollowerConfig) { c.Leader = "n1" })
		n.journal.wait(t, "refused wrong node: node n2 looks for node n1 but this address is node n3's")
	})
	t.Run("not the leader, then it is", func(t *testing.T) {
		n, other := newNode(t, "n2"), newNode(t, "n1")
		require.NoError(t, other.Seal(1))
		n.follow(other, 1)
		n.journal.wait(t, "refused not leader: node n1 does not lead; it has sealed epoch 1")
		other.lead(1, []*node{n})
		n.journal.wait(t, "in sync")
	})
	t.Run("both without a token", func(t *testing.T) {
		n, other := newNode(t, "n2"), newNode(t, "n1")
		n.id.Token, other.id.Token = nil, []byte{}
		other.lead(1, []*node{n})
		n.follow(other, 1)
		n.journal.wait(t, "in sync")
	})
	t.Run("what the leader no longer retains", func(t *testing.T) {
		n, other := newNode(t, "n2"), newNode(t, "n1")
		other.lead(1, []*node{n})
		other.propose("x")
		other.log.Trim(other.log.Positions().Append)
		n.follow(other, 1)
		n.journal.wait(t, "refused snapshot needed: the follower needs the log from 0 but the leader retains it only from")
	})
}

// fill appends n messages of an epoch directly to the log of a node.
func fill(t *testing.T, n *node, epoch record.Epoch, messages int) {
	t.Helper()
	for range messages {
		_, err := n.log.Append(epoch, 0, message(strings.Repeat("x", 1000)))
		require.NoError(t, err)
	}
}

func TestCommittedRecordsAreNeverCut(t *testing.T) {
	checkGoroutines(t)
	scene := func(t *testing.T, change func(*repl.FollowerConfig)) *node {
		a, b := newNode(t, "n1"), newNode(t, "n2")
		fill(t, b, 1, 3)
		a.lead(2, []*node{b})
		b.follow(a, 2, func(c *repl.FollowerConfig) { c.Commit = b.log.Positions().Append }, change)
		return b
	}
	t.Run("under a quorum policy the follower stops", func(t *testing.T) {
		b := scene(t, func(*repl.FollowerConfig) {})
		end := b.log.Positions().Append
		b.journal.wait(t, "log failed")
		require.Contains(t, b.journal.all(), fmt.Sprintf("ends at %d, cut at 0, but it is committed up to %d", end, end))
		<-b.follower.Done()
		require.ErrorIs(t, b.follower.Status().Err, repl.ErrBelowCommit)
		require.Equal(t, end, b.log.Positions().Append)
		require.Empty(t, b.log.Cuts())
	})
	t.Run("under a local policy that is the price", func(t *testing.T) {
		b := scene(t, func(c *repl.FollowerConfig) { c.Policy = quorum.LocalDisk })
		b.journal.wait(t, "truncated")
		b.journal.wait(t, "in sync")
	})
}

func TestFollowerLogFailure(t *testing.T) {
	checkGoroutines(t)
	for name, hold := range map[string]bool{"on append": false, "without one": true} {
		t.Run(name, func(t *testing.T) {
			a, b, _ := trio(t)
			a.mustCommit("x")
			if hold {
				b.log.HoldFlush(true)
			}
			b.log.Fail(errors.New("input/output error"))
			if !hold {
				a.mustCommit("y")
			}
			b.journal.wait(t, "log failed")
			<-b.follower.Done()
			require.ErrorIs(t, b.follower.Status().Err, repl.ErrLog)
			a.mustCommit("the others go on")
		})
	}
	t.Run("a seal that fails", func(t *testing.T) {
		a, b := newNode(t, "n1"), newNode(t, "n2")
		a.lead(1, []*node{b})
		b.follow(a, 1, func(c *repl.FollowerConfig) {
			c.Seal = func(record.Epoch) error { return errors.New("read-only file system") }
		})
		b.journal.wait(t, "log failed: seal epoch 1")
		require.Zero(t, b.log.Positions().Append, "nothing is accepted without the promise")
	})
}

func TestLeaderDead(t *testing.T) {
	checkGoroutines(t)
	t.Run("without any silence, if its process is killed", func(t *testing.T) {
		a, b, c := trio(t)
		a.mustCommit("x")
		a.kill()
		b.journal.wait(t, "leader dead") // silence would take longer than this waits
		c.journal.wait(t, "leader dead")
		require.Contains(t, b.journal.all(), "cannot be opened again")
		eventually(t, func() bool { return errors.Is(b.follower.Status().Err, errRefusedDial) }, "goes on trying")
		require.Equal(t, 1, b.journal.count("leader dead"), "once per loss")
		require.Equal(t, 1, b.journal.count("link lost"))
	})
	t.Run("behind a proxy that still accepts", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		accepting := make(chan struct{})
		go func() {
			defer close(accepting)
			for {
				nc, err := ln.Accept()
				if err != nil {
					return
				}
				nc.Close()
			}
		}()
		b := newNode(t, "n2")
		b.follow(newNode(t, "n1"), 1, func(c *repl.FollowerConfig) { c.Address = ln.Addr().String() })
		b.journal.wait(t, "leader dead")
		b.follower.Stop()
		ln.Close()
		<-accepting
	})
	t.Run("after DeadAfter of silence", func(t *testing.T) {
		b := newNode(t, "n2")
		fake := newFakeLeader(t, b, 1)
		began := time.Now()
		b.follow(&node{id: fake.id, server: fake.server}, 1, short, fake.at)
		conn := fake.accept(wire.Position{})
		defer conn.Close()
		b.journal.wait(t, "link up")
		b.journal.wait(t, "leader dead: nothing heard for "+shortSilence.String())
		require.GreaterOrEqual(t, time.Since(began), shortSilence)
	})
	t.Run("one that never answers at all", func(t *testing.T) {
		b := newNode(t, "n2")
		fake := newFakeLeader(t, b, 1)
		b.follow(&node{id: fake.id, server: fake.server}, 1, short, fake.at)
		b.journal.wait(t, "leader dead: nothing heard for")
		require.Zero(t, b.journal.count("link"))
	})
	t.Run("again after it came back", func(t *testing.T) {
		a, b, _ := trio(t)
		addr := a.server.Addr().String()
		require.NoError(t, a.server.Close())
		b.journal.wait(t, "leader dead")
		ln, err := net.Listen("tcp", addr)
		require.NoError(t, err)
		a.serve(ln)
		a.server.SetLeader(a.leader)
		eventually(t, func() bool { return b.journal.count("link up") == 2 }, "link again")
		require.Equal(t, 1, b.journal.count("leader dead"))
		a.mustCommit("nobody was harmed")
		require.NoError(t, a.server.Close())
		eventually(t, func() bool { return b.journal.count("leader dead") == 2 }, "suspected again")
	})
	t.Run("one that stepped down says so", func(t *testing.T) {
		a, b, _ := trio(t)
		a.server.SetLeader(nil)
		a.leader.Stop(nil)
		b.journal.wait(t, "leader dead: node n1 does not lead")
	})
}

// TestHungFollowerHoldsUpNobody has one follower that takes nothing in: the
// other makes the quorum, and what is in flight stays within the window.
func TestHungFollowerHoldsUpNobody(t *testing.T) {
	checkGoroutines(t)
	const window = 64 << 10
	a, b, c := trio(t, func(cfg *repl.LeaderConfig) { cfg.Progress.Window = window })
	<-a.leader.Ready()
	c.log.HoldWrites(true)
	body := strings.Repeat("x", 8<<10)
	for range 100 {
		a.mustCommit(body)
	}
	f := a.leader.Status().Followers[1]
	require.Equal(t, "n3", f.Node)
	require.LessOrEqual(t, int(f.Next-f.Received), window+10<<10)
	require.Positive(t, f.LagBytes)
	c.log.HoldWrites(false)
	sameLogs(t, a, b, c)
}

// TestHungDiskOfAFollowerLeavesTheWindowOpen has a follower catch up whose disk
// flushes nothing, with no heartbeats: what it has written must open the
// leader's window all the same.
func TestHungDiskOfAFollowerLeavesTheWindowOpen(t *testing.T) {
	checkGoroutines(t)
	a, b, c := newNode(t, "n1"), newNode(t, "n2"), newNode(t, "n3")
	a.server.Close()
	a.deadAfter = time.Minute
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	a.serve(ln)
	a.lead(1, []*node{b, c}, func(cfg *repl.LeaderConfig) {
		cfg.Progress.Window, cfg.HeartbeatInterval = 1<<20, time.Hour
	})
	silent := func(cfg *repl.FollowerConfig) { cfg.DeadAfter, cfg.HeartbeatInterval = time.Minute, time.Hour }
	b.follow(a, 1, silent)
	<-a.leader.Ready()
	body := strings.Repeat("x", 64<<10)
	for range 64 {
		a.mustCommit(body)
	}
	c.log.HoldFlush(true)
	c.follow(a, 1, silent)
	sameLogs(t, a, b, c)
	c.log.HoldFlush(false)
}

func TestServerClosesWithHandshakesUnderWay(t *testing.T) {
	checkGoroutines(t)
	a := newNode(t, "n1")
	for range 100 { // more than may be in their handshake at once
		nc, err := net.Dial("tcp", a.server.Addr().String())
		require.NoError(t, err)
		defer nc.Close()
	}
	a.lead(1, []*node{newNode(t, "n2")})
	require.NoError(t, a.server.Close())
}

func TestFollowerConfig(t *testing.T) {
	n := newNode(t, "n2")
	good := func() repl.FollowerConfig {
		return repl.FollowerConfig{Identity: n.id, Leader: "n1", Epoch: 1, Log: n.log, Seal: n.Seal, Sealed: n.Sealed}
	}
	require.NoError(t, good().Validate())
	for name, spoil := range map[string]func(*repl.FollowerConfig){
		"no log":     func(c *repl.FollowerConfig) { c.Log = nil },
		"no seal":    func(c *repl.FollowerConfig) { c.Seal = nil },
		"no sealed":  func(c *repl.FollowerConfig) { c.Sealed = nil },
		"itself":     func(c *repl.FollowerConfig) { c.Leader = "n2" },
		"nobody":     func(c *repl.FollowerConfig) { c.Leader = "" },
		"no epoch":   func(c *repl.FollowerConfig) { c.Epoch = 0 },
		"bad policy": func(c *repl.FollowerConfig) { c.Policy = 64 },
		"no node id": func(c *repl.FollowerConfig) { c.Identity.Node = "" },
	} {
		c := good()
		spoil(&c)
		_, err := repl.StartFollower(c)
		require.ErrorIs(t, err, repl.ErrConfig, name)
	}
	_, err := repl.NewServer(repl.ServerConfig{})
	require.ErrorIs(t, err, repl.ErrConfig)
	_, err = repl.DialTCP(context.Background(), "127.0.0.1:1")
	require.ErrorIs(t, err, errRefusedDial)
}
