package broker_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/store/record"
)

// Messages get another place in the log while the queue holds them in every
// way, whether or not the broker has heard of it before it reads them.
func TestMovedMessages(t *testing.T) {
	for _, tell := range []bool{true, false} {
		t.Run(fmt.Sprintf("told=%v", tell), func(t *testing.T) {
			log := brokertest.NewLog()
			none := func(c *broker.Config) { c.CacheQueue, c.Window = 1, 20 } // all is read from the log
			b := log.Broker(t, none)
			p, c := attach(t, b), attach(t, b)
			p.publish(t, "q", 1, 60) // 20 are in memory, the others in the index
			moveAll := func(from record.Sequence) {
				for seq := from; seq <= 60; seq++ {
					log.Move("q", seq, tell)
				}
			}
			moveAll(1)
			c.subscribe(t, "q", broker.Individual, 5)
			first := c.take(t, 5)
			require.Equal(t, "1", string(first[0].Message.Body))
			moveAll(1) // five are with the consumer
			c.sess.Close(false)
			moveAll(1) // and back
			again := attach(t, b)
			sub := again.subscribe(t, "q", broker.Individual, 7)
			for i := range 60 {
				d := again.take(t, 1)[0]
				require.Equal(t, fmt.Sprint(i+1), string(d.Message.Body))
				require.NoError(t, again.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
				require.NoError(t, again.sess.Flush())
				moveAll(record.Sequence(i + 2))
			}
			require.Zero(t, log.Depth("q"))
		})
	}
}
