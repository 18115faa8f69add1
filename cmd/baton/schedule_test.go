package main_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/nodetest"
)

// What is due while leaders are killed, one after the other, is done once: each
// scheduled message is sent, and each expired one is in the dead-letter queue.
func TestDeadlinesThroughKilledLeaders(t *testing.T) {
	c := launch(t, nil)
	const messages, every = 300, 20 * time.Millisecond
	conn, err := nodetest.Dial(c.StompAddresses())
	require.NoError(t, err)
	defer conn.Close()
	began := time.Now()
	require.NoError(t, conn.Write("BEGIN", "", "transaction:t"))
	for i := range messages {
		due := time.Second + time.Duration(i)*every
		require.NoError(t, conn.Write("SEND", fmt.Sprint(i), "destination:/queue/later", "transaction:t",
			fmt.Sprintf("AMQ_SCHEDULED_DELAY:%d", due.Milliseconds())))
		require.NoError(t, conn.Write("SEND", fmt.Sprint(i), "destination:/queue/short", "transaction:t",
			fmt.Sprintf("expires:%d", began.Add(due).UnixMilli())))
	}
	require.NoError(t, conn.Ask("COMMIT", "", "transaction:t"))
	for round := range 3 {
		await(t, "some are due", func() bool { return depthNow(c, "later") > (round+1)*messages/5 })
		leader := leaderOf(t, c)
		require.NoError(t, c.Kill(leader))
		await(t, "another node serves", func() bool {
			conn, err := nodetest.Dial(c.StompAddresses())
			if err == nil {
				conn.Close()
			}
			return err == nil
		})
		require.NoError(t, c.Start(leader))
		require.NoError(t, c.WaitHealthy(within(t)))
	}
	await(t, "all were due", func() bool { return depthNow(c, "later") >= messages && depthNow(c, "short") == 0 })
	for _, queue := range []string{"later", "DLQ"} {
		received := drain(t, c, queue)
		require.Len(t, received, messages, queue)
		for body, n := range received {
			require.Equal(t, 1, n, "%s in %s", body, queue)
		}
	}
	chainsEqual(t, c)
}
