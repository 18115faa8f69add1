package main_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo/cluster"
)

// residentKiB is how much memory a process holds.
func residentKiB(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(t, err)
			return n
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

func pidOf(t *testing.T, c *cluster.Cluster, node string) int {
	t.Helper()
	for _, p := range c.Processes() {
		if p.Name == node {
			return p.PID
		}
	}
	t.Fatalf("no process %s", node)
	return 0
}

// Clients that claim much, send slowly or never end what they began cost the
// leader a bounded amount of memory, and nobody else notices them.
func TestHostileClientsCostBoundedMemory(t *testing.T) {
	const each = 300            // connections of a kind, all open at once
	const growthMax = 128 << 10 // KiB; 3 * 300 connections claim 4.8 GB
	const hello = "CONNECT\naccept-version:1.2\nhost:x\n\n\x00"
	c := launch(t, nil)
	leader := leaderOf(t, c)
	address := stompOf(t, c, leader)
	send := func(body string) {
		t.Helper()
		require.Zero(t, baton(t, "", "send", "hostile", "--uri", uri(c), "--body", body).code)
	}
	send("before")
	pid := pidOf(t, c, leader)
	before := residentKiB(t, pid)

	for name, in := range map[string]string{
		"a CONNECT that does not end": "CONNECT\naccept-version:1.2\nx:" + strings.Repeat("y", 8<<10),
		"headers without end":         hello + "SEND\ndestination:/queue/q\n" + strings.Repeat("a:0123456789\n", 900),
		"a body of 16 MB to come":     hello + "SEND\ndestination:/queue/q\ncontent-length:16000000\n\n" + strings.Repeat("x", 1000),
	} {
		for range each {
			nc, err := net.Dial("tcp", address)
			require.NoError(t, err, name)
			t.Cleanup(func() { nc.Close() })
			require.NoError(t, nc.SetDeadline(time.Now().Add(4*patience)))
			_, err = io.WriteString(nc, in)
			require.NoError(t, err, name)
			if strings.HasPrefix(in, hello) { // it was heard up to here
				b := make([]byte, 9)
				_, err = io.ReadFull(nc, b)
				require.NoError(t, err, name)
				require.Equal(t, "CONNECTED", string(b))
			}
		}
	}
	for range each { // what is claimed beyond the limit is refused before a byte of it
		nc, err := net.Dial("tcp", address)
		require.NoError(t, err)
		require.NoError(t, nc.SetDeadline(time.Now().Add(4*patience)))
		_, err = io.WriteString(nc, hello+"SEND\ndestination:/queue/q\ncontent-length:4294967296\n\n")
		require.NoError(t, err)
		all, err := io.ReadAll(bufio.NewReader(nc))
		require.NoError(t, err)
		require.Contains(t, string(all), "frame exceeds a limit")
		nc.Close()
	}
	send("during")
	growth := residentKiB(t, pid) - before
	t.Logf("%d KiB more than %d KiB, with %d connections", growth, before, 3*each)
	require.Less(t, growth, growthMax)
	require.Equal(t, leader, leaderOf(t, c), "it kept its place")
	require.Equal(t, 2, depth(t, c, "hostile"))
}

// Many bodies of the largest size that come at the same time cost the memory
// that is set aside for them, and not what they add up to. Small messages pass
// by.
func TestLargeBodiesAtOnceCostBoundedMemory(t *testing.T) {
	const senders, claimed, each = 1000, 100 << 20, 1 << 20
	const growthMax = 256 << 10 // KiB; what is sent is 1 GB, what is claimed 100 GB
	c := launch(t, func(cfg *cluster.Config) {
		cfg.NodeArgs = []string{"--max-body", "100MiB", "--body-memory", "256MiB"}
	})
	leader := leaderOf(t, c)
	address, pid := stompOf(t, c, leader), pidOf(t, c, leader)
	require.Zero(t, baton(t, "", "send", "large", "--uri", uri(c), "--body", "before").code)
	before := residentKiB(t, pid)

	var stuck, through atomic.Int64 // senders
	part := bytes.Repeat([]byte("x"), 64<<10)
	for range senders {
		nc, err := net.Dial("tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { nc.Close() })
		require.NoError(t, nc.SetDeadline(time.Now().Add(4*patience)))
		_, err = fmt.Fprintf(nc, "CONNECT\naccept-version:1.2\nhost:x\n\n\x00SEND\ndestination:/queue/large\ncontent-length:%d\n\n", claimed)
		require.NoError(t, err)
		go func() {
			for sent := 0; sent < each; sent += len(part) {
				_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
				if _, err := nc.Write(part); err != nil {
					stuck.Add(1)
					return
				}
			}
			through.Add(1)
		}()
	}
	most := 0
	require.Eventually(t, func() bool {
		most = max(most, residentKiB(t, pid))
		return stuck.Load()+through.Load() == senders
	}, 4*patience, 5*time.Millisecond, "each has sent all or is not read from")
	require.Zero(t, baton(t, "", "send", "large", "--uri", uri(c), "--body", "during").code)
	most = max(most, residentKiB(t, pid))
	t.Logf("%d KiB more than %d KiB at most; %d of %d senders were not read from", most-before, before, stuck.Load(), senders)
	require.Less(t, most-before, growthMax)
	require.Equal(t, leader, leaderOf(t, c), "it kept its place")
	require.Equal(t, 2, depth(t, c, "large"))
}

// Clients that use up the open files of a process leave those that the node
// needs itself: its log goes on, a follower comes back, a lost ZooKeeper is
// found again, and administrators are heard.
func TestClientsLeaveOpenFilesForTheNode(t *testing.T) {
	const limit = 420
	c := launch(t, func(cfg *cluster.Config) {
		limited := filepath.Join(t.TempDir(), "limited")
		require.NoError(t, os.WriteFile(limited, fmt.Appendf(nil, "#!/bin/sh\nulimit -n %d\nexec %q \"$@\"\n", limit, cfg.Binary), 0o700))
		cfg.Binary, cfg.NodeArgs = limited, []string{"--segment-size", "1048576"}
	})
	leader := leaderOf(t, c)
	address := stompOf(t, c, leader)
	conn := connect(t, c)
	require.NoError(t, conn.Ask("SEND", "before", "destination:/queue/files"))
	refused, served := 0, 0
	for range 3 * limit {
		nc, err := net.Dial("tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { nc.Close() })
		require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
		_, _ = io.WriteString(nc, "CONNECT\naccept-version:1.2\nhost:x\n\n\x00") // it may be closed already
		said, _ := bufio.NewReader(nc).ReadString('\n')
		switch said {
		case "CONNECTED\n":
			served++
		default:
			refused++
		}
	}
	t.Logf("with %d open files: %d clients were served, %d turned away", limit, served, refused)
	require.Greater(t, served, 50)
	require.Less(t, served, limit-256)
	turned, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer turned.Close()
	said, err := io.ReadAll(turned)
	require.NoError(t, err)
	require.Contains(t, string(said), "ERROR\nmessage:too many connections")
	require.Contains(t, string(said), "a few more files")

	large := strings.Repeat("x", 100<<10)
	for i := range 100 { // ten segments of the log
		require.NoError(t, conn.Ask("SEND", large, "destination:/queue/files"), "message %d", i)
	}
	var follower string
	for _, name := range c.NodeNames() {
		if name != leader {
			follower = name
		}
	}
	require.NoError(t, c.Kill(follower))
	require.NoError(t, conn.Ask("SEND", large, "destination:/queue/files"))
	require.NoError(t, c.Start(follower))
	require.NoError(t, c.WaitHealthy(within(t)), "the follower is back")
	require.NoError(t, c.Stop("zookeeper"))
	require.NoError(t, c.Start("zookeeper"))
	require.NoError(t, c.WaitHealthy(within(t)), "ZooKeeper is found again")
	require.Equal(t, 102, depth(t, c, "files"))
	require.Equal(t, leader, leaderOf(t, c), "it kept its place")
}
