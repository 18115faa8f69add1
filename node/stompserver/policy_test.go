package stompserver_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/broker/policy"
	"baton/node/stomp"
	"baton/node/stompserver"
)

func TestPrefetchAndMessageSizeByPolicy(t *testing.T) {
	log := brokertest.NewLog()
	address := startWith(t, log, func(p *policy.Policy) { p.Prefetch, p.Limits.MessageSize = 2, 10 })
	c := dial(t, address, "1.2")
	c.publish("q", numbers(1, 5)...)
	c.send("q", strings.Repeat("x", 11), "receipt:r")
	f := c.wantError("its body has 11 bytes, /queue/q takes at most 10")
	require.Equal(t, "r", f.Get("receipt-id"))
	c.send("a,/queue/q", strings.Repeat("x", 11))
	c.wantError("takes at most 10")
	c.subscribe("q", "client-individual")
	c.wantBodies("1", "2")
	c.wantSilence()
	d := dial(t, address, "1.2")
	d.subscribe("q", "client-individual", "activemq.prefetchSize:3")
	d.wantBodies("3", "4", "5")
}

// A producer of a full queue waits for its receipt while the acks on the same
// connection get through; without room in time it gets an ERROR, and stays
// connected.
func TestFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		l := servePipes(t, func(c *stompserver.Config) {
			c.Broker.Close()
			c.Broker = log.Broker(t, func(b *broker.Config) {
				b.Policies = brokertest.Policies(func(p *policy.Policy) { p.Limits = policy.Limits{Messages: 2, Wait: 20 * time.Second} })
			})
		})
		c := l.dial(t)
		c.connect("1.2")
		c.publish("q", "1", "2")
		c.subscribe("q", "client-individual", "activemq.prefetchSize:1")
		f := c.wantBodies("1")[0]
		for i := 3; i < 50; i++ {
			c.send("q", fmt.Sprint(i), fmt.Sprint("receipt:", i))
			c.ack(f)
			f = c.wantBoth(fmt.Sprint(i))
			require.Equal(t, fmt.Sprint(i-1), string(f.Body))
		}
		began := time.Now()
		c.send("q", "no room", "receipt:late")
		c.send("other", "not behind it", "receipt:other")
		c.wantReceipt("other")
		patient := func() *stomp.Frame {
			c.nc.SetReadDeadline(time.Now().Add(time.Minute))
			f, err := c.dec.Next()
			require.NoError(t, err)
			return f
		}
		e := patient()
		require.Equal(t, []string{"ERROR", "late"}, []string{e.Command, e.Get("receipt-id")})
		require.Contains(t, e.Get("message"), `queue "q" has 2 messages, at most 2`)
		require.Equal(t, 20*time.Second, time.Since(began))
		c.send("q", "last", "receipt:last")
		c.frame("DISCONNECT", "receipt:bye") // waits for what waits
		e = patient()
		require.Equal(t, []string{"ERROR", "last"}, []string{e.Command, e.Get("receipt-id")})
		c.wantReceipt("bye")
		require.Equal(t, 2, log.Depth("q"))
	})
}

// What a client has sent before it is lost is stored when there is room for
// it, though nobody waits for a receipt any more.
func TestLostWhileTheQueueIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		l := servePipes(t, func(c *stompserver.Config) {
			c.Broker.Close()
			c.Broker = log.Broker(t, func(b *broker.Config) {
				b.Policies = brokertest.Policies(func(p *policy.Policy) { p.Limits = policy.Limits{Messages: 1, Wait: time.Minute} })
			})
		})
		c := l.dial(t)
		c.connect("1.2")
		c.publish("q", "1")
		c.subscribe("q", "client-individual", "activemq.prefetchSize:1")
		c.wantBodies("1") // pending with who is lost
		c.send("q", "2")
		c.send("q", "3")
		synctest.Wait()
		c.nc.Close()
		d := l.dial(t)
		d.connect("1.2")
		d.subscribe("q", "client-individual", "activemq.prefetchSize:1")
		for _, want := range []string{"1", "2", "3"} {
			d.ack(d.wantBodies(want)[0])
		}
		d.frame("DISCONNECT", "receipt:bye")
		d.wantReceipt("bye")
		require.Zero(t, log.Depth("q"))
	})
}
