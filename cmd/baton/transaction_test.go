package main_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/demo/cluster"
	"baton/node/nodetest"
)

// move takes messages out of a queue and puts a copy into each of two others,
// all in one transaction, through whatever happens, until all are moved.
func move(c *cluster.Cluster, from string, to []string, stop chan struct{}, commits *atomic.Int64) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		conn, err := nodetest.Dial(c.StompAddresses())
		if err != nil {
			continue
		}
		err = conn.Ask("SUBSCRIBE", "", "id:1", "destination:/queue/"+from, "ack:client-individual", "activemq.prefetchSize:3")
		for err == nil {
			err = moveOne(conn, to)
			if err == nil {
				commits.Add(1)
			}
			select {
			case <-stop:
				err = fmt.Errorf("stopped")
			default:
			}
		}
		conn.Close()
	}
}

func moveOne(conn *nodetest.Conn, to []string) error {
	f, err := conn.Next()
	if err != nil {
		return err
	}
	if f.Command != "MESSAGE" {
		return fmt.Errorf("%s: %s", f.Command, f.Get("message"))
	}
	if err := conn.Write("BEGIN", "", "transaction:t"); err != nil {
		return err
	}
	for _, queue := range to {
		if err := conn.Write("SEND", string(f.Body), "destination:/queue/"+queue, "transaction:t"); err != nil {
			return err
		}
	}
	if err := conn.Write("ACK", "", "id:"+f.Get("ack"), "transaction:t"); err != nil {
		return err
	}
	return conn.Ask("COMMIT", "", "transaction:t")
}

// A transaction that takes from one queue and puts into two happens wholly or
// not at all, while the leader is killed again and again: every message
// is in both queues in the end, and in each of them once.
func TestTransactionsThroughKilledLeaders(t *testing.T) {
	c := launch(t, nil)
	const messages = 3000
	to := []string{"left", "right"}
	producer, err := nodetest.Dial(c.StompAddresses())
	require.NoError(t, err)
	defer producer.Close()
	require.NoError(t, producer.Write("BEGIN", "", "transaction:all"))
	for i := range messages {
		require.NoError(t, producer.Write("SEND", fmt.Sprint(i), "destination:/queue/from", "transaction:all"))
	}
	require.NoError(t, producer.Ask("COMMIT", "", "transaction:all"))

	var commits atomic.Int64
	var movers sync.WaitGroup
	stop := make(chan struct{})
	halt := sync.OnceFunc(func() { close(stop) })
	defer halt()
	for range 4 {
		movers.Go(func() { move(c, "from", to, stop, &commits) })
	}
	for range 3 {
		before := commits.Load()
		await(t, "transactions are committed", func() bool { return commits.Load() > before+100 || depthNow(c, "from") == 0 })
		leader := leaderOf(t, c)
		require.NoError(t, c.Kill(leader))
		before = commits.Load()
		await(t, "transactions are committed by the next leader", func() bool { return commits.Load() > before+100 || depthNow(c, "from") == 0 })
		require.NoError(t, c.Start(leader))
		require.NoError(t, c.WaitHealthy(within(t)))
	}
	await(t, "all are moved", func() bool { return depthNow(c, "from") == 0 })
	halt()
	require.NoError(t, c.Kill(leaderOf(t, c))) // a mover waits for a message that will not come
	movers.Wait()
	require.NoError(t, c.StartAll())
	require.NoError(t, c.WaitHealthy(within(t)))
	t.Logf("%d transactions were confirmed, %d happened", commits.Load(), messages)
	for _, queue := range to {
		received := drain(t, c, queue)
		require.Len(t, received, messages, queue)
		for body, n := range received {
			require.Equal(t, 1, n, "%s in %s", body, queue)
		}
	}
	chainsEqual(t, c)
}
