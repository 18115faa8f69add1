package broker_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/adminapi"
	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/broker/destination"
	"baton/node/broker/policy"
	"baton/store/record"
)

func limited(l policy.Limits) func(*broker.Config) {
	return with(func(p *policy.Policy) { p.Limits, p.Redelivery.Delay = l, 0 })
}

func (c *consumer) send(t testing.TB, queue, body string) {
	t.Helper()
	require.NoError(t, c.sess.Send(queueNamed(queue), record.Message{Priority: 4, Body: []byte(body)}, "", body))
	require.NoError(t, c.sess.Flush())
}

func (c *consumer) outcomes() map[string]error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := map[string]error{}
	for i, r := range c.settled {
		m[r] = c.errs[i]
	}
	return m
}

func row(b *broker.Broker, name string) (found adminapi.Queue) {
	for _, q := range b.Snapshot() {
		if q.Name == name {
			found = q
		}
	}
	return found
}

// A full queue makes its producers wait; they go on, in order, when there is
// room, and other queues do not notice.
func TestFullQueueMakesProducersWait(t *testing.T) {
	for name, limits := range map[string]policy.Limits{
		"messages": {Messages: 5, Wait: time.Minute}, "bytes": {Bytes: 300, Wait: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := brokertest.NewLog()
				b := log.Broker(t, limited(limits))
				p, other, c := attach(t, b), attach(t, b), attach(t, b)
				for i := range 20 {
					p.send(t, "q", fmt.Sprintf("m%02d", i))
				}
				synctest.Wait()
				held := log.Depth("q")
				require.LessOrEqual(t, held, 6)
				require.GreaterOrEqual(t, held, 4)
				require.Len(t, p.outcomes(), held)
				q := row(b, "q")
				require.Equal(t, 1, q.BlockedProducers)
				require.True(t, strings.HasPrefix(q.Blocked, `queue "q" has`), "they wait, nothing was refused yet: %s", q.Blocked)
				other.send(t, "r", "x")
				require.Equal(t, 1, log.Depth("r"))

				sub := c.subscribe(t, "q", broker.Individual, 1)
				for i := range 20 {
					d := c.take(t, 1)[0]
					require.Equal(t, fmt.Sprintf("m%02d", i), string(d.Message.Body))
					require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
					require.NoError(t, c.sess.Flush())
					synctest.Wait()
					require.LessOrEqual(t, log.Depth("q"), held)
				}
				for receipt, err := range p.outcomes() {
					require.NoError(t, err, receipt)
				}
				require.Len(t, p.outcomes(), 20)
				require.Empty(t, row(b, "q").Blocked)
				b.Close()
			})
		})
	}
}

// A client that sends to a full queue and consumes from it gets its acks
// through: they are what makes room.
func TestAcksBehindASendThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t, limited(policy.Limits{Messages: 3, Wait: time.Minute}))
		c := attach(t, b)
		sub := c.subscribe(t, "q", broker.Individual, 1)
		for i := range 3 {
			c.send(t, "q", fmt.Sprint(i))
		}
		for i := range 200 { // each message is sent on while the queue is full
			c.send(t, "q", fmt.Sprint(3+i))
			d := c.take(t, 1)[0]
			require.Equal(t, fmt.Sprint(i), string(d.Message.Body))
			require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
			require.NoError(t, c.sess.Flush())
		}
		synctest.Wait()
		require.Equal(t, 3, log.Depth("q"))
		b.Close()
	})
}

func TestNoRoomInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t, limited(policy.Limits{Messages: 1, Wait: 10 * time.Second}))
		p := attach(t, b)
		p.send(t, "q", "first")
		began := time.Now()
		p.send(t, "q", "second")
		p.send(t, "r", "third")
		require.NoError(t, p.sess.Finish())
		require.Equal(t, 10*time.Second, time.Since(began))
		out := p.outcomes()
		require.NoError(t, out["first"])
		require.ErrorIs(t, out["second"], broker.ErrFull)
		require.ErrorContains(t, out["second"], `queue "q" has 1 messages, at most 1`)
		require.NoError(t, out["third"])
		require.Equal(t, 1, log.Depth("q"))
		require.Empty(t, row(b, "q").Blocked)
		b.Close()
	})
}

