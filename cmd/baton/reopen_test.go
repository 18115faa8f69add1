package main_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo/cluster/clustertest"
)

// TestDemoDirectoryIsOpenedAgain runs the demo three times on one directory. The
// first life ends with SIGKILL of the program, which takes ZooKeeper and the
// nodes with it, the second in order. Messages, the tree and its sessions are in
// the directory alone: nothing may be lost, and the epochs go on.
func TestDemoDirectoryIsOpenedAgain(t *testing.T) {
	dir, base := t.TempDir(), clustertest.FreeBase(t)
	zk := "127.0.0.1:" + strconv.Itoa(base)
	uri := fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d", base+3, base+13, base+23)
	healthy := func() status {
		t.Helper()
		var s status
		require.Eventually(t, func() bool {
			o := baton(t, "", "status", "--json", "--zk", zk, "--zk-path", "/baton/demo")
			return o.code == 0 && json.Unmarshal([]byte(o.stdout), &s) == nil
		}, 2*patience, 50*time.Millisecond)
		return s
	}
	open := func() *exec.Cmd {
		t.Helper()
		await(t, "the processes of the last life are gone", func() bool {
			for _, p := range []int{0, 1, 3, 9, 11, 13, 19, 21, 23, 29} {
				ln, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(base+p))
				if err != nil {
					return false
				}
				ln.Close()
			}
			return true
		})
		cmd := exec.Command(os.Getenv(builtAs), "demo", "--headless", "--rate", "0", "--for", "10m", "--data-dir", dir, "--base-port", strconv.Itoa(base))
		cmd.Env = cleanEnv()
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill() // nothing to do if it ended as it should
			_ = cmd.Wait()
		})
		return cmd
	}
	send := func(life string) {
		t.Helper()
		var lines strings.Builder
		for i := range 20 {
			fmt.Fprintf(&lines, "%s-%d\n", life, i)
		}
		o := baton(t, lines.String(), "send", "kept", "--uri", uri)
		require.Zero(t, o.code, o.stderr)
	}

	first := open()
	before := healthy()
	send("first")
	require.NoError(t, first.Process.Kill())
	_ = first.Wait() // says only that it was killed

	second := open()
	after := healthy()
	require.Greater(t, after.Epoch, before.Epoch)
	require.Len(t, after.Nodes, 3)
	send("second")
	require.NoError(t, second.Process.Signal(os.Interrupt))
	_ = second.Wait() // interrupted is no success, and is not asked here

	open()
	require.Greater(t, healthy().Epoch, after.Epoch)
	o := baton(t, "", "receive", "kept", "--uri", uri, "--count", "40")
	require.Zero(t, o.code, o.stderr)
	var want []string
	for _, life := range []string{"first", "second"} {
		for i := range 20 {
			want = append(want, fmt.Sprintf("%s-%d", life, i))
		}
	}
	require.Equal(t, want, strings.Fields(o.stdout), "each once, in order")
	o = baton(t, "", "receive", "kept", "--uri", uri, "--idle", "500ms")
	require.Equal(t, outcome{stderr: "0 received from /queue/kept\n"}, o)
}
