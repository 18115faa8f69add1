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

// smallWindow makes queues keep few messages in memory.
func smallWindow(t *testing.T, log *brokertest.Log) func(*stompserver.Config) {
	return func(c *stompserver.Config) {
		c.Broker.Close()
		c.Broker = log.Broker(t, func(b *broker.Config) { b.Window, b.CacheQueue = 16, 4000 })
	}
}

func TestExclusiveConsumer(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	plain, first, second, p := dial(t, address, "1.2"), dial(t, address, "1.2"), dial(t, address, "1.2"), dial(t, address, "1.2")
	plain.subscribe("q", "client-individual")
	p.publish("q", "0")
	kept := plain.wantBodies("0")[0]
	first.subscribe("q", "client-individual", "activemq.exclusive:true", "activemq.prefetchSize:2")
	second.subscribe("q", "client-individual", "activemq.exclusive:true")
	first.wantSilence() // the server is past the receipts: both are there
	second.wantSilence()
	p.publish("q", "1", "2", "3")
	first.wantBodies("1", "2")
	plain.wantSilence()
	second.wantSilence()
	plain.ack(kept, "receipt:a")
	plain.wantReceipt("a") // what it has it may settle
	first.nc.Close()
	second.wantBodies("1", "2", "3") // takes over, in order
	plain.wantSilence()
	second.frame("UNSUBSCRIBE", "id:s-q", "receipt:u")
	second.wantReceipt("u")
	plain.wantBodies("1", "2", "3")
}

func TestConsumerPriority(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	low, high, high2, p := dial(t, address, "1.2"), dial(t, address, "1.2"), dial(t, address, "1.2"), dial(t, address, "1.2")
	low.subscribe("q", "client-individual", "activemq.priority:-1")
	high.subscribe("q", "client-individual", "activemq.priority:7", "activemq.prefetchSize:1")
	high2.subscribe("q", "client-individual", "activemq.priority:7", "activemq.prefetchSize:2")
	for _, c := range []*client{low, high, high2} {
		c.wantSilence() // the server is past the receipts: all are there
	}
	p.publish("q", numbers(1, 5)...)
	high.wantBodies("1")
	got := high2.wantBodies("2", "3")
	low.wantBodies("4", "5")
	high2.ack(got[0], "receipt:a")
	high2.wantReceipt("a")
	p.publish("q", "6")
	high2.wantBodies("6")
	low.wantSilence()
}

func TestMessageGroups(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	a, b, p := dial(t, address, "1.2"), dial(t, address, "1.2"), dial(t, address, "1.2")
	a.subscribe("q", "client-individual", "activemq.prefetchSize:2")
	b.subscribe("q", "client-individual", "activemq.prefetchSize:10")
	a.wantSilence() // the server is past the receipts: both are there
	b.wantSilence()
	send := func(body, group string, headers ...string) {
		p.post("/queue/q", body, append(headers, "JMSXGroupID:"+group)...)
	}
	send("x1", "x") // a's, it is its turn
	send("y1", "y") // b's
	x := a.wantBodies("x1")[0]
	require.Equal(t, "true", x.Get("JMSXGroupFirstForConsumer"))
	b.wantBodies("y1")
	send("x2", "x")
	send("x3", "x") // a is full: this waits, and holds nobody up
	send("y2", "y")
	p.publish("q", "none")
	require.Empty(t, a.wantBodies("x2")[0].Get("JMSXGroupFirstForConsumer"))
	b.wantBodies("y2", "none")
	a.wantSilence()
	a.ack(x)
	a.wantBodies("x3")

	// The end of a group sets it free.
	send("y3", "y", "JMSXGroupSeq:-1")
	b.wantBodies("y3")

	// When its consumer goes the group goes to another, in order.
	a.nc.Close()
	got := b.wantBodies("x2", "x3")
	require.Equal(t, "true", got[0].Get("JMSXGroupFirstForConsumer"))
	send("x4", "x")
	b.wantBodies("x4")
}

// Groups of a queue that is deeper than its window, and of a new leader, which
// knows nothing of them, keep their order and their consumer.
func TestGroupsOfDeepQueue(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	p := dial(t, address, "1.2")
	const groups, each = 5, 40
	for i := range each {
		for g := range groups {
			p.raw(fmt.Sprintf("SEND\ndestination:/queue/q\nJMSXGroupID:g%d\n\n%d %d\x00", g, g, i))
		}
	}
	p.leave()
	_, address = startServer(t, log, smallWindow(t, log))
	var consumers []*client
	for range 3 {
		c := dial(t, address, "1.2")
		c.subscribe("q", "client-individual", "activemq.prefetchSize:3")
		consumers = append(consumers, c)
	}
	owner, next := map[int]int{}, map[int]int{}
	for n := 0; n < groups*each; {
		for i, c := range consumers {
			f, err := c.tryNext()
			if err != nil {
				continue
			}
			var g, k int
			_, err = fmt.Sscan(string(f.Body), &g, &k)
			require.NoError(t, err)
			if _, ok := owner[g]; !ok {
				owner[g] = i
			}
			require.Equal(t, owner[g], i, "group %d", g)
			require.Equal(t, next[g], k, "group %d", g)
			next[g]++
			n++
			c.ack(f)
		}
	}
	require.Len(t, owner, groups)
}

