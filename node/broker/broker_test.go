package broker_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/broker/destination"
	"baton/store/record"
)

// patience bounds every wait: the machine may be busy.
const patience = time.Minute

// consumer is a broker.Client that keeps what it is given.
type consumer struct {
	mu       sync.Mutex
	sess     *broker.Session
	got      []broker.Delivery
	settled  []string
	errs     []error
	room     int // bytes that Reserve still grants; -1: no limit
	stalled  []*broker.Subscription
	reserved int
	more     chan struct{} // one token: there was a delivery
}

func attach(t testing.TB, b *broker.Broker) *consumer {
	c := &consumer{room: -1, more: make(chan struct{}, 1)}
	c.sess = b.NewSession(c)
	t.Cleanup(func() { c.sess.Close(false) })
	return c
}

func (c *consumer) Reserve(sub *broker.Subscription, n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.room >= 0 && c.reserved >= c.room {
		c.stalled = append(c.stalled, sub)
		return false
	}
	c.reserved += n
	return true
}

func (c *consumer) Release(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserved -= n
}

func (c *consumer) Deliver(d broker.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, d)
	select {
	case c.more <- struct{}{}:
	default:
	}
}

func (c *consumer) Settled(ops []broker.Op, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, op := range ops {
		c.settled = append(c.settled, op.Receipt)
		c.errs = append(c.errs, err)
	}
}

func (c *consumer) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got)
}

// take waits for n deliveries and forgets them.
func (c *consumer) take(t testing.TB, n int) []broker.Delivery {
	t.Helper()
	for late := time.After(patience); c.count() < n; {
		select {
		case <-c.more:
		case <-late:
			t.Fatalf("%d of %d deliveries", c.count(), n)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	got := slices.Clone(c.got[:n])
	c.got = c.got[n:]
	return got
}

func queueNamed(name string) []destination.Destination {
	return []destination.Destination{{Kind: destination.Queue, Name: name}}
}

func (c *consumer) subscribe(t testing.TB, queue string, mode broker.Mode, prefetch int) *broker.Subscription {
	t.Helper()
	sub, err := c.sess.Subscribe(broker.SubscribeOptions{From: queueNamed(queue), Mode: mode, Prefetch: prefetch})
	require.NoError(t, err)
	c.sess.Start(sub)
	sub.Resume()
	return sub
}

func (c *consumer) publish(t testing.TB, queue string, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		require.NoError(t, c.sess.Send(queueNamed(queue), record.Message{Priority: 4, Timestamp: 1, Body: []byte(strconv.Itoa(i))}, "", ""))
	}
	require.NoError(t, c.sess.Flush())
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, patience, time.Millisecond, what)
}

// A queue deeper than its window is delivered in order, whether its messages
// were there before the leadership or come while it is read.
func TestDeepQueue(t *testing.T) {
	log := brokertest.NewLog()
	small := func(c *broker.Config) { c.Window, c.CacheQueue = 10, 500 }
	attach(t, log.Broker(t)).publish(t, "q", 1, 500)
	b := log.Broker(t, small)
	p, c := attach(t, b), attach(t, b)
	p.publish(t, "q", 501, 600)
	sub := c.subscribe(t, "q", broker.Individual, 7)
	for i := 1; i <= 1000; i++ {
		if i <= 400 {
			p.publish(t, "q", 600+i, 600+i)
		}
		d := c.take(t, 1)[0]
		require.Equal(t, strconv.Itoa(i), string(d.Message.Body))
		require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
		require.NoError(t, c.sess.Flush())
	}
	require.Zero(t, log.Depth("q"))
	require.Positive(t, log.Reads())
}

// The broker's memory does not grow with the depth of a queue.
func TestDepthCostsNoMemory(t *testing.T) {
	log := &counted{}
	b, err := broker.New(broker.Config{Proposer: log, Index: log, Messages: log, IDPrefix: "x-"})
	require.NoError(t, err)
	defer b.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 300_000 {
		b.Enqueued("q", record.Sequence(i+1), record.Position(i*100), 100, &record.Enqueue{Message: record.Message{Body: make([]byte, 64)}})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(1<<20))
}

