package node

import (
	"sync"
	"time"

	"baton/node/adminapi"
)

// rateInterval is the least time over which a rate is taken.
const rateInterval = time.Second

// rates turns the counters of queues into messages per second, from one look to
// another that is some time later. It knows of no more queues than there are.
type rates struct {
	mu sync.Mutex
	of map[string]rate
}

type rate struct {
	at              time.Time
	enqueued, acked uint64
	in, out         float64
}

// fill sets the rates of queues as they are at a time.
func (r *rates) fill(queues []adminapi.Queue, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := make(map[string]rate, len(queues))
	for i := range queues {
		q := &queues[i]
		was, known := r.of[q.Name]
		passed := now.Sub(was.at)
		switch {
		case !known || q.Enqueued < was.enqueued || q.Acked < was.acked: // or it was deleted and made anew
			was = rate{at: now, enqueued: q.Enqueued, acked: q.Acked}
		case passed >= rateInterval:
			per := func(now, before uint64) float64 { return float64(now-before) / passed.Seconds() }
			was = rate{now, q.Enqueued, q.Acked, per(q.Enqueued, was.enqueued), per(q.Acked, was.acked)}
		}
		next[q.Name] = was
		q.InRate, q.OutRate = was.in, was.out
	}
	r.of = next
}
