package throughput

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"baton/node/client"
)

// fillWindow is how many receipts are outstanding while a queue is filled.
const fillWindow = 256

// fill puts n messages into a queue.
func fill(ctx context.Context, t Target, queue string, body []byte, n int) error {
	result := newTally()
	p, err := newProducer(ctx, t.URI, queue, body, fillWindow, func(time.Duration) {}, result.failed)
	if err != nil {
		return err
	}
	defer p.c.Close()
	p.run(ctx, n)
	if err := errors.Join(ctx.Err(), result.failure()); err != nil {
		return fmt.Errorf("fill queue %s: %w", queue, err)
	}
	return nil
}

// startConsumer acknowledges each message by itself and tells of each receipt.
func startConsumer(ctx context.Context, uri, queue string, prefetch int, on func(time.Duration), fail func(error)) (*client.Client, error) {
	c, err := connect(ctx, uri)
	if err != nil {
		return nil, err
	}
	_, err = c.Subscribe(ctx, "/queue/"+queue, client.AckIndividual, prefetch, func(m *client.Message) {
		began := time.Now()
		err := m.AckStart(func(err error) {
			if err != nil {
				fail(err)
				return
			}
			on(time.Since(began))
		})
		if err != nil && !errors.Is(err, client.ErrStale) && ctx.Err() == nil {
			fail(err)
		}
	})
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// consume measures how long it takes to empty a queue that was filled.
func consume(ctx context.Context, cfg Config, t Target, w Workload, queue string) (Sample, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	result := newTally()
	var n atomic.Int64
	done, failed := make(chan struct{}), make(chan struct{}, 1)
	cpu, err := processorTime(t.PIDs)
	if err != nil {
		return Sample{}, err
	}
	result.running.Store(true)
	began := time.Now()
	for range w.Consumers {
		c, err := startConsumer(ctx, t.URI, queue, cfg.Prefetch, func(took time.Duration) {
			result.confirmed(took)
			if n.Add(1) == int64(cfg.Backlog) {
				close(done)
			}
		}, func(err error) {
			result.failed(err)
			select {
			case failed <- struct{}{}:
			default:
			}
		})
		if err != nil {
			return Sample{}, err
		}
		defer c.Close()
	}
	select {
	case <-done:
	case <-failed:
	case <-ctx.Done():
	}
	took := time.Since(began)
	after, err := processorTime(t.PIDs)
	return result.sample(took, after-cpu), errors.Join(err, result.failure(), ctx.Err())
}

// drainPatience bounds the time to empty a queue after a measurement.
const drainPatience = 2 * time.Minute

// drain empties a queue, so that one measurement leaves nothing to the next.
func drain(ctx context.Context, t Target, queue string, left *atomic.Int64, consuming bool) error {
	ctx, cancel := context.WithTimeout(ctx, drainPatience)
	defer cancel()
	result := newTally()
	if !consuming {
		c, err := startConsumer(ctx, t.URI, queue, 1000, func(time.Duration) { left.Add(-1) }, result.failed)
		if err != nil {
			return err
		}
		defer c.Close()
	}
	for left.Load() > 0 && result.failure() == nil {
		if !pause(ctx, 5*time.Millisecond) {
			return fmt.Errorf("empty queue %s: %d messages are left: %w", queue, left.Load(), ctx.Err())
		}
	}
	return result.failure()
}
