package nodetest_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/nodetest"
)

// TestServesAloneAndReplicatedAgain: the directory of one of three members
// serves with replicas 1 under a ZooKeeper path of its own, and is a member of
// the three again afterwards, without any conversion.
func TestServesAloneAndReplicatedAgain(t *testing.T) {
	c := nodetest.Start(t, nodetest.Config{})
	orders := c.Traffic("orders")
	orders.Send(30)
	c.Settled()
	id := c.Healthy()
	incarnation := c.Status(id).Incarnation
	c.StopAll()

	alone := c.NodeConfig(id)
	alone.Replicas, alone.ZKPath = 1, "/alone"
	c.StartAs(id, alone)
	c.Until("it serves alone", func() string {
		if s, ok := c.Status(id), true; ok && s.State != "serving" {
			return s.Role + " " + s.State + " " + s.Reason
		}
		return ""
	})
	c.Until("it has applied what it had", func() string {
		if d := c.Queue(id, "orders").Depth; d != 30 {
			return fmt.Sprintf("depth is %d", d)
		}
		return ""
	})
	orders.Send(20)
	c.Until("it has applied them", func() string {
		if d := c.Queue(id, "orders").Depth; d != 50 {
			return fmt.Sprintf("depth is %d", d)
		}
		return ""
	})
	c.Stop(id)

	c.StartNodes(id) // first: two others could elect without it, and cut what it took alone
	c.Until("it has joined", func() string {
		if c.Status(id).ZooKeeper.Eid == "" {
			return "not in ZooKeeper"
		}
		return ""
	})
	for _, n := range c.IDs() {
		if n != id {
			c.StartNodes(n)
		}
	}
	require.Equal(t, id, c.Healthy(), "what it took alone makes its log the newest")
	c.Settled()
	require.Equal(t, incarnation, c.Status(id).Incarnation)
	for _, n := range c.IDs() {
		require.EqualValues(t, 50, c.Queue(n, "orders").Depth, n)
	}
	orders.ExactlyOnce()
}
