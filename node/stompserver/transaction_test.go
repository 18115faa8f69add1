package stompserver_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/stompserver"
	"baton/store/record"
)

// startSmall serves with small limits of transactions.
func startSmall(t *testing.T, log *brokertest.Log) string {
	_, address := startServer(t, log, func(c *stompserver.Config) {
		c.Broker.Close()
		c.Broker = log.Broker(t, func(b *broker.Config) {
			b.Transactions, b.TransactionBytes, b.TransactionMemory = 2, 4000, 6000
		})
	})
	return address
}

func TestTransactionIsOneBatch(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	dial(t, address, "1.2").publish("in", "a", "b", "c")
	c, other := dial(t, address, "1.2"), dial(t, address, "1.2")
	c.subscribe("in", "client-individual")
	got := c.wantBodies("a", "b", "c")
	before := log.Proposed()
	c.frame("BEGIN", "transaction:t", "receipt:begun")
	c.wantReceipt("begun")
	c.send("out1", "1", "transaction:t", "receipt:s1")
	c.send("out2", "2", "transaction:t")
	c.send("out1", "3", "transaction:t")
	c.ack(got[0], "transaction:t")
	c.ack(got[2], "transaction:t", "receipt:acked")
	c.wantReceipt("s1")
	c.wantReceipt("acked")
	require.Equal(t, before, log.Proposed(), "nothing of an open transaction is in the log")
	require.Zero(t, log.Depth("out1"))

	log.Hold()
	c.frame("COMMIT", "transaction:t", "receipt:done")
	eventually(t, "the proposal", func() bool { return log.Waiting() == 1 })
	c.wantSilence()
	other.subscribe("out1", "auto")
	other.wantSilence()
	require.Equal(t, before+1, log.Proposed(), "one batch")
	log.Release()
	c.wantReceipt("done")
	other.wantBodies("1", "3")
	require.Equal(t, 1, log.Depth("out2"))
	require.Equal(t, 1, log.Depth("in"))
	c.frame("COMMIT", "transaction:t")
	c.wantError("not open")
	c.frame("BEGIN", "transaction:t", "receipt:again")
	c.wantReceipt("again")
}

// What a transaction has settled is pending again after ABORT, with the same
// ids, and is not delivered again.
func TestAbortMakesAcksPendingAgain(t *testing.T) {
	for _, mode := range []string{"client", "client-individual"} {
		t.Run(mode, func(t *testing.T) {
			log := brokertest.NewLog()
			_, address := startServer(t, log)
			dial(t, address, "1.2").publish("in", numbers(1, 4)...)
			c := dial(t, address, "1.2")
			c.subscribe("in", mode, "activemq.prefetchSize:2")
			got := c.wantBodies("1", "2")
			c.frame("BEGIN", "transaction:t")
			c.send("out", "x", "transaction:t")
			c.ack(got[0], "transaction:t")
			got = append(got, c.wantBodies("3")...) // an ack in a transaction frees its place
			c.frame("NACK", "id:"+got[1].Get("ack"), "transaction:t")
			got = append(got, c.wantBodies("4")...)
			c.ack(got[0])
			c.wantError("not pending")
			c.frame("ABORT", "transaction:t", "receipt:gone")
			c.wantReceipt("gone")
			require.Zero(t, log.Depth("out"))
			require.Equal(t, 4, log.Depth("in"))
			c.ack(got[0], "receipt:a")
			c.wantReceipt("a")
			c.ack(got[1], "receipt:b")
			c.wantReceipt("b")
			require.Equal(t, 2, log.Depth("in"))
		})
	}
}

func TestTransactedNack(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	dial(t, address, "1.2").publish("in", "1")
	c := dial(t, address, "1.1")
	c.subscribe("in", "client-individual")
	f := c.wantBodies("1")[0]
	c.frame("BEGIN", "transaction:t")
	c.frame("NACK", "subscription:s-in", "message-id:"+f.Get("message-id"), "transaction:t")
	c.wantSilence()
	c.frame("COMMIT", "transaction:t", "receipt:c")
	f = c.wantBoth("c")
	require.Equal(t, "true", f.Get("redelivered"))
	require.Equal(t, 1, log.Depth("in"))
}

func TestTransactionsSideBySide(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	c := dial(t, address, "1.0")
	for _, name := range []string{"a", "b", "c"} {
		c.frame("BEGIN", "transaction:"+name)
		c.send("q", name+"1", "transaction:"+name)
	}
	c.send("q", "plain")
	c.send("q", "a2", "transaction:a")
	c.frame("COMMIT", "transaction:b")
	c.frame("ABORT", "transaction:c")
	c.frame("COMMIT", "transaction:a", "receipt:r")
	c.wantReceipt("r")
	d := dial(t, address, "1.2")
	d.subscribe("q", "auto")
	d.wantBodies("plain", "b1", "a1", "a2")
}

