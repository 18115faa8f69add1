package stompserver_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/broker/destination"
	"baton/node/broker/policy"
	"baton/node/stompserver"
)

// durably subscribes to a topic under the name "sub".
func (c *client) durably(destination string, headers ...string) {
	c.t.Helper()
	c.listen("d", destination, append([]string{"activemq.subscriptionName:sub"}, headers...)...)
}

func (c *client) leave() {
	c.t.Helper()
	c.frame("DISCONNECT", "receipt:bye")
	c.wantReceipt("bye")
	c.wantClosed()
}

func TestDurableSubscription(t *testing.T) {
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		t.Run(version, func(t *testing.T) {
			log := brokertest.NewLog()
			_, address := startServer(t, log)
			c, p := dial(t, address, version, "client-id:me"), dial(t, address, "1.2")
			p.post("/topic/a.b", "too early")
			c.durably("/topic/a.>")
			p.post("/topic/a.b", "1")
			f := c.wantBodies("1")[0]
			require.Equal(t, "/topic/a.b", f.Get("destination"))
			eventually(t, "its ack", func() bool { return log.Queues()[0].Depth == 0 })
			c.leave()
			p.post("/topic/a", "2", "x:y")
			p.post("/topic/other", "not for it")
			p.post("/topic/a.c", "3", "priority:9")

			// Another leader goes on with it.
			_, address = startServer(t, log)
			c, p = dial(t, address, version, "client-id:me"), dial(t, address, "1.2")
			proposed := log.Proposed()
			c.durably("/topic/a.>", "ack:client-individual")
			require.Equal(t, proposed, log.Proposed(), "nothing is written for a subscription that is there")
			c.wantFrom("/topic/a.c", "3")
			f = c.wantBodies("2")[0]
			require.Equal(t, "y", f.Get("x"))
			c.leave() // unsettled: they come again

			c = dial(t, address, version, "client-id:me")
			c.durably("/topic/a.>")
			c.wantBodies("3", "2")
			c.frame("UNSUBSCRIBE", "id:d", "activemq.subscriptionName:sub", "receipt:u")
			c.wantReceipt("u")
			p.post("/topic/a", "4")
			eventually(t, "its queue is deleted", func() bool { return len(log.Queues()) == 0 })
			c.durably("/topic/a.>")
			c.wantSilence()
		})
	}
}

func TestDurableSubscriptionIsUsedOnce(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	a, b := dial(t, address, "1.2", "client-id:me"), dial(t, address, "1.2", "client-id:me")
	other := dial(t, address, "1.2", "client-id:other")
	a.durably("/topic/t")
	other.durably("/topic/t")
	b.frame("SUBSCRIBE", "id:1", "destination:/topic/t", "activemq.subscriptionName:sub", "receipt:r")
	require.Equal(t, "r", b.wantError("is in use").Get("receipt-id"))
	b.frame("UNSUBSCRIBE", "id:1", "activemq.subscriptionName:sub")
	b.wantError("is in use")
	b.post("/topic/t", "1")
	a.wantBodies("1")
	other.wantBodies("1")
	eventually(t, "acks", func() bool { return log.Queues()[0].Depth+log.Queues()[1].Depth == 0 })
	a.frame("UNSUBSCRIBE", "id:d", "receipt:u")
	a.wantReceipt("u")
	b.post("/topic/t", "2")
	b.durably("/topic/t")
	b.wantBodies("2")
	a.nc.Close()
	b.frame("UNSUBSCRIBE", "activemq.subscriptionName:sub", "id:d", "receipt:u")
	b.wantReceipt("u")
	b.frame("UNSUBSCRIBE", "activemq.subscriptionName:sub", "id:d", "receipt:u")
	b.wantError("no durable subscription")
}

