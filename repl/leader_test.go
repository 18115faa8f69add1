package repl_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl"
	"baton/repl/progress"
	"baton/repl/quorum"
	"baton/repl/repltest"
	"baton/store/record"
)

func TestThreeNodesReplicate(t *testing.T) {
	checkGoroutines(t)
	a, b, c := trio(t)
	<-a.leader.Ready()
	for range 100 {
		a.mustCommit("hello")
	}
	sameLogs(t, a, b, c)
	require.Equal(t, a.log.Positions().Append, a.leader.Commit())
	for _, f := range []*node{b, c} {
		eventually(t, func() bool { return f.follower.Status().LeaderCommit == a.leader.Commit() }, "follower knows the commit position")
		s := f.follower.Status()
		require.True(t, s.Connected)
		require.True(t, s.InSync)
		require.EqualValues(t, 1, f.Sealed(), "sealed before the first frame")
	}
	eventually(t, func() bool { return a.leader.Status().Quorum.Have == 3 }, "all in sync")
	s := a.leader.Status()
	require.True(t, s.Ready && s.Quorum.OK)
	require.Empty(t, s.Quorum.Missing)
	require.Len(t, s.Followers, 2)
	require.Equal(t, "n2", s.Followers[0].Node)
	require.Equal(t, progress.InSync, s.Followers[0].State)
	require.Positive(t, s.CommitP99)
	require.Positive(t, s.Followers[0].RTT)
}

func TestOneReplicaCommitsAlone(t *testing.T) {
	checkGoroutines(t)
	a := newNode(t, "n1")
	a.lead(1, nil, func(c *repl.LeaderConfig) { c.Replicas = 1 })
	<-a.leader.Ready()
	a.mustCommit("alone")
	require.Empty(t, a.journal.all())
}

func TestEpochStartRecordNamesTheVoters(t *testing.T) {
	a, _, _ := trio(t)
	raw := a.log.Bytes()
	_, err := record.Verify(raw)
	require.NoError(t, err)
	for r := range record.Records(raw) {
		require.Equal(t, record.TypeEpochStart, r.Type)
		e, err := record.ParseEpochStart(r.Body)
		require.NoError(t, err)
		require.Equal(t, record.EpochStart{ClusterID: "c1", Leader: "n1", Replicas: 3,
			Members: map[string]string{"n1": "n1-a", "n2": "n2-a", "n3": "n3-a"}}, e)
	}
}

func TestAnEpochIsLedOnce(t *testing.T) {
	a, _, _ := trio(t)
	a.leader.Stop(nil)
	_, err := repl.StartLeader(repl.LeaderConfig{Identity: a.id, Epoch: 1, Log: a.log, Replicas: 1,
		Voters: map[string]string{"n1": "n1-a"}})
	require.ErrorIs(t, err, repl.ErrConfig)
}