// What is larger than the limit goes into an empty queue, or nowhere ever.
func TestLargerThanTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t, limited(policy.Limits{Bytes: 100, Wait: time.Second}))
		p := attach(t, b)
		p.send(t, "q", strings.Repeat("x", 1000))
		p.send(t, "q", "y")
		require.NoError(t, p.sess.Finish())
		require.Equal(t, 1, log.Depth("q"))
		b.Close()
	})
}

// A transaction that finds no room waits as a whole, its acks with it; refused,
// it is rolled back.
func TestTransactionWaitsForRoom(t *testing.T) {
	for _, room := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			log := brokertest.NewLog()
			b := log.Broker(t, limited(policy.Limits{Messages: 2, Wait: 10 * time.Second}))
			c, other := attach(t, b), attach(t, b)
			c.send(t, "out", "a")
			c.send(t, "in", "x")
			sub := c.subscribe(t, "in", broker.Individual, 5)
			d := c.take(t, 1)[0]
			require.NoError(t, c.sess.Begin("t", ""))
			for range 2 {
				require.NoError(t, c.sess.Send(queueNamed("out"), record.Message{Priority: 4, Body: []byte("t")}, "t", ""))
			}
			require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "t", ""))
			require.NoError(t, c.sess.Commit("t", "commit"))
			synctest.Wait()
			require.Equal(t, []int{1, 1}, []int{log.Depth("out"), log.Depth("in")})
			if room {
				osub := other.subscribe(t, "out", broker.Individual, 1)
				require.NoError(t, other.sess.Ack(osub, broker.Ref{Tag: other.take(t, 1)[0].Tag}, "", ""))
				require.NoError(t, other.sess.Flush())
				synctest.Wait()
				require.Equal(t, []int{2, 0}, []int{log.Depth("out"), log.Depth("in")})
				require.NoError(t, c.outcomes()["commit"])
			} else {
				require.NoError(t, c.sess.Finish())
				require.ErrorIs(t, c.outcomes()["commit"], broker.ErrFull)
				require.Equal(t, []int{1, 1}, []int{log.Depth("out"), log.Depth("in")})
				require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", "")) // pending again
			}
			require.Zero(t, b.Stats().TransactionBytes)
			b.Close()
		})
	}
}

// What goes elsewhere does not wait for a full queue; what goes to the same
// place does, though there were room for it alone.
func TestFullQueueHoldsBackOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t, limited(policy.Limits{Messages: 2, Wait: time.Minute}))
		p, c := attach(t, b), attach(t, b)
		send := func(destinations, body string) {
			t.Helper()
			to, err := destination.Append(nil, destinations)
			require.NoError(t, err)
			require.NoError(t, p.sess.Send(to, record.Message{Priority: 4, Body: []byte(body)}, "", body))
			require.NoError(t, p.sess.Flush())
		}
		confirmed := func() (all []string) {
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, receipt := range p.settled {
				if receipt != "" {
					all = append(all, receipt)
				}
			}
			return all
		}
		send("/queue/q", "q1")
		send("/queue/q", "q2")
		send("/queue/q,/queue/r", "both") // waits for q
		send("/queue/s", "s1")
		send("/queue/r", "r1") // behind the one that goes to both
		send("/topic/t", "t1")
		require.Equal(t, []string{"q1", "q2", "s1", "t1"}, confirmed())
		require.NoError(t, p.sess.Begin("x", ""))
		require.NoError(t, p.sess.Send(queueNamed("s"), record.Message{Priority: 4, Body: []byte("s2")}, "x", ""))
		require.NoError(t, p.sess.Commit("x", "commit s"))
		require.NoError(t, p.sess.Begin("y", ""))
		for _, queue := range []string{"u", "q", "u"} {
			require.NoError(t, p.sess.Send(queueNamed(queue), record.Message{Priority: 4, Body: []byte("y")}, "y", ""))
		}
		require.NoError(t, p.sess.Commit("y", "commit y"))
		send("/queue/u", "u1") // behind the transaction
		require.Equal(t, []string{"commit s"}, confirmed()[4:])
		require.Equal(t, []int{2, 0, 2, 0}, []int{log.Depth("q"), log.Depth("r"), log.Depth("s"), log.Depth("u")})

		sub := c.subscribe(t, "q", broker.Individual, 1)
		for _, want := range []string{"q1", "q2", "both", "y"} {
			d := c.take(t, 1)[0]
			require.Equal(t, want, string(d.Message.Body))
			require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
			require.NoError(t, c.sess.Flush())
		}
		require.Subset(t, confirmed(), []string{"both", "r1", "commit y"})
		for queue, want := range map[string][]string{"r": {"both", "r1"}, "u": {"y", "y", "u1"}} {
			sub := c.subscribe(t, queue, broker.Individual, 10)
			for _, body := range want {
				d := c.take(t, 1)[0]
				require.Equal(t, body, string(d.Message.Body), queue)
				require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
				require.NoError(t, c.sess.Flush())
			}
		}
		require.Contains(t, confirmed(), "u1")
		b.Close()
	})
}

