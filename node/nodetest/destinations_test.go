package nodetest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/nodetest"
)

// dialAs connects to whoever serves, under a client id.
func dialAs(t *testing.T, c *nodetest.Cluster, id string) *nodetest.Conn {
	t.Helper()
	c.Healthy()
	var all []string
	for _, node := range c.IDs() {
		all = append(all, c.Stomp(node))
	}
	conn, err := nodetest.Dial(all, "client-id:"+id)
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

func send(t *testing.T, conn *nodetest.Conn, destination, body string, headers ...string) {
	t.Helper()
	require.NoError(t, conn.Ask("SEND", body, append(headers, "destination:"+destination)...))
}

// bodies acknowledges the next messages and returns what was in them.
func bodies(t *testing.T, conn *nodetest.Conn, n int) (all []string) {
	t.Helper()
	for range n {
		f := message(t, conn)
		all = append(all, string(f.Body))
		require.NoError(t, conn.Ask("ACK", "", "id:"+f.Get("ack")))
	}
	return all
}

// Durable subscriptions, consumers of virtual topics, what was sent to several
// destinations, patterns and the order of groups are as they were when another
// node leads. What belongs to a connection is gone with it.
func TestDestinationsSurviveFailover(t *testing.T) {
	c := nodetest.Start(t, nodetest.Config{})
	durable := []string{"id:d", "destination:/topic/a.>", "selector:n > 0", "activemq.subscriptionName:s", "ack:client-individual"}
	me := dialAs(t, c, "me")
	require.NoError(t, me.Ask("SUBSCRIBE", "", durable...)) // it is there when the leader goes
	orders := []string{"id:v", "destination:/queue/Consumer.X.VirtualTopic.Orders", "ack:client-individual"}
	x := dialLeader(t, c)
	require.NoError(t, x.Ask("SUBSCRIBE", "", orders...))
	x.Close()
	p := dialLeader(t, c)
	send(t, p, "/queue/ask", "question", "reply-to:/temp-queue/mine")
	for g := range 3 {
		for i := range 20 {
			send(t, p, "/queue/groups", fmt.Sprint(i), fmt.Sprint("JMSXGroupID:", g))
		}
	}
	me.Close()
	send(t, p, "/topic/a.b,/queue/w.1,/queue/w.2", "before", "n:1")
	send(t, p, "/topic/a.b", "unwanted", "n:0")
	send(t, p, "/topic/VirtualTopic.Orders", "order 1")

	leader := c.Healthy()
	c.Stop(leader)
	p = dialLeader(t, c)
	send(t, p, "/topic/a", "after", "n:2")
	send(t, p, "/topic/VirtualTopic.Orders", "order 2")
	t.Run("durable subscription", func(t *testing.T) {
		me := dialAs(t, c, "me")
		require.NoError(t, me.Ask("SUBSCRIBE", "", durable...))
		require.Equal(t, []string{"before", "after"}, bodies(t, me, 2))
		require.NoError(t, me.Ask("UNSUBSCRIBE", "", "id:d", "activemq.subscriptionName:s"))
		send(t, p, "/topic/a", "too late", "n:3")
	})
	t.Run("virtual topic", func(t *testing.T) {
		x := dialLeader(t, c)
		require.NoError(t, x.Ask("SUBSCRIBE", "", orders...))
		require.Equal(t, []string{"order 1", "order 2"}, bodies(t, x, 2))
	})
	t.Run("patterns", func(t *testing.T) {
		w := dialLeader(t, c)
		subscribe(t, w, "w.*")
		require.Equal(t, []string{"before", "before"}, bodies(t, w, 2))
		send(t, p, "/queue/w.3", "new")
		require.Equal(t, []string{"new"}, bodies(t, w, 1))
	})
	t.Run("groups", func(t *testing.T) { testGroups(t, dialLeader(t, c), dialLeader(t, c)) })
	t.Run("temporary queue", func(t *testing.T) {
		r := dialLeader(t, c)
		subscribe(t, r, "ask")
		to := message(t, r).Get("reply-to")
		require.ErrorContains(t, r.Ask("SEND", "answer", "destination:"+to), "its connection may have ended")
	})
	c.StartNodes(leader)
	c.Settled()
	for _, id := range c.IDs() {
		for _, q := range []string{"w.1", "w.2", "groups", "Consumer.X.VirtualTopic.Orders"} {
			c.Until(q+" is empty on "+id, func() string {
				if n := c.Queue(id, q).Depth; n > 0 {
					return fmt.Sprint(n, " messages are left")
				}
				return ""
			})
		}
	}
}

// testGroups expects that each of three groups of twenty comes to one of two
// consumers, in order.
func testGroups(t *testing.T, consumers ...*nodetest.Conn) {
	type delivery struct {
		consumer    int
		group, body string
	}
	all := make(chan delivery, 60)
	for i, conn := range consumers {
		subscribe(t, conn, "groups", "activemq.prefetchSize:3")
		go func() {
			for {
				f, err := conn.Next()
				if err != nil {
					return
				}
				if f.Command != "MESSAGE" {
					continue
				}
				all <- delivery{i, f.Get("JMSXGroupID"), string(f.Body)}
				if conn.Write("ACK", "", "id:"+f.Get("ack"), "receipt:asked") != nil {
					return
				}
			}
		}()
	}
	owner, next := map[string]int{}, map[string]int{}
	for range 60 {
		var d delivery
		select {
		case d = <-all:
		case <-time.After(nodetest.Patience):
			t.Fatalf("deliveries stopped at %v", next)
		}
		if _, ok := owner[d.group]; !ok {
			owner[d.group] = d.consumer
		}
		require.Equal(t, owner[d.group], d.consumer, "group %s", d.group)
		require.Equal(t, fmt.Sprint(next[d.group]), d.body, "group %s", d.group)
		next[d.group]++
	}
	require.Len(t, owner, 3)
}
