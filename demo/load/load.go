package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"baton/demo/ledger"
	"baton/node/client"
)

// KeyHeader carries the id by which the ledger knows a message.
const KeyHeader = "demo-key"

// Load is a running load. The caller closes it.
type Load struct {
	cfg    Config
	book   *ledger.Ledger
	rate   atomic.Uint64 // bits of a float64
	wake   chan struct{} // a producer that waits for a rate looks again
	moving sync.Mutex    // serialises Drain and Close

	ctx     context.Context // its lifecycle
	cancel  context.CancelFunc
	sending context.CancelFunc // ends the producers
	prodWG  sync.WaitGroup
	wg      sync.WaitGroup

	producers []*client.Client
	consumers []*client.Client
	latency   histogram
	conns     atomic.Int64 // numbers consumer connections over all consumers

	mu     sync.Mutex // guards the rest
	gauge  gauge
	closed bool
	gate   chan struct{} // closed when held consumers may go on; nil while they are not held
}

// Start connects in the background and sends at once; consumers subscribe as
// soon as somebody serves.
func Start(cfg Config) (*Load, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	l := &Load{cfg: cfg.withDefaults(), book: &ledger.Ledger{}, wake: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	sendCtx, sending := context.WithCancel(l.ctx)
	l.sending = sending
	l.setRate(cfg.Rate)
	perQueue := make([]int, len(l.cfg.Queues))
	for i := range l.cfg.Consumers {
		q := i % len(l.cfg.Queues)
		perQueue[q]++
		if err := l.startConsumer(i, l.cfg.Queues[q]); err != nil {
			l.Close()
			return nil, err
		}
	}
	for i := range l.cfg.Producers {
		q := i % len(l.cfg.Queues)
		if err := l.startProducer(sendCtx, l.cfg.Queues[q], perQueue[q] == 1); err != nil {
			l.Close()
			return nil, err
		}
	}
	l.wg.Add(1)
	go l.runSample()
	return l, nil
}

func (l *Load) client(resend bool, idleProbe time.Duration) (*client.Client, error) {
	c, err := client.New(client.Config{
		Addresses: l.cfg.Addresses, Login: l.cfg.Login, Passcode: l.cfg.Passcode,
		Resend: resend, IdleProbe: idleProbe, Logger: l.cfg.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("start load: %w", err)
	}
	return c, nil
}

func (l *Load) startProducer(ctx context.Context, queue string, ordered bool) error {
	c, err := l.client(true, 0)
	if err != nil {
		return err
	}
	l.producers = append(l.producers, c)
	account := l.book.AddProducer(ordered)
	l.prodWG.Add(1)
	go l.runProducer(ctx, c, account, "/queue/"+queue)
	return nil
}

// idleProbe is how long a consumer listens to heart-beats alone before it
// looks for another leader: one that was cut off goes on sending them.
const idleProbe = time.Second

func (l *Load) startConsumer(number int, queue string) error {
	c, err := l.client(false, idleProbe)
	if err != nil {
		return err
	}
	l.consumers = append(l.consumers, c)
	l.wg.Add(1)
	go l.runSubscribe(c, number, "/queue/"+queue)
	return nil
}

// runSubscribe ends once the subscription was confirmed; from then on the
// client renews it.
func (l *Load) runSubscribe(c *client.Client, number int, dest string) {
	defer l.wg.Done()
	for l.ctx.Err() == nil {
		_, err := c.Subscribe(l.ctx, dest, client.AckIndividual, l.cfg.Prefetch, func(m *client.Message) { l.receive(number, m) })
		if err == nil || l.ctx.Err() != nil {
			return
		}
		l.cfg.Logger.Warn("subscribe", "queue", dest, "err", err)
		pause(l.ctx, 100*time.Millisecond)
	}
}

// receive enters a delivery and acknowledges it. Consumers and their
// connections get numbers that do not meet.
func (l *Load) receive(number int, m *client.Message) {
	if !l.passGate() {
		return
	}
	k, err := ledger.ParseKey(m.Header.Get(KeyHeader))
	if err != nil {
		k = ledger.Key{Producer: -1} // not ours: the ledger calls it never sent
	}
	l.book.Received(k, ledger.Delivery{
		MessageID: m.ID, Connection: m.Connection*l.cfg.Consumers + number,
		Redelivered: m.Redelivered, Corrupt: err == nil && !bodyIs(m.Body, k, l.cfg.BodySize),
	})
	// A message whose ack cannot be sent or confirmed comes again, and is judged then.
	_ = m.AckStart(func(err error) {
		if err == nil {
			l.book.Acked(k)
		}
	})
}

// catchUpMax is how much of what it could not send a producer makes up for: a
// hiccup does not lower the rate, a failover is not followed by a flood.
const catchUpMax = 250 * time.Millisecond

// runProducer sends at its share of the rate.
func (l *Load) runProducer(ctx context.Context, c *client.Client, account int, dest string) {
	defer l.prodWG.Done()
	var next time.Time
	for {
		now := time.Now()
		interval := l.interval()
		if interval == 0 {
			next = time.Time{}
			if !l.waitForRate(ctx) {
				return
			}
			continue
		}
		if next.IsZero() || now.Sub(next) > interval+catchUpMax {
			next = now
		}
		if !pause(ctx, next.Sub(now)) {
			return
		}
		next = next.Add(interval)
		l.send(ctx, c, account, dest)
	}
}

func (l *Load) send(ctx context.Context, c *client.Client, account int, dest string) {
	if c.Wait(ctx) != nil { // nothing is sent, so nothing is entered
		return
	}
	k := l.book.Sent(account)
	began := time.Now()
	// Stopping the producers must not turn the last sends into doubts: a send
	// under way goes on until it is receipted, bounded by Drain and Close.
	r, err := c.Send(l.ctx, dest, "application/octet-stream", body(k, l.cfg.BodySize), map[string]string{KeyHeader: k.String()})
	if r.Attempts > 1 {
		l.book.Resent(k)
	}
	switch {
	case err == nil:
		l.book.Receipted(k)
		l.latency.add(r.At.Sub(began))
		l.receipt(r.At)
		l.cfg.OnReceipt(r.ConnectedAt, r.At)
	case errors.Is(err, client.ErrRefused):
		l.book.Refused(k)
	default: // or not sent at all, which is no worse than in doubt
		l.book.InDoubt(k)
	}
}

func (l *Load) setRate(r float64) { l.rate.Store(math.Float64bits(r)) }

// SetRate changes the messages per second; 0 or less pauses the producers.
func (l *Load) SetRate(r float64) {
	l.setRate(max(0, r))
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Rate returns the messages per second that are asked for.
func (l *Load) Rate() float64 { return math.Float64frombits(l.rate.Load()) }

func (l *Load) interval() time.Duration {
	r := l.Rate()
	if r <= 0 {
		return 0
	}
	return time.Duration(float64(l.cfg.Producers) / r * float64(time.Second))
}

// waitForRate waits for SetRate, or looks again soon: there is one wake for all.
func (l *Load) waitForRate(ctx context.Context) bool {
	t := time.NewTimer(50 * time.Millisecond)
	defer t.Stop()
	select {
	case <-l.wake:
	case <-t.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// pause is false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
