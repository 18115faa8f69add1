package nodetest_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/nodetest"
	"baton/node/stomp"
)

// dialLeader connects to whoever serves, and closes at the end of the test.
func dialLeader(t *testing.T, c *nodetest.Cluster) *nodetest.Conn {
	t.Helper()
	c.Healthy()
	var all []string
	for _, id := range c.IDs() {
		all = append(all, c.Stomp(id))
	}
	conn, err := nodetest.Dial(all)
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

func subscribe(t *testing.T, conn *nodetest.Conn, queue string, headers ...string) {
	t.Helper()
	require.NoError(t, conn.Ask("SUBSCRIBE", "", append([]string{"id:" + queue, "destination:/queue/" + queue, "ack:client-individual"}, headers...)...))
}

func message(t *testing.T, conn *nodetest.Conn) *stomp.Frame {
	t.Helper()
	f, err := conn.Next()
	require.NoError(t, err)
	require.Equal(t, "MESSAGE", f.Command, f.Get("message"))
	return f
}

func unixMilli(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).UnixMilli(), 10) }

// What the broker promises beyond storing messages is in the log, so it holds
// from one leader to the next: how often a message came back, what is
// scheduled, which ids a queue was given, what is dead or will be.
func TestBrokerStateSurvivesFailover(t *testing.T) {
	c := nodetest.Start(t, nodetest.Config{})
	conn := dialLeader(t, c)
	for _, id := range []string{"a", "b"} {
		require.NoError(t, conn.Ask("SEND", id, "destination:/queue/ids", "baton-dedup-id:"+id))
	}
	const scheduled = 40
	for i := range scheduled { // some before the change of leader, some while nobody leads, some after
		require.NoError(t, conn.Ask("SEND", fmt.Sprint(i), "destination:/queue/later", fmt.Sprintf("AMQ_SCHEDULED_DELAY:%d", 100+i*50)))
	}
	require.NoError(t, conn.Ask("SEND", "x", "destination:/queue/returned", "priority:7"))
	require.NoError(t, conn.Ask("SEND", "short", "destination:/queue/short", "expires:"+unixMilli(2*time.Second)))
	subscribe(t, conn, "returned")
	require.NoError(t, conn.Ask("NACK", "", "id:"+message(t, conn).Get("ack")))
	again := message(t, conn)
	require.Equal(t, "2", again.Get("JMSXDeliveryCount"))
	require.NoError(t, conn.Ask("NACK", "", "id:"+again.Get("ack")))
	conn.Close()
	// A count is written soon, and not waited for: after this receipt it is.
	conn = dialLeader(t, c)
	subscribe(t, conn, "returned")
	require.Equal(t, "3", message(t, conn).Get("JMSXDeliveryCount"))
	require.NoError(t, conn.Ask("SEND", "marker", "destination:/queue/marker"))

	leader := c.Healthy()
	c.Stop(leader)
	next := dialLeader(t, c)
	t.Run("counts", func(t *testing.T) {
		subscribe(t, next, "returned")
		f := message(t, next)
		require.Equal(t, []string{"x", "true", "7"}, []string{string(f.Body), f.Get("redelivered"), f.Get("priority")})
		require.Equal(t, "3", f.Get("JMSXDeliveryCount"), "the old leader's end does not count")
		require.NoError(t, next.Ask("ACK", "", "id:"+f.Get("ack")))
	})
	t.Run("ids", func(t *testing.T) {
		for _, id := range []string{"a", "b", "c"} {
			require.NoError(t, next.Ask("SEND", id, "destination:/queue/ids", "baton-dedup-id:"+id))
		}
		require.NoError(t, next.Ask("SEND", "last", "destination:/queue/ids"))
		c.Until("the queue has what was sent", func() string {
			if q := c.Queue(c.Leader(), "ids"); q.Enqueued != 4 {
				return fmt.Sprint(q.Enqueued, " of 4")
			}
			return ""
		})
	})
	t.Run("schedule", func(t *testing.T) {
		subscribe(t, next, "later")
		seen := map[string]int{}
		for range scheduled {
			f := message(t, next)
			seen[string(f.Body)]++
			require.NoError(t, next.Ask("ACK", "", "id:"+f.Get("ack")))
		}
		require.Len(t, seen, scheduled, "each once")
		require.EqualValues(t, scheduled, c.Queue(c.Leader(), "later").Enqueued)
	})
	t.Run("expiry", func(t *testing.T) {
		subscribe(t, next, "DLQ")
		f := message(t, next)
		require.Equal(t, []string{"short", "/queue/short"}, []string{string(f.Body), f.Get("original-destination")})
	})
	c.StartNodes(leader)
	c.Settled()
	for _, id := range c.IDs() {
		require.EqualValues(t, 1, c.Queue(id, "DLQ").Depth, id)
	}
}
