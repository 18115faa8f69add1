package stompserver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/stompserver"
)

// listen subscribes to any destination and waits for the receipt.
func (c *client) listen(id, destination string, headers ...string) {
	c.t.Helper()
	c.frame("SUBSCRIBE", append([]string{"id:" + id, "destination:" + destination, "receipt:sub"}, headers...)...)
	c.wantReceipt("sub")
}

// post sends to any destination and waits for the receipt; messages may come
// before it.
func (c *client) post(destination, body string, headers ...string) {
	c.t.Helper()
	c.raw("SEND\ndestination:" + destination + "\nreceipt:post\n" + strings.Join(append(headers, ""), "\n") + "\n" + body + "\x00")
	for {
		f, err := c.read()
		require.NoError(c.t, err)
		if f.Command == "RECEIPT" {
			require.Equal(c.t, "post", f.Get("receipt-id"))
			return
		}
		require.Equal(c.t, "MESSAGE", f.Command, "%v", f.Headers)
		c.early = append(c.early, f)
	}
}

func (c *client) wantFrom(destination, body string) {
	c.t.Helper()
	f := c.wantBodies(body)[0]
	require.Equal(c.t, destination, f.Get("destination"))
}

func TestTopic(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	a, b, p := dial(t, address, "1.2"), dial(t, address, "1.1"), dial(t, address, "1.2")
	p.post("/topic/news", "nobody listens")
	a.listen("1", "/topic/news")
	a.listen("2", "/topic/>")
	b.listen("1", "/topic/*.eu")
	p.post("/topic/news", "1")
	p.post("/topic/news.eu", "2")
	a.wantEach("1 1", "2 1", "2 2")
	b.wantFrom("/topic/news.eu", "2")
	a.frame("UNSUBSCRIBE", "id:2", "receipt:u")
	a.wantReceipt("u")
	p.post("/topic/news.eu", "3")
	b.wantFrom("/topic/news.eu", "3")
	a.wantSilence()
	require.Empty(t, log.Queues(), "nothing of it is in the log")
}

// wantEach expects messages, "subscription body", of several subscriptions,
// which are in no order to each other.
func (c *client) wantEach(want ...string) {
	c.t.Helper()
	var got []string
	for range want {
		f := c.want("MESSAGE")
		got = append(got, f.Get("subscription")+" "+string(f.Body))
	}
	slices.Sort(got)
	slices.Sort(want)
	require.Equal(c.t, want, got)
}

func TestTopicFilters(t *testing.T) {
	_, address := startServer(t, brokertest.NewLog())
	c, p := dial(t, address, "1.2"), dial(t, address, "1.2")
	c.listen("local", "/topic/t", "activemq.noLocal:true")
	c.listen("big", "/topic/t", "selector:size > 10 AND color = 'red'")
	c.post("/topic/t", "own", "size:5")
	c.post("/topic/t", "own red", "size:50", "color:red")
	p.post("/topic/t", "small", "size:9", "color:red")
	p.post("/topic/t", "blue", "size:11", "color:blue")
	c.wantEach("big own red", "local small", "local blue")
	c.wantSilence()
}

// A topic's messages may be settled in every way; none of that is in the log.
func TestTopicAckModes(t *testing.T) {
	for _, mode := range []string{"auto", "client", "client-individual"} {
		t.Run(mode, func(t *testing.T) {
			log := brokertest.NewLog()
			_, address := startServer(t, log)
			c := dial(t, address, "1.2")
			c.listen("1", "/topic/t", "ack:"+mode, "activemq.prefetchSize:2")
			p := dial(t, address, "1.2")
			for i := range 6 {
				p.post("/topic/t", fmt.Sprint(i))
			}
			if mode == "auto" {
				c.wantBodies("0", "1", "2", "3", "4", "5")
				return
			}
			got := c.wantBodies("0", "1")
			c.wantSilence()
			c.frame("NACK", "id:"+got[1].Get("ack"))
			if mode == "client" {
				got = c.wantBodies("0", "1")
				require.Equal(t, "true", got[0].Get("redelivered"))
				c.ack(got[1], "receipt:a")
			} else {
				again := c.wantBodies("1")[0]
				require.Equal(t, "true", again.Get("redelivered"))
				c.ack(got[0])
				c.ack(again, "receipt:a")
			}
			c.wantBothReceipt("a", "2", "3")
			require.Zero(t, log.Proposed())
		})
	}
}

