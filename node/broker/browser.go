package broker

import (
	"errors"
	"fmt"
	"sync"

	"baton/node/broker/destination"
)

// browser is a consumer that is shown the messages of a queue, as they were
// when it began, and takes none. It reads them from the index one by one, so
// the depth of the queue costs no memory. What others consume meanwhile it may
// see or not.
type browser struct {
	sub   *Subscription
	queue string
	room  chan struct{} // one token: the client has room again

	mu struct {
		sync.Mutex
		running bool
		ended   bool
	}
	end chan struct{} // closed by stop
}

// browsePage is how many entries are read from the index at once.
const browsePage = 100

// browse returns a browser of the one queue that a client wants. Error:
// ErrDestination.
func (s *Session) browse(sub *Subscription, o *SubscribeOptions) (*browser, error) {
	if len(o.From) != 1 || o.From[0].Kind != destination.Queue || o.From[0].Pattern || o.Durable != "" {
		return nil, fmt.Errorf("%w: only one queue by its name can be browsed", ErrDestination)
	}
	return &browser{sub: sub, queue: o.From[0].Name, room: make(chan struct{}, 1), end: make(chan struct{})}, nil
}

func (w *browser) start() { w.sub.b.subscriptions.Add(1) }

func (w *browser) stop(comeback) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.mu.ended {
		w.mu.ended = true
		w.sub.b.subscriptions.Add(-1)
		close(w.end)
	}
}

// resume begins, and later goes on when the client has room.
func (w *browser) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.mu.running {
		w.mu.running = w.sub.b.run(w.runBrowse)
		return
	}
	select {
	case w.room <- struct{}{}:
	default:
	}
}

// each takes acks as they come: nothing is settled by them.
func (w *browser) each(Ref, func(*Subscription, Ref) ([]*entry, error)) ([]*entry, error) {
	return nil, nil
}

// runBrowse shows all messages and then the end.
func (w *browser) runBrowse() {
	b := w.sub.b
	b.cfg.CatchUp()
	lanes, err := b.indexLanes(w.queue)
	if err != nil && !errors.Is(err, ErrNoQueue) {
		b.browseFailed(w.queue, err)
		return
	}
	tag := uint64(0)
	for _, l := range lanes {
		last := l.NextSequence
		for from := l.FirstSequence; from < last; {
			list, err := b.cfg.Index.Scan(l.Name, from, browsePage)
			if err != nil {
				b.browseFailed(w.queue, err)
				return
			}
			if len(list) == 0 {
				break
			}
			for _, e := range list {
				from = e.Sequence + 1
				if from > last {
					break
				}
				tag++
				if ok, err := w.show(l, e, tag); err != nil {
					b.browseFailed(w.queue, err)
					return
				} else if !ok {
					return
				}
			}
		}
	}
	if w.reserve(endSize) {
		w.sub.client.Deliver(Delivery{Subscription: w.sub, End: true, Reserved: endSize})
	}
}

// endSize is about what the last frame has, in bytes.
const endSize = 256

func (b *Broker) browseFailed(queue string, err error) {
	b.failure.Do(func() { b.cfg.OnFailure(fmt.Errorf("browse queue %q: %w", queue, err)) })
}

// show gives the client one message if it is still there and wanted. It is
// false if the browser has ended.
func (w *browser) show(l indexLane, e Entry, tag uint64) (bool, error) {
	got, gone, err := w.sub.b.read(l.Name, e.Sequence, e.Position)
	if err != nil || gone {
		return true, err
	}
	m := &got.Message
	if s := w.sub.options.Selector; s != nil && !s.Matches(properties{m: m, redeliveries: e.Redeliveries}) {
		return true, nil
	}
	if !w.reserve(e.Size) {
		return false, nil
	}
	w.sub.client.Deliver(Delivery{
		Subscription: w.sub, Message: m, Tag: tag, Redelivered: e.Redeliveries > 0, Redeliveries: int(e.Redeliveries), Reserved: e.Size,
	})
	return true, nil
}

// reserve waits until the client has room. It is false if the browser has
// ended.
func (w *browser) reserve(size int) bool {
	for {
		select {
		case <-w.end:
			return false
		case <-w.sub.b.end:
			return false
		default:
		}
		if w.sub.client.Reserve(w.sub, size) {
			return true
		}
		select {
		case <-w.room:
		case <-w.end:
		case <-w.sub.b.end:
		}
	}
}