// In STOMP 1.0 an ack names the message alone; that it is none of the first
// subscription's does not end the transaction.
func TestTransactedAckInVersion10(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	c := dial(t, address, "1.0")
	for _, q := range []string{"q1", "q2", "q3", "q4"} {
		c.subscribe(q, "client")
	}
	dial(t, address, "1.2").publish("q3", "x")
	f := c.wantBodies("x")[0]
	c.frame("BEGIN", "transaction:t")
	c.frame("ACK", "message-id:"+f.Get("message-id"), "transaction:t")
	c.frame("COMMIT", "transaction:t", "receipt:r")
	c.wantReceipt("r")
	require.Zero(t, log.Depth("q3"))
}

// A frame that is refused takes its transaction with it: what was meant to
// happen at once cannot any more.
func TestRefusedFrameRefusesItsTransaction(t *testing.T) {
	for _, x := range []struct{ name, frame, want string }{
		{"bad header", "SEND\ndestination:/queue/q\npriority:x\ntransaction:t\n\n\x00", "priority"},
		{"bad destination", "SEND\ndestination:q\ntransaction:t\n\n\x00", "begin with"},
		{"unknown message", "ACK\nid:1-99\ntransaction:t\n\n\x00", "not pending"},
		{"too large", "SEND\ndestination:/queue/q\ntransaction:t\n\n" + strings.Repeat("x", 4000) + "\x00", "at most 4000"},
	} {
		t.Run(x.name, func(t *testing.T) {
			log := brokertest.NewLog()
			c := dial(t, startSmall(t, log), "1.2")
			c.publish("in", "1")
			c.subscribe("in", "client-individual")
			f := c.wantBodies("1")[0]
			c.frame("BEGIN", "transaction:t")
			c.send("q", "1", "transaction:t")
			c.ack(f, "transaction:t")
			c.raw(x.frame)
			c.wantError(x.want)
			c.send("q", "2", "transaction:t")
			c.wantError("rolled back")
			c.frame("COMMIT", "transaction:t", "receipt:r")
			require.Equal(t, "r", c.wantError(x.want).Get("receipt-id"))
			require.Zero(t, log.Depth("q"))
			c.ack(f, "receipt:a") // it is pending again
			c.wantReceipt("a")
			c.frame("BEGIN", "transaction:t", "receipt:b") // its name is free
			c.wantReceipt("b")
		})
	}
}

func TestTransactionLimits(t *testing.T) {
	log := brokertest.NewLog()
	address := startSmall(t, log)
	c := dial(t, address, "1.2")
	c.frame("BEGIN", "transaction:a")
	c.frame("BEGIN", "transaction:a")
	c.wantError("begun already")
	c.frame("BEGIN", "transaction:b")
	c.frame("BEGIN", "transaction:c")
	c.wantError("2 are open")
	c.send("q", strings.Repeat("x", 3500), "transaction:a", "receipt:1")
	c.wantReceipt("1")
	c.send("q", strings.Repeat("x", 3500), "transaction:b")
	c.wantError("all clients may have 6000 bytes")
	c.frame("COMMIT", "transaction:a", "receipt:2")
	c.wantReceipt("2")
	c.frame("ABORT", "transaction:b", "receipt:3") // refused ones can be ended
	c.wantReceipt("3")
	for range 3 { // what they held is free again
		d := dial(t, address, "1.2")
		d.frame("BEGIN", "transaction:a")
		d.send("q", strings.Repeat("x", 3500), "transaction:a", "receipt:4")
		d.wantReceipt("4")
		d.frame("DISCONNECT", "receipt:5")
		d.wantReceipt("5")
		d.wantClosed()
	}
	require.Equal(t, 1, log.Depth("q"), "a connection that ends aborts")
}

