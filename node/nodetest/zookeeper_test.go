package nodetest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/nodetest"
	"baton/zkclient/zktest"
)

func TestOnTheRealZooKeeper(t *testing.T) {
	beyondShort(t)
	c := nodetest.Start(t, nodetest.Config{ZooKeeper: []string{zktest.Real(t)}})
	orders := c.Traffic("orders")
	leader := c.Healthy()
	stop := orders.Produce(2)
	orders.AwaitReceipts(50)
	c.Stop(leader)
	require.NotEqual(t, leader, c.Healthy())
	orders.AwaitReceipts(50)
	stop()
	c.StopAll()
	c.StartNodes(c.IDs()...)
	c.Settled()
	orders.ExactlyOnce()
}
