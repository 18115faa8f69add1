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
	"baton/node/broker/policy"
	"baton/store/record"
)

const transferMessages = 1500

// Workers move messages of all priorities from a small queue to another one, in
// transactions that commit, roll back or are forgotten, refuse some, and break;
// commits are late, in doubt or lost, and leaders change. In the end each message
// is once in the other queue or once among the dead.
func TestRandomTransfers(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("BATON_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		require.NoError(t, err)
		seed = n
	}
	t.Logf("BATON_SEED=%d", seed)
	r := &transfers{t: t, log: brokertest.NewLog(), rng: rand.New(rand.NewPCG(seed, 99)), stored: map[int]bool{}}
	late := time.Now().Add(3 * patience)
	for epoch := uint64(1); !r.finished(); epoch++ {
		require.True(t, time.Now().Before(late), "no end")
		r.lead(seed, epoch)
	}
	r.log.Release()
	b := r.log.Broker(t)
	c := attach(t, b)
	seen := map[string]int{}
	for _, queue := range []string{"out", "DLQ"} {
		c.subscribe(t, queue, broker.Individual, 10*transferMessages)
		for _, d := range c.take(t, r.depth(queue)) {
			seen[string(d.Message.Body)]++
		}
	}
	t.Logf("%d sent, %d confirmed, %d moved, %d dead", r.sent, len(r.stored), r.depth("out"), r.depth("DLQ"))
	require.Greater(t, r.depth("DLQ"), transferMessages/100)
	require.Greater(t, len(r.stored), transferMessages/2)
	for body, n := range seen {
		require.Equal(t, 1, n, body)
	}
	for i := range r.sent {
		require.True(t, !r.stored[i] || seen[strconv.Itoa(i)] == 1, "%d was confirmed and is gone", i)
	}
}

type transfers struct {
	t   *testing.T
	log *brokertest.Log
	rng *rand.Rand

	mu     sync.Mutex
	sent   int
	stored map[int]bool // confirmed
}

// depth is that of a queue in all its lanes.
func (r *transfers) depth(name string) (n int) {
	for _, info := range r.log.Queues() {
		if info.Name == name || len(info.Name) > 2 && info.Name[2:] == name {
			n += int(info.Depth)
		}
	}
	return n
}

func (r *transfers) finished() bool { return r.sent == transferMessages && r.depth("in") == 0 }

// lead is one leadership, which ends after a while or when all is done. On a
// slow machine the while is longer: each leadership sends some messages, as
// its end takes some that are not confirmed.
func (r *transfers) lead(seed, epoch uint64) {
	b := r.log.Broker(r.t, func(c *broker.Config) {
		c.Window, c.CacheQueue, c.AckWindow, c.TransactionTimeout = 16, 3000, 8, 20*time.Millisecond
		c.Policies = brokertest.Policies(func(p *policy.Policy) {
			p.Redelivery = policy.Redelivery{Max: 4, Delay: time.Millisecond, Multiplier: 2, MaxDelay: 5 * time.Millisecond, Nack: policy.NackRedeliver}
			p.Limits = policy.Limits{Wait: time.Minute}
		})
		c.Policies[0].Match.Name, c.Policies[0].Match.Pattern = "in", false
		c.Policies[0].Policy.Limits.Messages = 40
	})
	r.log.Hold()
	enough := min(r.sent+150, transferMessages)
	stop, sending := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { r.runCommitter(rand.New(rand.NewPCG(seed, epoch)), stop) })
	all.Go(func() {
		defer close(sending)
		r.runProducer(rand.New(rand.NewPCG(seed, epoch+1000)), b, stop)
	})
	for i := range uint64(3) {
		all.Go(func() { r.runMover(rand.New(rand.NewPCG(seed, epoch*10+i+2000)), b, stop) })
	}
	end := time.Now().Add(time.Duration(20+r.rng.IntN(150)) * time.Millisecond)
	for over := false; !over; {
		select {
		case <-sending: // it sends no more
			sending, enough = nil, 0
		case <-time.After(2 * time.Millisecond):
		}
		r.mu.Lock()
		over = r.finished() || r.sent >= enough && time.Now().After(end)
		r.mu.Unlock()
	}
	close(stop)
	deposed := errors.New("not the leader any more")
	r.log.Break(deposed)
	ended := make(chan struct{})
	go func() {
		all.Wait()
		b.Close()
		close(ended)
	}()
	for over := false; !over; { // what was not committed is lost
		r.log.Fail(r.log.Waiting(), deposed)
		select {
		case <-ended:
			over = true
		case <-time.After(time.Millisecond):
		}
	}
	r.log.Fail(r.log.Waiting(), deposed)
	r.log.Break(nil)
}

