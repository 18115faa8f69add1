package nodetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"baton/node/client"
)

// Traffic is what clients know of the messages of one queue.
type Traffic struct {
	c     *Cluster
	queue string
	pad   string // ends every body

	mu        sync.Mutex
	sent      int
	receipted map[string]time.Time // body -> when its receipt came
	doubtful  map[string]error     // no receipt: stored or not, nobody knows
	received  map[string]int
}

// Traffic begins to keep account of a queue, which nobody else should use.
func (c *Cluster) Traffic(queue string) *Traffic {
	return &Traffic{c: c, queue: queue, receipted: map[string]time.Time{}, doubtful: map[string]error{}, received: map[string]int{}}
}

// Padded makes the bodies larger by n bytes; before anything is sent.
func (t *Traffic) Padded(n int) *Traffic {
	t.pad = strings.Repeat(".", n)
	return t
}

// Client returns a client that knows all nodes. The caller closes it.
func (c *Cluster) Client(edit func(*client.Config)) *client.Client {
	c.t.Helper()
	cfg := client.Config{MaxReconnectDelay: 20 * time.Millisecond}
	for _, id := range c.IDs() {
		cfg.Addresses = append(cfg.Addresses, c.Stomp(id))
	}
	if edit != nil {
		edit(&cfg)
	}
	cl, err := client.New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	return cl
}

// destination of the queue.
func (t *Traffic) destination() string { return "/queue/" + t.queue }

// send sends the next message once and notes the outcome.
func (t *Traffic) send(ctx context.Context, cl *client.Client) error {
	t.mu.Lock()
	t.sent++
	body := fmt.Sprintf("%s-%06d%s", t.queue, t.sent, t.pad)
	t.mu.Unlock()
	_, err := cl.Send(ctx, t.destination(), "text/plain", []byte(body), nil)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.doubtful[body] = err
		return err
	}
	t.receipted[body] = time.Now()
	return nil
}

// Send sends n messages, each of which has to be receipted.
func (t *Traffic) Send(n int) {
	t.c.t.Helper()
	cl := t.c.Client(nil)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for range n {
		if err := t.send(ctx, cl); err != nil {
			t.c.t.Fatalf("send to %s: %v", t.queue, err)
		}
	}
}

// Produce sends without pause, through whatever happens, until stop is called.
// A message without a receipt is not sent again.
func (t *Traffic) Produce(producers int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range producers {
		cl := t.c.Client(nil)
		wg.Go(func() {
			defer cl.Close()
			for ctx.Err() == nil {
				_ = t.send(ctx, cl) // noted by send
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// Receipts is how many messages were receipted so far.
func (t *Traffic) Receipts() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.receipted)
}

// AwaitRefusal waits until a producer got an error that says text.
func (t *Traffic) AwaitRefusal(text string) {
	t.c.t.Helper()
	t.c.Until("a producer is told: "+text, func() string {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, err := range t.doubtful {
			if strings.Contains(err.Error(), text) {
				return ""
			}
		}
		return fmt.Sprintf("%d sent, %d receipted", t.sent, len(t.receipted))
	})
}

// Gap is the longest time between two receipts.
func (t *Traffic) Gap() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.SortedFunc(maps.Values(t.receipted), time.Time.Compare)
	var longest time.Duration
	for i := 1; i < len(at); i++ {
		longest = max(longest, at[i].Sub(at[i-1]))
	}
	return longest
}

// AwaitReceipts waits until n more messages were receipted.
func (t *Traffic) AwaitReceipts(n int) {
	t.c.t.Helper()
	want := t.Receipts() + n
	t.c.Until("producers get receipts", func() string {
		if got := t.Receipts(); got < want {
			return fmt.Sprintf("%d of %d", got, want)
		}
		return ""
	})
}

// Drain receives and acknowledges everything that is in the queue. It waits for
// all that was receipted: a queue may look empty a moment after a receipt.
func (t *Traffic) Drain() {
	t.c.t.Helper()
	cl := t.c.Client(nil)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	sub, err := cl.Subscribe(ctx, t.destination(), client.AckIndividual, 0, func(m *client.Message) {
		t.mu.Lock()
		t.received[string(m.Body)]++
		t.mu.Unlock()
		_ = m.AckStart(func(error) {}) // what is not acknowledged comes again and is counted
	})
	if err != nil {
		t.c.t.Fatalf("drain %s: %v", t.queue, err)
	}
	defer sub.Close()
	t.c.Until("the queue is drained", func() string {
		t.mu.Lock()
		lacking := 0
		for body := range t.receipted {
			if t.received[body] == 0 {
				lacking++
			}
		}
		t.mu.Unlock()
		if q := t.c.Queue(t.c.Leader(), t.queue); lacking > 0 || q.Depth != 0 {
			return fmt.Sprintf("%d messages are in %s, %d that were receipted did not come", q.Depth, t.queue, lacking)
		}
		return ""
	})
}

// ExactlyOnce drains the queue and fails unless every receipted message came
// exactly once, and every other at most once.
func (t *Traffic) ExactlyOnce() {
	t.c.t.Helper()
	t.Drain()
	t.mu.Lock()
	defer t.mu.Unlock()
	for body := range t.receipted {
		if n := t.received[body]; n != 1 {
			t.c.t.Errorf("%s was receipted and came %d times", body, n)
		}
	}
	for body, n := range t.received {
		_, receipted := t.receipted[body]
		_, doubtful := t.doubtful[body]
		if !receipted && !doubtful {
			t.c.t.Errorf("%q came and was never sent", body)
		}
		if n != 1 {
			t.c.t.Errorf("%s came %d times", body, n)
		}
	}
	if len(t.receipted) == 0 {
		t.c.t.Errorf("nothing was receipted on %s: the test shows nothing", t.queue)
	}
	t.c.t.Logf("%s: %d sent, %d receipted, %d in doubt, %d received", t.queue, t.sent, len(t.receipted), len(t.doubtful), len(t.received))
}