// TestCommitUnderEveryPolicy holds back writes and flushes node by node and
// checks at which point a proposal is committed.
func TestCommitUnderEveryPolicy(t *testing.T) {
	type hold struct{ flush, write bool }
	for _, c := range []struct {
		policy    string
		b, c      hold // what the followers hold back
		leader    bool // the leader holds back flushes
		committed bool
	}{
		{"local_mem", hold{write: true}, hold{write: true}, true, true},
		{"local_disk", hold{write: true}, hold{write: true}, true, false},
		{"local_disk", hold{write: true}, hold{write: true}, false, true},
		{"remote_mem", hold{write: true}, hold{write: true}, false, false},
		{"remote_mem", hold{write: true}, hold{flush: true}, true, true},
		{"remote_disk", hold{flush: true}, hold{write: true}, false, false},
		{"remote_disk", hold{flush: true}, hold{}, true, true},
		{"quorum_mem", hold{write: true}, hold{write: true}, false, false},
		{"quorum_mem", hold{flush: true}, hold{write: true}, true, true},
		{"quorum_disk", hold{flush: true}, hold{flush: true}, false, false},
		{"quorum_disk", hold{flush: true}, hold{}, false, true},
		{"quorum_disk", hold{flush: true}, hold{}, true, false},
		{"quorum_disk", hold{}, hold{}, true, true},
		{"local_disk,remote_mem", hold{flush: true}, hold{write: true}, true, false},
		{"local_disk,remote_mem", hold{flush: true}, hold{write: true}, false, true},
	} {
		t.Run(fmt.Sprintf("%s leader=%v %v %v", c.policy, c.leader, c.b, c.c), func(t *testing.T) {
			p, err := quorum.Parse(c.policy)
			require.NoError(t, err)
			a, b, d := trio(t, func(cfg *repl.LeaderConfig) { cfg.Policy = p })
			a.mustCommit("before")
			sameLogs(t, a, b, d)
			a.log.HoldFlush(c.leader)
			for n, h := range map[*node]hold{b: c.b, d: c.c} {
				n.log.HoldFlush(h.flush)
				n.log.HoldWrites(h.write)
			}
			out := a.propose("x")
			if c.committed {
				require.NoError(t, result(t, out))
				return
			}
			// Everything that can arrive has arrived, and what is held back
			// is what is missing: releasing it commits.
			end := a.log.Positions().Append
			pending(t, out, func() bool { return acksSettled(a, end, b, d) })
			require.Less(t, a.leader.Commit(), end)
			for _, n := range []*node{a, b, d} {
				n.log.HoldFlush(false)
				n.log.HoldWrites(false)
				n.log.HoldFlush(false)
			}
			require.NoError(t, result(t, out))
		})
	}
}

// acksSettled reports whether every follower has acknowledged after it got the
// log up to end, and the leader knows exactly what each of them holds.
func acksSettled(a *node, end record.Position, followers ...*node) bool {
	for i, f := range a.leader.Status().Followers {
		p := followers[i].log.Positions()
		if f.Applied != end || f.Received != p.Written || f.Flushed != p.Flush {
			return false
		}
	}
	return true
}

func TestProposalsArePipelinedAndAnsweredInOrder(t *testing.T) {
	a, b, c := trio(t)
	a.mustCommit("before")
	b.log.HoldFlush(true)
	c.log.HoldFlush(true)
	var mu sync.Mutex
	var order []int
	done := make(chan struct{})
	const n = 500
	for i := range n {
		a.leader.Propose(message("x"), func(err error) {
			require.NoError(t, err)
			mu.Lock()
			defer mu.Unlock()
			if order = append(order, i); len(order) == n {
				close(done)
			}
		})
	}
	end := a.log.Positions().Append
	eventually(t, func() bool { return b.log.Positions().Written == end && c.log.Positions().Written == end },
		"everything is in flight without one flush")
	mu.Lock()
	require.Empty(t, order)
	mu.Unlock()
	c.log.HoldFlush(false)
	<-done
	for i, got := range order {
		require.Equal(t, i, got)
	}
}

func TestNoQuorum(t *testing.T) {
	checkGoroutines(t)
	a, b, c := trio(t, func(cfg *repl.LeaderConfig) { cfg.QuorumTimeout = 2 * time.Second })
	<-a.leader.Ready()
	eventually(t, func() bool { return a.leader.Status().Quorum.Have == 3 }, "all in sync")
	b.follower.Stop()
	a.journal.wait(t, "lost n2")
	require.Zero(t, a.journal.count("quorum lost"), "one of three may be away")
	a.mustCommit("with n3 alone")
	c.follower.Stop()
	a.journal.wait(t, "quorum lost [n2 n3]")
	err := result(t, a.propose("in doubt"))
	require.ErrorIs(t, err, repl.ErrNoQuorum)
	require.ErrorIs(t, err, repl.ErrInDoubt)
	require.Contains(t, err.Error(), "missing n2, n3")
	s := a.leader.Status()
	require.False(t, s.Quorum.OK)
	require.Equal(t, 1, s.Quorum.Have)
	require.Less(t, s.Commit, a.log.Positions().Append)
	eventually(t, func() bool { return a.leader.Status().Outstanding == 0 }, "what was answered is not outstanding")

	b.follow(a, 1)
	a.journal.wait(t, "quorum back")
	a.mustCommit("again")
	require.Equal(t, a.log.Positions().Append, a.leader.Commit(), "what was in doubt is committed along")
}

