package broker_test

import (
	"fmt"
	"strconv"
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

func (c *consumer) publishFor(t testing.TB, queue, body string, life time.Duration, transient bool) {
	t.Helper()
	m := record.Message{Priority: 4, Timestamp: time.Now().UnixMilli(), Transient: transient, Body: []byte(body)}
	if life != 0 {
		m.Deadline = time.Now().Add(life).UnixMilli()
	}
	require.NoError(t, c.sess.Send(queueNamed(queue), m, "", ""))
	require.NoError(t, c.sess.Flush())
}

// Messages expire where nobody reads them: in memory, in the index alone, and
// while they wait for a redelivery; not while a consumer has them.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t, func(c *broker.Config) {
			c.Window = 8
			with(func(p *policy.Policy) { p.Redelivery.Delay = time.Hour })(c)
		})
		c := attach(t, b)
		for i := range 100 {
			c.publishFor(t, "q", strconv.Itoa(i), time.Duration(100-i)*time.Second, i == 50)
		}
		c.publishFor(t, "q", "stays", 0, false)
		sub := c.subscribe(t, "q", broker.Individual, 3)
		got := c.take(t, 3)
		require.NoError(t, c.sess.Nack(sub, broker.Ref{Tag: got[0].Tag}, "", ""))
		held := append(got[1:], c.take(t, 1)...)
		<-time.After(50*time.Second + time.Millisecond) // the later half, 50 among them
		require.Equal(t, 51, log.Depth("q"))
		require.Equal(t, 49, log.Depth("DLQ"), "one was not persistent")
		<-time.After(time.Minute)
		require.Equal(t, 4, log.Depth("q"), "three are with the consumer")
		require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: held[0].Tag}, "", ""))
		require.NoError(t, c.sess.Flush())
		require.Equal(t, "stays", string(c.take(t, 1)[0].Message.Body))
		c.sess.Close(false)
		synctest.Wait()
		require.Equal(t, 1, log.Depth("q"), "what it gave back was expired")

		d := attach(t, b)
		d.subscribe(t, "DLQ", broker.Individual, 1000)
		seen := map[string]bool{}
		for _, x := range d.take(t, log.Depth("DLQ")) {
			seen[string(x.Message.Body)] = true
			require.Equal(t, "the message expired", header(x.Message, broker.HeaderDeadLetterCause))
			require.NotEmpty(t, header(x.Message, broker.HeaderOriginalExpiration))
			require.Zero(t, x.Message.Deadline)
		}
		require.Len(t, seen, 98)
		require.False(t, seen["50"])
		require.False(t, seen["1"], "it was acknowledged")
		b.Close()
	})
}

// A message whose time is up when it comes, or before the leadership began, is
// not delivered.
func TestExpiredBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		first := log.Broker(t)
		p := attach(t, first)
		for i := range 700 {
			p.publishFor(t, "q", fmt.Sprint("old ", i), time.Second, false)
		}
		first.Close()
		<-time.After(time.Minute)
		b := log.Broker(t)
		c := attach(t, b)
		c.publishFor(t, "q", "late", -time.Hour, false)
		c.publishFor(t, "q", "good", time.Hour, false)
		c.subscribe(t, "q", broker.Individual, 1000)
		require.Equal(t, "good", string(c.take(t, 1)[0].Message.Body))
		synctest.Wait()
		require.Zero(t, c.count())
		require.Equal(t, 701, log.Depth("DLQ"))
		b.Close()
	})
}

func TestExpiryPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t, with(func(p *policy.Policy) {
			p.Expiry = policy.Expiry{Default: time.Second, Max: time.Minute}
			p.DeadLetter.Expired = false
		}))
		c := attach(t, b)
		c.publishFor(t, "q", "default", 0, false)
		c.publishFor(t, "q", "mine", 10*time.Second, false)
		c.publishFor(t, "q", "too long", time.Hour, false)
		for _, want := range []int{3, 2, 2, 1} {
			synctest.Wait()
			require.Equal(t, want, log.Depth("q"))
			<-time.After(4 * time.Second)
		}
		<-time.After(45 * time.Second)
		require.Zero(t, log.Depth("q"))
		require.Zero(t, log.Depth("DLQ"))
		b.Close()
	})
}

func (c *consumer) sendLater(t testing.TB, queue, body string, p schedule.Plan) {
	t.Helper()
	require.NoError(t, c.sess.SendLater(queueNamed(queue), record.Message{Priority: 4, Timestamp: time.Now().UnixMilli(), Body: []byte(body)}, p, "", ""))
	require.NoError(t, c.sess.Flush())
}

// A schedule sends at its times, under one leadership after the other, each
// time once.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t)
		c := attach(t, b)
		began := time.Now()
		c.sendLater(t, "q", "once", schedule.Plan{Delay: 5000})
		c.sendLater(t, "q", "thrice", schedule.Plan{Delay: 10000, Period: 20000, Repeat: 2})
		c.sendLater(t, "q", "cron", schedule.Plan{Cron: "* * * * *"})
		require.Zero(t, log.Depth("q"))
		type sent struct {
			body string
			at   time.Duration
		}
		var got []sent
		for i := range 10 { // a leadership of 14 s each
			if i > 0 {
				b = log.Broker(t)
			}
			c := attach(t, b)
			sub := c.subscribe(t, "q", broker.Individual, 100)
			end := time.After(14 * time.Second)
			for open := true; open; {
				select {
				case <-end:
					open = false
				case <-c.more:
				}
				for range c.count() {
					d := c.take(t, 1)[0]
					got = append(got, sent{string(d.Message.Body), time.Since(began)})
					require.NotEmpty(t, header(d.Message, broker.HeaderJob))
					require.Equal(t, time.Now().UnixMilli(), d.Message.Timestamp)
					require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
				}
				require.NoError(t, c.sess.Flush())
			}
			b.Close()
		}
		s := time.Second
		require.Equal(t, []sent{{"once", 5 * s}, {"thrice", 10 * s}, {"thrice", 30 * s}, {"thrice", 50 * s}, {"cron", 60 * s}, {"cron", 120 * s}}, got)
		require.Zero(t, log.Depth("q"))
		require.Equal(t, 1, log.Depth("\x03schedule"), "the cron goes on")
	})
}

