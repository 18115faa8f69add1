package load

import (
	"context"
	"fmt"
	"time"

	"baton/node/client"
)

// settle is how long nothing may arrive before the queue counts as drained
// although messages in doubt are unaccounted for.
const settle = 300 * time.Millisecond

// Drain stops the producers, waits for the sends under way, and lets the
// consumers go on until every receipted message was received and for a short
// while nothing more came, so that late duplicates are seen. It returns an
// error if ctx ended first: then what is outstanding cannot be called lost.
func (l *Load) Drain(ctx context.Context) error {
	l.moving.Lock()
	defer l.moving.Unlock()
	if l.Rate() > 0 {
		l.lull(time.Now()) // an outage at the end is a gap, too
	}
	l.sending()
	stopped := make(chan struct{})
	go func() { // ends with the producers, which Close ends at the latest
		l.prodWG.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-ctx.Done():
		return fmt.Errorf("drain: a send is still without receipt: %w", ctx.Err())
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last, quiet := l.book.Summary(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("drain: %d receipted messages not received: %w", l.book.Summary().Outstanding, ctx.Err())
		case now := <-tick.C:
			s := l.book.Summary()
			if s != last {
				last, quiet = s, now
			}
			if s.Outstanding == 0 && now.Sub(quiet) >= settle {
				return nil
			}
		}
	}
}

// Close ends everything; it does not drain.
func (l *Load) Close() error {
	l.sending()
	l.cancel()
	for _, c := range append(append([]*client.Client(nil), l.producers...), l.consumers...) {
		c.Close()
	}
	l.prodWG.Wait()
	l.wg.Wait()
	return nil
}
