package nodetest_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node"
	"baton/node/nodetest"
	"baton/store/vfs"
)

// ownMounts runs the calling test again in a process with mounts of its own,
// and returns true in that process. Where that is not allowed the test is
// skipped, unless BATON_REQUIRE_MOUNT is set.
func ownMounts(t *testing.T) bool {
	const inside = "BATON_TEST_OWN_MOUNTS"
	if os.Getenv(inside) != "" {
		return true
	}
	if testing.Short() {
		t.Skip("fills file systems")
	}
	probe := exec.Command("true")
	probe.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := probe.Run(); err != nil && os.Getenv("BATON_REQUIRE_MOUNT") == "" {
		t.Skipf("only root may mount a small file system to fill it: %v", err)
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	child.Env = append(os.Environ(), inside+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := child.CombinedOutput()
	t.Logf("%s", out)
	require.NoError(t, err)
	return false
}

// fillUp takes all that is left of a file system and returns how to give it
// back.
func fillUp(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "somebody-else's")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	require.True(t, vfs.IsFull(err), "%v", err)
	return func() { require.NoError(t, os.Remove(path)) }
}

// TestFullDisk: three nodes on file systems that are really full. Producers
// are told, consumers drain the queue, their acks stick, and when there is
// space the cluster serves again by itself. Nothing is lost.
func TestFullDisk(t *testing.T) {
	if !ownMounts(t) {
		return
	}
	c := nodetest.New(t, nodetest.Config{Edit: func(cfg *node.Config) { cfg.SegmentSize = 4 << 20 }})
	for _, id := range c.IDs() {
		dir := c.NodeConfig(id).DataDir
		require.NoError(t, os.MkdirAll(dir, 0o750))
		err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32m")
		if errors.Is(err, syscall.EPERM) && os.Getenv("BATON_REQUIRE_MOUNT") == "" {
			t.Skip("mounting is not allowed here")
		}
		require.NoError(t, err)
		defer syscall.Unmount(dir, syscall.MNT_DETACH)
	}
	c.StartNodes(c.IDs()...)
	c.Healthy()
	orders := c.Traffic("orders").Padded(8 << 10)
	stop := orders.Produce(4)
	orders.AwaitRefusal("disk full")
	var free []func()
	for _, id := range c.IDs() {
		free = append(free, fillUp(t, c.NodeConfig(id).DataDir))
	}
	stop()
	require.NotEmpty(t, c.Healthy(), "a full disk is no reason to stop")

	orders.Drain()
	c.Settled()
	c.StopAll()
	c.StartNodes(c.IDs()...)
	leader := c.Healthy()
	require.Zero(t, c.Queue(leader, "orders").Depth, "the acks were stored")

	for _, f := range free {
		f()
	}
	stop = orders.Produce(2)
	orders.AwaitReceipts(200)
	stop()
	orders.ExactlyOnce()
	c.Settled()
}
