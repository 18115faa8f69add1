package broker_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/broker/destination"
	"baton/node/broker/policy"
	"baton/node/broker/schedule"
	"baton/store/record"
)

// accepted counts the messages that producers heard success for, and fails for
// any other answer than that there is no room.
func accepted(t *testing.T, producers ...*consumer) (n int) {
	t.Helper()
	for _, p := range producers {
		for receipt, err := range p.outcomes() {
			if receipt != "" && err == nil {
				n++
			} else if err != nil {
				require.ErrorIs(t, err, broker.ErrFull)
			}
		}
	}
	return n
}

// What is committed and not in the index yet counts: many producers at once
// never get more into a queue than its limit allows, whether they wait for room
// or are refused, alone, in transactions, or to several queues at once.
func TestLimitIsExactBehindTheIndex(t *testing.T) {
	const limit = 10
	one := func(t *testing.T, p *consumer, i int) { p.send(t, "q", fmt.Sprint(i)) }
	for name, send := range map[string]func(*testing.T, *consumer, int){
		"one by one": one,
		"composite": func(t *testing.T, p *consumer, i int) {
			to, err := destination.Append(nil, fmt.Sprintf("/queue/q,/queue/other%d", i))
			require.NoError(t, err)
			require.NoError(t, p.sess.Send(to, record.Message{Priority: 4}, "", fmt.Sprint(i)))
			require.NoError(t, p.sess.Flush())
		},
		"transactions": func(t *testing.T, p *consumer, i int) {
			require.NoError(t, p.sess.Begin("t", ""))
			require.NoError(t, p.sess.Send(queueNamed("q"), record.Message{Priority: 4}, "t", ""))
			require.NoError(t, p.sess.Commit("t", fmt.Sprint(i)))
		},
		"lanes": func(t *testing.T, p *consumer, i int) {
			require.NoError(t, p.sess.Send(queueNamed("q"), record.Message{Priority: uint8(i % 10)}, "", fmt.Sprint(i)))
			require.NoError(t, p.sess.Flush())
		},
	} {
		for _, wait := range []time.Duration{0, time.Minute} {
			for _, outcome := range []error{nil, broker.ErrNoQuorum} {
				t.Run(fmt.Sprintf("%s, wait %s, outcome %v", name, wait, outcome), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						log := brokertest.NewLog()
						b := log.Broker(t, limited(policy.Limits{Messages: limit, Wait: wait}))
						var producers []*consumer
						log.Lag(outcome)
						for i := range 3 * limit {
							p := attach(t, b)
							send(t, p, i)
							producers = append(producers, p)
						}
						synctest.Wait()
						if outcome == nil {
							require.Equal(t, limit, accepted(t, producers...))
						}
						log.CatchUp()
						synctest.Wait()
						depth := 0
						for p := range uint8(10) {
							depth += log.Depth(destination.Lane("q", p))
						}
						require.Equal(t, limit, depth)
						if outcome == nil {
							require.Equal(t, limit, accepted(t, producers...))
						}
						b.Close()
					})
				})
			}
		}
	}
}

// Nor do they get less than the limit in, whatever the moment: of those that
// are refused at once every one is refused rightly.
func TestLimitIsReached(t *testing.T) {
	const producers, each, limit = 16, 50, 600
	log := brokertest.NewLog()
	b := log.Broker(t, limited(policy.Limits{Messages: limit}))
	var all []*consumer
	var wg sync.WaitGroup
	for range producers {
		p := attach(t, b)
		all = append(all, p)
		wg.Go(func() {
			for i := range each {
				err := p.sess.Send(queueNamed("q"), record.Message{Priority: 4}, "", fmt.Sprint(i))
				if err = errors.Join(err, p.sess.Flush()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, p := range all {
		require.NoError(t, p.sess.Finish())
	}
	require.Equal(t, limit, log.Depth("q"))
	require.Equal(t, limit, accepted(t, all...))
}

// Of messages in doubt, suppressed, refused by the log, or from before a
// change of leader, nothing stays counted that is not in the queue.
func TestLimitForgetsWhatIsNotInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		full := limited(policy.Limits{Messages: 3})
		b := log.Broker(t, full)
		p := attach(t, b)
		log.Break(broker.ErrDiskFull)
		p.send(t, "q", "no space")
		log.Break(nil)
		for _, id := range []string{"a", "a", "a"} {
			require.NoError(t, p.sess.Send(queueNamed("q"), record.Message{Priority: 4, DedupID: id}, "", id))
			require.NoError(t, p.sess.Flush())
		}
		require.Equal(t, 1, log.Depth("q"))
		log.Lag(broker.ErrNoQuorum)
		p.send(t, "q", "in doubt")
		log.CatchUp()
		require.Equal(t, 2, log.Depth("q"))
		p.send(t, "q", "third")
		p.send(t, "q", "fourth")
		require.NoError(t, p.sess.Finish())
		require.ErrorIs(t, p.outcomes()["fourth"], broker.ErrFull)
		require.Equal(t, 3, log.Depth("q"))
		b.Close()

		next := log.Broker(t, full) // leads now
		p, c := attach(t, next), attach(t, next)
		sub := c.subscribe(t, "q", broker.Individual, 1)
		require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: c.take(t, 1)[0].Tag}, "", ""))
		require.NoError(t, c.sess.Flush())
		p.send(t, "q", "third again")
		p.send(t, "q", "fourth again")
		require.NoError(t, p.sess.Finish())
		require.NoError(t, p.outcomes()["third again"])
		require.ErrorIs(t, p.outcomes()["fourth again"], broker.ErrFull)
		require.Equal(t, 3, log.Depth("q"))
		next.Close()
	})
}

// What the broker itself puts into a queue goes into a full one too, and counts
// from the moment at which it is on its way.
func TestLimitCountsWhatTheBrokerSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t, limited(policy.Limits{Messages: 2}))
		p := attach(t, b)
		for range 2 {
			require.NoError(t, p.sess.SendLater(queueNamed("q"), record.Message{Priority: 4}, schedule.Plan{Delay: 1000}, "", ""))
			require.NoError(t, p.sess.Flush())
		}
		log.Lag(nil)
		<-time.After(2 * time.Second)
		synctest.Wait()
		p.send(t, "q", "too many")
		_, err := b.Publish(t.Context(), "q", record.Message{Priority: 4})
		require.ErrorIs(t, err, broker.ErrFull)
		log.CatchUp()
		require.NoError(t, p.sess.Finish())
		require.ErrorIs(t, p.outcomes()["too many"], broker.ErrFull)
		require.Equal(t, 2, log.Depth("q"))
		b.Close()
	})
}