// wantBothReceipt expects a receipt among messages with these bodies.
func (c *client) wantBothReceipt(receipt string, bodies ...string) (frames map[string]string) {
	c.t.Helper()
	frames = map[string]string{}
	var got []string
	for range len(bodies) + 1 {
		f, err := c.next()
		require.NoError(c.t, err)
		if f.Command == "RECEIPT" {
			require.Equal(c.t, receipt, f.Get("receipt-id"))
			continue
		}
		require.Equal(c.t, "MESSAGE", f.Command, "%v", f.Headers)
		got = append(got, string(f.Body))
		frames[string(f.Body)] = f.Get("ack")
	}
	require.Equal(c.t, bodies, got)
	return frames
}

// A message to a topic is handed out when the transaction that it is part of
// commits, and in the order of the producer.
func TestTopicInTransaction(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	c, p := dial(t, address, "1.2"), dial(t, address, "1.2")
	c.listen("1", "/topic/t", "ack:client")
	p.frame("BEGIN", "transaction:x")
	p.send("q", "in the log", "transaction:x")
	p.raw("SEND\ndestination:/topic/t\ntransaction:x\n\n2\x00")
	p.post("/topic/t", "1")
	first := c.wantBodies("1")[0]
	c.wantSilence()
	log.Hold()
	p.frame("COMMIT", "transaction:x", "receipt:c")
	eventually(t, "the proposal", func() bool { return log.Waiting() == 1 })
	p.raw("SEND\ndestination:/topic/t\n\n3\x00")
	c.wantSilence()
	log.Release()
	p.wantReceipt("c")
	c.wantBodies("2", "3")
	p.frame("BEGIN", "transaction:y")
	p.raw("SEND\ndestination:/topic/t\ntransaction:y\n\nlost\x00")
	p.frame("ABORT", "transaction:y", "receipt:a")
	p.wantReceipt("a")
	c.wantSilence()

	// Acks in a transaction, rolled back: pending again.
	c.frame("BEGIN", "transaction:z")
	c.ack(first, "transaction:z")
	c.frame("ABORT", "transaction:z")
	c.ack(first, "receipt:again")
	c.wantReceipt("again")
}

// A subscriber that does not read loses its oldest messages. The producer and
// the others do not wait for it.
func TestSlowSubscriber(t *testing.T) {
	log := brokertest.NewLog()
	var b *broker.Broker
	_, address := startServer(t, log, func(c *stompserver.Config) { b = c.Broker })
	slow, quick, p := dial(t, address, "1.2"), dial(t, address, "1.2"), dial(t, address, "1.2")
	slow.listen("1", "/topic/t", "ack:client-individual", "activemq.prefetchSize:1", "activemq.maximumPendingMessageLimit:3")
	quick.listen("1", "/topic/t")
	first := ""
	for i := range 20 {
		p.post("/topic/t", fmt.Sprint(i))
		quick.wantBodies(fmt.Sprint(i))
		if i == 0 {
			first = slow.wantBodies("0")[0].Get("ack")
		}
	}
	eventually(t, "the oldest are dropped", func() bool { return b.Stats().Dropped == 16 })
	slow.frame("ACK", "id:"+first)
	for _, want := range []string{"17", "18", "19"} {
		f := slow.wantBodies(want)[0]
		slow.ack(f)
	}
	slow.wantSilence()
	eventually(t, "memory is given back", func() bool { return b.Stats().MemoryBytes == 0 })
}