func (r *transfers) runCommitter(rng *rand.Rand, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rng.IntN(100)) * time.Microsecond):
		}
		switch rng.IntN(30) {
		case 0:
			r.log.CommitLate(broker.ErrNoQuorum)
		case 1:
			r.log.Fail(1, broker.ErrBusy)
		default:
			r.log.Commit(1 + rng.IntN(6))
		}
	}
}

// runProducer sends each message until it is confirmed, or in doubt.
func (r *transfers) runProducer(rng *rand.Rand, b *broker.Broker, stop chan struct{}) {
	p := attach(r.t, b)
	defer p.sess.Close(false)
	go func() {
		<-stop
		p.sess.Abort()
	}()
	for {
		r.mu.Lock()
		i := r.sent
		if i == transferMessages {
			r.mu.Unlock()
			break // and hear what became of the last ones
		}
		r.sent++
		r.mu.Unlock()
		priority := uint8(4)
		if rng.IntN(3) == 0 {
			priority = uint8(rng.IntN(10))
		}
		m := record.Message{Priority: priority, Body: []byte(strconv.Itoa(i)), DedupID: strconv.Itoa(i)}
		if p.sess.Send(queueNamed("in"), m, "", m.DedupID) != nil || rng.IntN(4) == 0 && p.sess.Finish() != nil {
			break
		}
		select {
		case <-stop:
		default:
			continue
		}
		break
	}
	p.sess.Finish()
	r.mu.Lock()
	defer r.mu.Unlock()
	for receipt, err := range p.outcomes() {
		if i, _ := strconv.Atoi(receipt); err == nil && receipt != "" {
			r.stored[i] = true
		}
	}
}

// runMover is one connection after the other.
func (r *transfers) runMover(rng *rand.Rand, b *broker.Broker, stop chan struct{}) {
	for {
		c := attach(r.t, b)
		sub := c.subscribe(r.t, "in", broker.Individual, 1+rng.IntN(8))
		over := false
		for steps := rng.IntN(60); steps > 0 && !over; steps-- {
			select {
			case <-c.more:
				over = !r.move(rng, c, sub)
			case <-time.After(2 * time.Millisecond):
			case <-stop:
				over = true
			}
		}
		select {
		case <-stop:
			c.sess.Abort()
			c.sess.Close(false)
			return
		default:
			c.sess.Close(rng.IntN(20) == 0)
		}
	}
}

// move handles what came in one transaction. It is false when the connection is
// to end.
func (r *transfers) move(rng *rand.Rand, c *consumer, sub *broker.Subscription) bool {
	c.mu.Lock()
	got := c.got
	c.got = nil
	c.mu.Unlock()
	if c.sess.Begin("t", "") != nil {
		return false
	}
	for _, d := range got {
		i, _ := strconv.Atoi(string(d.Message.Body))
		if rng.IntN(15) == 0 || i%40 == 0 { // some are refused whenever they come
			if c.sess.Nack(sub, broker.Ref{Tag: d.Tag}, "t", "") != nil {
				return false
			}
			continue
		}
		m := record.Message{Priority: 4, Body: d.Message.Body}
		if c.sess.Send(queueNamed("out"), m, "t", "") != nil || c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "t", "") != nil {
			return false
		}
	}
	switch rng.IntN(8) {
	case 0:
		c.sess.Rollback("t", "")
		return false
	case 1: // forgotten
		return false
	}
	return c.sess.Commit("t", "") == nil && c.sess.Flush() == nil
}
