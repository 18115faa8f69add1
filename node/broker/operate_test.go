package broker_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/adminapi"
	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/broker/destination"
	"baton/node/broker/policy"
	"baton/store/record"
)

func put(t *testing.T, b *broker.Broker, queue string, priority uint8, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		_, err := b.Publish(context.Background(), queue, record.Message{Priority: priority, Body: []byte(body)})
		require.NoError(t, err)
	}
}

// browse reads a whole queue, page by page.
func browse(t *testing.T, b *broker.Broker, queue string, limit int) (all []adminapi.Message) {
	t.Helper()
	for after := ""; ; {
		page, err := b.Browse(queue, adminapi.Browse{After: after, Limit: limit, Body: 100})
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Messages), limit)
		all = append(all, page.Messages...)
		if after = page.Next; after == "" {
			return all
		}
	}
}

func texts(list []adminapi.Message) (out []string) {
	for _, m := range list {
		out = append(out, m.Text)
	}
	return out
}

func TestBrowse(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t)
	_, err := b.Browse("q", adminapi.Browse{Limit: 1})
	require.ErrorIs(t, err, broker.ErrNoQueue)
	put(t, b, "q", 4, "c", "d", "e")
	put(t, b, "q", 9, "a", "b")
	put(t, b, "q", 0, "f")
	c := attach(t, b)
	sub := c.subscribe(t, "q", broker.Individual, 2)
	got := c.take(t, 2)
	for limit := 1; limit < 8; limit++ {
		all := browse(t, b, "q", limit)
		require.Equal(t, []string{"a", "b", "c", "d", "e", "f"}, texts(all), "in the order of delivery")
		for i, m := range all {
			require.Equal(t, i < 2, m.Pending, i)
		}
	}
	m := browse(t, b, "q", 10)[0]
	require.Equal(t, got[0].Message.ID, m.ID)
	require.Equal(t, "9-1", m.Ref)
	require.Equal(t, 6, log.Depth("q")+log.Depth("\x019q")+log.Depth("\x010q"), "nothing is taken")
	require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: got[0].Tag}, "", ""))
	require.NoError(t, c.sess.Flush())
	require.Len(t, browse(t, b, "q", 10), 5)
	for _, after := range []string{"x", "9", "9-", "10-1", "-1", "a-1"} {
		_, err = b.Browse("q", adminapi.Browse{After: after, Limit: 1})
		require.ErrorIs(t, err, broker.ErrRef, after)
	}
	_, err = b.Browse("\x019q", adminapi.Browse{Limit: 1})
	require.ErrorIs(t, err, broker.ErrNoQueue, "a lane is no queue")
}

func TestBrowseShowsPartsOfBodies(t *testing.T) {
	b := brokertest.NewLog().Broker(t)
	put(t, b, "q", 4, "abc", "aä€", "\xff\xfe\xfd\xfc", "")
	for _, c := range []struct {
		most int
		want []string // text, or = and hexadecimal digits
	}{
		{2, []string{"ab", "a", "=fffe", ""}}, {3, []string{"abc", "aä", "=fffefd", ""}}, {4, []string{"abc", "aä", "=fffefdfc", ""}},
		{6, []string{"abc", "aä€", "=fffefdfc", ""}}, {0, []string{"", "", "", ""}},
	} {
		page, err := b.Browse("q", adminapi.Browse{Limit: 10, Body: c.most})
		require.NoError(t, err)
		for i, m := range page.Messages {
			got := m.Text
			if m.Body != nil {
				got = fmt.Sprintf("=%x", m.Body)
			}
			require.Equal(t, c.want[i], got, "%d bytes of message %d", c.most, i)
			require.Equal(t, m.BodySize > c.most, m.Cut, "%d bytes of message %d", c.most, i)
		}
	}
}

// A page is bounded in bytes, too.
func TestBrowseBigMessages(t *testing.T) {
	b := brokertest.NewLog().Broker(t)
	for range 3 {
		put(t, b, "q", 4, strings.Repeat("x", 3<<20))
	}
	page, err := b.Browse("q", adminapi.Browse{Limit: 100, Body: 4 << 20})
	require.NoError(t, err)
	require.Len(t, page.Messages, 2)
	require.Equal(t, "4-2", page.Next)
}

