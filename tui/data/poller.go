package data

import (
	"context"
	"errors"
	"syscall"
	"time"

	"baton/node/adminapi"
)

// poller asks one node. Its fields below mu are guarded by Source.mu.
type poller struct {
	source *Source
	client adminapi.Client
	stream chan struct{} // the event stream must begin anew

	id      string
	status  adminapi.Status
	seenAt  time.Time
	err     string
	refused bool
	answers []sample // recent, for rates
	lag     series
}

// sample is what rates are worked out from.
type sample struct {
	at       time.Time // the node's clock
	pid      int
	cpu      float64
	enqueued uint64
	acked    uint64
	appended uint64
}

func newPoller(s *Source, e Endpoint) *poller {
	id := e.ID
	if id == "" {
		id = e.Admin
	}
	return &poller{
		source: s, id: Clean(id), stream: make(chan struct{}, 1),
		client: adminapi.Client{Address: e.Admin, Token: s.cfg.Token, HTTP: s.cfg.HTTP},
	}
}

// runStatus asks for the status and, of a leader, for the queues.
func (p *poller) runStatus(ctx context.Context) {
	tick := time.NewTicker(p.source.cfg.Refresh)
	defer tick.Stop()
	for {
		p.ask(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *poller) ask(ctx context.Context) {
	call, cancel := context.WithTimeout(ctx, p.source.cfg.Timeout)
	st, err := p.client.Status(call)
	cancel()
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.failed(err)
		return
	}
	cleanStatus(&st)
	p.answered(st)
	if st.Role != adminapi.RoleLeader {
		return
	}
	call, cancel = context.WithTimeout(ctx, p.source.cfg.Timeout)
	queues, err := p.client.Queues(call)
	cancel()
	if err == nil {
		p.source.tookQueues(st, queues)
	}
}

func (p *poller) failed(err error) {
	p.source.mu.Lock()
	defer p.source.mu.Unlock()
	p.err = Clean(err.Error())
	p.refused = errors.Is(err, syscall.ECONNREFUSED)
}

// ratesOver is the span over which rates are averaged.
const ratesOver = 1500 * time.Millisecond

func (p *poller) answered(st adminapi.Status) {
	s := p.source
	now := s.cfg.Now()
	s.mu.Lock()
	restarted := !p.seenAt.IsZero() && (p.status.PID != st.PID || !p.status.StartedAt.Equal(st.StartedAt))
	returned := !p.seenAt.IsZero() && now.Sub(p.seenAt) > s.cfg.UnknownAfter
	moved := p.status.Role != st.Role || p.status.State != st.State
	if restarted {
		p.answers = nil
	}
	p.answers = append(p.answers, sample{
		at: st.Now, pid: st.PID, cpu: st.Process.CPUSeconds, enqueued: st.Counters.Enqueued,
		acked: st.Counters.Acked, appended: st.Positions.Append,
	})
	for len(p.answers) > 2 && st.Now.Sub(p.answers[1].at) >= ratesOver {
		p.answers = p.answers[1:]
	}
	if len(p.answers) > 64 { // a clock that stands still must not fill memory
		p.answers = p.answers[1:]
	}
	p.status, p.seenAt, p.err, p.refused = st, now, "", false
	if st.Node != "" {
		p.id = st.Node
	}
	s.mu.Unlock()
	if restarted || returned {
		select {
		case p.stream <- struct{}{}:
		default:
		}
	}
	if moved {
		s.poke()
	}
}

// rate is the growth of a counter per second over the recent answers, -1 if
// unknown. The caller holds Source.mu.
func (p *poller) rate(of func(sample) float64) float64 {
	if len(p.answers) < 2 {
		return -1
	}
	first, last := p.answers[0], p.answers[len(p.answers)-1]
	dt := last.at.Sub(first.at).Seconds()
	d := of(last) - of(first)
	if dt <= 0 || d < 0 {
		return -1
	}
	return d / dt
}

// runEvents follows the node's events and comes back whenever the stream ends.
// Sequences count from one in each process, so it asks first which process it
// is talking to.
func (p *poller) runEvents(ctx context.Context) {
	var after uint64
	var of adminapi.Status // the process that after belongs to
	wait := p.source.cfg.Refresh
	for ctx.Err() == nil {
		call, cancel := context.WithTimeout(ctx, p.source.cfg.Timeout)
		st, err := p.client.Status(call)
		cancel()
		if err == nil {
			if st.PID != of.PID || !st.StartedAt.Equal(of.StartedAt) {
				after, of = 0, st
			}
			begun := time.Now()
			after = p.follow(ctx, after)
			if time.Since(begun) > time.Second {
				wait = p.source.cfg.Refresh
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-p.stream:
		case <-time.After(wait):
			wait = min(2*wait, 2*time.Second)
		}
	}
}

// follow reads one stream to its end and returns the last sequence it saw.
func (p *poller) follow(ctx context.Context, after uint64) uint64 {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	stop := make(chan struct{})
	go func() { // ends with this call
		defer close(done)
		select {
		case <-p.stream:
			cancel()
		case <-stop:
		}
	}()
	err := p.client.Events(ctx, after, func(e adminapi.Event) {
		after = max(after, e.Seq)
		CleanEvent(&e)
		p.source.tookEvent(e)
	})
	close(stop)
	<-done
	p.source.cfg.Logger.Debug("event stream ended", "peer", p.client.Address, "error", err)
	return after
}

func (s *Source) tookEvent(e adminapi.Event) {
	s.tracker.Observe(e)
	s.mu.Lock()
	s.mu.events.add(e)
	s.mu.Unlock()
	s.poke()
}
