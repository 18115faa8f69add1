package broker_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/broker/destination"
	"baton/node/broker/policy"
	"baton/node/broker/selector"
	"baton/store/record"
)

// Consumers of every kind come and go, on queues by name and by pattern, with
// selectors, priorities and exclusive ones among them, while the log commits
// late. Everything is consumed in the end, no selector is given what it does
// not want, and a group is never with two consumers at once.
func TestRandomKindsOfConsumers(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("BATON_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		require.NoError(t, err)
		seed = n
	}
	t.Logf("BATON_SEED=%d", seed)
	for _, faulty := range []bool{false, true} {
		t.Run("faulty "+strconv.FormatBool(faulty), func(t *testing.T) {
			r := &kindsRun{t: t, log: brokertest.NewLog(), holder: map[string]*consumer{}, held: map[string]int{}}
			r.b = r.log.Broker(t, func(c *broker.Config) {
				c.Window, c.CacheQueue, c.AckWindow = 16, 2000, 8
				c.Policies = brokertest.Policies(func(p *policy.Policy) { p.Redelivery.Max, p.Redelivery.Delay = -1, 0 })
			})
			r.run(seed, faulty)
		})
	}
}

type kindsRun struct {
	t   *testing.T
	log *brokertest.Log
	b   *broker.Broker

	mu     sync.Mutex
	holder map[string]*consumer // of a group's unsettled messages
	held   map[string]int       // how many of them
}

const kindsMessages = 1500

// endingGroup shares its bucket with no other group of the test.
var endingGroup = func() string {
	used := map[int32]bool{}
	for _, q := range kindsQueues {
		for i := range 5 {
			used[broker.GroupBucket(fmt.Sprint(q, " ", i))] = true
		}
	}
	for i := 0; ; i++ {
		if name := fmt.Sprint("ending ", i); !used[broker.GroupBucket(name)] {
			return name
		}
	}
}()

var kindsQueues = []string{"a.1", "a.2", "b"}

func (r *kindsRun) run(seed uint64, faulty bool) {
	r.log.Hold()
	stop := make(chan struct{})
	var committer, clients sync.WaitGroup
	committer.Go(func() {
		rng := rand.New(rand.NewPCG(seed, 0))
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rng.IntN(200)) * time.Microsecond):
			}
			if faulty && rng.IntN(30) == 0 {
				r.log.CommitLate(broker.ErrNoQuorum)
				continue
			}
			r.log.Commit(1 + rng.IntN(5))
		}
	})
	clients.Go(func() { r.produce(rand.New(rand.NewPCG(seed, 99))) })
	for i := range 5 {
		clients.Go(func() { r.consume(rand.New(rand.NewPCG(seed, uint64(i+1))), faulty) })
	}
	clients.Wait()
	close(stop)
	committer.Wait()
	r.log.Release()
	require.Zero(r.t, r.depth())
}

func (r *kindsRun) depth() (total int) {
	for _, q := range r.log.Queues() {
		total += int(q.Depth)
	}
	return total
}

func (r *kindsRun) sent() (total int) {
	for _, q := range r.log.Queues() {
		total += int(q.Enqueued)
	}
	return total
}

func (r *kindsRun) produce(rng *rand.Rand) {
	p := attach(r.t, r.b)
	for i := range kindsMessages {
		q := kindsQueues[rng.IntN(len(kindsQueues))]
		m := record.Message{Priority: 4, Body: []byte(strconv.Itoa(i)), Headers: []record.HeaderField{{Name: "n", Value: strconv.Itoa(i)}}}
		if rng.IntN(10) == 0 {
			m.Priority = uint8(rng.IntN(10))
		}
		group := record.HeaderField{Name: "JMSXGroupID", Value: fmt.Sprint(q, " ", rng.IntN(5))}
		switch rng.IntN(20) {
		case 0: // after its end the next ones of a group may be elsewhere
			group.Value = endingGroup
			m.Headers = append(m.Headers, group, record.HeaderField{Name: "JMSXGroupSeq", Value: "-1"})
		case 1, 2, 3, 4, 5, 6, 7, 8, 9:
			m.Headers = append(m.Headers, group)
		}
		require.NoError(r.t, p.sess.Send(queueNamed(q), m, "", ""))
		require.NoError(r.t, p.sess.Flush())
	}
}

