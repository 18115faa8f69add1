package stompserver_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/broker/brokertest"
	"baton/node/stompserver"
)

func TestExpiryHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		l := servePipes(t, func(c *stompserver.Config) { c.Broker = log.Broker(t) })
		c := l.dial(t)
		c.connect("1.2")
		expires := fmt.Sprint(time.Now().Add(time.Minute).UnixMilli())
		for _, persistent := range []string{"true", "false"} {
			c.send("q", persistent, "expires:"+expires, "persistent:"+persistent, "receipt:r")
			c.wantReceipt("r")
		}
		c.send("q", "for ever", "expires:0", "receipt:r")
		c.wantReceipt("r")
		c.subscribe("q", "client-individual", "activemq.prefetchSize:1")
		f := c.wantBodies("true")[0]
		require.Equal(t, expires, f.Get("expires"))
		<-time.After(time.Minute + time.Second)
		c.ack(f)
		f = c.wantBodies("for ever")[0]
		require.Equal(t, "0", f.Get("expires"))
		require.Zero(t, log.Depth("DLQ"), "the expired one was not persistent")
		c.send("q2", "x", "expires:1", "receipt:r")
		c.wantReceipt("r")
		c.subscribe("DLQ", "auto")
		f = c.wantBodies("x")[0]
		require.Equal(t, "/queue/q2", f.Get("original-destination"))
		require.Equal(t, "1", f.Get("originalExpiration"))
		require.Equal(t, "0", f.Get("expires"))
	})
}

func TestScheduledHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		l := servePipes(t, func(c *stompserver.Config) { c.Broker = log.Broker(t) })
		c := l.dial(t)
		c.connect("1.2")
		c.subscribe("q", "auto")
		began := time.Now()
		c.send("q", "later", "AMQ_SCHEDULED_DELAY:3000", "AMQ_SCHEDULED_PERIOD:1000", "AMQ_SCHEDULED_REPEAT:2", "mine:yes", "scheduledJobId:forged", "receipt:r")
		c.wantReceipt("r")
		c.send("q", "now", "AMQ_SCHEDULED_DELAY:0")
		c.wantBodies("now")
		require.Zero(t, time.Since(began))
		ids := map[string]bool{}
		var job string
		for i := range 3 {
			f := c.wantBodies("later")[0]
			require.Equal(t, time.Duration(3+i)*time.Second, time.Since(began))
			require.Equal(t, "yes", f.Get("mine"))
			require.Empty(t, f.Get("AMQ_SCHEDULED_DELAY"), "it would be scheduled again wherever it is forwarded to")
			require.Empty(t, f.Get("\x03plan"))
			require.NotEqual(t, "forged", f.Get("scheduledJobId"))
			require.True(t, job == "" || job == f.Get("scheduledJobId"))
			job = f.Get("scheduledJobId")
			ids[f.Get("message-id")] = true
		}
		require.Len(t, ids, 3)
		require.NotEmpty(t, job)
	})
}

func TestDuplicatesAreSuppressed(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	c := dial(t, address, "1.2")
	for range 3 {
		for _, id := range []string{"a", "b"} {
			c.send("q", id, "baton-dedup-id:"+id, "receipt:"+id)
			c.wantReceipt(id)
		}
		c.send("other", "a", "baton-dedup-id:a")
		c.send("q", "none")
	}
	c.subscribe("q", "auto")
	f := c.wantBodies("a", "b", "none", "none", "none")[0]
	require.Equal(t, "a", f.Get("baton-dedup-id"))
	require.Equal(t, 1, log.Depth("other"))
}