// A subscription that is made anew with another topic or selector begins
// empty.
func TestDurableSubscriptionChanges(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	p := dial(t, address, "1.2")
	for i, change := range [][]string{
		{"/topic/t"}, {"/topic/t", "selector:n > 1"}, {"/topic/u", "selector:n > 1"}, {"/topic/u", "activemq.noLocal:true", "selector:n > 1"},
	} {
		c := dial(t, address, "1.2", "client-id:me")
		c.durably(change[0], change[1:]...)
		c.wantSilence()
		p.post(change[0], fmt.Sprint("low", i), "n:1")
		p.post(change[0], fmt.Sprint("high", i), "n:2")
		if i == 0 {
			c.wantBodies("low0")
		}
		c.wantBodies(fmt.Sprint("high", i))
		if i == 3 {
			c.post(change[0], "own", "n:3")
			c.wantSilence()
		}
		c.leave()
		p.post(change[0], fmt.Sprint("left", i), "n:2")
	}
	eventually(t, "the old queues are deleted", func() bool { return len(log.Queues()) == 1 })
	c := dial(t, address, "1.2", "client-id:me")
	c.durably("/topic/u", "activemq.noLocal:true", "selector:n > 1")
	c.wantBodies("left3")
}

func TestDurableRefusals(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	c, nobody := dial(t, address, "1.2", "client-id:me"), dial(t, address, "1.2")
	for _, x := range []struct {
		c            *client
		headers, why string
	}{
		{nobody, "/topic/t", "needs a client-id"},
		{c, "/queue/q", "not to a queue"},
		{c, "/topic/t,/topic/u", "not to a queue or to several"},
		{c, "/temp-topic/t", "one to a topic"},
	} {
		x.c.frame("SUBSCRIBE", "id:1", "destination:"+x.headers, "activemq.subscriptionName:s", "receipt:r")
		require.Equal(t, "r", x.c.wantError(x.why).Get("receipt-id"))
	}
	c.frame("SUBSCRIBE", "id:1", "destination:/topic/t", "activemq.subscriptionName: ")
	c.wantError("is empty")
	c.frame("SUBSCRIBE", "id:1", "destination:/topic/t", "activemq.subscriptionName:a\\nb")
	c.wantError("control character")
	log.Break(broker.ErrNoQuorum)
	c.frame("SUBSCRIBE", "id:1", "destination:/topic/t", "activemq.subscriptionName:s", "receipt:r")
	require.Equal(t, "r", c.wantError("no quorum").Get("receipt-id"))
	log.Break(nil)
	c.durably("/topic/t") // it may try again
}

// Messages for a durable subscription and those for queues are one batch, and
// are there when the transaction commits.
func TestDurableInTransaction(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	c, p := dial(t, address, "1.2", "client-id:me"), dial(t, address, "1.2")
	c.durably("/topic/t", "ack:client")
	p.frame("BEGIN", "transaction:x")
	p.raw("SEND\ndestination:/topic/t,/queue/q\ntransaction:x\n\n1\x00")
	c.wantSilence()
	before := log.Proposed()
	p.frame("COMMIT", "transaction:x", "receipt:c")
	p.wantReceipt("c")
	require.Equal(t, before+1, log.Proposed())
	require.Equal(t, "/topic/t,/queue/q", c.wantBodies("1")[0].Get("original-destination"))
	require.Equal(t, 1, log.Depth("q"))

	// One that comes from a transaction after the subscription has ended is
	// not kept for ever.
	p.frame("BEGIN", "transaction:y")
	p.raw("SEND\ndestination:/topic/t\ntransaction:y\n\n2\x00")
	p.wantSilence()
	c.frame("UNSUBSCRIBE", "id:d", "activemq.subscriptionName:sub", "receipt:u")
	c.wantReceipt("u")
	eventually(t, "its queue is deleted", func() bool { return len(log.Queues()) == 1 })
	p.frame("COMMIT", "transaction:y", "receipt:c")
	p.wantReceipt("c")
	eventually(t, "its queue is deleted again", func() bool { return len(log.Queues()) == 1 })
}

