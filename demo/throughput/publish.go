package throughput

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"baton/node/client"
)

// tally counts what was confirmed while its clock ran, and how long each took.
type tally struct {
	running atomic.Bool
	n       atomic.Int64

	mu      sync.Mutex // guards the rest
	latency *hdrhistogram.Histogram
	err     error
}

func newTally() *tally {
	return &tally{latency: hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 2)}
}

func (t *tally) confirmed(took time.Duration) {
	if !t.running.Load() {
		return
	}
	t.n.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.latency.RecordValue(min(max(took.Microseconds(), 1), int64(time.Minute/time.Microsecond)))
}

func (t *tally) failed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
	}
}

func (t *tally) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// connect waits for the broker, so that ctx can end what would wait for it.
func connect(ctx context.Context, uri string) (*client.Client, error) {
	cfg, err := client.ParseURI(uri)
	if err != nil {
		return nil, err
	}
	cfg.Timeout = 10 * time.Second
	return client.Dial(ctx, cfg)
}

// payload is a body that cannot be compressed.
func payload(size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b) // never fails
	return b
}

// producer sends to one queue over a connection of its own, with a bounded
// number of receipts outstanding.
type producer struct {
	c      *client.Client
	queue  string
	body   []byte
	window chan struct{}
	on     func(time.Duration) // hears of each receipt
	fail   func(error)
}

func newProducer(ctx context.Context, uri, queue string, body []byte, window int, on func(time.Duration), fail func(error)) (*producer, error) {
	c, err := connect(ctx, uri)
	if err != nil {
		return nil, err
	}
	return &producer{c: c, queue: "/queue/" + queue, body: body, window: make(chan struct{}, window), on: on, fail: fail}, nil
}

// run sends until ctx ends or limit messages are sent (0: no limit), and
// returns when all receipts are there.
func (p *producer) run(ctx context.Context, limit int) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for n := 0; ctx.Err() == nil && (limit == 0 || n < limit); n++ {
		select {
		case p.window <- struct{}{}:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		wg.Add(1)
		err := p.c.SendStart(context.WithoutCancel(ctx), p.queue, "application/octet-stream", p.body, persistent, func(err error) {
			defer wg.Done()
			<-p.window
			if err != nil {
				p.fail(err)
				return
			}
			p.on(time.Since(began))
		})
		if err != nil {
			wg.Done()
			p.fail(fmt.Errorf("publish: %w", err))
			return
		}
	}
}

// persistent is what some brokers must be told for a message to be durable.
var persistent = map[string]string{"persistent": "true"}
