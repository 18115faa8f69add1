package stompserver_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/stompserver"
)

const (
	budgetMessage = 256 << 10
	budgetMemory  = 16 << 20
)

// serveBudget runs a server with little memory for what it writes.
func serveBudget(t *testing.T) (*stompserver.Server, *pipeListener) {
	return serveOnPipes(t, func(cfg *stompserver.Config) {
		cfg.OutputMemory, cfg.WriteTimeout, cfg.Limits.Body = budgetMemory, time.Hour, budgetMessage
	})
}

// fillQueue sends large messages, each with its number in front.
func fillQueue(l *pipeListener, t *testing.T, queue string, n int) {
	p := l.dial(t)
	p.connect("1.2")
	p.nc.SetWriteDeadline(time.Time{})
	fill := strings.Repeat("x", budgetMessage-3)
	for i := range n {
		p.send(queue, fmt.Sprintf("%03d", i)+fill, "receipt:r")
		p.wantReceipt("r")
	}
	p.nc.Close()
}

// consume subscribes; what comes nobody reads.
func (c *client) consume(queue string) {
	c.frame("SUBSCRIBE", "id:1", "destination:/queue/"+queue, "ack:client-individual", "activemq.prefetchSize:1000")
}

// consumeAll reads and acknowledges n messages of fillQueue.
func (c *client) consumeAll(t *testing.T, queue string, n int) {
	t.Helper()
	c.consume(queue)
	for i := range n {
		f := c.want("MESSAGE")
		require.Equal(t, fmt.Sprintf("%03d", i), string(f.Body[:3]))
		c.frame("ACK", "id:"+f.Get("ack"), fmt.Sprintf("receipt:ack-%d", i))
		for answered := false; !answered; { // between the messages that are on their way
			f, err := c.read()
			require.NoError(t, err)
			if answered = f.Command == "RECEIPT"; !answered {
				c.early = append(c.early, f)
			}
		}
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Consumers that do not read hold no more than the first half of the memory
// and a message each; one that reads gets everything at once, and nobody is cut
// off.
func TestConsumersThatDoNotReadHoldBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := serveBudget(t)
		const slow = 40
		fillQueue(l, t, "slow", 4*slow)
		fillQueue(l, t, "fast", 50)
		before := heap()
		var all []*client
		for range slow {
			c := l.dial(t)
			c.connect("1.2")
			c.consume("slow")
			all = append(all, c)
		}
		synctest.Wait()
		require.Less(t, heap()-before, int64(budgetMemory*3/2), "without a budget they hold 36 MiB")
		require.LessOrEqual(t, s.Stats().OutputBytes, int64(budgetMemory))
		require.Greater(t, s.Stats().OutputBytes, int64(budgetMemory/2))
		require.Zero(t, s.Stats().OutputWaiting)

		began := time.Now()
		fast := l.dial(t)
		fast.connect("1.2")
		fast.consumeAll(t, "fast", 50)
		require.Less(t, time.Since(began), time.Second)
		require.Equal(t, slow+1, s.Stats().Connections)

		// They get on when they read, all of it.
		seen := map[string]bool{}
		for len(seen) < 4*slow {
			c := all[len(seen)%slow]
			f := c.want("MESSAGE")
			require.False(t, seen[string(f.Body[:3])], "%s again", f.Body[:3])
			seen[string(f.Body[:3])] = true
		}
		for _, c := range all {
			c.nc.Close()
		}
		fast.nc.Close()
		synctest.Wait()
		require.Zero(t, s.Stats().OutputBytes)
	})
}

// When the messages of those that do not read fill all of the memory they make
// way for one that reads: those who have held theirs for long, and no more of
// them than it takes. What they were given goes to others.
func TestConsumersThatDoNotReadMakeWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := serveBudget(t)
		const slow = 300
		fillQueue(l, t, "slow", slow)
		fillQueue(l, t, "fast", 50)
		before := heap()
		for range slow {
			c := l.dial(t)
			c.connect("1.2")
			c.consume("slow")
		}
		synctest.Wait()
		require.Less(t, heap()-before, int64(budgetMemory*3/2), "without a budget they hold 73 MiB")
		require.LessOrEqual(t, s.Stats().OutputBytes, int64(budgetMemory))
		require.Positive(t, s.Stats().OutputWaiting)

		// Others hear of what they do, though there is no room for messages.
		c := l.dial(t)
		c.connect("1.2")
		c.consume("fast")
		c.publish("other", "small")
		c.frame("SEND", "receipt:wrong")
		require.Equal(t, "wrong", c.wantError("destination").Get("receipt-id"))
		c.nc.Close()

		began := time.Now()
		fast := l.dial(t)
		fast.connect("1.2")
		fast.consumeAll(t, "fast", 50)
		require.Less(t, time.Since(began), time.Minute)
		fast.nc.Close()
		fast = l.dial(t)
		fast.connect("1.2")
		fast.frame("SUBSCRIBE", "id:1", "destination:/queue/slow", "ack:auto")
		synctest.Wait()
		_, err := fast.read()
		require.NoError(t, err)
	})
}