func TestTemporaryQueue(t *testing.T) {
	log := brokertest.NewLog()
	var b *broker.Broker
	_, address := startServer(t, log, func(c *stompserver.Config) { b = c.Broker })
	asker, server, thief := dial(t, address, "1.2"), dial(t, address, "1.2"), dial(t, address, "1.2")
	server.listen("work", "/queue/work")
	asker.listen("answers", "/temp-queue/mine", "ack:client-individual")
	asker.post("/queue/work", "question", "reply-to:/temp-queue/mine", "correlation-id:7")
	f := server.wantBodies("question")[0]
	to := f.Get("reply-to")
	require.Regexp(t, "^/remote-temp-queue/ID-test-[0-9]+-[A-Z2-7]{26}$", to)
	require.Equal(t, "7", f.Get("correlation-id"))
	server.post(to, "answer")
	answer := asker.wantBodies("answer")[0]
	require.Equal(t, "/temp-queue/mine", answer.Get("destination"))
	asker.ack(answer)

	// Nobody else receives, whatever name is used.
	thief.frame("SUBSCRIBE", "id:1", "destination:"+to)
	thief.wantError("only the connection that a temporary destination belongs to")
	thief.listen("1", "/temp-queue/mine")
	server.post(to, "second")
	asker.wantBodies("second")
	thief.wantSilence()

	// A message may come before the owner subscribes, and its kind counts.
	asker.post("/queue/work", "again", "reply-to:/temp-queue/later")
	later := server.wantBodies("again")[0].Get("reply-to")
	require.NotEqual(t, to, later)
	server.post(later, "early")
	asker.listen("later", "/temp-queue/later")
	asker.wantBodies("early")
	server.frame("SEND", "destination:"+strings.Replace(later, "queue", "topic", 1), "receipt:r")
	server.wantError("no such temporary destination")

	// It is gone with its connection.
	asker.frame("DISCONNECT", "receipt:d")
	asker.wantReceipt("d")
	asker.wantClosed()
	eventually(t, "the temporary queue is gone", func() bool { return b.Stats().MemoryBytes == 0 })
	server.frame("SEND", "destination:"+to, "receipt:r")
	require.Equal(t, "r", server.wantError("its connection may have ended").Get("receipt-id"))
	require.Len(t, log.Queues(), 1)
}

// A full temporary queue refuses; nothing is lost, and it goes on when the
// owner has received.
func TestTemporaryQueueIsBounded(t *testing.T) {
	log := brokertest.NewLog()
	var b *broker.Broker
	_, address := startServer(t, log, func(c *stompserver.Config) {
		c.Broker.Close()
		b = log.Broker(t, func(c *broker.Config) { c.SubscriberBytes = 10_000 })
		c.Broker = b
	})
	c := dial(t, address, "1.2")
	body := strings.Repeat("x", 2500)
	for range 3 {
		c.post("/temp-queue/t", body)
	}
	c.frame("SEND", "destination:/temp-queue/t", "receipt:x", "h:"+strings.Repeat("y", 2500))
	c.wantError("temporary queue is full")
	// In a transaction that is dropped the room is given back.
	c.frame("BEGIN", "transaction:t")
	c.frame("SEND", "destination:/temp-queue/t", "transaction:t", "h:"+strings.Repeat("y", 500))
	c.frame("ABORT", "transaction:t")
	c.listen("1", "/temp-queue/t")
	c.wantBodies(body, body, body)
	eventually(t, "room", func() bool { return b.Stats().MemoryBytes == 0 })
	for range 3 {
		c.post("/temp-queue/t", body)
		c.wantBodies(body)
		eventually(t, "room", func() bool { return b.Stats().MemoryBytes == 0 })
	}
}

func TestTemporaryTopic(t *testing.T) {
	_, address := startServer(t, brokertest.NewLog())
	c, p := dial(t, address, "1.2"), dial(t, address, "1.2")
	p.listen("q", "/queue/q")
	c.listen("1", "/temp-topic/x")
	c.listen("2", "/temp-topic/x", "selector:n > 1")
	c.post("/queue/q", "hello", "reply-to:/temp-topic/x")
	to := p.wantBodies("hello")[0].Get("reply-to")
	require.Contains(t, to, "/remote-temp-topic/")
	p.post(to, "one", "n:1")
	p.post(to, "two", "n:2")
	c.wantEach("1 one", "1 two", "2 two")
	c.frame("UNSUBSCRIBE", "id:1", "receipt:u")
	c.wantReceipt("u")
	p.post(to, "three", "n:3")
	c.wantEach("2 three")
	c.wantSilence()
}

// An alias is no name for others, and there is a limit.
func TestTemporaryLimit(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log, func(c *stompserver.Config) {
		c.Broker.Close()
		c.Broker = log.Broker(t, func(c *broker.Config) { c.Temporaries = 2 })
	})
	c := dial(t, address, "1.2")
	c.listen("1", "/temp-queue/a")
	c.listen("2", "/temp-topic/a")
	c.frame("SEND", "destination:/queue/q", "reply-to:/temp-queue/b", "receipt:r")
	c.wantError("2 temporary destinations, which is the limit")
	c.post("/temp-queue/a", "still works")
	c.wantBodies("still works")
}
