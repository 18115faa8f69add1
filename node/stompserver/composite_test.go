package stompserver_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/stompserver"
)

// What is sent to several destinations is one batch: stored for all or none.
func TestCompositeSend(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	c := dial(t, address, "1.2")
	c.listen("t", "/topic/t")
	before := log.Proposed()
	c.post("/queue/a,/topic/t , /queue/b,/queue/a", "1", "x:y")
	require.Equal(t, before+1, log.Proposed())
	c.wantFrom("/topic/t", "1")
	require.Equal(t, 1, log.Depth("a"))
	require.Equal(t, 1, log.Depth("b"))
	c.listen("a", "/queue/a")
	f := c.wantBodies("1")[0]
	require.Equal(t, "/queue/a", f.Get("destination"))
	require.Equal(t, "/queue/a,/topic/t,/queue/b", f.Get("original-destination"))
	require.Equal(t, "y", f.Get("x"))

	log.Break(broker.ErrNoQuorum)
	c.frame("SEND", "destination:/queue/a,/topic/t", "receipt:r")
	c.wantError("no quorum")
	log.Break(nil)
	c.wantSilence()
}

func TestCompositeSubscribe(t *testing.T) {
	for _, mode := range []string{"auto", "client", "client-individual"} {
		t.Run(mode, func(t *testing.T) {
			log := brokertest.NewLog()
			_, address := startServer(t, log)
			c, p := dial(t, address, "1.2"), dial(t, address, "1.2")
			p.publish("a", "a0")
			c.listen("1", "/queue/a,/topic/t,/queue/b,/temp-queue/x", "ack:"+mode)
			c.wantFrom("/queue/a", "a0")
			p.post("/queue/b", "b0")
			c.wantFrom("/queue/b", "b0")
			p.post("/topic/t", "t0")
			c.wantFrom("/topic/t", "t0")
			c.post("/temp-queue/x", "x0")
			f := c.wantBodies("x0")[0]
			require.Equal(t, "/temp-queue/x", f.Get("destination"))
			p.publish("a", "a1")
			last := c.wantBodies("a1")[0]
			switch mode {
			case "client": // covers all that came before on this subscription
				c.ack(f, "receipt:a")
				c.wantReceipt("a")
				require.Equal(t, 1, log.Depth("a"))
				require.Zero(t, log.Depth("b"))
			case "client-individual":
				c.ack(last, "receipt:a")
				c.wantReceipt("a")
				require.Equal(t, 1, log.Depth("a"))
				require.Equal(t, 1, log.Depth("b"))
			default:
				eventually(t, "acks", func() bool { return log.Depth("a")+log.Depth("b") == 0 })
			}
			c.frame("UNSUBSCRIBE", "id:1", "receipt:u")
			c.wantReceipt("u")
			p.post("/queue/a,/topic/t", "later")
			c.wantSilence()
		})
	}
}

// The prefetch is that of the whole subscription.
func TestPrefetchOfManyQueues(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	p := dial(t, address, "1.2")
	for i := range 20 {
		p.publish(fmt.Sprint("q.", i), fmt.Sprint(i, "a"), fmt.Sprint(i, "b"))
	}
	c := dial(t, address, "1.2")
	c.listen("1", "/queue/q.*", "ack:client-individual", "activemq.prefetchSize:3")
	var all []string
	for range 40 {
		f := c.want("MESSAGE")
		all = append(all, string(f.Body))
		if len(all) == 3 {
			break
		}
	}
	c.wantSilence()
	c.frame("UNSUBSCRIBE", "id:1", "receipt:u")
	c.wantReceipt("u")
	c.listen("1", "/queue/q.*", "ack:client", "activemq.prefetchSize:3")
	all = nil
	for len(all) < 40 {
		f := c.want("MESSAGE")
		all = append(all, string(f.Body))
		if len(all)%3 == 0 {
			c.ack(f)
		}
	}
	slices.Sort(all)
	require.Len(t, slices.Compact(all), 40, "everything came once")
}

func TestWildcardSubscribe(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	p := dial(t, address, "1.2")
	p.publish("orders.eu", "before")
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		t.Run(version, func(t *testing.T) {
			c := dial(t, address, version)
			c.listen("1", "/queue/orders.>,/queue/orders.eu", "ack:client-individual")
			if version == "1.0" {
				f := c.wantBodies("before")[0]
				require.Equal(t, "/queue/orders.eu", f.Get("destination"))
				c.frame("ACK", "message-id:"+f.Get("message-id"), "receipt:a")
				c.wantReceipt("a")
			}
			name := "orders.new.v" + version[2:]
			p.publish(name, "1") // a queue that was not there
			f := c.wantBodies("1")[0]
			require.Equal(t, "/queue/"+name, f.Get("destination"))
			p.publish("other", version)
			c.wantSilence()
			if version == "1.2" {
				c.ack(f, "receipt:a")
			} else {
				c.frame("ACK", "subscription:1", "message-id:"+f.Get("message-id"), "receipt:a")
			}
			c.wantReceipt("a")
			c.nc.Close()
		})
	}
	require.Zero(t, log.Depth("orders.eu"))
	require.Equal(t, 3, log.Depth("other"))
}

// Acks of a wildcard consumer in a transaction that is rolled back are pending
// again.
func TestWildcardTransaction(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	c := dial(t, address, "1.2")
	c.publish("a.1", "1")
	c.publish("a.2", "2")
	c.listen("1", "/queue/a.*", "ack:client", "activemq.prefetchSize:2")
	c.want("MESSAGE")
	second := c.want("MESSAGE")
	for _, end := range []string{"ABORT", "COMMIT"} {
		c.frame("BEGIN", "transaction:t")
		c.ack(second, "transaction:t")
		c.frame(end, "transaction:t", "receipt:"+end)
		c.wantReceipt(end)
	}
	require.Zero(t, log.Depth("a.1")+log.Depth("a.2"))
}

// A consumer of a pattern does not keep queues that nobody uses.
func TestWildcardHoldsNoQueue(t *testing.T) {
	log := brokertest.NewLog()
	var b *broker.Broker
	_, address := startServer(t, log, func(c *stompserver.Config) { b = c.Broker })
	c := dial(t, address, "1.2")
	c.listen("1", "/queue/>")
	for range 3 {
		o := dial(t, address, "1.2")
		o.listen("1", "/queue/brief.x")
		eventually(t, "the queue is there", func() bool { return len(b.Snapshot()) == 1 })
		o.frame("UNSUBSCRIBE", "id:1", "receipt:u")
		o.wantReceipt("u")
		eventually(t, "the queue is gone", func() bool { return len(b.Snapshot()) == 0 })
	}
	o := dial(t, address, "1.2")
	o.publish("brief.x", "1")
	c.wantFrom("/queue/brief.x", "1")
}