// A consumer finds what its selector wants far behind messages that nobody
// takes, and the others go on.
func TestSelectorOnQueue(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log, smallWindow(t, log))
	p := dial(t, address, "1.2")
	for i := range 300 {
		color := "blue"
		if i%100 == 99 {
			color = "red"
		}
		p.raw(fmt.Sprintf("SEND\ndestination:/queue/q\ncolor:%s\nn:%d\n\n%d\x00", color, i, i))
	}
	p.post("/queue/q", "300", "color:red", "priority:9")
	red := dial(t, address, "1.2")
	red.subscribe("q", "client-individual", "selector:color = 'red'", "activemq.prefetchSize:3")
	got := red.wantBodies("300", "99", "199")
	red.wantSilence() // its prefetch is used up
	red.ack(got[0])
	got = append(got, red.wantBodies("299")...)

	plain := dial(t, address, "1.2")
	plain.subscribe("q", "auto")
	for i := range 300 {
		if i%100 != 99 {
			plain.wantBodies(fmt.Sprint(i))
		}
	}
	plain.wantSilence()
	// What comes back goes to whoever wants it.
	plain.frame("UNSUBSCRIBE", "id:s-q", "receipt:u")
	plain.wantReceipt("u")
	red.frame("NACK", "id:"+got[1].Get("ack"))
	require.Equal(t, "true", red.wantBodies("99")[0].Get("redelivered"))
	other := dial(t, address, "1.2")
	other.subscribe("q", "client-individual", "selector:n > 150 AND n < 250")
	red.nc.Close()
	require.Equal(t, "true", other.wantBodies("199")[0].Get("redelivered"))
	other.wantSilence()
	p.post("/queue/q", "new", "n:160")
	other.wantBodies("new")
	eventually(t, "acks", func() bool { return log.Depth("q") == 4 })
	last := dial(t, address, "1.2")
	last.subscribe("q", "auto")
	last.wantBodies("99", "299")
}

// Consumers with selectors share a queue with their like, in turn.
func TestSelectorsShare(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log, smallWindow(t, log))
	even, third, p := dial(t, address, "1.2"), dial(t, address, "1.2"), dial(t, address, "1.2")
	even.listen("1", "/queue/*,/temp-queue/x", "selector:n % 2 = 0")
	third.subscribe("q", "auto", "selector:n % 3 = 0 AND n % 2 <> 0")
	for i := range 120 {
		p.raw(fmt.Sprintf("SEND\ndestination:/queue/q\nn:%d\n\n%d\x00", i, i))
	}
	for i := range 120 {
		switch {
		case i%2 == 0:
			even.wantFrom("/queue/q", fmt.Sprint(i))
		case i%3 == 0:
			third.wantBodies(fmt.Sprint(i))
		}
	}
	even.post("/temp-queue/x", "odd", "n:1")
	even.post("/temp-queue/x", "even", "n:2")
	even.wantBodies("even")
	even.wantSilence()
	eventually(t, "acks", func() bool { return log.Depth("q") == 40 })
}

// Nothing that a selector does not want is ever lost or held, whatever comes
// back and goes.
func TestSelectorAndPlainLeaveNothing(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log, smallWindow(t, log))
	p := dial(t, address, "1.2")
	p.raw(strings.Repeat("SEND\ndestination:/queue/q\nk:a\n\nx\x00SEND\ndestination:/queue/q\nk:b\n\ny\x00", 100))
	for range 20 {
		c := dial(t, address, "1.2")
		c.subscribe("q", "client-individual", "selector:k = 'b'", "activemq.prefetchSize:7")
		for i, f := range c.wantBodies("y", "y", "y", "y", "y") {
			c.ack(f, fmt.Sprint("receipt:", i))
		}
		for receipts := 0; receipts < 5; {
			f, err := c.next()
			require.NoError(t, err)
			if f.Command == "RECEIPT" {
				receipts++
			}
		}
		c.nc.Close()
	}
	eventually(t, "acks", func() bool { return log.Depth("q") == 100 })
	c := dial(t, address, "1.2")
	c.subscribe("q", "auto")
	for range 100 {
		c.wantBodies("x")
	}
	eventually(t, "acks", func() bool { return log.Depth("q") == 0 })
}