// A client that has messages to acknowledge is read on, whatever it sends: the
// acknowledgement behind all that may be what makes room.
func TestAcksBehindAFloodToAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t, func(c *broker.Config) {
			limited(policy.Limits{Messages: 1, Wait: time.Hour})(c)
			c.InFlight = 10
		})
		c := attach(t, b)
		sub := c.subscribe(t, "q", broker.Individual, 1)
		c.send(t, "q", "first")
		began := time.Now()
		for i := range 100 {
			c.send(t, "q", fmt.Sprint(i))
		}
		d := c.take(t, 1)[0]
		require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", "ack"))
		require.NoError(t, c.sess.Flush())
		synctest.Wait()
		require.LessOrEqual(t, time.Since(began), 2*time.Second, "not as long as room is waited for")
		out := c.outcomes()
		require.NoError(t, out["ack"])
		require.NoError(t, out["0"], "the ack has made room for it")
		require.ErrorIs(t, out["99"], broker.ErrFull)
		require.ErrorContains(t, out["99"], "10 messages of this connection")
		require.Equal(t, "0", string(c.take(t, 1)[0].Message.Body))
		c.sess.Abort()
		b.Close()
	})
}

// A client that is lost while its messages wait for room has sent them: they
// are stored when there is room in time, and its consumers do not stand in the
// way. Only the end of the leadership ends that, for then they are in doubt.
func TestLeavingWhileWaiting(t *testing.T) {
	for _, leads := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			log := brokertest.NewLog()
			b := log.Broker(t, limited(policy.Limits{Messages: 1, Wait: time.Hour}))
			p, c := attach(t, b), attach(t, b)
			p.subscribe(t, "q", broker.Individual, 1)
			p.send(t, "q", "0")
			p.take(t, 1)
			require.NoError(t, p.sess.Begin("t", ""))
			require.NoError(t, p.sess.Send(queueNamed("q"), record.Message{Priority: 4, Body: []byte("1")}, "t", ""))
			require.NoError(t, p.sess.Commit("t", ""))
			p.send(t, "q", "2")
			synctest.Wait()
			require.Equal(t, 1, row(b, "q").BlockedProducers)
			require.NoError(t, p.sess.Leave(true))
			var closing sync.WaitGroup
			closing.Go(func() { p.sess.Close(true) })
			synctest.Wait()
			require.Equal(t, 1, row(b, "q").BlockedProducers)
			if leads {
				sub := c.subscribe(t, "q", broker.Individual, 1)
				for i := range 3 {
					d := c.take(t, 1)[0]
					require.Equal(t, fmt.Sprint(i), string(d.Message.Body))
					require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
					require.NoError(t, c.sess.Flush())
				}
			} else {
				p.sess.Abort()
			}
			closing.Wait()
			synctest.Wait()
			require.Zero(t, row(b, "q").BlockedProducers)
			require.Zero(t, b.Stats().TransactionBytes)
			b.Close()
		})
	}
}

// Many clients that send to a full queue cost bounded memory, too.
func TestWaitingOfAllIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t, func(c *broker.Config) {
			limited(policy.Limits{Messages: 1, Wait: time.Minute})(c)
			c.WaitingBytes = 10_000
		})
		attach(t, b).send(t, "q", "first")
		refused := 0
		for range 20 {
			p := attach(t, b)
			p.send(t, "q", strings.Repeat("x", 1000))
			synctest.Wait()
			for _, err := range p.outcomes() {
				require.ErrorIs(t, err, broker.ErrFull)
				require.ErrorContains(t, err, "all connections")
				refused++
			}
		}
		require.Equal(t, 11, refused)
		require.Greater(t, b.Stats().WaitingBytes, int64(9000))
		<-time.After(2 * time.Minute)
		require.Zero(t, b.Stats().WaitingBytes)
		b.Close()
	})
}

