package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
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
	await(t, "both are there", func() bool { return depthNow(c, "hostile") == 2 })
}
