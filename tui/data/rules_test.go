package data_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo/cluster"
	"baton/tui/data"
	"baton/tui/tuitest"
)

func state(s *data.Snapshot) *data.Snapshot { s.Derive(); return s }

func TestChecklist(t *testing.T) {
	waits := func(s *data.Snapshot) string {
		for _, c := range state(s).Checklist() {
			if c.State == data.CheckWaiting {
				return c.Name + ": " + c.Text
			}
		}
		return ""
	}
	require.Empty(t, waits(tuitest.Healthy()))
	require.Equal(t, "quorum: 1 of 3 are in sync, a receipt needs 2; waits for n2, n3", waits(tuitest.NoQuorum()))
	require.Equal(t, "promoted: the first record of the epoch must be on a quorum", waits(tuitest.Failover()))
	require.Contains(t, waits(tuitest.ZooKeeperDown()), "zookeeper: dial tcp")

	s := tuitest.Failover() // nobody is elected yet, and only one has promised
	s.Tree.Phase, s.Tree.Leader, s.Tree.Members[1].Sealed = "sealing", "", 7
	require.Equal(t, "sealed: 1 of 2 promised epoch 8 on disk; waits for n1, n3", waits(s))
	s = tuitest.Failover() // the leader is gone and one follower has noticed
	s.Tree.Epoch, s.Tree.Phase, s.Tree.Leader = 7, "elected", "n1"
	for i := range s.Tree.Members {
		s.Tree.Members[i].Sealed = 7
	}
	s.Tree.Members[0].Suspect = 7
	for i := 1; i < 3; i++ {
		s.Nodes[i].Status.Leader = "n1"
	}
	require.Equal(t, "suspicion: 1 of 2 suspect the leader of epoch 7; not yet n1, n3", waits(s))
	s.Tree.Members = s.Tree.Members[:1]
	require.Equal(t, "members: 1 of 3 are in ZooKeeper, a quorum is 2; waits for n1, n3", waits(s))
}

func TestForecast(t *testing.T) {
	healthy := state(tuitest.Healthy())
	f := healthy.Forecast(data.ActionKill, "n1")
	require.Equal(t, []string{"n2", "n3"}, f.Candidates)
	require.Equal(t, []any{2, false}, []any{f.Left, f.Bad})
	require.Contains(t, f.QuorumText, "one more loss stops the cluster")
	require.Contains(t, f.StallText, "a tenth of a second")
	require.Equal(t, "n1 stays the leader", healthy.Forecast(data.ActionKill, "n2").Who)
	require.Contains(t, healthy.Forecast(data.ActionPause, "n1").StallText, "election timeout")

	heavy := tuitest.Healthy() // weight breaks the tie
	heavy.Tree.Members[2].Weight = 5
	require.Equal(t, []string{"n3", "n2"}, state(heavy).Forecast(data.ActionKill, "n1").Candidates)
	behind := state(tuitest.CatchingUp()) // who is behind cannot win
	require.Equal(t, []string{"n2"}, behind.Forecast(data.ActionKill, "n1").Candidates)

	story := state(tuitest.Story()) // n1 is down already, and kills were measured
	f = story.Forecast(data.ActionKill, "n2")
	require.True(t, f.Bad)
	require.Equal(t, "nobody: the rest is no quorum", f.Who)
	measured := tuitest.CatchingUp()
	require.Contains(t, state(measured).Forecast(data.ActionKill, "n1").StallText, "usually wait 96 ms (1 run)")
	policy := measured.LeaderNode().Status.Sync
	for i := range 10 { // of earlier runs; those under another policy say nothing
		measured.Earlier = append(measured.Earlier, data.Measured{Verb: data.ActionKill, Sync: policy, Stall: time.Duration(60+10*i) * time.Millisecond},
			data.Measured{Verb: data.ActionKill, Sync: "other", Stall: time.Hour}, data.Measured{Verb: data.ActionPause, Sync: policy, Stall: time.Second})
	}
	require.Contains(t, state(measured).Forecast(data.ActionKill, "n1").StallText, "usually wait 100 ms (11 runs, 1 of them now), 60 ms to 150 ms")
	require.Contains(t, state(measured).Forecast(data.ActionPause, "n1").StallText, "usually wait 1.0 s (10 runs)")
	require.Equal(t, []data.Measured{{Verb: data.ActionKill, Sync: policy, Stall: 96 * time.Millisecond, At: measured.Failovers[0].Fault}}, measured.Measure())
	measured.Failovers[0].Cause = "kill n3, pause n1"
	require.Empty(t, measured.Measure(), "two causes tell nothing of one")

	away := state(tuitest.ZooKeeperDown())
	require.Contains(t, away.Forecast(data.ActionKill, "n1").Who, "without ZooKeeper")
}

