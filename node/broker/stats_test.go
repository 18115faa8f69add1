package broker_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/adminapi"
	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/broker/policy"
	"baton/store/record"
)

func TestSnapshotSaysWhatHappened(t *testing.T) {
	b := brokertest.NewLog().Broker(t, with(func(p *policy.Policy) {
		p.Redelivery = policy.Redelivery{Max: 1, Nack: policy.NackRedeliver}
	}))
	for _, priority := range []uint8{4, 9} {
		put(t, b, "q", priority, "1", "2")
	}
	for range 3 {
		_, err := b.Publish(context.Background(), "q", record.Message{Priority: 4, DedupID: "same"})
		require.NoError(t, err)
	}
	q := row(b, "q")
	require.Equal(t, []uint64{5, 5, 2}, []uint64{q.Depth, q.Enqueued, q.Duplicates}, "of all lanes")
	require.Equal(t, "no consumer", q.Waiting)

	c := attach(t, b)
	sub := c.subscribe(t, "q", broker.Individual, 1)
	d := c.take(t, 1)[0]
	q = row(b, "q")
	require.Equal(t, []int{1, 1}, []int{q.Consumers, q.Pending})
	require.Contains(t, q.Waiting, "no consumer can take more")
	for n := 1; ; n++ { // each message comes twice
		require.NoError(t, c.sess.Nack(sub, broker.Ref{Tag: d.Tag}, "", ""))
		require.NoError(t, c.sess.Flush())
		if n == 10 {
			break
		}
		d = c.take(t, 1)[0]
	}
	eventually(t, "all are dead", func() bool { return row(b, "DLQ").Depth == 5 && row(b, "q").Depth == 0 })
	q = row(b, "q")
	require.Equal(t, []uint64{5, 0}, []uint64{q.DeadLettered, q.Discarded})
	require.Positive(t, q.Redelivered)
	require.Empty(t, row(b, "q").Waiting)
}

func TestLabel(t *testing.T) {
	require.Equal(t, "a b/ä", adminapi.Queue{Name: "a b/ä"}.Label())
	require.Equal(t, "a\uFFFD\uFFFD", adminapi.Queue{Name: "a\n\u202e"}.Label())
}