func TestALeaderThatNeverHadQuorumSaysSo(t *testing.T) {
	a := newNode(t, "n1")
	a.lead(1, []*node{newNode(t, "n2"), newNode(t, "n3")})
	a.journal.wait(t, "quorum lost [n2 n3]")
	select {
	case <-a.leader.Ready():
		t.Fatal("ready without quorum")
	default:
	}
}

func TestAdmissionIsBounded(t *testing.T) {
	a := newNode(t, "n1")
	a.lead(1, nil, func(c *repl.LeaderConfig) {
		c.QuorumTimeout, c.OutstandingBytes = 150*time.Millisecond, 2000
	})
	small, large := a.propose(string(make([]byte, 1000))), a.propose(string(make([]byte, 1500)))
	require.ErrorIs(t, result(t, small), repl.ErrNoQuorum)
	// The second waited for room; by then either there was none in time, or it
	// was appended and found no quorum.
	err := result(t, large)
	require.True(t, errors.Is(err, repl.ErrOverloaded) || errors.Is(err, repl.ErrNoQuorum), err)
	require.ErrorIs(t, result(t, a.propose(string(make([]byte, 5000)))), repl.ErrNoQuorum, "one alone may be larger than the bound")
}

// TestStopAnswersEverythingOnce lets proposals race with the end.
func TestStopAnswersEverythingOnce(t *testing.T) {
	checkGoroutines(t)
	a, b, _ := trio(t)
	<-a.leader.Ready()
	b.follower.Stop()
	var wg, answers sync.WaitGroup
	var ok, stopped, other, proposed atomic.Int64
	started := make(chan struct{}, 1000)
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for more := 2000; more > 0; more-- {
				if stopped.Load() == 0 {
					more = max(more, 500) // go on until the end, however late it comes, and a little beyond
				}
				proposed.Add(1)
				answers.Add(1)
				var once atomic.Int32
				a.leader.Propose(message("x"), func(err error) {
					if once.Add(1) != 1 {
						panic("answered twice")
					}
					switch {
					case err == nil:
						ok.Add(1)
					case errors.Is(err, repl.ErrStopped):
						stopped.Add(1)
					default:
						other.Add(1)
					}
					answers.Done()
				})
				select {
				case started <- struct{}{}:
				default:
				}
			}
		}()
	}
	for range 500 {
		<-started
	}
	a.leader.Stop(nil)
	end := a.log.Positions().Append
	wg.Wait()
	answers.Wait()
	require.Equal(t, end, a.log.Positions().Append, "nothing is appended after Stop has returned")
	require.Zero(t, other.Load())
	require.Positive(t, stopped.Load())
	require.Equal(t, proposed.Load(), ok.Load()+stopped.Load())
	require.ErrorIs(t, a.leader.Err(), repl.ErrStopped)
	a.leader.Stop(nil)
}

// gatedLog lets a test stand inside Append.
type gatedLog struct {
	*repltest.Log
	gate chan chan struct{}
}

func (g *gatedLog) Append(e record.Epoch, c record.Position, b *record.Batch) (record.Position, error) {
	select {
	case in := <-g.gate:
		in <- struct{}{} // the test knows that Append is under way
		<-in             // and says when it may go on
	default:
	}
	return g.Log.Append(e, c, b)
}