// TestVerbsAreFaultsOfPlans: what the log of a console names can be typed, and
// played by a plan of faults.
func TestVerbsAreFaultsOfPlans(t *testing.T) {
	seen := map[string]bool{}
	demo, attached := data.CLI{Launched: true, Flags: "--base-port 7000"}, data.CLI{Flags: "--zk h:1"}
	for _, v := range data.Verbs() {
		require.False(t, seen[v.Key], "key %s is taken", v.Key)
		seen[v.Key] = true
		require.NotEmpty(t, v.Help)
		if v.Undo != "" {
			undo, ok := data.VerbByName(v.Undo)
			require.True(t, ok, "%s is undone by %s", v.Name, v.Undo)
			require.Equal(t, v.Reach == data.ReachCluster, undo.Reach == data.ReachCluster)
		}
		want := "baton chaos " + v.Name + " n2 --base-port 7000"
		if v.Reach == data.ReachCluster {
			want = "baton chaos " + v.Name + " --base-port 7000"
		}
		require.Equal(t, want, v.Command(demo, "n2", "n1"))
		require.Equal(t, v.Remote == nil, v.Command(attached, "n2", "n1") == "")
		plan, err := cluster.ParseFaults(strings.TrimPrefix(v.Plan("n2", 12500*time.Millisecond), "--fault "))
		require.NoError(t, err, v.Name)
		for _, f := range plan {
			require.NoError(t, cluster.Config{ClientProxies: true}.CheckFault(f), f.String())
			if v.Reach != data.ReachCluster {
				require.Equal(t, "n2", f.Node)
			}
			if v.Name != data.ActionRestart {
				byFault, ok := data.VerbByFault(f.Name)
				require.True(t, ok)
				require.Equal(t, v.Name, byFault.Name)
			}
		}
		if v.Asks {
			require.NotEmpty(t, v.Warning(state(tuitest.Healthy()), v.Aim("n1")), "%s says nothing before it asks", v.Name)
		}
	}
	v, _ := data.VerbByName(data.ActionTransfer)
	require.Equal(t, "baton transfer --to n2 --zk h:1", v.Command(attached, "n2", "n1"))
	require.Equal(t, "baton transfer --zk h:1", v.Command(attached, "n1", "n1"), "away from the leader")
}

// TestForecastOfPowerLoss: what it costs is a matter of the sync policy.
func TestForecastOfPowerLoss(t *testing.T) {
	say := func(verb, policy string) string {
		s := state(tuitest.Healthy())
		s.LeaderNode().Status.Sync = policy
		v, ok := data.VerbByName(verb)
		require.True(t, ok)
		return strings.Join(v.Warning(s, v.Aim("n1")), " ")
	}
	require.Contains(t, say(data.ActionBlackout, "quorum_disk"), "nothing that was receipted is lost")
	require.Contains(t, say(data.ActionBlackout, "quorum_mem"), "messages are lost that were receipted")
	require.Contains(t, say(data.ActionBlackout, "local_disk"), "lost if a node leads next that does not have it")
	require.Contains(t, say(data.ActionPowerLoss, "quorum_mem"), "another node has it")
	require.Contains(t, say(data.ActionPowerLoss, "local_mem"), "messages are lost that were receipted")

	s := state(tuitest.Healthy())
	all, _ := data.VerbByName(data.ActionStartAll)
	ok, why := all.Fits(s, data.Everything)
	require.False(t, ok)
	require.Equal(t, "no node is down", why)
	blackout, _ := data.VerbByName(data.ActionBlackout)
	ok, _ = blackout.Fits(s, data.Everything)
	require.True(t, ok)
	s.Nodes[1].State = data.StatePaused
	ok, why = blackout.Fits(s, data.Everything)
	require.False(t, ok)
	require.Equal(t, "n2 is paused: continue it first", why)
}

func TestAskServer(t *testing.T) {
	answer := func(text string) (data.Server, error) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close()
		go func() { // one question
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 4)
			_, _ = c.Read(b)
			_, _ = c.Write([]byte(text))
			c.Close()
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return data.AskServer(ctx, ln.Addr().String())
	}
	s, err := answer("Zookeeper version: 3.8.0-1, built on x\nLatency min/avg/max: 0/0.35/9\nReceived: 6\nConnections: 4\nOutstanding: 1\nZxid: 0x100000002\nMode: follower\x1b[2J\nNode count: 12\n")
	require.NoError(t, err)
	require.Equal(t, []any{"follower", "3.8.0-1", 4, 12, 0.35, 1, "0x100000002"}, []any{s.Mode, s.Version, s.Connections, s.NodeCount, s.LatencyMS, s.Outstanding, s.Zxid})
	_, err = answer("This ZooKeeper instance is not currently serving requests\n")
	require.ErrorContains(t, err, "no quorum")
	_, err = answer("")
	require.ErrorContains(t, err, "4lw.commands.whitelist")
}

func TestEpochsAndBallots(t *testing.T) {
	s := state(tuitest.Story())
	e := s.Epochs()
	require.Len(t, e, 2)
	require.Equal(t, []any{uint64(8), "n2", true, 66 * time.Millisecond}, []any{e[0].Number, e[0].Leader, e[0].To.IsZero(), e[0].Gap})
	require.Equal(t, []any{"n1", "kill n1"}, []any{e[1].Leader, e[1].EndedBy})
	b, rule := s.Ballots(8)
	require.Len(t, b, 2)
	require.True(t, b[0].Won)
	require.Equal(t, "highest position", rule)
}
