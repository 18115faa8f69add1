package nodetest_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node"
	"baton/node/nodetest"
	"baton/store/vfs"
)

// TestFailedSyncIsFinal: a leader whose disk fails one sync ends and says why,
// although the next sync would succeed; another serves, and nothing is lost.
// Started again, the node reads what its disk has and is a member as before.
func TestFailedSyncIsFinal(t *testing.T) {
	disks := map[string]*vfs.Faults{}
	c := nodetest.New(t, nodetest.Config{Edit: func(cfg *node.Config) {
		if disks[cfg.ID] == nil {
			disks[cfg.ID] = vfs.NewFaults(vfs.OS{})
		}
		cfg.FS = disks[cfg.ID]
	}})
	c.StartNodes(c.IDs()...)
	leader := c.Healthy()
	orders := c.Traffic("orders")
	stop := orders.Produce(4)
	orders.AwaitReceipts(100)
	disks[leader].Set(vfs.Rule{Err: syscall.EIO, Match: func(op vfs.Op) bool {
		return op.Kind == vfs.OpSync && strings.Contains(op.Name, "/log/")
	}})
	err := c.Ended(leader)
	require.ErrorIs(t, err, syscall.EIO)
	require.ErrorContains(t, err, "sync ")
	require.ErrorContains(t, err, "the log failed and accepts nothing more")
	orders.AwaitReceipts(100)
	require.NotEqual(t, leader, c.Leader())
	stop()
	c.StartNodes(leader)
	c.Healthy()
	orders.ExactlyOnce()
	c.Settled()
}
