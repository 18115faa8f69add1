package stompserver_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/stompserver"
)

// wantEnd expects the last frame of a browser.
func (c *client) wantEnd() {
	c.t.Helper()
	f := c.want("MESSAGE")
	require.Equal(c.t, "end", f.Get("browser"), "%v", f.Headers)
	require.Equal(c.t, "/queue/q", f.Get("destination"))
	require.Empty(c.t, f.Body)
}

func TestBrowser(t *testing.T) {
	for _, version := range []string{"1.1", "1.2"} {
		for _, mode := range []string{"auto", "client", "client-individual"} {
			t.Run(version+" "+mode, func(t *testing.T) {
				log := brokertest.NewLog()
				_, address := startServer(t, log)
				p := dial(t, address, "1.2")
				p.publish("q", "1", "2", "3")
				p.post("/queue/q", "high", "priority:9", "color:red")
				holder := dial(t, address, "1.2")
				holder.subscribe("q", "client-individual", "activemq.prefetchSize:2")
				holder.wantBodies("high", "1") // pending messages are shown, too
				proposed := log.Proposed()
				c := dial(t, address, version)
				c.listen("b", "/queue/q", "browser:true", "ack:"+mode, "activemq.prefetchSize:1")
				got := c.wantBodies("high", "1", "2", "3")
				require.Equal(t, "b", got[0].Get("subscription"))
				c.wantEnd()
				if mode != "auto" { // of no effect
					if version == "1.2" {
						c.ack(got[3], "receipt:a")
					} else {
						c.frame("ACK", "subscription:b", "message-id:"+got[3].Get("message-id"), "receipt:a")
					}
					c.wantReceipt("a")
				}
				p.publish("q", "4")
				c.wantSilence()
				c.frame("UNSUBSCRIBE", "id:b", "receipt:u")
				c.wantReceipt("u")
				c.listen("b", "/queue/q", "browser:true", "selector:color = 'red'")
				c.wantBodies("high")
				c.wantEnd()
				require.Equal(t, proposed+1, log.Proposed())
				require.Equal(t, 4, log.Depth("q"))
			})
		}
	}
}

func TestBrowserOfNothing(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	c := dial(t, address, "1.2")
	c.listen("b", "/queue/q", "browser:true")
	c.wantEnd()
	require.Empty(t, log.Queues())
	old := dial(t, address, "1.0")
	old.frame("SUBSCRIBE", "destination:/queue/q", "browser:true")
	old.wantError("STOMP 1.0")
}

// A browser of a deep queue waits for a client that reads slowly, and ends
// when that leaves.
func TestBrowserOfDeepQueue(t *testing.T) {
	log := brokertest.NewLog()
	var b *broker.Broker
	_, address := startServer(t, log, func(c *stompserver.Config) { c.MaxOutput, b = 1000, c.Broker })
	p := dial(t, address, "1.2")
	body := strings.Repeat("x", 3000)
	const depth = 2000
	for range depth {
		p.raw("SEND\ndestination:/queue/q\n\n" + body + "\x00")
	}
	p.leave()
	c, gone := dial(t, address, "1.2"), dial(t, address, "1.2")
	c.listen("b", "/queue/q", "browser:true")
	gone.listen("b", "/queue/q", "browser:true")
	gone.want("MESSAGE")
	gone.nc.Close()
	require.Equal(t, depth, log.Depth("q"))
	for i := range depth {
		f := c.want("MESSAGE")
		require.Equal(t, body, string(f.Body), fmt.Sprint(i))
	}
	c.wantEnd()
	c.leave()
	eventually(t, "both are gone", func() bool { return b.Stats().Subscriptions == 0 })
	require.Equal(t, depth, log.Depth("q"))
}
