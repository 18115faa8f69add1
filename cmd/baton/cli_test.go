package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"baton/demo/cluster/clustertest"
	"baton/node/adminapi"
)

// commands lists the subcommands, as the help shows them.
func commands(t *testing.T) []string {
	t.Helper()
	o := baton(t, "", "--help")
	require.Zero(t, o.code)
	_, list, ok := strings.Cut(o.stdout, "Available Commands:\n")
	require.True(t, ok, o.stdout)
	list, _, _ = strings.Cut(list, "\n\n")
	var out []string
	for line := range strings.SplitSeq(list, "\n") {
		out = append(out, strings.Fields(line)[0])
	}
	return out
}

// TestHelpOnAMuteTerminal holds the import of tui/earlyterm in place: without it
// the console's library asks the terminal a question while packages are being
// initialised and waits for seconds.
func TestHelpOnAMuteTerminal(t *testing.T) {
	all := commands(t)
	require.Subset(t, all, []string{"demo", "attach", "node", "zk", "status", "send", "receive", "forward", "queues", "browse", "purge", "move", "subscriptions", "unsubscribe", "transfer", "shutdown", "form"})
	for _, name := range append(all, "") {
		t.Run(strings.TrimSpace("baton "+name), func(t *testing.T) {
			args := append(strings.Fields(name), "--help")
			fastest := time.Hour
			for try := 0; try < 3 && fastest >= time.Second; try++ { // the machine may be busy
				cmd := exec.Command(os.Getenv(builtAs), args...)
				cmd.Env = append(cleanEnv(), "TERM=xterm-256color", "STY=", "TMUX=")
				began := time.Now()
				tty, err := pty.Start(cmd)
				require.NoError(t, err)
				out, _ := io.ReadAll(tty) // ends with EIO when the program is gone
				require.NoError(t, cmd.Wait())
				fastest = min(fastest, time.Since(began))
				tty.Close()
				require.Contains(t, string(out), "Usage:")
				require.NotContains(t, string(out), "\x1b", "it asks the terminal something")
			}
			require.Less(t, fastest, time.Second)
		})
	}
}

func TestWhatIsTypedWrong(t *testing.T) {
	open := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(open, []byte("x"), 0o644))
	for _, c := range []struct {
		args string
		says string
	}{
		{"nonsense", `unknown command "nonsense"`},
		{"--nonsense", "unknown flag: --nonsense"},
		{"demo", "no terminal; use `baton status` or `baton demo --headless`"},
		{"demo --for 3s", "--for needs --headless"},
		{"demo --json", "--json needs --headless"},
		{"demo --theme plaid", `theme "plaid"`},
		{"demo --headless --fault frighten@1s", `"frighten" is unknown; known are kill-leader`},
		{"demo --headless --rate -1", "rate -1"},
		{"demo --headless --nodes 0 --base-port 12990 --for 1ms", "--nodes is 0"},
		{"demo --headless --nodes 10", "10 nodes, want 1 to 9"},
		{"demo --headless --zk ensemble:two", `"two" is no number of servers; write for example ensemble:1`},
		{"demo --headless --zk ensemble:2", "2 servers: want 1, 3, 5 or 7"},
		{"demo --headless --zk ensemble,h:1", `"ensemble" is not host:port`},
		{"demo --headless --fault kill-zookeeper:2@1s", "the embedded ZooKeeper is one server; use --zk ensemble"},
		{"demo --headless --zk ensemble --fault kill-zookeeper:4@1s", "the servers are 1, 2, 3"},
		{"attach --zk 127.0.0.1:1", "no terminal"},
		{"attach", "--zk is missing"},
		{"node --id n1 --data-dir d --zk nowhere", `--zk has "nowhere", which is not host:port`},
		{"node --id n1 --data-dir d --zk 127.0.0.1:1 --sync tape", "tape"},
		{"node --id n1 --data-dir d --zk 127.0.0.1:1 --replicas many", `invalid argument "many" for "--replicas"`},
		{"node --id n1 --data-dir d --zk 127.0.0.1:1 --token-file " + open, "can be read by others (mode 0644): run chmod 600"},
		{"node --id n1 --data-dir d --zk 127.0.0.1:1 --log-level loud", `--log-level is "loud": use debug, info, warn or error`},
		{"node --id n1 --data-dir d --zk 127.0.0.1:1 --listen-repl 0.0.0.0:1", "give the cluster a shared secret with --token-file"},
		{"zk --ensemble 3", "--ensemble needs --data-dir"},
		{"zk --ensemble 2 --data-dir d", "2 servers: want 1, 3, 5 or 7"},
		{"zk --ensemble 3 --data-dir d --listen :2181", "write 127.0.0.1:port"},
		{"zk extra", `unknown command "extra"`},
		{"status", "--zk is missing"},
		{"status --zk 127.0.0.1:1 --json=perhaps", "perhaps"},
		{"send", "name the queue to send to, as in: baton send orders"},
		{"send a b", "name the queue to send to"},
		{"send orders --uri ftp://x:1", "--uri"},
		{"receive", "name the queue to receive from"},
		{"browse", "name the queue to browse, as in: baton browse orders"},
		{"purge orders --zk 127.0.0.1:1", "this cannot be undone: say so with --yes"},
		{"move orders --zk 127.0.0.1:1", "say where to"},
		{"move orders --back --to x --zk 127.0.0.1:1", "say where to"},
		{"shutdown", "say which node to stop, as in: baton shutdown n2"},
		{"form --zk 127.0.0.1:1", "say so with --discard-history"},
	} {
		t.Run(c.args, func(t *testing.T) { baton(t, "", strings.Fields(c.args)...).refused(t, 2, c.says) })
	}
}

func TestConfigFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node.yaml")
	run := func(t *testing.T, text string, env []string, args ...string) outcome {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return batonWith(t, env, "", append([]string{"node", "--config", file}, args...)...)
	}
	for name, c := range map[string]struct{ text, says string }{
		"a key that is no option":          {"id: n1\nidd: n2\n", `line 2: there is no option "idd"`},
		"the file within the file":         {"config: x\n", `line 1: there is no option "config"`},
		"a key that stands there twice":    {"id: n1\n\nid: n2\n", `line 3: "id" stands there twice`},
		"a value of the wrong type":        {"id: n1\nreplicas: many\n", "line 2: "},
		"a duration without a unit":        {"quorum-timeout: 5\n", "line 1: "},
		"a list in a list":                 {"zk:\n  - [a]\n", "line 2: zk: a list holds plain values only"},
		"something that is no key: value":  {"- id\n", "line 1: expected lines of key: value"},
		"something that is not even YAML":  {"id: [\n", "read --config " + file},
		"destinations that are no list":    {"id: n1\ndestinations: 5\n", "--config " + file + ", line 2: destinations is a list"},
		"destinations twice":               {"destinations: []\ndestinations: []\n", `line 2: "destinations" stands there twice`},
		"a mistake deep in a policy":       {"destinations:\n  - match: /queue/a\n    redelivery:\n      delay: soon\n", `line 4: "soon" is not a time`},
		"an option of the command, nested": {"id: {a: {b: c}}\n", "line 1: id: a map holds plain values only"},
	} {
		t.Run(name, func(t *testing.T) { run(t, c.text, nil).refused(t, 2, c.says) })
	}
	t.Run("a file that is not there", func(t *testing.T) {
		baton(t, "", "node", "--config", file+".no").refused(t, 2, "read --config", file+".no")
	})

	// Which value was taken shows in what is wrong with it.
	const rest = "data-dir: d\nzk: [127.0.0.1:1, 127.0.0.1:2]\n"
	taken := func(id string) string { return fmt.Sprintf("--id is %q", id) }
	t.Run("the file counts", func(t *testing.T) {
		run(t, rest+"id: file/\n", nil).refused(t, 2, taken("file/"))
	})
	t.Run("the environment wins over the file", func(t *testing.T) {
		run(t, rest+"id: file/\n", []string{"BATON_ID=env/"}).refused(t, 2, taken("env/"))
	})
	t.Run("the command line wins over both", func(t *testing.T) {
		run(t, rest+"id: file/\n", []string{"BATON_ID=env/"}, "--id", "line/").refused(t, 2, taken("line/"))
	})
	t.Run("a bad value in the environment is named", func(t *testing.T) {
		run(t, rest, []string{"BATON_REPLICAS=many"}).refused(t, 2, `environment variable BATON_REPLICAS is "many"`)
	})
	t.Run("the file may stand in the environment", func(t *testing.T) {
		require.NoError(t, os.WriteFile(file, []byte(rest+"id: file/\n"), 0o600))
		batonWith(t, []string{"BATON_CONFIG=" + file}, "", "node").refused(t, 2, taken("file/"))
	})
}

