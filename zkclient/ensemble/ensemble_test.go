package ensemble_test

import (
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

	"baton/node/supervisor"
	"baton/zkclient"
	"baton/zkclient/ensemble"
	"baton/zkclient/zktest"
)

const (
	patience = 2 * time.Minute // bounds every wait: the machine may be busy
	poll     = 10 * time.Millisecond
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(orphanDir); dir != "" {
		orphanMaker(dir, os.Getenv(orphanBase))
	}
	os.Exit(m.Run())
}

func connect(t *testing.T, servers []string, timeout time.Duration) *zkclient.Client {
	t.Helper()
	c, err := zkclient.Connect(zkclient.Config{Servers: servers, SessionTimeout: timeout})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// TestServersFailOneByOne kills, stops and freezes the servers of one ensemble
// in turn, and then its leader. A client keeps its session and its ephemeral
// node through all of it.
func TestServersFailOneByOne(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three Java processes")
	}
	e := zktest.Ensemble(t, 3)
	c := connect(t, e.Addresses(), 10*time.Second)
	s, err := c.Session(within(t, patience))
	require.NoError(t, err)
	_, err = c.Create(within(t, patience), "/held", nil, zkclient.Ephemeral)
	require.NoError(t, err)
	first := c.State().SessionID
	write := 0
	survives := func(what string) {
		t.Helper()
		ctx := within(t, patience)
		write++
		require.NoError(t, repeat(ctx, func() error {
			_, err := s.Create(ctx, fmt.Sprintf("/w%d", write), nil, zkclient.Persistent)
			if errors.Is(err, zkclient.ErrNodeExists) {
				return nil // the reply was lost
			}
			return err
		}), what)
		require.NoError(t, repeat(ctx, func() error {
			_, stat, err := s.Get(ctx, "/held")
			if err == nil && stat.EphemeralOwner != first {
				return fmt.Errorf("owner is 0x%x, not 0x%x", stat.EphemeralOwner, first)
			}
			return err
		}), what)
		require.Zero(t, c.State().Expiries, what)
	}
	breaks := []struct {
		name        string
		doing, undo func(*supervisor.Process) error
	}{
		{"killed", (*supervisor.Process).Kill, (*supervisor.Process).Start},
		{"stopped", (*supervisor.Process).Stop, (*supervisor.Process).Start},
		{"frozen", (*supervisor.Process).Pause, (*supervisor.Process).Resume},
	}
	for i, b := range breaks {
		server := e.Servers()[i]
		require.NoError(t, b.doing(server.Process))
		survives(server.Name + " " + b.name)
		require.NoError(t, b.undo(server.Process))
		require.NoError(t, e.Await(within(t, patience)))
	}
	for _, b := range breaks {
		leader, err := e.Leader(within(t, patience))
		require.NoError(t, err)
		require.NoError(t, b.doing(leader.Process))
		require.Eventually(t, func() bool { return leader.Mode() == ensemble.ModeUnknown }, patience, poll)
		survives("leader " + leader.Name + " " + b.name)
		next, err := e.Leader(within(t, patience))
		require.NoError(t, err)
		require.NotEqual(t, leader.Number, next.Number)
		require.NoError(t, b.undo(leader.Process))
		require.NoError(t, e.Await(within(t, patience)))
		require.Eventually(t, func() bool { return leader.Mode() == ensemble.ModeFollower }, patience, poll)
	}
}

// repeat does what a connection that broke left undone.
func repeat(ctx context.Context, do func() error) error {
	for {
		if err := do(); !errors.Is(err, zkclient.ErrDisconnected) || ctx.Err() != nil {
			return err
		}
	}
}

// TestLostQuorum takes two of three servers away: the third says so, Await
// does not call it serving, and all comes back with its content.
func TestLostQuorum(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three Java processes")
	}
	e := zktest.Ensemble(t, 3)
	c := connect(t, e.Addresses(), 30*time.Second)
	_, err := c.Create(within(t, patience), "/kept", []byte("x"), zkclient.Persistent)
	require.NoError(t, err)
	for _, s := range e.Servers()[:2] {
		require.NoError(t, s.Process.Kill())
	}
	last := e.Servers()[2]
	require.Eventually(t, func() bool { return last.Mode() == ensemble.ModeNoQuorum }, patience, poll)
	err = e.Await(within(t, 50*time.Millisecond))
	require.ErrorIs(t, err, ensemble.ErrNotServing)
	require.ErrorContains(t, err, last.Address)
	_, err = e.Leader(within(t, patience))
	require.ErrorIs(t, err, ensemble.ErrNoServer)
	require.NoError(t, e.Start(), "starts those that are not there")
	require.NoError(t, e.Await(within(t, patience)))
	require.NoError(t, e.Stop())
	require.ErrorContains(t, e.Await(within(t, 100*time.Millisecond)), "none of its servers is running")
	require.NoError(t, e.Start())
	require.NoError(t, e.Await(within(t, patience)))
	data, _, err := c.Get(within(t, patience), "/kept")
	require.NoError(t, err)
	require.Equal(t, "x", string(data))
}

