package nodetest_test

import (
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/adminapi"
	"baton/node/nodetest"
)

// beyondShort leaves a test out of -short, which runs a core only.
func beyondShort(t *testing.T) {
	if testing.Short() {
		t.Skip("not in -short")
	}
}

func TestClusterServes(t *testing.T) {
	c := nodetest.Start(t, nodetest.Config{})
	leader := c.Healthy()
	orders := c.Traffic("orders")

	t.Run("a message that was receipted is on every node", func(t *testing.T) {
		orders.Send(20)
		c.Settled()
		for _, id := range c.IDs() {
			require.EqualValues(t, 20, c.Queue(id, "orders").Depth, id)
		}
	})
	t.Run("followers refuse clients", func(t *testing.T) {
		for _, id := range c.Followers(leader) {
			conn, err := net.DialTimeout("tcp", c.Stomp(id), time.Second)
			if err == nil {
				conn.Close()
			}
			require.ErrorContains(t, err, "connection refused", id)
		}
	})
	t.Run("leadership goes to the node that was named", func(t *testing.T) {
		to := c.Followers(leader)[1]
		require.ErrorContains(t, c.Transfer(to, leader), leader+" does; ask it")
		require.ErrorContains(t, c.Transfer(leader, leader), "leads already")
		require.ErrorContains(t, c.Transfer(leader, "n9"), "n9")
		require.Equal(t, leader, c.Healthy(), "what cannot be done changes nothing")
		stop := orders.Produce(2)
		orders.AwaitReceipts(20)
		require.NoError(t, c.Transfer(leader, to))
		require.Equal(t, to, c.Healthy())
		orders.AwaitReceipts(20)
		stop()
		require.Equal(t, adminapi.RoleFollower, c.Status(leader).Role)
		leader = to
	})
	t.Run("a leader that is stopped hands over", func(t *testing.T) {
		stop := orders.Produce(2)
		orders.AwaitReceipts(20)
		c.Stop(leader)
		orders.AwaitReceipts(20)
		stop()
		require.NotEmpty(t, c.Events(leader, adminapi.KindTransfer))
		require.NotEqual(t, leader, c.Leader())
		c.StartNodes(leader)
		c.Settled()
	})
	t.Run("nothing is lost and nothing comes twice", func(t *testing.T) {
		orders.ExactlyOnce()
		c.Settled()
		t.Logf("longest time between two receipts: %v", orders.Gap())
	})
}

func TestStoppedNodesLeaveNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("a cluster lives", func(t *testing.T) {
		c := nodetest.Start(t, nodetest.Config{})
		orders := c.Traffic("orders")
		orders.Send(5)
		leader := c.Healthy()
		c.Stop(leader)
		orders.ExactlyOnce()
	})
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before }, nodetest.Patience, time.Millisecond,
		"goroutines: %d before", before)
}
