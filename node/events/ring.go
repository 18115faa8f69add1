// Package events keeps the newest events of a node and hands them to any
// number of readers, each at its own pace. A reader that is slower than the
// ring loses the oldest events, never holds up the node, and is told.
package events

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"baton/node/adminapi"
)

// ErrMissed means that events were overwritten before the reader took them.
var ErrMissed = errors.New("events: reader was too slow, older events are gone")

// Ring is the bounded log of events. The zero value is not usable; see New.
type Ring struct {
	node string
	log  *slog.Logger
	now  func() time.Time

	mu struct {
		sync.Mutex
		buf   []adminapi.Event // buf[(seq-1) % len] holds the event with that seq
		next  uint64           // sequence of the next event
		moved chan struct{}    // closed and replaced whenever an event is added
	}
}

// New returns a ring for size events of the named node. Every event is logged
// at Info too.
func New(node string, size int, log *slog.Logger) *Ring {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &Ring{node: node, log: log, now: time.Now}
	r.mu.buf = make([]adminapi.Event, max(size, 1))
	r.mu.next = 1
	r.mu.moved = make(chan struct{})
	return r
}

// Add records an event now. fields are pairs of name and value.
func (r *Ring) Add(kind string, epoch uint64, text string, fields ...string) {
	e := adminapi.Event{At: r.now(), Node: r.node, Kind: kind, Epoch: epoch, Text: text}
	args := []any{"kind", kind, "epoch", epoch}
	for i := 0; i+1 < len(fields); i += 2 {
		if e.Fields == nil {
			e.Fields = map[string]string{}
		}
		e.Fields[fields[i]] = fields[i+1]
		args = append(args, fields[i], fields[i+1])
	}
	r.mu.Lock()
	e.Seq = r.mu.next
	r.mu.buf[(e.Seq-1)%uint64(len(r.mu.buf))] = e
	r.mu.next++
	close(r.mu.moved)
	r.mu.moved = make(chan struct{})
	r.mu.Unlock()
	r.log.Info(text, args...)
}

// After returns the retained events with a sequence above seq, oldest first,
// waiting for at least one until ctx ends. The error is ctx's, or ErrMissed
// beside events if some between seq and the first of them are gone.
func (r *Ring) After(ctx context.Context, seq uint64) ([]adminapi.Event, error) {
	for {
		r.mu.Lock()
		size := uint64(len(r.mu.buf))
		moved, next := r.mu.moved, r.mu.next
		if seq >= next { // a number of an earlier process: begin anew
			seq = 0
		}
		oldest := uint64(1)
		if next > size {
			oldest = next - size
		}
		from := max(seq+1, oldest)
		var out []adminapi.Event
		for s := from; s < next; s++ {
			out = append(out, r.mu.buf[(s-1)%size])
		}
		r.mu.Unlock()
		if len(out) > 0 {
			if from > seq+1 {
				return out, ErrMissed
			}
			return out, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