func TestTakenPorts(t *testing.T) {
	at := takenPort(t)
	t.Run("of a node", func(t *testing.T) {
		for _, flag := range []string{"--listen-stomp", "--listen-repl", "--listen-admin"} {
			args := []string{"node", "--id", "n1", "--data-dir", t.TempDir(), "--zk", "127.0.0.1:1"}
			for _, f := range []string{"--listen-stomp", "--listen-repl", "--listen-admin"} {
				if f != flag {
					args = append(args, f, "127.0.0.1:0")
				}
			}
			baton(t, "", append(args, flag, at)...).refused(t, 1, "cannot listen on "+at+" ("+flag+")")
		}
	})
	t.Run("of the development ZooKeeper", func(t *testing.T) {
		baton(t, "", "zk", "--listen", at).refused(t, 1, at, "stop the process that listens there or choose another address")
	})
	t.Run("of the demo", func(t *testing.T) {
		base := clustertest.FreeBase(t)
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(base+13)))
		require.NoError(t, err)
		defer ln.Close()
		o := baton(t, "", "demo", "--headless", "--for", "1s", "--base-port", strconv.Itoa(base))
		require.Equal(t, 3, o.code, o.stderr)
		require.Contains(t, o.stderr, fmt.Sprintf("port is taken: %d (STOMP of n2)", base+13))
		require.Contains(t, o.stderr, "choose other ports with --base-port")
	})
}

func TestNobodyThere(t *testing.T) {
	zk := zooKeeper(t)
	for _, args := range []string{"status --zk 127.0.0.1:1", "transfer --zk 127.0.0.1:1", "shutdown n1 --zk 127.0.0.1:1"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel() // each looks for seconds
			baton(t, "", strings.Fields(args)...).refused(t, 3, "ZooKeeper at 127.0.0.1:1 does not answer", "baton zk")
		})
	}
	for _, args := range []string{"status", "transfer", "shutdown n1"} {
		t.Run(args+" without a cluster", func(t *testing.T) {
			baton(t, "", append(strings.Fields(args), "--zk", zk, "--zk-path", "/nothing")...).refused(t, 3, "there is no cluster at /nothing on "+zk)
		})
	}
	for _, args := range []string{"send orders --body x", "receive orders"} {
		t.Run(args, func(t *testing.T) {
			o := baton(t, "", append(strings.Fields(args), "--uri", "127.0.0.1:1", "--timeout", "100ms")...)
			require.Equal(t, 3, o.code)
			require.Contains(t, o.stderr, "no node serves")
			require.Contains(t, o.stderr, "connection refused")
		})
	}
}

