package stompserver_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/stompserver"
)

func TestNothingUncommittedIsDeliveredOrConfirmed(t *testing.T) {
	log := brokertest.NewLog()
	var first atomic.Int64
	s, address := startServer(t, log, func(c *stompserver.Config) { c.OnFirstReceipt = func() { first.Add(1) } })
	consumer := dial(t, address, "1.2")
	consumer.subscribe("q", "auto")
	producer := dial(t, address, "1.2")
	log.Hold()
	producer.send("q", "1", "receipt:r1")
	eventually(t, "the proposal", func() bool { return log.Waiting() == 1 })
	consumer.wantSilence()
	producer.wantSilence()
	require.Zero(t, first.Load())
	log.Release()
	producer.wantReceipt("r1")
	consumer.wantBodies("1")
	eventually(t, "the first receipt is told of", func() bool { return first.Load() == 1 }) // a moment after it is sent
	producer.publish("q", "2")
	producer.wantSilence() // the server is past that receipt
	require.EqualValues(t, 1, first.Load(), "once")
	eventually(t, "auto acks", func() bool { return log.Depth("q") == 0 })
	eventually(t, "three receipts counted", func() bool { return s.Stats().Receipts >= 3 }) // a moment after they are sent
	require.Equal(t, uint64(3), s.Stats().Receipts)
}

func TestReceiptsComeInOrder(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	c := dial(t, address, "1.2")
	log.Hold()
	// Each of these is proposed by itself: the server's answer shows that it
	// has read it.
	for _, r := range numbers(1, 5) {
		c.send("q", r, "receipt:"+r)
		c.wantSilence()
	}
	c.frame("SUBSCRIBE", "id:1", "destination:/queue/q", "receipt:6", "ack:client")
	c.frame("UNSUBSCRIBE", "id:1", "receipt:7")
	c.frame("DISCONNECT", "receipt:8")
	eventually(t, "all proposals", func() bool { return log.Waiting() == 5 })
	log.Release()
	for _, r := range numbers(1, 6) {
		c.wantReceipt(r)
	}
	for { // messages between the two are fine
		f, err := c.next()
		require.NoError(t, err)
		if f.Command == "RECEIPT" {
			require.Equal(t, "7", f.Get("receipt-id"))
			break
		}
	}
	c.wantReceipt("8")
	c.wantClosed()
	require.Equal(t, 5, log.Depth("q"))
}

// A client that sends ahead costs few proposals, and is not read from for ever.
func TestWindow(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log, func(c *stompserver.Config) {
		c.Broker.Close()
		c.Broker = log.Broker(t, func(b *broker.Config) { b.InFlight, b.BatchRecords = 20, 10 })
	})
	c := dial(t, address, "1.2")
	log.Hold()
	all := ""
	for _, r := range numbers(1, 100) {
		all += "SEND\ndestination:/queue/q\nreceipt:" + r + "\n\n" + r + "\x00"
	}
	c.raw(all)
	eventually(t, "two proposals", func() bool { return log.Waiting() == 2 })
	require.True(t, log.Commit(1))
	eventually(t, "the next one", func() bool { return log.Waiting() == 2 })
	require.Equal(t, 3, log.Proposed())
	log.Release()
	for _, r := range numbers(1, 100) {
		c.wantReceipt(r)
	}
	require.LessOrEqual(t, log.Proposed(), 20)
}

// A SEND without a receipt is stored even if the client leaves at once.
func TestSendAndLeave(t *testing.T) {
	for name, end := range map[string]string{"cut": "", "disconnect": "DISCONNECT\n\n\x00", "then a bad frame": ":\n\n\x00"} {
		t.Run(name, func(t *testing.T) {
			log := brokertest.NewLog()
			_, address := startServer(t, log)
			c := dial(t, address, "1.2")
			c.raw("SEND\ndestination:/queue/q\n\n1\x00" + end)
			c.nc.Close()
			eventually(t, "the message", func() bool { return log.Depth("q") == 1 })
		})
	}
}

func TestUnsettledMessagesGoBackInOrder(t *testing.T) {
	for name, leave := range map[string]func(*client){
		"disconnect":  func(c *client) { c.frame("DISCONNECT") },
		"cut":         func(c *client) { c.nc.Close() },
		"unsubscribe": func(c *client) { c.frame("UNSUBSCRIBE", "id:s-q", "receipt:u"); c.wantReceipt("u") },
	} {
		t.Run(name, func(t *testing.T) {
			log := brokertest.NewLog()
			var br *broker.Broker
			_, address := startServer(t, log, func(c *stompserver.Config) { br = c.Broker })
			dial(t, address, "1.2").publish("q", numbers(1, 10)...)
			a := dial(t, address, "1.2")
			a.subscribe("q", "client-individual", "activemq.prefetchSize:6")
			got := a.wantBodies(numbers(1, 6)...)
			for _, f := range got {
				require.Empty(t, f.Get("redelivered"))
			}
			a.ack(got[2], "receipt:a") // frees credit
			require.Equal(t, "7", string(a.wantBoth("a").Body))
			leave(a)
			eventually(t, "it has gone", func() bool { return br.Stats().Subscriptions == 0 })
			b := dial(t, address, "1.2")
			b.subscribe("q", "client-individual")
			again := b.wantBodies("1", "2", "4", "5", "6", "7", "8", "9", "10")
			for i, f := range again {
				require.Equal(t, map[bool]string{true: "true"}[i < 6], f.Get("redelivered"), string(f.Body))
			}
		})
	}
}

