package broker_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/broker/policy"
	"baton/store/record"
)

func with(change func(*policy.Policy)) func(*broker.Config) {
	return func(c *broker.Config) { c.Policies = brokertest.Policies(change) }
}

func header(m *record.Message, name string) string {
	for _, h := range m.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// A message that is refused comes again after its delay, each time later, and
// is in the dead-letter queue in the end. What is behind it does not wait.
func TestRedeliveryWithBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t, with(func(p *policy.Policy) {
			p.Redelivery = policy.Redelivery{Max: 3, Delay: time.Second, Multiplier: 3, MaxDelay: 4 * time.Second, Nack: policy.NackRedeliver}
		}))
		c := attach(t, b)
		sub := c.subscribe(t, "q", broker.Individual, 1)
		c.publish(t, "q", 1, 2)
		nack := func(d broker.Delivery) {
			require.Equal(t, "1", string(d.Message.Body))
			require.NoError(t, c.sess.Nack(sub, broker.Ref{Tag: d.Tag}, "", ""))
		}
		d := c.take(t, 1)[0]
		require.False(t, d.Redelivered)
		id := d.Message.ID
		nack(d)
		d = c.take(t, 1)[0]
		require.Equal(t, "2", string(d.Message.Body))
		require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
		require.NoError(t, c.sess.Flush())
		for i, wait := range []time.Duration{time.Second, 3 * time.Second, 4 * time.Second} {
			began := time.Now()
			d = c.take(t, 1)[0]
			require.Equal(t, wait, time.Since(began))
			require.True(t, d.Redelivered)
			require.Equal(t, i+1, d.Redeliveries)
			nack(d)
		}
		synctest.Wait()
		require.Zero(t, log.Depth("q"))
		require.Equal(t, 1, log.Depth("DLQ"))
		c.subscribe(t, "DLQ", broker.Individual, 1)
		m := c.take(t, 1)[0].Message
		require.Equal(t, "1", string(m.Body))
		require.Equal(t, id, m.ID)
		require.Equal(t, "/queue/q", header(m, "original-destination"))
		require.Equal(t, "the message came back 4 times; it is delivered again at most 3 times", header(m, "dlqDeliveryFailureCause"))
		require.Equal(t, "4", header(m, "dead-letter-redeliveries"))
		require.Equal(t, strconv.FormatInt(time.Now().UnixMilli(), 10), header(m, "dead-letter-time"))
		b.Close()
	})
}

// Counts are in the log: the next leader goes on where the last one was.
func TestCountsSurviveTheLeadership(t *testing.T) {
	log := brokertest.NewLog()
	two := func(c *broker.Config) {
		with(func(p *policy.Policy) { p.Redelivery.Delay, p.Redelivery.Max = 0, 5 })(c)
	}
	attach(t, log.Broker(t)).publishAs(t, "q", 7, "x")
	for count := range 6 {
		b := log.Broker(t, two)
		c := attach(t, b)
		sub := c.subscribe(t, "q", broker.Individual, 1)
		d := c.take(t, 1)[0]
		require.Equal(t, count, d.Redeliveries)
		require.Equal(t, count > 0, d.Redelivered)
		require.NoError(t, c.sess.Nack(sub, broker.Ref{Tag: d.Tag}, "", ""))
		if count == 5 {
			eventually(t, "it is dead", func() bool { return log.Depth("\x017DLQ") == 1 })
			break
		}
		c.take(t, 1)
		eventually(t, "the count is in the log", func() bool {
			found, err := log.Scan("\x017q", 1, 1)
			return err == nil && int(found[0].Redeliveries) == count+1
		})
		b.Close() // the consumer is cut off, which is not its fault
	}
}

// A message that breaks its consumer is dead after a while; those that the
// consumer had beside it are not to blame.
func TestMessageThatBreaksItsConsumer(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t, with(func(p *policy.Policy) { p.Redelivery.Max = 2 }))
	attach(t, b).publish(t, "q", 1, 50)
	for i := range 3 {
		c := attach(t, b)
		c.subscribe(t, "q", broker.Individual, 20)
		got := c.take(t, 20)
		require.Equal(t, "1", string(got[0].Message.Body))
		require.Equal(t, i, got[0].Redeliveries)
		for _, d := range got[1:] {
			require.Zero(t, d.Redeliveries)
			require.Equal(t, i > 0, d.Redelivered)
		}
		c.sess.Close(true)
	}
	eventually(t, "it is dead", func() bool { return log.Depth("DLQ") == 1 })
	for range 10 { // who leaves politely, or is cut off, does not count
		c := attach(t, b)
		c.subscribe(t, "q", broker.Individual, 20)
		got := c.take(t, 20)
		require.Equal(t, "2", string(got[0].Message.Body))
		require.Zero(t, got[0].Redeliveries)
		c.sess.Close(false)
	}
	require.Equal(t, 49, log.Depth("q"))
}