// What was due while nobody led is sent at once, and once.
func TestScheduleOfALongNight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t)
		c := attach(t, b)
		for i := range 600 {
			c.sendLater(t, "q", strconv.Itoa(i), schedule.Plan{Delay: 1000 + int64(i)})
		}
		c.sendLater(t, "r", "x", schedule.Plan{Period: 1000, Repeat: schedule.Forever})
		b.Close()
		<-time.After(time.Hour)
		b = log.Broker(t)
		synctest.Wait()
		require.Equal(t, 600, log.Depth("q"))
		require.Equal(t, 1, log.Depth("r"))
		<-time.After(2*time.Second + time.Millisecond)
		require.Equal(t, 3, log.Depth("r"))
		c = attach(t, b)
		c.subscribe(t, "q", broker.Individual, 1000)
		for i, d := range c.take(t, 600) {
			require.Equal(t, strconv.Itoa(i), string(d.Message.Body))
		}
		b.Close()
	})
}

// Firing that is in doubt is not done once more, and one that was refused is.
func TestScheduleFiresOnceInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t)
		c := attach(t, b)
		c.sendLater(t, "q", "doubtful", schedule.Plan{Delay: 1000})
		log.Hold()
		<-time.After(2 * time.Second)
		require.Equal(t, 1, log.Waiting())
		log.CommitLate(broker.ErrNoQuorum)
		log.Release()
		c.sendLater(t, "q", "refused", schedule.Plan{Delay: 1000})
		log.Break(broker.ErrDiskFull)
		<-time.After(10 * time.Second)
		require.Equal(t, 1, log.Depth("q"))
		log.Break(nil)
		<-time.After(2 * time.Second)
		require.Equal(t, 2, log.Depth("q"))
		<-time.After(time.Hour)
		require.Equal(t, 2, log.Depth("q"))
		b.Close()
	})
}

// What lives for a time lives that long from when it is sent.
func TestScheduleWithExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t)
		c := attach(t, b)
		now := time.Now().UnixMilli()
		m := record.Message{Priority: 9, Timestamp: now, Deadline: now + 5000, Body: []byte("x")}
		require.NoError(t, c.sess.SendLater(queueNamed("q"), m, schedule.Plan{Delay: 60000}, "", ""))
		require.NoError(t, c.sess.Flush())
		<-time.After(64 * time.Second)
		require.Equal(t, 1, log.Depth("\x019q"))
		<-time.After(2 * time.Second)
		require.Zero(t, log.Depth("\x019q"))
		require.Equal(t, 1, log.Depth("\x019DLQ"))
		b.Close()
	})
}

func TestScheduleInATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t)
		c := attach(t, b)
		for i, end := range []func(name, receipt string) error{c.sess.Commit, c.sess.Rollback} {
			require.NoError(t, c.sess.Begin("t", ""))
			require.NoError(t, c.sess.SendLater(queueNamed("q"), record.Message{Priority: 4}, schedule.Plan{Delay: 1000}, "t", ""))
			require.NoError(t, end("t", ""))
			require.NoError(t, c.sess.Flush())
			<-time.After(2 * time.Second)
			require.Equal(t, 1, log.Depth("q"), i)
		}
		require.Zero(t, log.Depth("\x03schedule"))
		b.Close()
	})
}

// A schedule goes wherever a message can go that stays.
func TestScheduleToTopicsAndComposites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t)
		c := attach(t, b)
		to, err := destination.Append(nil, "/topic/t,/queue/a,/queue/b")
		require.NoError(t, err)
		sub, err := c.sess.Subscribe(broker.SubscribeOptions{From: to[:1], Mode: broker.Auto, Prefetch: 10, Pending: -1})
		require.NoError(t, err)
		c.sess.Start(sub)
		sub.Resume()
		require.NoError(t, c.sess.SendLater(to, record.Message{Priority: 6, Body: []byte("x")}, schedule.Plan{Period: 1000, Repeat: 1}, "", ""))
		require.NoError(t, c.sess.Flush())
		synctest.Wait()
		require.Zero(t, c.count())
		<-time.After(2*time.Second + time.Millisecond)
		for _, d := range c.take(t, 2) {
			require.Equal(t, "x", string(d.Message.Body))
		}
		require.Equal(t, 2, log.Depth("\x016a"))
		require.Equal(t, 2, log.Depth("\x016b"))
		for _, bad := range []string{"/temp-queue/x", "/queue/a.*", "/queue/a,/topic/>"} {
			to, err := destination.Append(nil, bad)
			require.NoError(t, err)
			require.ErrorIs(t, c.sess.SendLater(to, record.Message{}, schedule.Plan{Delay: 1}, "", ""), broker.ErrDestination, bad)
		}
		b.Close()
	})
}