func TestAckModes(t *testing.T) {
	start := func(t *testing.T, mode string, headers ...string) (*brokertest.Log, *client, string) {
		log := brokertest.NewLog()
		_, address := startServer(t, log)
		dial(t, address, "1.2").publish("q", numbers(1, 5)...)
		c := dial(t, address, "1.2")
		c.subscribe("q", mode, headers...)
		return log, c, address
	}
	t.Run("client is cumulative", func(t *testing.T) {
		log, c, address := start(t, "client")
		got := c.wantBodies(numbers(1, 5)...)
		c.ack(got[2], "receipt:a")
		c.wantReceipt("a")
		require.Equal(t, 2, log.Depth("q"))
		c.ack(got[0])
		c.wantError("not pending")
		c.nc.Close()
		d := dial(t, address, "1.2")
		d.subscribe("q", "auto")
		d.wantBodies("4", "5")
	})
	t.Run("client-individual", func(t *testing.T) {
		log, c, _ := start(t, "client-individual")
		got := c.wantBodies(numbers(1, 5)...)
		c.ack(got[3], "receipt:a")
		c.wantReceipt("a")
		require.Equal(t, 4, log.Depth("q"))
	})
	t.Run("auto", func(t *testing.T) {
		log, c, _ := start(t, "auto")
		c.wantBodies(numbers(1, 5)...)
		eventually(t, "acks", func() bool { return log.Depth("q") == 0 })
	})
	t.Run("ack in auto", func(t *testing.T) {
		_, c, _ := start(t, "auto")
		c.wantBodies(numbers(1, 5)...)
		c.frame("ACK", "id:1-1", "receipt:x")
		require.Equal(t, "x", c.wantError("not pending").Get("receipt-id"))
	})
	t.Run("unknown ids", func(t *testing.T) {
		_, c, _ := start(t, "client")
		c.wantBodies(numbers(1, 5)...)
		for _, id := range []string{"", "1", "1-", "-1", "1-0", "1-99", "9-1", "x-y", "1-1-1", "18446744073709551616-1"} {
			c.frame("ACK", "id:"+id)
			c.wantError("not pending")
		}
		c.frame("ACK")
		c.wantError("needs an id")
	})
	t.Run("nack puts it back", func(t *testing.T) {
		log, c, _ := start(t, "client-individual", "activemq.prefetchSize:2")
		got := c.wantBodies("1", "2")
		c.frame("NACK", "id:"+got[0].Get("ack"), "receipt:n")
		f := c.wantBoth("n")
		require.Equal(t, "1", string(f.Body))
		require.Equal(t, "true", f.Get("redelivered"))
		require.NotEqual(t, got[0].Get("ack"), f.Get("ack"))
		require.Equal(t, got[0].Get("message-id"), f.Get("message-id"))
		c.ack(got[0])
		c.wantError("not pending")
		require.Equal(t, 5, log.Depth("q"))
	})
	t.Run("nack is cumulative in client mode", func(t *testing.T) {
		_, c, _ := start(t, "client", "activemq.prefetchSize:3")
		got := c.wantBodies("1", "2", "3")
		c.frame("NACK", "id:"+got[1].Get("ack"))
		c.wantBodies("1", "2")
	})
}

func TestPrefetch(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	dial(t, address, "1.2").publish("q", numbers(1, 9)...)
	a := dial(t, address, "1.2")
	a.subscribe("q", "client-individual", "activemq.prefetchSize:2")
	got := a.wantBodies("1", "2")
	a.wantSilence()
	b := dial(t, address, "1.2")
	b.subscribe("q", "client-individual", "activemq.prefetchSize:1")
	b.wantBodies("3")
	b.wantSilence()
	a.ack(got[1])
	a.wantBodies("4")
	a.wantSilence()
	b.wantSilence()
}

func TestRoundRobin(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	a, b := dial(t, address, "1.2"), dial(t, address, "1.2")
	a.subscribe("q", "client")
	b.subscribe("q", "client")
	a.wantSilence() // the server is past the receipts
	b.wantSilence()
	dial(t, address, "1.2").publish("q", numbers(1, 6)...)
	a.wantBodies("1", "3", "5")
	b.wantBodies("2", "4", "6")
}