func TestStopWaitsForAnAppendThatIsUnderWay(t *testing.T) {
	a := newNode(t, "n1")
	g := &gatedLog{Log: a.log, gate: make(chan chan struct{}, 1)}
	a.lead(1, nil, func(c *repl.LeaderConfig) { c.Log = g })
	in := make(chan struct{})
	g.gate <- in
	out := make(chan error, 1)
	go a.leader.Propose(message("x"), func(err error) { out <- err })
	<-in
	stopped := make(chan struct{})
	go func() {
		a.leader.Stop(nil)
		close(stopped)
	}()
	<-a.leader.Done()
	before := a.log.Positions().Append
	select {
	case <-stopped:
		t.Fatal("stopped while a proposal was being appended")
	case <-time.After(20 * time.Millisecond):
	}
	in <- struct{}{}
	<-stopped
	err := result(t, out)
	require.ErrorIs(t, err, repl.ErrStopped)
	require.ErrorIs(t, err, repl.ErrInDoubt, "it is in the log")
	require.Greater(t, a.log.Positions().Append, before)
}

func TestLogFailureEndsLeadership(t *testing.T) {
	checkGoroutines(t)
	t.Run("seen by a proposal", func(t *testing.T) {
		a, _, _ := trio(t)
		a.log.HoldFlush(true)
		a.log.Fail(errors.New("no space left on device"))
		err := result(t, a.propose("x"))
		require.ErrorIs(t, err, repl.ErrLog)
		a.journal.wait(t, "log failed")
		require.Contains(t, a.journal.all(), "no space left")
		<-a.leader.Done()
	})
	t.Run("seen without one", func(t *testing.T) {
		a, b, c := trio(t)
		a.mustCommit("x")
		b.log.HoldFlush(true)
		c.log.HoldFlush(true)
		out := a.propose("y")
		a.log.Fail(errors.New("fsync: input/output error"))
		err := result(t, out)
		require.ErrorIs(t, err, repl.ErrLog)
		require.ErrorIs(t, err, repl.ErrInDoubt)
		a.journal.wait(t, "log failed")
		require.Equal(t, 1, a.journal.count("log failed"))
	})
}

