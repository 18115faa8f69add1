package tui

import (
	"context"
	"errors"
	"sync"

	"baton/tui/data"
)

// Hub lets many viewers watch one source. It is a source itself: whoever runs
// it feeds all viewers.
type Hub struct {
	Source
	mu struct {
		sync.Mutex
		last    *data.Snapshot
		viewers map[*Viewer]struct{}
	}
}

// NewHub returns a hub of a source, which is run through the hub from then on.
func NewHub(src Source) *Hub {
	h := &Hub{Source: src}
	h.mu.viewers = map[*Viewer]struct{}{}
	return h
}

// Run implements Source.
func (h *Hub) Run(ctx context.Context, publish func(*data.Snapshot)) error {
	return h.Source.Run(ctx, func(s *data.Snapshot) {
		h.mu.Lock()
		h.mu.last = s
		for v := range h.mu.viewers {
			v.offer(s)
		}
		h.mu.Unlock()
		publish(s)
	})
}

// Viewer is a source of somebody who may look and nothing else.
type Viewer struct {
	hub  *Hub
	box  chan *data.Snapshot // holds one: the newest
	once sync.Once
}

// Viewer returns a new one. It holds nothing until it runs.
func (h *Hub) Viewer() *Viewer { return &Viewer{hub: h, box: make(chan *data.Snapshot, 1)} }

// offer never blocks. The hub's lock is held, so offers do not race.
func (v *Viewer) offer(s *data.Snapshot) {
	select {
	case <-v.box:
	default:
	}
	v.box <- s
}

// Run implements Source.
func (v *Viewer) Run(ctx context.Context, publish func(*data.Snapshot)) error {
	h := v.hub
	h.mu.Lock()
	h.mu.viewers[v] = struct{}{}
	if h.mu.last != nil {
		v.offer(h.mu.last)
	}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.mu.viewers, v)
		h.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s := <-v.box:
			publish(s)
		}
	}
}

// ErrViewer is why a viewer can do nothing.
var ErrViewer = errors.New("tui: this screen is for looking only")

// Can implements Source.
func (v *Viewer) Can(string) (bool, string) { return false, "this screen is for looking only" }

// Do implements Source.
func (v *Viewer) Do(context.Context, string, string) error { return ErrViewer }
