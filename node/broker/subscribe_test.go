package broker_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/broker/destination"
	"baton/node/broker/selector"
	"baton/store/record"
)

func (c *consumer) listen(t testing.TB, o broker.SubscribeOptions) *broker.Subscription {
	t.Helper()
	sub, err := c.sess.Subscribe(o)
	require.NoError(t, err)
	c.sess.Start(sub)
	sub.Resume()
	return sub
}

func pattern(name string) []destination.Destination {
	return []destination.Destination{{Kind: destination.Queue, Pattern: true, Name: name}}
}

// One consumer of a pattern that stands for very many queues gets what comes to
// any of them, and to new ones, within its prefetch.
func TestPatternOfManyQueues(t *testing.T) {
	const queues = 20_000
	log := brokertest.NewLog()
	b := log.Broker(t)
	p := attach(t, b)
	for i := range queues {
		if name := fmt.Sprint("many.", i); i%10 == 0 {
			p.publish(t, name, i, i)
		} else {
			p.subscribe(t, name, broker.Auto, 1) // an empty queue
		}
	}
	c := attach(t, b)
	sub := c.listen(t, broker.SubscribeOptions{From: pattern("many.*"), Mode: broker.Individual, Prefetch: 10})
	seen := map[string]bool{}
	for len(seen) < queues/10 {
		d := c.take(t, 1)[0]
		require.LessOrEqual(t, c.count(), 10)
		require.Equal(t, "/queue/many."+string(d.Message.Body), d.Destination)
		seen[string(d.Message.Body)] = true
		require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
		require.NoError(t, c.sess.Flush())
	}
	p.publish(t, "many.new", 7, 7)
	require.Equal(t, "/queue/many.new", c.take(t, 1)[0].Destination)
}

func TestConsumersAreBounded(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t, func(c *broker.Config) { c.Consumers, c.Durables = 5, 1 })
	p := attach(t, b)
	for i := range 4 {
		p.publish(t, fmt.Sprint("q.", i), i, i)
	}
	c := attach(t, b)
	c.subscribe(t, "q.0", broker.Auto, 1)
	c.subscribe(t, "q.0", broker.Auto, 1)
	_, err := c.sess.Subscribe(broker.SubscribeOptions{From: pattern("q.*"), Prefetch: 1})
	require.ErrorIs(t, err, broker.ErrDestination)
	require.ErrorContains(t, err, "5 is the limit")
	c.listen(t, broker.SubscribeOptions{From: pattern("*.1"), Prefetch: 1})

	topic := []destination.Destination{{Kind: destination.Topic, Name: "t"}}
	c.sess.Identify("me")
	sub := c.listen(t, broker.SubscribeOptions{From: topic, Durable: "a", Prefetch: 1})
	c.sess.Unsubscribe(sub)
	_, err = c.sess.Subscribe(broker.SubscribeOptions{From: topic, Durable: "b", Prefetch: 1})
	require.ErrorContains(t, err, "1 durable subscriptions, which is the limit")
	require.NoError(t, c.sess.Forget("a"))
	c.listen(t, broker.SubscribeOptions{From: topic, Durable: "b", Prefetch: 1})
}

// A selector that wants one of the last messages of a deep queue finds it with
// one look at each, and keeps nothing of them.
func TestSelectorOnDeepQueue(t *testing.T) {
	const depth = 20_000
	log := brokertest.NewLog()
	small := func(c *broker.Config) { c.Window, c.CacheQueue = 64, 10_000 }
	p := attach(t, log.Broker(t))
	for i := range depth {
		m := record.Message{Priority: 4, Body: []byte(strconv.Itoa(i)), Headers: []record.HeaderField{{Name: "n", Value: strconv.Itoa(i)}}}
		require.NoError(t, p.sess.Send(queueNamed("q"), m, "", ""))
	}
	require.NoError(t, p.sess.Flush())
	b := log.Broker(t, small)
	c := attach(t, b)
	want, err := selector.Parse("n % 5000 = 4999")
	require.NoError(t, err)
	reads := log.Reads()
	sub := c.listen(t, broker.SubscribeOptions{From: queueNamed("q"), Mode: broker.Individual, Prefetch: 2, Selector: want})
	for i := 4999; i < depth; i += 5000 {
		d := c.take(t, 1)[0]
		require.Equal(t, strconv.Itoa(i), string(d.Message.Body))
		require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
		require.NoError(t, c.sess.Flush())
	}
	eventually(t, "all are looked at", func() bool { return log.Reads()-reads >= depth })
	require.Less(t, log.Reads()-reads, depth+500, "no message is looked at again and again")
	require.LessOrEqual(t, b.Stats().CachedBytes, int64(10_000))
	plain := attach(t, b)
	plain.subscribe(t, "q", broker.Individual, 100)
	for i, d := range plain.take(t, 100) {
		require.Equal(t, strconv.Itoa(i), string(d.Message.Body))
	}
}

// What a selector wants and what comes back to it may be large: it is taken in
// several goes, and none of it is lost.
func TestSelectorWantsLargeMessages(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t, func(c *broker.Config) { c.Window, c.CacheQueue = 8, 10_000 })
	p := attach(t, b)
	const count = 40
	for i := range count {
		body := make([]byte, 300_000)
		copy(body, strconv.Itoa(i)+" ")
		m := record.Message{Priority: 4, Body: body, Headers: []record.HeaderField{{Name: "n", Value: strconv.Itoa(i)}}}
		require.NoError(t, p.sess.Send(queueNamed("q"), m, "", ""))
	}
	require.NoError(t, p.sess.Flush())
	// The second finds what the first gave back, and what that passed over.
	for _, first := range []int{20, 0} {
		want, err := selector.Parse(fmt.Sprint("n >= ", first))
		require.NoError(t, err)
		c := attach(t, b)
		c.listen(t, broker.SubscribeOptions{From: queueNamed("q"), Mode: broker.Individual, Prefetch: 100, Selector: want})
		seen := map[string]bool{}
		for _, d := range c.take(t, count-first) {
			seen[strings.Fields(string(d.Message.Body[:8]))[0]] = true
		}
		require.Len(t, seen, count-first)
		require.NoError(t, c.sess.Close(false))
	}
}