// A client that sends ahead into a full queue costs bounded memory.
func TestWaitingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t, func(c *broker.Config) {
			limited(policy.Limits{Messages: 1, Wait: time.Minute})(c)
			c.InFlightBytes = 10_000
		})
		p := attach(t, b)
		sent := 0
		var reader sync.WaitGroup
		reader.Go(func() {
			for range 100 {
				if p.sess.Send(queueNamed("q"), record.Message{Priority: 4, Body: make([]byte, 1000)}, "", "") != nil {
					return
				}
				sent++
			}
		})
		synctest.Wait()
		require.Greater(t, sent, 5)
		require.Less(t, sent, 15)
		p.sess.Abort()
		reader.Wait()
		b.Close()
	})
}

// All sessions together have a bounded number of bytes under way; acks pass.
func TestProposalsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t, func(c *broker.Config) { c.ProposalBytes = 100_000 })
		c := attach(t, b)
		sub := c.subscribe(t, "q", broker.Individual, 10)
		c.send(t, "q", "x")
		d := c.take(t, 1)[0]
		log.Hold()
		var producers sync.WaitGroup
		for range 10 {
			p := attach(t, b)
			producers.Go(func() { p.send(t, "r", strings.Repeat("x", 40_000)) })
		}
		synctest.Wait()
		require.Equal(t, 2, log.Waiting())
		require.Equal(t, 8, b.Stats().BlockedProposals)
		require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
		require.NoError(t, c.sess.Flush())
		require.Equal(t, 3, log.Waiting())
		log.Release()
		producers.Wait()
		synctest.Wait()
		require.Equal(t, 10, log.Depth("r"))
		require.Zero(t, b.Stats().ProposalBytes)
		b.Close()
	})
}

func TestFullStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t, func(c *broker.Config) { c.StoreBytes = 5000 })
		p, c := attach(t, b), attach(t, b)
		p.send(t, "a", strings.Repeat("x", 3000))
		p.send(t, "b", strings.Repeat("x", 3000))
		<-time.After(time.Second)
		to, err := destination.Append(nil, "/topic/t")
		require.NoError(t, err)
		require.NoError(t, p.sess.Send(to, record.Message{}, "", "published"))
		require.NoError(t, p.sess.Flush())
		require.Contains(t, p.outcomes(), "published", "what is not stored needs no room")
		p.send(t, "c", "waits")
		<-time.After(time.Second)
		require.Zero(t, log.Depth("c"))
		require.Contains(t, b.Stats().StoreFull, "at most 5000")
		sub := c.subscribe(t, "a", broker.Individual, 1)
		require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: c.take(t, 1)[0].Tag}, "", ""))
		require.NoError(t, c.sess.Flush())
		<-time.After(time.Second)
		require.Equal(t, 1, log.Depth("c"))
		require.Empty(t, b.Stats().StoreFull)
		b.Close()
	})
}

// What was gathered and not proposed yet goes before what waits for room.
func TestWhatWaitsDoesNotOvertake(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t, limited(policy.Limits{Messages: 1, Wait: time.Minute}))
	p, c := attach(t, b), attach(t, b)
	sub := c.subscribe(t, "q", broker.Individual, 1)
	const n = 300
	for i := range n {
		require.NoError(t, p.sess.Send(queueNamed("q"), record.Message{Priority: 4, Body: []byte(fmt.Sprint(i))}, "", ""))
	}
	require.NoError(t, p.sess.Flush())
	for i := range n {
		d := c.take(t, 1)[0]
		require.Equal(t, fmt.Sprint(i), string(d.Message.Body))
		require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
		require.NoError(t, c.sess.Flush())
	}
}

// A consumer that does not settle, and one that does not read, keep what they
// have asked for and hold nobody else up.
func TestSlowConsumersHoldNobodyUp(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t)
	lazy, deaf, busy := attach(t, b), attach(t, b), attach(t, b)
	deaf.room = 1
	lazy.subscribe(t, "q", broker.Individual, 5)
	deaf.subscribe(t, "q", broker.Individual, 1000)
	sub := busy.subscribe(t, "q", broker.Individual, 3)
	attach(t, b).publish(t, "q", 1, 500)
	for range 500 - 5 - 1 {
		d := busy.take(t, 1)[0]
		require.NoError(t, busy.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
		require.NoError(t, busy.sess.Flush())
	}
	require.Equal(t, 6, log.Depth("q"))
	require.Equal(t, []int{5, 1}, []int{lazy.count(), deaf.count()})
}
