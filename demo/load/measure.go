package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"baton/demo/ledger"
)

// sampleEvery is the resolution of the rates, samples how many make up one.
const (
	sampleEvery = 100 * time.Millisecond
	samples     = 10
)

// Rates of the last second.
type Rates struct {
	Sent     float64 // receipts per second
	Received float64
	SendP50  time.Duration // of all sends so far, to the receipt
	SendP99  time.Duration
	Gap      time.Duration // since the last receipt
	GapMax   time.Duration // longest time without a receipt so far
}

// gauge holds what the rates are made from.
type gauge struct {
	at       [samples]time.Time
	receipts [samples]uint64
	received [samples]uint64
	n        int
	last     time.Time // receipt
	gapMax   time.Duration
}

// histogram of send times in microseconds, up to two minutes.
type histogram struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
}

func (h *histogram) add(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.h == nil {
		h.h = hdrhistogram.New(1, int64(2*time.Minute/time.Microsecond), 2)
	}
	_ = h.h.RecordValue(min(d.Microseconds(), int64(2*time.Minute/time.Microsecond)))
}

func (h *histogram) at(q float64) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.h == nil {
		return 0
	}
	return time.Duration(h.h.ValueAtQuantile(q)) * time.Microsecond
}

func (l *Load) receipt(at time.Time) {
	l.lull(at)
	l.mu.Lock()
	defer l.mu.Unlock()
	if at.After(l.gauge.last) {
		l.gauge.last = at
	}
}

// lull notes the time from the last receipt until at as one without receipts.
func (l *Load) lull(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.gauge.last.IsZero() {
		l.gauge.gapMax = max(l.gauge.gapMax, at.Sub(l.gauge.last))
	}
}

func (l *Load) runSample() {
	defer l.wg.Done()
	t := time.NewTicker(sampleEvery)
	defer t.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case now := <-t.C:
			s := l.book.Summary()
			l.mu.Lock()
			i := l.gauge.n % samples
			l.gauge.at[i], l.gauge.receipts[i], l.gauge.received[i] = now, s.Receipted, s.Received
			l.gauge.n++
			l.mu.Unlock()
		}
	}
}

// Rates returns the rates of the last second.
func (l *Load) Rates() Rates {
	s := l.book.Summary()
	now := time.Now()
	l.mu.Lock()
	g := l.gauge
	l.mu.Unlock()
	r := Rates{SendP50: l.latency.at(50), SendP99: l.latency.at(99), GapMax: g.gapMax}
	if !g.last.IsZero() {
		r.Gap = now.Sub(g.last)
	}
	if g.n > 0 {
		oldest := 0
		if g.n >= samples {
			oldest = g.n % samples
		}
		if d := now.Sub(g.at[oldest]).Seconds(); d > 0 {
			r.Sent = float64(s.Receipted-g.receipts[oldest]) / d
			r.Received = float64(s.Received-g.received[oldest]) / d
		}
	}
	return r
}

// Summary returns the ledger's counts so far.
func (l *Load) Summary() ledger.Summary { return l.book.Summary() }

// Missing lists up to limit messages that were receipted and not received.
func (l *Load) Missing(limit int) []ledger.Key { return l.book.Missing(limit) }
