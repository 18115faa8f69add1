package throughput

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"baton/node/client"
)

// Sample is one measurement.
type Sample struct {
	Rate   float64       // messages per second
	P50    time.Duration // of a receipt, or from delivery to the receipt of the ack
	P99    time.Duration
	PerMsg time.Duration // processor time of the target's processes per message, 0 if not known
}

// warmUpMax is how long producers run before the clock does, or as long as the
// clock if that is shorter.
const warmUpMax = 300 * time.Millisecond

// Run carries out the plan. It returns what it has when ctx ends.
func Run(ctx context.Context, cfg Config) (Report, error) {
	if err := cfg.Validate(); err != nil {
		return Report{}, err
	}
	cfg = cfg.withDefaults()
	r := Report{For: cfg.For, Rounds: cfg.Rounds}
	for _, size := range cfg.Sizes {
		for _, name := range cfg.Workloads {
			w, _ := find(name)
			row := Row{Workload: name, Size: size}
			for round := range cfg.Rounds {
				if err := measureRound(ctx, cfg, w, size, round, &row); err != nil {
					return r, err
				}
			}
			r.Rows = append(r.Rows, row)
			cfg.Progress(row.line())
		}
	}
	return r, nil
}

// measureRound measures every target once, and the raw limit.
func measureRound(ctx context.Context, cfg Config, w Workload, size, round int, row *Row) error {
	for i, t := range cfg.Targets {
		queue := fmt.Sprintf("bench.%s.%d.%d.%d", w.Name, size, os.Getpid(), round)
		s, err := measure(ctx, cfg, t, w, size, queue)
		if err != nil {
			return fmt.Errorf("measure %s on %s: %w", w.Name, t.Name, err)
		}
		if round == 0 {
			row.Targets = append(row.Targets, Series{Name: t.Name})
		}
		row.Targets[i].Samples = append(row.Targets[i].Samples, s)
	}
	if cfg.RawDir == "" || w.Producers == 0 || w.Consumers > 0 {
		return nil
	}
	rate, err := Raw(ctx, cfg.RawCommand, cfg.RawDir, size, w.Producers*w.Window, cfg.For)
	if err != nil {
		return err
	}
	row.Raw.Name = "raw"
	row.Raw.Samples = append(row.Raw.Samples, Sample{Rate: rate})
	return nil
}

// measure loads one broker once and leaves its queue empty.
func measure(ctx context.Context, cfg Config, t Target, w Workload, size int, queue string) (Sample, error) {
	body := payload(size)
	if w.Producers == 0 {
		if err := fill(ctx, t, queue, body, cfg.Backlog); err != nil {
			return Sample{}, err
		}
		return consume(ctx, cfg, t, w, queue)
	}
	result := newTally()
	var left atomic.Int64 // sent and not consumed
	sent := func(took time.Duration) {
		left.Add(1)
		if w.Consumers == 0 {
			result.confirmed(took)
		}
	}
	acked := func(took time.Duration) {
		left.Add(-1)
		if w.Consumers > 0 {
			result.confirmed(took)
		}
	}
	consumers := make([]*client.Client, 0, w.Consumers)
	defer func() {
		for _, c := range consumers {
			c.Close()
		}
	}()
	for range w.Consumers {
		c, err := startConsumer(ctx, t.URI, queue, cfg.Prefetch, acked, result.failed)
		if err != nil {
			return Sample{}, err
		}
		consumers = append(consumers, c)
	}
	s, err := publish(ctx, cfg, t, w, queue, body, result, sent)
	if err != nil {
		return s, err
	}
	return s, drain(ctx, t, queue, &left, len(consumers) > 0)
}

// publish runs the producers, and the clock once they are warm.
func publish(ctx context.Context, cfg Config, t Target, w Workload, queue string, body []byte, result *tally, sent func(time.Duration)) (Sample, error) {
	sending, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for range w.Producers {
		p, err := newProducer(ctx, t.URI, queue, body, w.Window, sent, result.failed)
		if err != nil {
			return Sample{}, err
		}
		wg.Go(func() {
			defer p.c.Close()
			p.run(sending, 0)
		})
	}
	defer wg.Wait()
	defer stop()
	if !pause(ctx, min(warmUpMax, cfg.For)) {
		return Sample{}, ctx.Err()
	}
	return clock(ctx, cfg.For, t, result)
}

// clock lets the tally count for a time.
func clock(ctx context.Context, d time.Duration, t Target, result *tally) (Sample, error) {
	cpu, err := processorTime(t.PIDs)
	if err != nil {
		return Sample{}, err
	}
	began := time.Now()
	result.running.Store(true)
	ok := pause(ctx, d)
	result.running.Store(false)
	took := time.Since(began)
	after, err := processorTime(t.PIDs)
	if !ok {
		err = ctx.Err()
	}
	return result.sample(took, after-cpu), errors.Join(err, result.failure())
}

func (t *tally) sample(took, cpu time.Duration) Sample {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.n.Load()
	s := Sample{
		Rate: float64(n) / took.Seconds(),
		P50:  time.Duration(t.latency.ValueAtQuantile(50)) * time.Microsecond,
		P99:  time.Duration(t.latency.ValueAtQuantile(99)) * time.Microsecond,
	}
	if n > 0 {
		s.PerMsg = cpu / time.Duration(n)
	}
	return s
}

// pause is false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
