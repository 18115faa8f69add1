package broker_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
)

// Clients that come and go, settle, refuse and forget, on a log that commits
// late and sometimes not in time: everything sent is consumed in the end, and
// without an ack in doubt nothing acknowledged is ever delivered again.
func TestRandomClients(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("BATON_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		require.NoError(t, err)
		seed = n
	}
	t.Logf("BATON_SEED=%d", seed)
	for _, faulty := range []bool{false, true} {
		t.Run("faulty "+strconv.FormatBool(faulty), func(t *testing.T) {
			r := &randomRun{t: t, log: brokertest.NewLog(), faulty: faulty, acked: map[string]bool{}}
			r.b = r.log.Broker(t, func(c *broker.Config) { c.Window, c.CacheQueue, c.AckWindow = 16, 2000, 8 })
			r.run(seed)
		})
	}
}

type randomRun struct {
	t      *testing.T
	log    *brokertest.Log
	b      *broker.Broker
	faulty bool

	mu    sync.Mutex
	acked map[string]bool // whose ack committed
}

const randomMessages = 3000

func (r *randomRun) run(seed uint64) {
	r.log.Hold()
	stop := make(chan struct{})
	var committer, clients sync.WaitGroup
	committer.Go(func() { r.runCommitter(rand.New(rand.NewPCG(seed, 0)), stop) })
	clients.Go(func() {
		p := attach(r.t, r.b)
		for i := range randomMessages {
			p.publish(r.t, "q", i, i)
		}
	})
	for i := range 4 {
		clients.Go(func() { r.runConsumer(rand.New(rand.NewPCG(seed, uint64(i+1)))) })
	}
	clients.Wait()
	close(stop)
	committer.Wait()
	r.log.Release()
	require.Zero(r.t, r.log.Depth("q"))
}

func (r *randomRun) runCommitter(rng *rand.Rand, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rng.IntN(200)) * time.Microsecond):
		}
		if r.faulty && rng.IntN(20) == 0 {
			r.log.CommitLate(broker.ErrNoQuorum)
			continue
		}
		r.log.Commit(1 + rng.IntN(5))
	}
}

func (r *randomRun) done() bool {
	q, ok := r.log.Queue("q")
	return ok && q.Enqueued == randomMessages && q.Depth == 0
}

// runConsumer is one consumer after another until the queue is used up.
func (r *randomRun) runConsumer(rng *rand.Rand) {
	deadline := time.Now().Add(patience * 3)
	for !r.done() {
		if time.Now().After(deadline) {
			r.t.Error("the queue is not used up")
			return
		}
		c := attach(r.t, r.b)
		mode := []broker.Mode{broker.Individual, broker.Cumulative, broker.Auto}[rng.IntN(3)]
		sub := c.subscribe(r.t, "q", mode, 1+rng.IntN(20))
		last := uint64(0)
		for range rng.IntN(50) {
			select {
			case <-c.more:
			case <-time.After(5 * time.Millisecond):
			}
			last = r.step(rng, c, sub, last)
		}
		c.sess.Drain()
		c.sess.Close(false)
	}
}

// step handles what a consumer was given.
func (r *randomRun) step(rng *rand.Rand, c *consumer, sub *broker.Subscription, last uint64) uint64 {
	c.mu.Lock()
	got := c.got
	c.got = nil
	c.mu.Unlock()
	for _, d := range got {
		require.Greater(r.t, d.Tag, last)
		last = d.Tag
		body := string(d.Message.Body)
		r.mu.Lock()
		if !r.faulty {
			require.False(r.t, r.acked[body], "message %s was delivered after its ack", body)
		}
		r.mu.Unlock()
		switch n := rng.IntN(10); {
		case sub.Mode() == broker.Auto:
			sub.Written(d.Tag)
		case n == 0:
			r.settled(c.sess.Nack(sub, broker.Ref{Tag: d.Tag}, "", ""))
		case n < 9:
			if r.settled(c.sess.Ack(sub, broker.Ref{MessageID: d.Message.ID}, "", "")) {
				r.mu.Lock()
				r.acked[body] = true
				r.mu.Unlock()
			}
		}
	}
	c.sess.Flush()
	return last
}

// settled is false if an earlier ack covered the message.
func (r *randomRun) settled(err error) bool {
	if err != nil && !errors.Is(err, broker.ErrUnknownMessage) {
		r.t.Error(err)
	}
	return err == nil
}