// What a consumer has stays; what comes while the purge runs stays too; all
// else goes, also what is far behind the window.
func TestPurge(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t, func(c *broker.Config) { c.Window = 16 })
	c := attach(t, b)
	sub := c.subscribe(t, "q", broker.Individual, 3)
	const n = 1000
	for i := range n {
		put(t, b, "q", uint8(4+i%2), strconv.Itoa(i))
	}
	got := c.take(t, 3)
	var told []adminapi.Progress
	p, err := b.Purge(context.Background(), "q", func(p adminapi.Progress) {
		if len(told) == 0 {
			put(t, b, "q", 4, "new")
		}
		told = append(told, p)
	})
	require.NoError(t, err)
	require.Equal(t, adminapi.Progress{Done: n - 3, Kept: 3, Total: n, Finished: true, Why: "consumers have some of the messages"}, p)
	require.NotEmpty(t, told)
	left := browse(t, b, "q", 10)
	require.Len(t, left, 4)
	require.Equal(t, "new", left[len(left)-1].Text)
	for _, d := range got {
		require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""), "a consumer can settle what it has")
	}
	require.NoError(t, c.sess.Flush())
	require.Equal(t, "new", string(c.take(t, 1)[0].Message.Body), "what came later is delivered, nothing else is")
	_, err = b.Purge(context.Background(), "none", nil)
	require.ErrorIs(t, err, broker.ErrNoQueue)
}

// What a purge could not remove is delivered again, in order, wherever it was.
func TestPurgeOnAFullDisk(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t, func(c *broker.Config) { c.Window = 4 })
	want := []string{}
	for i := range 20 {
		put(t, b, "q", 4, strconv.Itoa(i))
		want = append(want, strconv.Itoa(i))
	}
	log.Break(broker.ErrDiskFull)
	p, err := b.Purge(context.Background(), "q", nil)
	require.ErrorIs(t, err, broker.ErrDiskFull)
	require.Zero(t, p.Done)
	require.False(t, p.Finished)
	log.Break(nil)
	c := attach(t, b)
	c.subscribe(t, "q", broker.Auto, 100)
	var got []string
	for _, d := range c.take(t, 20) {
		got = append(got, string(d.Message.Body))
	}
	require.Equal(t, want, got)
}

func TestMove(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t)
	dead := func(origin, body string) record.Message {
		m := record.Message{Priority: 4, Body: []byte(body), DedupID: body, Headers: []record.HeaderField{{Name: "color", Value: "red"}}}
		if origin != "" {
			m.Headers = append(m.Headers, record.HeaderField{Name: broker.HeaderOriginalDestination, Value: origin},
				record.HeaderField{Name: broker.HeaderDeadLetterCause, Value: "why"})
		}
		return m
	}
	for _, m := range []record.Message{dead("/queue/a", "1"), dead("/queue/b", "2"), dead("/queue/a", "3"), dead("", "4"), dead("/topic/x", "5"), dead("/queue/DLQ", "6")} {
		_, err := b.Publish(context.Background(), "DLQ", m)
		require.NoError(t, err)
	}
	p, err := b.Move(context.Background(), "DLQ", "", []string{"4-1", "4-2", "4-2", "4-99"}, nil)
	require.NoError(t, err)
	require.Equal(t, uint64(2), p.Done)
	require.Equal(t, uint64(1), p.Kept, "of those named, one is not there")
	require.Equal(t, []string{"1"}, texts(browse(t, b, "a", 10)))
	require.Equal(t, []adminapi.Header{{Name: "color", Value: "red"}}, browse(t, b, "a", 10)[0].Headers, "as it was before")
	require.Equal(t, []string{"2"}, texts(browse(t, b, "b", 10)))
	p, err = b.Move(context.Background(), "DLQ", "", nil, nil)
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 3, 4}, []uint64{p.Done, p.Kept, p.Total})
	require.Contains(t, p.Why, "name the one")
	require.Equal(t, []string{"1", "3"}, texts(browse(t, b, "a", 10)))
	require.Equal(t, []string{"4", "5", "6"}, texts(browse(t, b, "DLQ", 10)))
	p, err = b.Move(context.Background(), "DLQ", "a", nil, nil)
	require.NoError(t, err)
	require.Equal(t, uint64(3), p.Done)
	require.Equal(t, []string{"1", "3", "4", "5", "6"}, texts(browse(t, b, "a", 10)))

	// A message is never suppressed by one of its own id in the other queue.
	_, err = b.Publish(context.Background(), "b", dead("", "1"))
	require.NoError(t, err)
	p, err = b.Move(context.Background(), "a", "b", []string{"4-1"}, nil)
	require.NoError(t, err)
	require.Equal(t, uint64(1), p.Done)
	require.Equal(t, []string{"2", "1", "1"}, texts(browse(t, b, "b", 10)))
	for to, refs := range map[string][]string{"a": nil, "x\x01": nil, "c": {"nine"}} {
		_, err = b.Move(context.Background(), "a", to, refs, nil)
		require.Error(t, err, to)
	}
}

func TestMoveIsOneBatch(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t)
	put(t, b, "q", 4, "1", "2")
	before := log.Proposed()
	_, err := b.Move(context.Background(), "q", "r", nil, nil)
	require.NoError(t, err)
	require.Equal(t, before+1, log.Proposed())
}