func TestTransfer(t *testing.T) {
	checkGoroutines(t)
	t.Run("waits for the log to arrive", func(t *testing.T) {
		a, b, c := trio(t)
		a.mustCommit("x")
		b.log.HoldFlush(true)
		out := a.propose("y")
		require.NoError(t, result(t, out))
		type answer struct {
			to  string
			err error
		}
		got := make(chan answer, 1)
		go func() {
			to, err := a.leader.Transfer(context.Background(), "n2")
			got <- answer{to, err}
		}()
		eventually(t, func() bool { return a.leader.Status().Transferring }, "transferring")
		late := make(chan error, 1)
		go a.leader.Propose(message("late"), func(err error) { late <- err })
		require.Less(t, b.log.Positions().Flush, a.log.Positions().Append)
		b.log.HoldFlush(false)
		r := <-got
		require.NoError(t, r.err)
		require.Equal(t, "n2", r.to)
		require.Equal(t, a.log.Positions().Append, b.log.Positions().Flush)
		select {
		case err := <-late:
			t.Fatalf("a proposal was taken during a transfer: %v", err)
		default:
		}
		a.leader.Resume()
		require.NoError(t, result(t, late))
		sameLogs(t, a, b, c)
	})
	t.Run("chooses one that has everything", func(t *testing.T) {
		a, b, _ := trio(t)
		b.log.HoldFlush(true)
		a.mustCommit("x")
		to, err := a.leader.Transfer(context.Background(), "")
		require.NoError(t, err)
		require.Equal(t, "n3", to)
	})
	t.Run("gives up with its context and serves on", func(t *testing.T) {
		a, b, _ := trio(t)
		b.log.HoldFlush(true)
		a.mustCommit("x")
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		defer cancel()
		_, err := a.leader.Transfer(ctx, "n2")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Contains(t, err.Error(), "flushed up to")
		a.mustCommit("y")
	})
	t.Run("a node that is behind does not hold up producers", func(t *testing.T) {
		a, b, _ := trio(t, func(c *repl.LeaderConfig) {
			c.Progress = progress.Config{InSyncBytes: 1, LagBytes: 1, LagTime: 50 * time.Millisecond}
		})
		b.log.HoldFlush(true)
		a.mustCommit("x")
		eventually(t, func() bool { return a.leader.Status().Followers[0].State == progress.Lagging }, "lagging")
		got := make(chan error, 1)
		go func() {
			_, err := a.leader.Transfer(context.Background(), "n2")
			got <- err
		}()
		for range 20 {
			a.mustCommit("goes on")
			require.False(t, a.leader.Status().Transferring)
		}
		b.log.HoldFlush(false)
		require.NoError(t, result(t, got))
	})
	t.Run("a node that stops to answer holds them up for a bounded time", func(t *testing.T) {
		a, b, _ := trio(t, func(c *repl.LeaderConfig) { c.HandOverTimeout = 50 * time.Millisecond })
		b.log.HoldFlush(true)
		a.mustCommit("x")
		_, err := a.leader.Transfer(context.Background(), "n2")
		require.ErrorIs(t, err, repl.ErrNotCandidate)
		require.ErrorContains(t, err, "not ready within 50ms, for which producers had to wait: the best candidate has flushed up to")
		a.mustCommit("y")
	})
	t.Run("refuses who cannot take over", func(t *testing.T) {
		a, b, _ := trio(t)
		for _, who := range []string{"n9", "n1"} {
			_, err := a.leader.Transfer(context.Background(), who)
			require.ErrorIs(t, err, repl.ErrNotCandidate, who)
		}
		b.follower.Stop()
		a.journal.wait(t, "lost n2")
		_, err := a.leader.Transfer(context.Background(), "n2")
		require.ErrorIs(t, err, repl.ErrNotCandidate)
		a.mustCommit("still serving")
	})
	t.Run("ends with leadership", func(t *testing.T) {
		a, b, c := trio(t)
		a.mustCommit("x")
		b.log.HoldFlush(true)
		c.log.HoldFlush(true)
		a.propose("y")
		got := make(chan error, 1)
		go func() {
			_, err := a.leader.Transfer(context.Background(), "")
			got <- err
		}()
		eventually(t, func() bool { return a.leader.Status().Transferring }, "transferring")
		late := make(chan error, 1)
		go a.leader.Propose(message("late"), func(err error) { late <- err })
		a.leader.Stop(nil)
		require.ErrorIs(t, result(t, got), repl.ErrStopped)
		require.ErrorIs(t, result(t, late), repl.ErrStopped)
	})
}

func TestLeaderConfig(t *testing.T) {
	good := func() repl.LeaderConfig {
		return repl.LeaderConfig{Identity: repl.Identity{Node: "n1"}, Epoch: 1, Log: newNode(t, "x").log, Replicas: 1,
			Voters: map[string]string{"n1": ""}}
	}
	require.NoError(t, good().Validate())
	for name, spoil := range map[string]func(*repl.LeaderConfig){
		"no log":            func(c *repl.LeaderConfig) { c.Log = nil },
		"no epoch":          func(c *repl.LeaderConfig) { c.Epoch = 0 },
		"no replicas":       func(c *repl.LeaderConfig) { c.Replicas = 0 },
		"not a voter":       func(c *repl.LeaderConfig) { c.Voters = nil },
		"too many voters":   func(c *repl.LeaderConfig) { c.Voters["n2"] = "" },
		"bad policy":        func(c *repl.LeaderConfig) { c.Policy = 200 },
		"no node id":        func(c *repl.LeaderConfig) { c.Identity.Node = "" },
		"overlong identity": func(c *repl.LeaderConfig) { c.Identity.ClusterID = string(make([]byte, 300)) },
	} {
		c := good()
		spoil(&c)
		_, err := repl.StartLeader(c)
		require.ErrorIs(t, err, repl.ErrConfig, name)
	}
}
