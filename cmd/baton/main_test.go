package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo/cluster"
	"baton/demo/cluster/clustertest"
	"baton/zkclient/zktest"
)

// patience bounds every wait: the machine may be busy.
const patience = 30 * time.Second

// builtAs is the environment variable by which TestMain tells the tests of this
// process where the binary is.
const builtAs = "BATON_BINARY_UNDER_TEST"

// TestMain builds the command once, as users would.
func TestMain(m *testing.M) {
	if os.Getenv(builtAs) != "" {
		fmt.Fprintln(os.Stderr, "the tests were started in place of the command")
		os.Exit(1)
	}
	code, err := func() (int, error) {
		dir, err := os.MkdirTemp("", "baton-command-")
		if err != nil {
			return 1, err
		}
		defer os.RemoveAll(dir)
		bin := filepath.Join(dir, "baton")
		if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
			return 1, fmt.Errorf("build the command: %w\n%s", err, out)
		}
		if err := errors.Join(os.Setenv(builtAs, bin), os.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state"))); err != nil {
			return 1, err
		}
		return m.Run(), nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// outcome is what a command did.
type outcome struct {
	code           int
	stdout, stderr string
}

// baton runs the command to its end.
func baton(t *testing.T, in string, args ...string) outcome {
	t.Helper()
	return batonWith(t, nil, in, args...)
}

func batonWith(t *testing.T, env []string, in string, args ...string) outcome {
	t.Helper()
	return batonWithin(t, patience, env, in, args...)
}

// batonWithin is for commands that take long by themselves.
func batonWithin(t *testing.T, limit time.Duration, env []string, in string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Getenv(builtAs), args...)
	cmd.Env = append(cleanEnv(), env...)
	cmd.Stdin = strings.NewReader(in)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run baton %v: %v", args, err)
	}
	require.NoError(t, ctx.Err(), "baton %v does not end; it said:\n%s", args, &stderr)
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// cleanEnv is the environment without settings of the command, but for one: the
// tests leave no recordings behind.
func cleanEnv() []string {
	out := []string{"BATON_RECORD=off"}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "BATON_") {
			out = append(out, e)
		}
	}
	return out
}

// refused checks that a command failed with one sentence.
func (o outcome) refused(t *testing.T, code int, says ...string) {
	t.Helper()
	require.Equal(t, code, o.code, "exit code; it said: %s", o.stderr)
	require.Equal(t, 1, strings.Count(o.stderr, "\n"), "one sentence: %s", o.stderr)
	require.True(t, strings.HasPrefix(o.stderr, "baton: "), o.stderr)
	require.Empty(t, o.stdout)
	for _, s := range says {
		require.Contains(t, o.stderr, s)
	}
}

// launch starts a cluster of processes on ports of its own.
func launch(t *testing.T, edit func(*cluster.Config)) *cluster.Cluster {
	t.Helper()
	cfg := cluster.Config{Binary: os.Getenv(builtAs), BasePort: clustertest.FreeBase(t), DataDir: t.TempDir()}
	if edit != nil {
		edit(&cfg)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	c, err := cluster.Launch(ctx, cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			entries, _ := c.Events(0)
			for _, e := range entries {
				t.Logf("%s %s %s", e.At.Format("05.000"), e.Source, e.Text)
			}
		}
		require.NoError(t, c.Close())
	})
	return c
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func leaderOf(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	var leader string
	require.Eventually(t, func() bool {
		l, err := c.Leader(context.Background())
		leader = l
		return err == nil
	}, patience, 5*time.Millisecond, "no leader")
	return leader
}

func uri(c *cluster.Cluster) string { return strings.Join(c.StompAddresses(), ",") }

// stompOf is where a node serves clients.
func stompOf(t *testing.T, c *cluster.Cluster, node string) string {
	t.Helper()
	for i, name := range c.NodeNames() {
		if name == node {
			return c.StompAddresses()[i]
		}
	}
	t.Fatalf("no node %s", node)
	return ""
}

// process is a command that runs until the test ends.
type process struct {
	cmd   *exec.Cmd
	lines chan string // of standard output
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Getenv(builtAs), args...), lines: make(chan string, 1000)}
	p.cmd.Env = cleanEnv()
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		eachLine(out, p.lines)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
		defer kill.Stop()
		<-ended
		_ = p.cmd.Wait()
	})
	return p
}

func (p *process) line(t *testing.T) string {
	t.Helper()
	select {
	case l, ok := <-p.lines:
		require.True(t, ok, "it ended")
		return l
	case <-time.After(patience):
		t.Fatal("it says nothing")
		return ""
	}
}

// takenPort is an address at which somebody listens.
func takenPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

func zooKeeper(t *testing.T) string { return zktest.Dev(t) }