func TestAckAwaitsItsCommit(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	dial(t, address, "1.2").publish("q", "1", "2")
	a := dial(t, address, "1.2")
	a.subscribe("q", "client-individual")
	got := a.wantBodies("1", "2")
	log.Hold()
	a.ack(got[0], "receipt:a")
	eventually(t, "the proposal", func() bool { return log.Waiting() == 1 })
	a.wantSilence()
	a.nc.Close()
	b := dial(t, address, "1.2")
	b.frame("SUBSCRIBE", "id:s-q", "destination:/queue/q", "ack:client-individual")
	b.wantBodies("2") // 1 is being acknowledged
	b.wantSilence()
	t.Run("failed", func(t *testing.T) {
		require.True(t, log.Fail(1, broker.ErrBusy))
		require.Equal(t, "true", b.wantBodies("1")[0].Get("redelivered"))
	})
}

func TestAckInDoubtThatCommitsLater(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	dial(t, address, "1.2").publish("q", "1")
	a := dial(t, address, "1.2")
	a.subscribe("q", "client-individual", "activemq.prefetchSize:1")
	got := a.wantBodies("1")
	log.Hold()
	a.ack(got[0], "receipt:a")
	eventually(t, "the proposal", func() bool { return log.Waiting() == 1 })
	log.CommitLate(broker.ErrNoQuorum)
	// The message does not come again: its ack is in the log, and if this leader
	// stays it will be committed. Its place in the window is free then.
	require.Equal(t, "a", a.wantError("no quorum").Get("receipt-id"))
	require.Zero(t, log.Depth("q"))
	log.Release()
	a.send("q", "2")
	a.wantBodies("2")
}

func TestNoQuorum(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	c := dial(t, address, "1.2")
	log.Hold()
	c.send("q", "1", "receipt:r1")
	c.send("q", "2")
	eventually(t, "a proposal", func() bool { return log.Waiting() > 0 })
	c.wantSilence()
	log.Break(broker.ErrNoQuorum)
	for log.Waiting() > 0 {
		log.Fail(1, broker.ErrNoQuorum)
	}
	seen := map[string]bool{}
	for range 2 {
		f := c.wantError("no quorum")
		require.Equal(t, stompserver.OutcomeInDoubt, f.Get(stompserver.OutcomeHeader))
		seen[f.Get("receipt-id")] = true
	}
	require.Equal(t, map[string]bool{"r1": true, "": true}, seen)
	log.Break(nil)
	log.Release()
	c.frame("SEND", "destination:nowhere")
	_, doubtful := c.wantError("begin with").Lookup(stompserver.OutcomeHeader)
	require.False(t, doubtful)
	c.publish("q", "3") // the connection is still good
}

// At the end of a leadership the client learns nothing: the outcome is in doubt.
func TestLeadershipEnds(t *testing.T) {
	t.Run("proposal fails", func(t *testing.T) {
		log := brokertest.NewLog()
		_, address := startServer(t, log)
		c := dial(t, address, "1.2")
		log.Break(errors.New("not the leader any more"))
		c.send("q", "1", "receipt:r1")
		c.wantClosed()
	})
	t.Run("server closes", func(t *testing.T) {
		log := brokertest.NewLog()
		s, address := startServer(t, log)
		c, idle := dial(t, address, "1.2"), dial(t, address, "1.2")
		log.Hold()
		c.send("q", "1", "receipt:r1")
		eventually(t, "the proposal", func() bool { return log.Waiting() == 1 })
		c.frame("DISCONNECT", "receipt:r2") // waits for the proposal
		s.Close("demoted")
		c.wantClosed()
		idle.wantClosed()
		log.Fail(1, errors.New("not the leader any more"))
		require.Zero(t, s.Stats().Connections)
	})
}

// What was committed under one leadership is delivered under the next.
func TestNextLeadership(t *testing.T) {
	for _, bare := range []bool{false, true} {
		log := brokertest.NewLog()
		if bare {
			log.Bare()
		}
		s, address := startServer(t, log)
		c := dial(t, address, "1.2")
		c.publish("q", numbers(1, 8)...)
		c.subscribe("q", "client-individual", "activemq.prefetchSize:4")
		got := c.wantBodies("1", "2", "3", "4")
		c.ack(got[1], "receipt:a")
		for f := got[0]; f.Command != "RECEIPT"; { // 5 may come first
			var err error
			f, err = c.next()
			require.NoError(t, err)
		}
		s.Close("demoted")
		_, address = startServer(t, log)
		d := dial(t, address, "1.2")
		d.publish("q", "9")
		d.subscribe("q", "auto")
		d.wantBodies("1", "3", "4", "5", "6", "7", "8", "9")
	}
}

// TestDiskFull: producers are told, stay connected, and go on afterwards.
func TestDiskFull(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	c := dial(t, address, "1.2")
	log.Break(broker.ErrDiskFull)
	c.send("q", "1", "receipt:r1")
	require.Equal(t, "r1", c.wantError("disk full").Get("receipt-id"))
	log.Break(nil)
	c.publish("q", "2")
	require.EqualValues(t, 1, log.Depth("q"), "what was refused is not there")
}