// A client that goes away, or unsubscribes, with acks in a transaction.
func TestTransactionOfOneWhoLeaves(t *testing.T) {
	start := func(t *testing.T) (*brokertest.Log, string, *client) {
		log := brokertest.NewLog()
		_, address := startServer(t, log)
		dial(t, address, "1.2").publish("in", "1", "2")
		c := dial(t, address, "1.2")
		c.subscribe("in", "client-individual")
		got := c.wantBodies("1", "2")
		c.frame("BEGIN", "transaction:t")
		c.send("out", "x", "transaction:t")
		c.ack(got[0], "transaction:t", "receipt:a")
		c.wantReceipt("a")
		return log, address, c
	}
	others := func(t *testing.T, address string, want ...string) {
		d := dial(t, address, "1.2")
		d.subscribe("in", "auto")
		d.wantBodies(want...)
		d.wantSilence()
	}
	t.Run("closes", func(t *testing.T) {
		log, address, c := start(t)
		c.nc.Close()
		others(t, address, "1", "2")
		require.Zero(t, log.Depth("out"))
	})
	t.Run("unsubscribes and commits", func(t *testing.T) {
		log, address, c := start(t)
		c.frame("UNSUBSCRIBE", "id:s-in", "receipt:u")
		c.wantReceipt("u")
		others(t, address, "2")
		c.frame("COMMIT", "transaction:t", "receipt:c")
		c.wantReceipt("c")
		require.Equal(t, 1, log.Depth("out"))
		eventually(t, "acks", func() bool { return log.Depth("in") == 0 })
	})
	t.Run("unsubscribes and aborts", func(t *testing.T) {
		_, address, c := start(t)
		c.frame("UNSUBSCRIBE", "id:s-in", "receipt:u")
		c.wantReceipt("u")
		c.frame("ABORT", "transaction:t", "receipt:c")
		c.wantReceipt("c")
		others(t, address, "1", "2")
	})
}

// A COMMIT that found no quorum is in doubt as a whole.
func TestTransactionInDoubt(t *testing.T) {
	for _, late := range []bool{false, true} {
		log := brokertest.NewLog()
		_, address := startServer(t, log)
		dial(t, address, "1.2").publish("in", "1")
		c := dial(t, address, "1.2")
		c.subscribe("in", "client-individual", "activemq.prefetchSize:1")
		f := c.wantBodies("1")[0]
		c.frame("BEGIN", "transaction:t")
		c.send("out", "x", "transaction:t")
		c.ack(f, "transaction:t", "receipt:a")
		c.wantReceipt("a")
		log.Hold()
		c.frame("COMMIT", "transaction:t", "receipt:c")
		eventually(t, "the proposal", func() bool { return log.Waiting() == 1 })
		if late {
			log.CommitLate(broker.ErrNoQuorum)
		} else {
			log.Fail(1, broker.ErrNoQuorum)
		}
		require.Equal(t, "c", c.wantError("no quorum").Get("receipt-id"))
		c.wantSilence() // nobody gets what may have been acknowledged
		want := map[bool][2]int{false: {1, 0}, true: {0, 1}}[late]
		require.Equal(t, want, [2]int{log.Depth("in"), log.Depth("out")}, "both or none")
	}
}

// A transaction that is forgotten does not keep messages from others.
func TestTransactionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		l := servePipes(t, func(c *stompserver.Config) { c.Broker = log.Broker(t) })
		c := l.dial(t)
		c.connect("1.2")
		c.publish("in", "1")
		c.subscribe("in", "client-individual")
		f := c.wantBodies("1")[0]
		c.frame("BEGIN", "transaction:t")
		c.ack(f, "transaction:t", "receipt:a")
		c.wantReceipt("a")
		<-time.After(10*time.Minute + time.Second)
		c.wantBodies("1")
		c.frame("COMMIT", "transaction:t")
		c.wantError("open for longer than 10m")
	})
}

// A message that is gone, because an operator has moved it, cannot be part of a
// transaction: with its copy it would be there twice.
func TestTransactionWithoutItsMessage(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	dial(t, address, "1.2").publish("in", "1", "2")
	c := dial(t, address, "1.2")
	c.subscribe("in", "client-individual")
	got := c.wantBodies("1", "2")
	c.frame("BEGIN", "transaction:t")
	c.send("out", "x", "transaction:t")
	c.ack(got[0], "transaction:t")
	c.ack(got[1], "transaction:t", "receipt:a")
	c.wantReceipt("a")
	batch := record.NewBatch(64)
	batch.Add(record.TypeAck, record.Ack{Queue: "in", Sequences: []record.Sequence{2}}.AppendTo)
	log.Propose(batch, func(err error) { require.NoError(t, err) })
	c.frame("COMMIT", "transaction:t", "receipt:c")
	for range 2 { // the other message comes again
		f, err := c.next()
		require.NoError(t, err)
		if f.Command == "ERROR" {
			require.Contains(t, f.Get("message"), "1 of the messages that it acknowledges are gone")
			continue
		}
		require.Equal(t, "1", string(f.Body))
	}
	require.Zero(t, log.Depth("out"))
	require.Equal(t, 1, log.Depth("in"))
}
