package stompserver_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/broker/policy"
	"baton/node/stompserver"
)

// startWith serves a broker with policies.
func startWith(t *testing.T, log *brokertest.Log, change func(*policy.Policy)) string {
	_, address := startServer(t, log, func(c *stompserver.Config) {
		c.Broker.Close()
		c.Broker = log.Broker(t, func(b *broker.Config) { b.Policies = brokertest.Policies(change) })
	})
	return address
}

func TestDeadLetter(t *testing.T) {
	log := brokertest.NewLog()
	address := startWith(t, log, func(p *policy.Policy) { p.Redelivery.Max, p.Redelivery.Delay = 1, 0 })
	c := dial(t, address, "1.2")
	c.send("q", "x", "priority:6", "mine:yes", "original-destination:forged", "receipt:r")
	c.wantReceipt("r")
	c.subscribe("q", "client-individual")
	f := c.wantBodies("x")[0]
	id := f.Get("message-id")
	require.Empty(t, f.Get("redelivered"))
	require.Empty(t, f.Get("JMSXDeliveryCount"))
	c.frame("NACK", "id:"+f.Get("ack"))
	f = c.wantBodies("x")[0]
	require.Equal(t, "true", f.Get("redelivered"))
	require.Equal(t, "2", f.Get("JMSXDeliveryCount"))
	c.frame("NACK", "id:"+f.Get("ack"))
	c.frame("SUBSCRIBE", "id:dlq", "destination:/queue/DLQ", "ack:auto")
	f = c.wantBodies("x")[0]
	require.Equal(t, "/queue/DLQ", f.Get("destination"))
	require.Equal(t, "/queue/q", f.Get("original-destination"))
	require.Contains(t, f.Get("dlqDeliveryFailureCause"), "came back 2 times")
	require.Equal(t, "yes", f.Get("mine"))
	require.Equal(t, "6", f.Get("priority"))
	require.Equal(t, id, f.Get("message-id"))
	require.Empty(t, f.Get("redelivered"))
	eventually(t, "both queues are empty", func() bool { return log.Depth("\x016q")+log.Depth("\x016DLQ") == 0 })
}

// A consumer whose connection breaks is not one that leaves.
func TestBrokenConnectionCounts(t *testing.T) {
	for name, leave := range map[string]struct {
		how  func(c *client)
		want string
	}{
		"cut":        {func(c *client) { c.nc.Close() }, "2"},
		"disconnect": {func(c *client) { c.frame("DISCONNECT") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			log := brokertest.NewLog()
			_, address := startServer(t, log)
			dial(t, address, "1.2").publish("q", "1", "2")
			c := dial(t, address, "1.2")
			c.subscribe("q", "client-individual")
			c.wantBodies("1", "2")
			leave.how(c)
			d := dial(t, address, "1.2")
			d.subscribe("q", "client-individual")
			got := d.wantBodies("1", "2")
			require.Equal(t, leave.want, got[0].Get("JMSXDeliveryCount"))
			require.Empty(t, got[1].Get("JMSXDeliveryCount"))
			require.Equal(t, "true", got[1].Get("redelivered"))
		})
	}
}