// counted is an index and a log without content.
type counted struct{}

func (*counted) Propose(*record.Batch, func(error))                        {}
func (*counted) Queues() []broker.QueueInfo                                { return nil }
func (*counted) Queue(string) (broker.QueueInfo, bool)                     { return broker.QueueInfo{}, false }
func (*counted) Scan(string, record.Sequence, int) ([]broker.Entry, error) { return nil, nil }
func (*counted) DueBefore(int64, broker.Due, int) ([]broker.Due, error)    { return nil, nil }
func (*counted) Subscriptions() []broker.Durable                           { return nil }
func (*counted) Enqueued(record.Position) (record.Enqueue, error) {
	return record.Enqueue{}, errors.New("no content")
}

func TestCacheBudget(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t, func(c *broker.Config) { c.CacheBytes, c.CacheQueue = 3000, 1000 })
	p := attach(t, b)
	body := make([]byte, 100)
	for q := range 10 {
		for range 50 {
			require.NoError(t, p.sess.Send(queueNamed(fmt.Sprint("q", q)), record.Message{Body: body}, "", ""))
		}
	}
	require.NoError(t, p.sess.Flush())
	require.LessOrEqual(t, b.Stats().CachedBytes, int64(3000))
	require.Greater(t, b.Stats().CachedBytes, int64(2000))
	for q := range 10 {
		c := attach(t, b)
		c.subscribe(t, fmt.Sprint("q", q), broker.Individual, 100)
		c.take(t, 50)
	}
	require.Zero(t, b.Stats().CachedBytes)
}

func TestStalledConsumerIsResumed(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t)
	c := attach(t, b)
	c.room = 1
	sub := c.subscribe(t, "q", broker.Individual, 100)
	attach(t, b).publish(t, "q", 1, 5)
	c.take(t, 1)
	eventually(t, "stall", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.stalled) == 1 })
	require.Zero(t, c.count())
	c.mu.Lock()
	c.room = -1
	c.mu.Unlock()
	sub.Resume()
	require.Equal(t, "5", string(c.take(t, 4)[3].Message.Body))
}

// An old message that nobody settles does not make the list of the others grow.
func TestUnsettledListStaysShort(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t)
	c := attach(t, b)
	sub := c.subscribe(t, "q", broker.Individual, 2)
	p := attach(t, b)
	p.publish(t, "q", 0, 0)
	old := c.take(t, 1)[0]
	for i := range 1000 {
		p.publish(t, "q", i, i)
		d := c.take(t, 1)[0]
		require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
		require.NoError(t, c.sess.Flush())
		require.Less(t, sub.UnsettledSlots(), 100)
	}
	require.NoError(t, c.sess.Ack(sub, broker.Ref{MessageID: old.Message.ID}, "", ""))
	require.Zero(t, sub.UnsettledSlots())
}

func TestFailureOfIndexOrLog(t *testing.T) {
	broken := errors.New("disk is gone")
	for name, errs := range map[string][2]error{"log": {broken, nil}, "index": {nil, broken}} {
		t.Run(name, func(t *testing.T) {
			log := brokertest.NewLog()
			attach(t, log.Broker(t)).publish(t, "q", 1, 5)
			log.BreakReads(errs[0], errs[1])
			failed := make(chan error, 10)
			b := log.Broker(t, func(c *broker.Config) { c.OnFailure = func(err error) { failed <- err } })
			c := attach(t, b)
			c.subscribe(t, "q", broker.Individual, 10)
			require.ErrorIs(t, <-failed, broken)
			log.BreakReads(nil, nil)
			attach(t, b).publish(t, "q", 6, 6) // never skips what it could not read
			require.Zero(t, c.count())
			require.Equal(t, 6, log.Depth("q"))
			require.Empty(t, failed)
		})
	}
}