func TestCommandsOnALiveCluster(t *testing.T) {
	c := launch(t, nil)
	at := []string{"--zk", c.ZooKeeper()[0], "--zk-path", c.ZKPath()}
	run := func(t *testing.T, in string, args ...string) outcome {
		return baton(t, in, append(args, at...)...)
	}
	broker := []string{"--uri", uri(c)}

	t.Run("a pipe into a queue and out of it", func(t *testing.T) {
		var in strings.Builder
		for i := range 500 {
			fmt.Fprintf(&in, "line %d: \"ü\" \\ \t\n", i+1)
		}
		o := baton(t, in.String(), append([]string{"send", "piped"}, broker...)...)
		require.Equal(t, outcome{stderr: "500 sent to /queue/piped\n"}, o)

		o = baton(t, "", append([]string{"receive", "piped", "--json", "--count", "200"}, broker...)...)
		require.Zero(t, o.code, o.stderr)
		require.Equal(t, "200 received from /queue/piped\n", o.stderr)
		n := 0
		for line := range strings.Lines(o.stdout) {
			var m struct {
				ID, Destination, Body string
				Headers               map[string]string
			}
			require.NoError(t, json.Unmarshal([]byte(line), &m), line)
			n++
			require.Equal(t, fmt.Sprintf("line %d: \"ü\" \\ \t", n), m.Body)
			require.Equal(t, "/queue/piped", m.Destination)
			require.Equal(t, m.ID, m.Headers["message-id"])
		}
		require.Equal(t, 200, n)
		require.Equal(t, 300, depth(t, c, "piped"), "what was not asked for stays")

		o = baton(t, "", append([]string{"receive", "/queue/piped", "--idle", "1s"}, broker...)...)
		require.Zero(t, o.code, o.stderr)
		require.Equal(t, 300, strings.Count(o.stdout, "\n"))
		require.True(t, strings.HasPrefix(o.stdout, "line 201: "), "the order is kept: %.20s", o.stdout)
	})
	t.Run("a body many times", func(t *testing.T) {
		o := baton(t, "ignored\n", append([]string{"send", "bodies", "--body", "x", "--count", "7", "--header", "color=red"}, broker...)...)
		require.Equal(t, outcome{stderr: "7 sent to /queue/bodies\n"}, o)
		o = baton(t, "", append([]string{"receive", "bodies", "--count", "7", "--json"}, broker...)...)
		require.Equal(t, 7, strings.Count(o.stdout, `"color":"red"`), o.stdout)
	})
	t.Run("look at messages, move and remove them", func(t *testing.T) {
		lines := "one\ntwo \x1b[2J\nthree\n" + strings.Repeat("more\n", 700)
		require.Zero(t, baton(t, lines, append([]string{"send", "a/b"}, broker...)...).code)
		o := run(t, "", "browse", "/queue/a/b", "--count", "2")
		require.Zero(t, o.code, o.stderr)
		require.Contains(t, o.stdout, "\"one\"")
		require.Contains(t, o.stdout, `two \x1b[2J`, "a terminal is not at the mercy of a message")
		require.Equal(t, "there are more: --after 4-2\n", o.stderr)
		o = run(t, "", "browse", "a/b", "--count", "0", "--json", "--after", "4-2")
		require.Equal(t, 701, strings.Count(o.stdout, "\n"), "page after page")
		var m struct{ Ref, Text string }
		line, _, _ := strings.Cut(o.stdout, "\n")
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		require.Equal(t, []string{"4-3", "three"}, []string{m.Ref, m.Text})

		require.Equal(t, outcome{stdout: "2 moved, 1 left: some of the messages are not there any more\n"},
			run(t, "", "move", "a/b", "--to", "/queue/c", "--message", "4-1,4-3", "--message", "4-9999"))
		o = run(t, "", "queues")
		require.Regexp(t, `(?m)^c +2 .*no consumer$`, o.stdout)
		run(t, "", "purge", "none", "--yes").refused(t, 1, "no such queue")
		o = run(t, "", "purge", "a/b", "--yes", "--delete", "--json")
		require.Zero(t, o.code, o.stderr)
		require.Contains(t, o.stdout, `{"done":701,"kept":0,"total":701,"finished":true}`)
		o = run(t, "", "queues", "--json")
		require.NotContains(t, o.stdout, `"a/b"`)
		require.Contains(t, o.stdout, `"name":"c","depth":2`)
		require.Equal(t, outcome{stdout: "0 moved, 2 left: some messages do not say which queue they came from: name the one to move them to\n"},
			run(t, "", "move", "c", "--back"))
		require.Equal(t, outcome{stdout: "2 purged\n"}, run(t, "", "purge", "c", "--yes"))
	})
	t.Run("durable subscriptions", func(t *testing.T) {
		me := connect(t, c, "client-id:me")
		consume(t, me, "/topic/news.>", "activemq.subscriptionName:all the news", "selector:n > 0")
		require.Regexp(t, `(?m)^"me" +"all the news" +/topic/news\.> +0 +1 +"n > 0"$`, run(t, "", "subscriptions").stdout)
		run(t, "", "unsubscribe", "me", "all the news", "--yes").refused(t, 1, `a consumer has the subscription "all the news" of client "me"`)
		require.NoError(t, me.Ask("UNSUBSCRIBE", "", "id:/topic/news.>"))
		require.Zero(t, baton(t, "x\ny\n", append([]string{"send", "/topic/news.today", "--header", "n=1"}, broker...)...).code)
		var s adminapi.Subscription
		require.NoError(t, json.Unmarshal([]byte(run(t, "", "subscriptions", "--json").stdout), &s))
		require.Equal(t, []any{"me", uint64(2), 0}, []any{s.ClientID, s.Depth, s.Consumers})
		run(t, "", "unsubscribe", "me", "all the news").refused(t, 2, "--yes")
		run(t, "", "unsubscribe", "me", "others", "--yes").refused(t, 1, `no such durable subscription: "others" of client "me"`)
		run(t, "", "unsubscribe", "me").refused(t, 2, "name the client id and the subscription")
		require.Equal(t, outcome{}, run(t, "", "unsubscribe", "me", "all the news", "--yes"))
		require.Empty(t, run(t, "", "subscriptions", "--json").stdout)
		await(t, "its messages go", func() bool { return depth(t, c, s.Queue) == 0 })
	})
	t.Run("status of a healthy cluster", func(t *testing.T) {
		require.NoError(t, c.WaitHealthy(within(t)))
		o := run(t, "", "status")
		require.Zero(t, o.code, o.stderr)
		require.True(t, strings.HasPrefix(o.stdout, "healthy\n"), o.stdout)
		for _, name := range c.NodeNames() {
			require.Contains(t, o.stdout, name+" ")
		}
		s := statusJSON(t, run(t, "", "status", "--json"), 0)
		require.Equal(t, []any{"healthy", leaderOf(t, c), 3}, []any{s.Health, s.Leader, len(s.Nodes)})
	})
	t.Run("transfer", func(t *testing.T) {
		before := leaderOf(t, c)
		var to string
		for _, n := range c.NodeNames() {
			if n != before {
				to = n
			}
		}
		o := run(t, "", "transfer", "--to", to)
		require.Zero(t, o.code, o.stderr)
		require.True(t, strings.HasPrefix(o.stdout, to+" leads epoch "), o.stdout)
		require.Equal(t, to, leaderOf(t, c))
		require.NoError(t, c.WaitHealthy(within(t)))
		run(t, "", "transfer", "--to", to).refused(t, 1, to+" leads already")
		run(t, "", "transfer", "--to", "n9", "--timeout", "1s").refused(t, 1, "n9")
	})
	t.Run("a history that works is not discarded", func(t *testing.T) {
		run(t, "", "form", "--discard-history").refused(t, 1, "the cluster has a history that works, nothing was changed")
	})
	t.Run("without redundancy, then without a leader", func(t *testing.T) {
		var followers []string
		for _, n := range c.NodeNames() {
			if n != leaderOf(t, c) {
				followers = append(followers, n)
			}
		}
		run(t, "", "shutdown", "n9").refused(t, 3, "n9 is not in the cluster at "+c.ZKPath())
		o := run(t, "", "shutdown", followers[0])
		require.Zero(t, o.code, o.stderr)
		await(t, followers[0]+" ends", func() bool { return processOf(c, followers[0]).Exit != nil })
		require.Equal(t, 0, processOf(c, followers[0]).Exit.Code)
		await(t, "status is degraded", func() bool { return run(t, "", "status").code == 1 })
		s := statusJSON(t, run(t, "", "status", "--json"), 1)
		require.Equal(t, []string{"degraded", "2 of 3 replicas are in sync"}, []string{s.Health, s.Reason})

		require.NoError(t, c.Kill(followers[1]))
		await(t, "status knows no leader", func() bool { return run(t, "", "status").code == 2 })
		s = statusJSON(t, run(t, "", "status", "--json"), 2)
		require.Equal(t, "no leader", s.Health)
		require.Contains(t, s.Reason, "leads without a quorum (1 of 2): producers wait")

		require.NoError(t, c.StartAll())
		require.NoError(t, c.WaitHealthy(within(t)))
		require.Zero(t, run(t, "", "status").code)
	})
}