// consume is one consumer after another until the queues are used up.
func (r *kindsRun) consume(rng *rand.Rand, faulty bool) {
	deadline := time.Now().Add(patience * 3)
	for r.sent() < kindsMessages || r.depth() > 0 {
		if time.Now().After(deadline) {
			r.t.Errorf("%d messages are left", r.depth())
			return
		}
		c := attach(r.t, r.b)
		o := broker.SubscribeOptions{
			Mode: []broker.Mode{broker.Individual, broker.Cumulative}[rng.IntN(2)], Prefetch: 1 + rng.IntN(20),
			Priority: rng.IntN(3), Exclusive: faulty && rng.IntN(8) == 0, // it takes groups from others
			From: [][]destination.Destination{
				queueNamed("b"), queueNamed("a.1"),
				{{Kind: destination.Queue, Pattern: true, Name: "a.*"}},
				{{Kind: destination.Queue, Pattern: true, Name: ">"}},
				{{Kind: destination.Queue, Name: "b"}, {Kind: destination.Queue, Name: "a.2"}},
			}[rng.IntN(5)],
		}
		modulus := 1
		if rng.IntN(3) == 0 {
			modulus = 2 + rng.IntN(3)
			o.Selector, _ = selector.Parse(fmt.Sprintf("n %% %d = 0", modulus))
		}
		sub, err := c.sess.Subscribe(o)
		require.NoError(r.t, err)
		c.sess.Start(sub)
		sub.Resume()
		var mine []broker.Delivery
		for range rng.IntN(40) {
			select {
			case <-c.more:
			case <-time.After(2 * time.Millisecond):
			}
			mine = r.step(rng, c, sub, modulus, mine, faulty)
		}
		require.NoError(r.t, c.sess.Drain())
		for _, d := range r.received(c, modulus, mine, faulty) {
			r.settled(d, faulty)
		}
		c.sess.Close(rng.IntN(2) == 0)
	}
}

// received takes what a consumer was given since.
func (r *kindsRun) received(c *consumer, modulus int, mine []broker.Delivery, faulty bool) []broker.Delivery {
	c.mu.Lock()
	got := c.got
	c.got = nil
	c.mu.Unlock()
	for _, d := range got {
		n, err := strconv.Atoi(string(d.Message.Body))
		require.NoError(r.t, err)
		require.Zero(r.t, n%modulus, "the selector does not want it")
		if g := groupOf(d); g != "" && !faulty {
			r.mu.Lock()
			r.held[g]++
			if r.holder[g] == nil {
				r.holder[g] = c
			}
			same := r.holder[g] == c
			r.mu.Unlock()
			require.True(r.t, same, "group %s is with two consumers", g)
		}
		mine = append(mine, d)
	}
	return mine
}

// groupOf is the group of a delivery, "" for those that end.
func groupOf(d broker.Delivery) string {
	for _, h := range d.Message.Headers {
		if h.Name == "JMSXGroupID" && h.Value != endingGroup {
			return h.Value
		}
	}
	return ""
}

func (r *kindsRun) settled(d broker.Delivery, faulty bool) {
	if g := groupOf(d); g != "" && !faulty {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.held[g]--; r.held[g] == 0 {
			delete(r.holder, g)
		}
	}
}

func (r *kindsRun) step(rng *rand.Rand, c *consumer, sub *broker.Subscription, modulus int, mine []broker.Delivery, faulty bool) []broker.Delivery {
	mine = r.received(c, modulus, mine, faulty)
	for len(mine) > 0 && rng.IntN(10) > 0 {
		i := rng.IntN(len(mine))
		covered := mine[i : i+1]
		if sub.Mode() == broker.Cumulative {
			covered = mine[:i+1]
		}
		for _, d := range covered {
			r.settled(d, faulty)
		}
		ref := broker.Ref{Tag: mine[i].Tag}
		var err error
		if rng.IntN(8) == 0 {
			err = c.sess.Nack(sub, ref, "", "")
		} else {
			err = c.sess.Ack(sub, ref, "", "")
		}
		if !faulty {
			require.NoError(r.t, err)
		}
		if sub.Mode() == broker.Cumulative {
			mine = mine[i+1:]
		} else {
			mine = append(mine[:i:i], mine[i+1:]...)
		}
	}
	require.NoError(r.t, c.sess.Flush())
	return mine
}