// What is left of a subscription when its leader dies in the middle of
// removing it is removed by the next one.
func TestOrphansAreRemoved(t *testing.T) {
	log := brokertest.NewLog()
	s, address := startServer(t, log)
	c := dial(t, address, "1.2", "client-id:me")
	c.durably("/topic/t", "ack:client", "activemq.prefetchSize:1")
	for i := range 5 {
		c.post("/topic/t", fmt.Sprint(i), fmt.Sprint("priority:", i))
	}
	c.frame("UNSUBSCRIBE", "id:d", "receipt:u")
	for {
		f, err := c.next()
		require.NoError(t, err)
		if f.Command == "RECEIPT" {
			break
		}
	}
	require.Len(t, log.Queues(), 5)
	log.Hold()
	c.frame("UNSUBSCRIBE", "id:d", "activemq.subscriptionName:sub", "receipt:u")
	eventually(t, "the proposal", func() bool { return log.Waiting() == 1 })
	log.Commit(1) // the record, and nothing after it
	c.wantReceipt("u")
	s.Close("the leader dies")
	for log.Fail(1, broker.ErrClosed) {
	}
	require.Len(t, log.Queues(), 5)
	log.Release()
	_, address = startServer(t, log)
	eventually(t, "its queues are deleted", func() bool { return len(log.Queues()) == 0 })
	c = dial(t, address, "1.2", "client-id:me")
	c.durably("/topic/t")
	c.wantSilence()
}

// The dead letters of a durable subscription say which topic they are from, and
// its policy is the topic's.
func TestDeadLetterOfDurable(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log, func(c *stompserver.Config) {
		c.Broker.Close()
		c.Broker = log.Broker(t, func(b *broker.Config) {
			p := policy.Default()
			p.Redelivery.Nack = policy.NackDeadLetter
			b.Policies = policy.Table{{Match: destination.Destination{Kind: destination.Topic, Name: "t"}, Policy: p}}
		})
	})
	c, p := dial(t, address, "1.2", "client-id:me"), dial(t, address, "1.2")
	c.durably("/topic/t", "ack:client-individual")
	p.post("/topic/t", "1")
	c.frame("NACK", "id:"+c.wantBodies("1")[0].Get("ack"))
	p.listen("dlq", "/queue/DLQ")
	f := p.wantBodies("1")[0]
	require.Equal(t, "/queue/DLQ", f.Get("destination"))
	require.Equal(t, "/topic/t", f.Get("original-destination"))
}

// A consumer of a virtual topic gets what is published while it is away, once
// per group of consumers.
func TestVirtualTopic(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	p := dial(t, address, "1.2")
	p.post("/topic/VirtualTopic.Orders", "before")
	a1, a2, b := dial(t, address, "1.2"), dial(t, address, "1.2"), dial(t, address, "1.2")
	a1.listen("1", "/queue/Consumer.A.VirtualTopic.Orders")
	a2.listen("1", "/queue/Consumer.A.VirtualTopic.Orders")
	b.listen("1", "/queue/Consumer.B.VirtualTopic.Orders,/topic/VirtualTopic.>")
	a1.wantSilence() // the server is past the receipts: both are there
	a2.wantSilence()
	p.post("/topic/VirtualTopic.Orders", "1")
	p.post("/topic/VirtualTopic.Orders", "2")
	require.Equal(t, "/topic/VirtualTopic.Orders", a1.wantBodies("1")[0].Get("original-destination"))
	a2.wantFrom("/queue/Consumer.A.VirtualTopic.Orders", "2")
	for range 4 {
		b.want("MESSAGE")
	}
	eventually(t, "acks", func() bool {
		return log.Depth("Consumer.A.VirtualTopic.Orders")+log.Depth("Consumer.B.VirtualTopic.Orders") == 0
	})
	for _, c := range []*client{a1, a2, b} {
		c.leave()
	}
	_, address = startServer(t, log) // after a failover
	p = dial(t, address, "1.2")
	p.post("/topic/VirtualTopic.Orders", "3")
	require.Equal(t, 1, log.Depth("Consumer.A.VirtualTopic.Orders"))
	require.Equal(t, 1, log.Depth("Consumer.B.VirtualTopic.Orders"))
	require.Zero(t, log.Depth("VirtualTopic.Orders"))
}