func TestSnapshot(t *testing.T) {
	log := brokertest.NewLog()
	attach(t, log.Broker(t)).publish(t, "old", 1, 3)
	now := time.UnixMilli(5001)
	b := log.Broker(t, func(c *broker.Config) { c.Now = func() time.Time { return now } })
	c := attach(t, b)
	c.publish(t, "new", 1, 4)
	sub := c.subscribe(t, "new", broker.Individual, 2)
	d := c.take(t, 2)
	c.subscribe(t, "empty", broker.Individual, 2)
	require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d[0].Tag}, "", ""))
	require.NoError(t, c.sess.Flush())
	c.take(t, 1)
	rows := b.Snapshot()
	require.Len(t, rows, 3)
	require.Equal(t, "empty", rows[0].Name)
	require.Equal(t, 1, rows[0].Consumers)
	require.Zero(t, rows[0].OldestMS)
	require.Equal(t, "new", rows[1].Name)
	require.Equal(t, uint64(3), rows[1].Depth)
	require.Equal(t, uint64(4), rows[1].Enqueued)
	require.Equal(t, uint64(1), rows[1].Acked)
	require.Equal(t, 2, rows[1].Pending)
	require.Equal(t, int64(5000), rows[1].OldestMS)
	require.Equal(t, "old", rows[2].Name)
	require.Equal(t, int64(5000), rows[2].OldestMS)
	require.Equal(t, uint64(3), rows[2].Depth)
	require.Zero(t, rows[2].Consumers)
	require.Equal(t, 2, b.Stats().Subscriptions)
	c.sess.Close(false)
	require.Len(t, b.Snapshot(), 2, "a queue that never had a message is forgotten")
	require.Equal(t, 3, log.Depth("new"))
	attach(t, b).publish(t, "empty", 1, 1)
	e := attach(t, b)
	e.subscribe(t, "empty", broker.Individual, 1)
	require.Equal(t, "1", string(e.take(t, 1)[0].Message.Body))
}

// Acks of mode auto are gathered while one batch awaits its commit, and are
// proposed again when there was no quorum.
func TestAutoAcks(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t)
	c := attach(t, b)
	sub := c.subscribe(t, "q", broker.Auto, 1000)
	attach(t, b).publish(t, "q", 1, 300)
	got := c.take(t, 300)
	log.Hold()
	before := log.Proposed()
	for _, d := range got {
		sub.Written(d.Tag)
	}
	eventually(t, "a proposal", func() bool { return log.Waiting() == 1 })
	require.Equal(t, before+1, log.Proposed())
	log.Fail(1, broker.ErrNoQuorum)
	log.Release()
	eventually(t, "all acks", func() bool { log.Release(); return log.Depth("q") == 0 })
	require.LessOrEqual(t, log.Proposed(), before+4)
	require.Zero(t, c.count(), "nothing was delivered twice")
}

// Without a quorum deliveries pause: the acks of what was delivered cannot be
// stored.
func TestAckWindow(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t, func(c *broker.Config) { c.AckWindow = 10 })
	c := attach(t, b)
	sub := c.subscribe(t, "q", broker.Individual, 5)
	attach(t, b).publish(t, "q", 1, 100)
	log.Hold()
	for range 10 {
		d := c.take(t, 1)[0]
		require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
		require.NoError(t, c.sess.Flush())
	}
	rest := c.count()
	require.LessOrEqual(t, rest, 5)
	require.Equal(t, 10, log.Waiting())
	log.Release()
	c.take(t, 5)
}

func TestConfig(t *testing.T) {
	_, err := broker.New(broker.Config{})
	require.Error(t, err)
	for _, prefix := range []string{"ID:x", "a b", "a\n"} {
		_, err = broker.New(broker.Config{Proposer: &counted{}, Index: &counted{}, Messages: &counted{}, IDPrefix: prefix})
		require.Error(t, err, prefix)
	}
	_, err = broker.New(broker.Config{Proposer: &counted{}, Index: &counted{}, Messages: &counted{}, IDPrefix: "x", Window: -1})
	require.Error(t, err)
}