func TestDeleteQueue(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t)
	ctx := context.Background()
	require.ErrorIs(t, b.DeleteQueue(ctx, "q"), broker.ErrNoQueue)
	put(t, b, "q", 4, "1")
	put(t, b, "q", 8, "2")
	require.ErrorIs(t, b.DeleteQueue(ctx, "q"), broker.ErrInUse)
	_, err := b.Purge(ctx, "q", nil)
	require.NoError(t, err)
	c := attach(t, b)
	sub := c.subscribe(t, "q", broker.Individual, 1)
	require.ErrorContains(t, b.DeleteQueue(ctx, "q"), "1 consumers")
	c.sess.Unsubscribe(sub)
	require.NoError(t, b.DeleteQueue(ctx, "q"))
	require.Empty(t, log.Queues())
	require.Empty(t, b.Snapshot(), "the broker forgets it too")

	put(t, b, "q", 4, "again")
	sub = c.subscribe(t, "q", broker.Individual, 1)
	d := c.take(t, 1)[0]
	require.Equal(t, "again", string(d.Message.Body))
	require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
	require.NoError(t, c.sess.Flush())
	require.Zero(t, log.Depth("q"))
}

func TestPublishRespectsLimits(t *testing.T) {
	b := brokertest.NewLog().Broker(t, limited(policy.Limits{Messages: 2, MessageSize: 10}))
	put(t, b, "q", 4, "1", "2")
	_, err := b.Publish(context.Background(), "q", record.Message{Body: []byte("3")})
	require.ErrorIs(t, err, broker.ErrFull)
	_, err = b.Publish(context.Background(), "r", record.Message{Body: make([]byte, 11)})
	require.ErrorIs(t, err, broker.ErrMessageSize)
}

func TestRemoveDurable(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t)
	batch := record.NewBatch(100)
	batch.Add(record.TypeSubscribe, record.Subscribe{ClientID: "c", Name: "s", Destination: "t.>", Selector: "a = 1", NoLocal: true}.AppendTo)
	batch.Add(record.TypeSubscribe, record.Subscribe{ClientID: "c", Name: "used", Destination: "t.>"}.AppendTo)
	log.Propose(batch, func(err error) { require.NoError(t, err) })
	list := b.DurableSubscriptions()
	require.Len(t, list, 2)
	queue := list[0].Queue
	require.Equal(t, adminapi.Subscription{ClientID: "c", Name: "s", Destination: "/topic/t.>", Selector: "a = 1", NoLocal: true, Queue: queue}, list[0])
	require.ErrorIs(t, b.RemoveDurable(context.Background(), "c", "x"), broker.ErrNoSubscription)

	batch = record.NewBatch(100)
	for range 3 {
		batch.Add(record.TypeEnqueue, record.Enqueue{Queue: queue, Message: record.Message{ID: "m", Priority: 4}}.AppendTo)
	}
	log.Propose(batch, func(err error) { require.NoError(t, err) })
	require.EqualValues(t, 3, b.DurableSubscriptions()[0].Depth)
	require.Len(t, browse(t, b, queue, 10), 3, "it can be browsed")
	require.NoError(t, b.RemoveDurable(context.Background(), "c", "s"))
	require.Len(t, b.DurableSubscriptions(), 1)
	eventually(t, "its queue goes", func() bool { _, ok := log.Queue(queue); return !ok })

	c := attach(t, b)
	c.sess.Identify("c")
	sub, err := c.sess.Subscribe(broker.SubscribeOptions{From: []destination.Destination{{Kind: destination.Topic, Name: "t.>", Pattern: true}}, Durable: "used", Prefetch: 1})
	require.NoError(t, err)
	c.sess.Start(sub)
	require.Equal(t, 1, b.DurableSubscriptions()[0].Consumers, "its client is there, though nothing was ever published")
	require.ErrorIs(t, b.RemoveDurable(context.Background(), "c", "used"), broker.ErrInUse)
}

// The length of a body that its producer gave is shown, though the log does not
// repeat it.
func TestBrowseShowsTheLengthOfTheBody(t *testing.T) {
	b := brokertest.NewLog().Broker(t)
	defer b.Close()
	p := attach(t, b)
	m := record.Message{Priority: 4, Body: []byte("12345"), Headers: []record.HeaderField{{Name: "content-length"}}}
	require.NoError(t, p.sess.Send(queueNamed("q"), m, "", ""))
	require.NoError(t, p.sess.Flush())
	page, err := b.Browse("q", adminapi.Browse{Limit: 1, Body: 100})
	require.NoError(t, err)
	require.Equal(t, []adminapi.Header{{Name: "content-length", Value: "5"}}, page.Messages[0].Headers)
}
