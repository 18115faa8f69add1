package broker_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/store/record"
)

func (c *consumer) publishAs(t testing.TB, queue string, priority uint8, body string) {
	t.Helper()
	require.NoError(t, c.sess.Send(queueNamed(queue), record.Message{Priority: priority, Timestamp: 1, Body: []byte(body)}, "", ""))
	require.NoError(t, c.sess.Flush())
}

// The highest priority goes first, and within one the order is the log's,
// whether the messages are in memory, in the index alone, or came back.
func TestPriorities(t *testing.T) {
	log := brokertest.NewLog()
	small := func(c *broker.Config) { c.Window, c.CacheQueue = 8, 300 }
	b := log.Broker(t, small)
	p := attach(t, b)
	rng := rand.New(rand.NewPCG(1, 2))
	var want [10][]string
	for i := range 600 {
		if i == 300 { // the next leadership finds them in the index
			b = log.Broker(t, small)
			p = attach(t, b)
		}
		priority := uint8(rng.IntN(10))
		body := fmt.Sprintf("%d-%03d", priority, i)
		want[priority] = append(want[priority], body)
		p.publishAs(t, "q", priority, body)
	}
	row := b.Snapshot()
	require.Len(t, row, 1, "lanes are no queues of their own for people")
	require.Equal(t, uint64(600), row[0].Depth)

	c := attach(t, b)
	sub := c.subscribe(t, "q", broker.Individual, 5)
	// What is given back comes again before what is behind it.
	first := c.take(t, 5)
	require.Equal(t, want[9][0], string(first[0].Message.Body))
	c.sess.Unsubscribe(sub)
	sub = c.subscribe(t, "q", broker.Individual, 3)
	for priority := range want {
		for _, body := range want[9-priority] {
			d := c.take(t, 1)[0]
			require.Equal(t, body, string(d.Message.Body))
			require.Equal(t, uint8(9-priority), d.Message.Priority)
			require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
			require.NoError(t, c.sess.Flush())
		}
	}
	require.Zero(t, b.Snapshot()[0].Depth)
}

// A message of a higher priority overtakes what is not delivered yet.
func TestPriorityOvertakes(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t)
	c := attach(t, b)
	for i := range 10 {
		c.publishAs(t, "q", 4, strconv.Itoa(i))
	}
	sub := c.subscribe(t, "q", broker.Individual, 2)
	got := c.take(t, 2)
	c.publishAs(t, "q", 9, "high")
	c.publishAs(t, "q", 0, "low")
	var bodies []string
	for len(bodies) < 11 {
		require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: got[0].Tag}, "", ""))
		require.NoError(t, c.sess.Flush())
		d := c.take(t, 1)[0]
		got = append(got[1:], d)
		if bodies = append(bodies, string(d.Message.Body)); len(bodies) == 10 {
			break
		}
	}
	require.Equal(t, []string{"high", "2", "3", "4", "5", "6", "7", "8", "9", "low"}, bodies)
}

// Acks of one session and of one transaction may be of several lanes.
func TestAcksOfSeveralLanes(t *testing.T) {
	for _, tx := range []string{"", "t"} {
		for _, mode := range []broker.Mode{broker.Cumulative, broker.Individual, broker.Auto} {
			if tx != "" && mode == broker.Auto {
				continue
			}
			log := brokertest.NewLog()
			b := log.Broker(t)
			c := attach(t, b)
			for i := range 30 {
				c.publishAs(t, "q", uint8(i%10), strconv.Itoa(i))
			}
			sub := c.subscribe(t, "q", mode, 100)
			got := c.take(t, 30)
			if tx != "" {
				require.NoError(t, c.sess.Begin(tx, ""))
			}
			switch mode {
			case broker.Auto:
				sub.Written(got[29].Tag)
			case broker.Cumulative:
				require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: got[29].Tag}, tx, ""))
			default:
				slices.Reverse(got)
				for _, d := range got {
					require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, tx, ""))
				}
			}
			if tx != "" {
				require.NoError(t, c.sess.Commit(tx, ""))
			}
			require.NoError(t, c.sess.Flush())
			eventually(t, "all acks", func() bool { return b.Snapshot()[0].Depth == 0 })
		}
	}
}

// A queue that is deleted is gone, and one that is made again works.
func TestDeletedQueue(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t)
	c := attach(t, b)
	remove := func(names ...string) {
		batch := record.NewBatch(64)
		for _, name := range names {
			batch.Add(record.TypeDeleteQueue, record.DeleteQueue{Queue: name}.AppendTo)
		}
		log.Propose(batch, func(err error) { require.NoError(t, err) })
	}
	for round := range 3 {
		sub := c.subscribe(t, "q", broker.Individual, 10)
		c.publishAs(t, "q", 4, "normal")
		c.publishAs(t, "q", 9, "high")
		remove("q", "\x019q") // does nothing: they are not empty
		for range 2 {
			require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: c.take(t, 1)[0].Tag}, "", ""))
		}
		require.NoError(t, c.sess.Flush())
		if round == 1 {
			c.sess.Unsubscribe(sub)
		}
		eventually(t, "it is idle", func() bool {
			remove("q", "\x019q")
			return round != 1 || len(b.Snapshot()) == 0
		})
		if round != 1 {
			require.Equal(t, 1, b.Snapshot()[0].Consumers)
			c.sess.Unsubscribe(sub)
		}
	}
}