// status is what scripts read from status --json.
type status struct {
	Health, Reason, Leader string
	Epoch                  uint64
	Nodes                  []struct{ Node string }
}

func statusJSON(t *testing.T, o outcome, code int) status {
	t.Helper()
	require.Equal(t, code, o.code, o.stderr)
	require.Empty(t, o.stderr)
	var s status
	require.NoError(t, json.Unmarshal([]byte(o.stdout), &s), o.stdout)
	return s
}

func TestZooKeeperCommand(t *testing.T) {
	p := start(t, "zk", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir())
	at, ok := strings.CutPrefix(p.line(t), "listening on ")
	require.True(t, ok)
	baton(t, "", "zk", "--listen", at).refused(t, 1, at)
	baton(t, "", "status", "--zk", at, "--zk-path", "/x").refused(t, 3, "there is no cluster at /x")
}

func TestDemoHeadless(t *testing.T) {
	o := baton(t, "", "demo", "--headless", "--json", "--for", "3s", "--rate", "200", "--fault", "kill-leader@1s,restart@2s",
		"--base-port", strconv.Itoa(clustertest.FreeBase(t)))
	require.Zero(t, o.code, o.stderr)
	var r struct {
		Sent, Receipted, Received, Lost, Duplicates int
		Failovers                                   []struct {
			Before string `json:"leader_before"`
			After  string `json:"leader_after"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(o.stdout), &r), o.stdout)
	require.NotZero(t, r.Receipted)
	require.GreaterOrEqual(t, r.Received, r.Receipted)
	require.Zero(t, r.Lost)
	require.NotEmpty(t, r.Failovers)
	require.NotEqual(t, r.Failovers[0].Before, r.Failovers[0].After)
}