func TestNackAsActiveMQ(t *testing.T) {
	log := brokertest.NewLog()
	b := log.Broker(t, with(func(p *policy.Policy) { p.Redelivery.Nack = policy.NackDeadLetter }))
	c := attach(t, b)
	sub := c.subscribe(t, "q", broker.Individual, 2)
	send := func(transient bool, body string) {
		require.NoError(t, c.sess.Send(queueNamed("q"), record.Message{Transient: transient, Body: []byte(body)}, "", ""))
		require.NoError(t, c.sess.Flush())
	}
	send(false, "kept")
	send(true, "dropped")
	got := c.take(t, 2)
	for _, d := range got {
		require.NoError(t, c.sess.Nack(sub, broker.Ref{Tag: d.Tag}, "", ""))
	}
	eventually(t, "both are gone", func() bool { return log.Depth("q") == 0 && log.Depth("\x010q") == 0 })
	d := attach(t, b)
	sub = d.subscribe(t, "DLQ", broker.Individual, 1)
	dead := d.take(t, 1)[0]
	require.Equal(t, "kept", string(dead.Message.Body))
	require.Equal(t, "a consumer refused the message with NACK", header(dead.Message, "dlqDeliveryFailureCause"))

	// There is nowhere to go from the dead-letter queue: nothing is lost there.
	require.NoError(t, d.sess.Nack(sub, broker.Ref{Tag: dead.Tag}, "", ""))
	again := d.take(t, 1)[0]
	require.Equal(t, dead.Message.ID, again.Message.ID)
	require.Equal(t, 1, again.Redeliveries)
}

func TestOwnDeadLetterQueueOrNone(t *testing.T) {
	for name, want := range map[string]int{"mine": 1, "": 0} {
		log := brokertest.NewLog()
		b := log.Broker(t, with(func(p *policy.Policy) {
			p.Redelivery.Max, p.DeadLetter.Queue, p.DeadLetter.Discard = 0, name, name == ""
		}))
		c := attach(t, b)
		sub := c.subscribe(t, "q", broker.Individual, 1)
		c.publish(t, "q", 1, 1)
		require.NoError(t, c.sess.Nack(sub, broker.Ref{Tag: c.take(t, 1)[0].Tag}, "", ""))
		eventually(t, "it is gone", func() bool { return log.Depth("q") == 0 })
		require.Equal(t, want, log.Depth("mine"))
	}
}

// Acks go first when the disk is full; dead messages and counts wait until
// there is room, and are not lost.
func TestDeadMessagesOutwaitAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t, with(func(p *policy.Policy) { p.Redelivery.Max, p.Redelivery.Delay = 1, 0 }))
		c := attach(t, b)
		sub := c.subscribe(t, "q", broker.Individual, 2)
		c.publish(t, "q", 1, 2)
		log.Break(broker.ErrDiskFull)
		got := c.take(t, 2)
		nack := func(d broker.Delivery) { require.NoError(t, c.sess.Nack(sub, broker.Ref{Tag: d.Tag}, "", "")) }
		nack(got[0])
		nack(c.take(t, 1)[0])
		nack(got[1])
		again := c.take(t, 1)[0]
		require.Equal(t, "2", string(again.Message.Body))
		<-time.After(time.Minute)
		require.Equal(t, 2, log.Depth("q"))
		log.Break(nil)
		<-time.After(3 * time.Second)
		require.Equal(t, 1, log.Depth("DLQ"))
		require.Equal(t, 1, log.Depth("q"))
		found, err := log.Scan("q", 1, 1)
		require.NoError(t, err)
		require.Equal(t, uint32(1), found[0].Redeliveries)
		b.Close()
	})
}

// An outcome in doubt is not proposed once more: it would be in the dead-letter
// queue twice.
func TestDeadMessageInDoubtIsThereOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t, with(func(p *policy.Policy) { p.Redelivery.Max = 0 }))
		c := attach(t, b)
		sub := c.subscribe(t, "q", broker.Individual, 2)
		c.publish(t, "q", 1, 1)
		d := c.take(t, 1)[0]
		log.Hold()
		require.NoError(t, c.sess.Nack(sub, broker.Ref{Tag: d.Tag}, "", ""))
		synctest.Wait()
		require.Equal(t, 1, log.Waiting())
		log.CommitLate(broker.ErrNoQuorum)
		log.Release()
		<-time.After(time.Minute)
		require.Equal(t, 1, log.Depth("DLQ"))
		require.Zero(t, log.Depth("q"))
		b.Close()
	})
}

// An acknowledgement in doubt that is committed after all finds its message
// wherever it is meanwhile.
func TestLateAckOfDelayedMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := brokertest.NewLog()
		b := log.Broker(t, with(func(p *policy.Policy) { p.Redelivery.Delay = time.Second }))
		c := attach(t, b)
		sub := c.subscribe(t, "q", broker.Individual, 2)
		c.publish(t, "q", 1, 1)
		d := c.take(t, 1)[0]
		log.Hold()
		require.NoError(t, c.sess.Ack(sub, broker.Ref{Tag: d.Tag}, "", ""))
		require.NoError(t, c.sess.Flush())
		b.Acked("q", nil)
		log.Fail(1, broker.ErrNoQuorum)
		d = c.take(t, 1)[0]
		require.NoError(t, c.sess.Nack(sub, broker.Ref{Tag: d.Tag}, "", ""))
		b.Acked("q", []record.Sequence{1}) // as the applier would say
		<-time.After(time.Minute)
		require.Zero(t, c.count())
		b.Close()
	})
}
