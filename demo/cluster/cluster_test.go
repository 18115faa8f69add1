package cluster_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo/cluster"
	"baton/demo/cluster/clustertest"
	"baton/node/adminapi"
	"baton/node/supervisor"
)

func TestMain(m *testing.M) {
	if os.Getenv(clustertest.Env) != "" {
		os.Exit(clustertest.Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

const patience = 20 * time.Second

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func config(t *testing.T, quirks string) cluster.Config {
	return cluster.Config{
		Binary: os.Args[0], Env: []string{clustertest.Env + "=on," + quirks},
		BasePort: clustertest.FreeBase(t), StopTimeout: 2 * time.Second,
	}
}

func launch(t *testing.T, cfg cluster.Config) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Launch(within(t), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func leader(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	l, err := c.Leader(within(t))
	require.NoError(t, err)
	return l
}

func process(c *cluster.Cluster, name string) cluster.Process {
	for _, p := range c.Processes() {
		if p.Name == name {
			return p
		}
	}
	return cluster.Process{}
}

func inject(t *testing.T, c *cluster.Cluster, f string) string {
	t.Helper()
	plan, err := cluster.ParseFaults(f + "@0s")
	require.NoError(t, err)
	node, err := c.Inject(within(t), plan[0])
	require.NoError(t, err)
	return node
}

func TestLifeOfACluster(t *testing.T) {
	c := launch(t, config(t, ""))
	first := leader(t, c)
	require.Len(t, c.Processes(), 4)
	require.Equal(t, cluster.KindOfZooKeeper, c.Processes()[0].Kind)
	require.Len(t, c.StompAddresses(), 3)
	require.Len(t, c.Links(), 6+3)
	require.Eventually(t, func() bool { l, _ := c.Tracker().Leader(); return l == first }, patience, time.Millisecond)

	t.Run("the leader is killed and comes back", func(t *testing.T) {
		require.Equal(t, first, inject(t, c, "kill-leader"))
		require.NoError(t, c.WaitHealthy(within(t)), "the killed node is not held against it")
		second := leader(t, c)
		require.NotEqual(t, first, second)
		require.Equal(t, []string{first}, c.Health(within(t)).ExpectedDown)
		require.Eventually(t, func() bool { r := c.Tracker().Runs(); return len(r) == 1 && !r[0].Promoted.IsZero() }, patience, time.Millisecond)
		r := c.Tracker().Runs()[0]
		require.Equal(t, []any{"kill " + first, first, second}, []any{r.Cause, r.LeaderBefore, r.LeaderAfter})
		require.False(t, r.Detected.Before(r.Fault))

		inject(t, c, "restart")
		require.NoError(t, c.WaitHealthy(within(t)))
		require.Equal(t, 2, process(c, first).Generation)
		require.Empty(t, c.Health(within(t)).ExpectedDown)
		require.Eventually(t, func() bool { return count(c, first, adminapi.KindStarted) == 2 }, patience, time.Millisecond, "its second life's events, from sequence 1")
	})
	t.Run("a follower is paused and resumed", func(t *testing.T) {
		var follower string
		for _, s := range c.Statuses() {
			if s.Status.Role == adminapi.RoleFollower {
				follower = s.Node
			}
		}
		require.Equal(t, follower, inject(t, c, "pause:"+follower))
		require.Equal(t, supervisor.StatePaused, process(c, follower).State)
		require.NoError(t, c.WaitHealthy(within(t)))
		inject(t, c, "resume")
		require.Equal(t, supervisor.StateRunning, process(c, follower).State)
		require.NoError(t, c.WaitHealthy(within(t)))
		require.ErrorIs(t, c.Resume(follower), supervisor.ErrNotPaused)
	})
	t.Run("the leader is cut off and healed", func(t *testing.T) {
		l := inject(t, c, "cut-leader")
		require.True(t, process(c, l).Cut)
		require.Eventually(t, func() bool {
			down := 0
			for _, s := range c.Poll(within(t)) {
				if s.Node == l && !s.Status.ZooKeeper.Connected || s.Status.State == adminapi.StateProbing {
					down++
				}
			}
			return down == 3
		}, patience, 10*time.Millisecond, "ZooKeeper from the leader, the leader from the followers")
		require.False(t, c.Health(within(t)).OK)
		inject(t, c, "heal")
		require.NoError(t, c.WaitHealthy(within(t)))
		for _, p := range c.Links() {
			require.False(t, p.Cut)
		}
	})
	t.Run("leadership is handed over", func(t *testing.T) {
		before := leader(t, c)
		inject(t, c, "transfer")
		require.Eventually(t, func() bool { l, err := c.Leader(within(t)); return err == nil && l != before }, patience, time.Millisecond)
		require.NoError(t, c.WaitHealthy(within(t)))
	})
	t.Run("zookeeper is stopped and started", func(t *testing.T) {
		inject(t, c, "stop-zookeeper")
		require.Equal(t, supervisor.StateExited, process(c, cluster.ZooKeeperName).State)
		require.ErrorIs(t, c.Stop(cluster.ZooKeeperName), supervisor.ErrNotRunning)
		inject(t, c, "start-zookeeper")
		require.Equal(t, supervisor.StateRunning, process(c, cluster.ZooKeeperName).State)
	})
	t.Run("a node loses its power, then all do", func(t *testing.T) {
		require.Equal(t, "n2", inject(t, c, "power-loss:n2"))
		p := process(c, "n2")
		require.Equal(t, []any{supervisor.StateExited, syscall.SIGKILL, true}, []any{p.State, p.Exit.Signal, p.Exit.Requested})
		require.ErrorIs(t, c.PowerLoss("n2"), supervisor.ErrNotRunning)
		require.NoError(t, c.WaitHealthy(within(t)))
		require.NoError(t, c.Start("n2"))
		require.NoError(t, c.WaitHealthy(within(t)), "it does not lose it again, though the file still says so")

		require.NoError(t, c.Pause("n3"))
		require.ErrorContains(t, c.PowerLoss(""), "n3: paused")
		require.NoError(t, c.Resume("n3"))
		require.NoError(t, c.WaitHealthy(within(t)))
		inject(t, c, "blackout")
		require.Equal(t, "no leader serves", c.Health(within(t)).Problem)
		require.Len(t, c.Health(within(t)).ExpectedDown, 3)
		inject(t, c, "restart")
		require.NoError(t, c.WaitHealthy(within(t)))
		require.NoError(t, c.Heal(""))
	})
	t.Run("all are killed", func(t *testing.T) {
		inject(t, c, "kill-follower")
		inject(t, c, "kill-all")
		require.Equal(t, "no leader serves", c.Health(within(t)).Problem)
		inject(t, c, "restart")
		require.NoError(t, c.WaitHealthy(within(t)))
	})
	t.Run("everything is in the log", func(t *testing.T) {
		all, changed := c.Events(0)
		for i, e := range all {
			require.Equal(t, uint64(i+1), e.Seq)
		}
		require.Equal(t, 2, count(c, "demo", cluster.KindFault, "kill"), "%v", all)
		last := all[len(all)-1].Seq
		require.NoError(t, c.Heal(""))
		<-changed
		require.Eventually(t, func() bool { // late words of the nodes may come in between
			newer, _ := c.Events(last)
			return slices.ContainsFunc(newer, func(e cluster.Entry) bool { return e.Text == "heal everything" })
		}, patience, time.Millisecond)
		lines, _, err := c.Logs("n1", 0)
		require.NoError(t, err)
		require.Empty(t, lines)
		_, _, err = c.Logs("n9", 0)
		require.ErrorIs(t, err, cluster.ErrUnknownNode)
	})
	t.Run("a node that fails by itself is held against it", func(t *testing.T) {
		p := process(c, "n1")
		require.NoError(t, syscall.Kill(p.PID, syscall.SIGKILL)) // not through the cluster
		require.Eventually(t, func() bool { return process(c, "n1").State == supervisor.StateExited }, patience, time.Millisecond)
		require.Contains(t, c.Health(within(t)).Problem, "n1 ended by itself: signal killed")
	})
}

func count(c *cluster.Cluster, source, kind string, contains ...string) int {
	n := 0
	all, _ := c.Events(0)
	for _, e := range all {
		if e.Source == source && e.Kind == kind && (len(contains) == 0 || strings.HasPrefix(e.Text, contains[0]+" n")) {
			n++
		}
	}
	return n
}

func TestDataDirectory(t *testing.T) {
	t.Run("temporary", func(t *testing.T) {
		c, err := cluster.Launch(within(t), config(t, ""))
		require.NoError(t, err)
		require.DirExists(t, c.DataDir())
		pids := []int{}
		for _, p := range c.Processes() {
			pids = append(pids, p.PID)
		}
		require.NoError(t, c.Close())
		require.NoDirExists(t, c.DataDir())
		for _, pid := range pids {
			require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
		}
	})
	t.Run("kept", func(t *testing.T) {
		cfg := config(t, "")
		cfg.DataDir = filepath.Join(t.TempDir(), "kept")
		c := launch(t, cfg)
		require.NoError(t, c.Close())
		require.FileExists(t, filepath.Join(cfg.DataDir, "n1.log"))
	})
}

func TestLaunchFails(t *testing.T) {
	t.Run("port taken", func(t *testing.T) {
		cfg := config(t, "")
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", cfg.BasePort+13))
		require.NoError(t, err)
		defer ln.Close()
		_, err = cluster.Launch(within(t), cfg)
		require.ErrorIs(t, err, cluster.ErrPortTaken)
		require.ErrorContains(t, err, fmt.Sprintf("%d (STOMP of n2)", cfg.BasePort+13))
		require.ErrorContains(t, err, "--base-port ")
	})
	t.Run("a node ends at once", func(t *testing.T) {
		_, err := cluster.Launch(within(t), config(t, "die"))
		require.ErrorIs(t, err, cluster.ErrNotReady)
		require.ErrorContains(t, err, "n2 ended by itself: exit 1")
		require.ErrorContains(t, err, "cannot open the store")
	})
	t.Run("nobody answers", func(t *testing.T) {
		cfg := config(t, "mute")
		cfg.StartTimeout = 300 * time.Millisecond
		_, err := cluster.Launch(within(t), cfg)
		require.ErrorIs(t, err, cluster.ErrNotReady)
		require.ErrorContains(t, err, "n1 does not answer")
	})
	t.Run("no such program", func(t *testing.T) {
		cfg := config(t, "")
		cfg.Binary = "/nowhere/baton"
		_, err := cluster.Launch(within(t), cfg)
		require.ErrorContains(t, err, "start zookeeper: ")
	})
	for name, cfg := range map[string]cluster.Config{
		"nodes": {Nodes: 10}, "negative": {Nodes: -1}, "port": {BasePort: 65500}, "zk": {ZooKeeper: []string{"x"}}, "path": {ZKPath: "a/"},
	} {
		t.Run("bad "+name, func(t *testing.T) {
			_, err := cluster.Launch(within(t), cfg)
			require.Error(t, err)
		})
	}
}

func TestExternalZooKeeper(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	cfg := config(t, "")
	cfg.ZooKeeper = []string{ln.Addr().String()}
	c := launch(t, cfg)
	require.Len(t, c.Processes(), 3)
	require.Equal(t, cfg.ZooKeeper, c.ZooKeeper())
	require.Regexp(t, `^/baton/demo-\d+-\d+$`, c.ZKPath())
	f := cluster.Fault{Name: "stop-zookeeper"}
	require.ErrorIs(t, cfg.CheckFault(f), cluster.ErrExternal)
	_, err = c.Inject(within(t), f)
	require.ErrorIs(t, err, cluster.ErrExternal)
}

func TestParseFaults(t *testing.T) {
	got, err := cluster.ParseFaults("restart@10s, kill-leader@5s,kill:n2@1.5s,heal@10s")
	require.NoError(t, err)
	require.Equal(t, []cluster.Fault{
		{Name: "kill", Node: "n2", At: 1500 * time.Millisecond}, {Name: "kill-leader", At: 5 * time.Second},
		{Name: "restart", At: 10 * time.Second}, {Name: "heal", At: 10 * time.Second},
	}, got)
	none, err := cluster.ParseFaults(" ")
	require.NoError(t, err)
	require.Empty(t, none)
	for _, name := range cluster.FaultNames() {
		_, err := cluster.ParseFaults(name + "@1s")
		require.NoError(t, err)
		require.NoError(t, cluster.Config{}.CheckFault(cluster.Fault{Name: name}))
	}
	for _, name := range cluster.NodeFaultNames() {
		_, err := cluster.ParseFaults(name + ":n2@1s")
		require.NoError(t, err)
	}
	for in, want := range map[string]string{
		"kill-leader": "lacks its time", "kill-leader@5": "not a time", "kill-leader@-5s": "not a time", "explode@5s": "known are kill-leader, kill-follower",
		"kill@5s": "unknown", "kill:@5s": "unknown", "kill-leader:n2@5s": "unknown", "kill-leader@5s,": "lacks its time", "@5s": "unknown",
	} {
		_, err := cluster.ParseFaults(in)
		require.ErrorIs(t, err, cluster.ErrFault, in)
		require.ErrorContains(t, err, want, in)
	}
	require.ErrorIs(t, cluster.Config{}.CheckFault(cluster.Fault{Name: "kill", Node: "n4"}), cluster.ErrUnknownNode)
	require.NoError(t, cluster.Config{}.CheckFault(cluster.Fault{Name: "kill", Node: cluster.ZooKeeperName}))
	require.Error(t, cluster.Config{}.CheckFault(cluster.Fault{Name: "cut", Node: cluster.ZooKeeperName}))
}

func FuzzParseFaults(f *testing.F) {
	f.Add("kill-leader@5s,restart@10s")
	f.Add("kill:n2@1h2m3.5s")
	f.Fuzz(func(t *testing.T, in string) {
		plan, err := cluster.ParseFaults(in)
		if err != nil {
			require.ErrorIs(t, err, cluster.ErrFault)
			return
		}
		var said []string
		for _, f := range plan {
			said = append(said, f.String())
		}
		again, err := cluster.ParseFaults(strings.Join(said, ","))
		require.NoError(t, err)
		require.Equal(t, plan, again)
	})
}

func TestJudge(t *testing.T) {
	type pair struct {
		p cluster.Process
		s cluster.NodeStatus
	}
	node := func(name, role, state string) pair {
		st := adminapi.Status{Node: name, PID: 7, Role: role, State: state, Leader: "n1", Epoch: 3}
		st.Quorum.OK = true
		return pair{cluster.Process{Kind: cluster.KindOfNode, Status: supervisor.Status{Name: name, State: supervisor.StateRunning, PID: 7}},
			cluster.NodeStatus{Node: name, Status: st}}
	}
	for name, c := range map[string]struct {
		change  func(n []pair)
		problem string
		down    []string
	}{
		"all well":           {func([]pair) {}, "", nil},
		"killed on purpose":  {func(n []pair) { n[2].p.State, n[2].p.Exit = "exited", &supervisor.Exit{Requested: true} }, "", []string{"n3"}},
		"paused":             {func(n []pair) { n[1].p.State = "paused" }, "", []string{"n2"}},
		"cut":                {func(n []pair) { n[1].p.Cut, n[1].s.Status.State = true, "probing" }, "", []string{"n2"}},
		"crashed":            {func(n []pair) { n[2].p.State, n[2].p.Exit = "exited", &supervisor.Exit{Code: 2} }, "n3 ended by itself: exit 2", nil},
		"silent":             {func(n []pair) { n[1].s.Err = os.ErrDeadlineExceeded }, "n2 does not answer: i/o timeout", nil},
		"answer of old life": {func(n []pair) { n[1].s.Status.PID = 6 }, "n2 has not answered since it was started", nil},
		"leader paused":      {func(n []pair) { n[0].p.State = "paused" }, "no leader serves", []string{"n1"}},
		"promoting":          {func(n []pair) { n[0].s.Status.State = "promoting" }, "no leader serves", nil},
		"no quorum": {func(n []pair) { n[0].s.Status.Quorum = adminapi.Quorum{Missing: []string{"n2"}} },
			"leader n1 has no quorum; missing: n2", nil},
		"catching up": {func(n []pair) { n[1].s.Status.State = "catching up" }, "n2 is catching up", nil},
		"learner":     {func(n []pair) { n[1].s.Status.Role, n[1].s.Status.Reason = "learner", "new disk" }, "n2 is learner: new disk", nil},
		"behind":      {func(n []pair) { n[1].s.Status.Epoch = 2 }, "n2 follows n1 in epoch 2, not n1 in epoch 3", nil},
		"lags as its leader sees it": {func(n []pair) { n[0].s.Status.Followers = []adminapi.Follower{{Node: "n3", State: "lagging"}} },
			"n3 is lagging as its leader n1 sees it", nil},
		"two leaders, the newer counts": {func(n []pair) {
			n[1].s.Status.Role, n[1].s.Status.State, n[1].s.Status.Epoch = "leader", "serving", 4
		}, "n1 is leader: serving", nil},
	} {
		t.Run(name, func(t *testing.T) {
			n := []pair{node("n1", "leader", "serving"), node("n2", "follower", "in sync"), node("n3", "follower", "in sync")}
			c.change(n)
			var procs []cluster.Process
			var statuses []cluster.NodeStatus
			for _, p := range n {
				procs, statuses = append(procs, p.p), append(statuses, p.s)
			}
			h := cluster.Judge(procs, statuses)
			require.Equal(t, c.problem, h.Problem)
			require.Equal(t, c.problem == "", h.OK)
			require.Equal(t, c.down, h.ExpectedDown)
		})
	}
}

func TestCompareChains(t *testing.T) {
	ch := func(pos uint64, hash string, recent ...adminapi.ChainPoint) adminapi.Chain {
		return adminapi.Chain{Position: pos, Hash: hash, Recent: recent}
	}
	pt := func(pos uint64, hash string) adminapi.ChainPoint {
		return adminapi.ChainPoint{Position: pos, Hash: hash}
	}
	for name, c := range map[string]struct {
		in              map[string]adminapi.Chain
		compared, equal bool
	}{
		"nobody":      {nil, false, true},
		"alone":       {map[string]adminapi.Chain{"n1": ch(9, "a")}, true, true},
		"equal":       {map[string]adminapi.Chain{"n1": ch(9, "a"), "n2": ch(9, "a")}, true, true},
		"one behind":  {map[string]adminapi.Chain{"n1": ch(9, "a", pt(5, "x")), "n2": ch(5, "x")}, true, true},
		"different":   {map[string]adminapi.Chain{"n1": ch(9, "a"), "n2": ch(9, "b")}, true, false},
		"in the past": {map[string]adminapi.Chain{"n1": ch(9, "a", pt(5, "x")), "n2": ch(9, "a", pt(5, "y"))}, true, false},
		"no common":   {map[string]adminapi.Chain{"n1": ch(9, "a"), "n2": ch(5, "x")}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			got := cluster.CompareChains(c.in)
			require.Equal(t, []bool{c.compared, c.equal}, []bool{got.Compared, got.Equal})
			require.Equal(t, c.equal, got.Detail == "")
		})
	}
}

// Every kind of link can be slow or narrow, and is as it was when it is healed.
func TestDisturbedLinks(t *testing.T) {
	cfg := config(t, "")
	cfg.ClientProxies = true
	c := launch(t, cfg)
	disturbed := func() (delayed, narrow []string) {
		for _, p := range c.Links() {
			if p.Delay > 0 {
				delayed = append(delayed, p.Name)
			}
			if p.Rate > 0 {
				narrow = append(narrow, p.Name)
			}
		}
		slices.Sort(delayed)
		return delayed, narrow
	}
	for _, f := range []string{"delay:n2", "delay-zookeeper:n2", "delay-clients:n2", "throttle-clients:n2"} {
		require.Equal(t, "n2", inject(t, c, f))
	}
	delayed, narrow := disturbed()
	require.Equal(t, []string{"clients->n2", "n1->n2", "n2->n1", "n2->n3", "n2->zookeeper1", "n3->n2"}, delayed)
	require.Equal(t, []string{"clients->n2"}, narrow)
	inject(t, c, "heal:n2")
	delayed, narrow = disturbed()
	require.Empty(t, append(delayed, narrow...))
	require.ErrorIs(t, cluster.Config{}.CheckFault(cluster.Fault{Name: "delay-clients", Node: "n2"}), cluster.ErrNoClientProxy)
	require.ErrorIs(t, c.DelayZooKeeper("n9"), cluster.ErrUnknownNode)
}