func TestOpenRefuses(t *testing.T) {
	base := zktest.FreeBase(t, 3)
	installed := ensemble.Installation{Java: "/bin/false", ClassPath: []string{"none"}}
	open := func(t *testing.T, cfg ensemble.Config) error {
		if cfg.Installation.Java == "" {
			cfg.Installation = installed
		}
		e, err := ensemble.Open(cfg)
		if err == nil {
			require.NoError(t, e.Close())
		}
		return err
	}
	for name, cfg := range map[string]ensemble.Config{
		"even":         {Servers: 2, Dir: t.TempDir(), BasePort: base},
		"too many":     {Servers: 9, Dir: t.TempDir(), BasePort: base},
		"no directory": {BasePort: base},
		"no port":      {Dir: t.TempDir()},
		"high port":    {Dir: t.TempDir(), BasePort: 65530},
		"negative":     {Dir: t.TempDir(), BasePort: base, StopTimeout: -1},
	} {
		t.Run(name, func(t *testing.T) { require.ErrorIs(t, open(t, cfg), ensemble.ErrConfig) })
	}
	t.Run("taken port is named", func(t *testing.T) {
		election := ensemble.PortsAt(base, 2).Election
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", election))
		require.NoError(t, err)
		defer ln.Close()
		err = open(t, ensemble.Config{Dir: t.TempDir(), BasePort: base})
		require.ErrorIs(t, err, ensemble.ErrPortTaken)
		require.ErrorContains(t, err, fmt.Sprintf("%d (elections of ZooKeeper server 2)", election))
		require.NoError(t, open(t, ensemble.Config{Servers: 1, Dir: t.TempDir(), BasePort: base}), "one server has no such port")
	})
	t.Run("directory of another number of servers", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, open(t, ensemble.Config{Servers: 1, Dir: dir, BasePort: base}))
		require.NoError(t, open(t, ensemble.Config{Servers: 1, Dir: dir, BasePort: base}))
		err := open(t, ensemble.Config{Servers: 3, Dir: dir, BasePort: base})
		require.ErrorIs(t, err, ensemble.ErrConfig)
		require.ErrorContains(t, err, dir+" holds 1 ZooKeeper servers, not 3")
	})
	t.Run("server that ends at once is quoted", func(t *testing.T) {
		e, err := ensemble.Open(ensemble.Config{Servers: 1, Dir: t.TempDir(), BasePort: base,
			Installation: ensemble.Installation{Java: script(t, "echo no memory; exit 3")}})
		require.NoError(t, err)
		defer e.Close()
		require.NoError(t, e.Start())
		err = e.Await(within(t, patience))
		require.ErrorIs(t, err, ensemble.ErrNotServing)
		require.ErrorContains(t, err, "server 1 ended by itself: exit 3; it said last:\n  no memory")
	})
}

func script(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "java")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700))
	return path
}

// The environment that makes the test binary start an ensemble and wait to be
// killed.
const (
	orphanDir  = "BATON_TEST_ENSEMBLE_DIR"
	orphanBase = "BATON_TEST_ENSEMBLE_BASE"
)

func orphanMaker(dir, base string) {
	var port int
	fmt.Sscan(base, &port)
	e, err := ensemble.Open(ensemble.Config{Servers: 3, Dir: dir, BasePort: port})
	if err == nil {
		err = e.Start()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, s := range e.Servers() {
		fmt.Println(s.Process.Status().PID)
	}
	fmt.Println("started")
	select {}
}

// TestNoOrphans kills the process that runs the servers with SIGKILL. It has no
// time to say anything, and yet none of the three may stay.
func TestNoOrphans(t *testing.T) {
	if _, err := ensemble.Find(); err != nil {
		if os.Getenv(zktest.RequireEnv) == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	base := zktest.FreeBase(t, 3)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), orphanDir+"="+t.TempDir(), fmt.Sprintf("%s=%d", orphanBase, base))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var text strings.Builder
	b := make([]byte, 512)
	for !strings.Contains(text.String(), "started") {
		n, err := out.Read(b)
		require.NoError(t, err, text.String())
		text.Write(b[:n])
	}
	pids := strings.Fields(text.String())[:3]
	require.NoError(t, cmd.Process.Kill())
	cmd.Wait()
	for _, field := range pids {
		var pid int
		fmt.Sscan(field, &pid)
		require.NotZero(t, pid)
		require.Eventually(t, func() bool { return gone(pid) }, patience, poll, "server with pid %d is an orphan", pid)
	}
}

// gone says that a process does not run: it is not there, or is only waiting
// to be reaped by whoever adopts it.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) != nil
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z")
}
