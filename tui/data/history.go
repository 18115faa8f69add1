package data

import (
	"slices"
	"sort"
	"time"

	"baton/node/adminapi"
)

// seriesMax is how many values a series keeps: two minutes at 4 Hz.
const seriesMax = 480

// series is a bounded row of values. What list returns is never changed:
// snapshots hold windows of one array, which a push only ever extends. Every
// snapshot of a console's memory holds several, so none may cost a copy.
type series struct {
	values []float64
	limit  int // values kept; 0 is seriesMax
}

func (s *series) push(v float64) {
	if n := s.max(); len(s.values) >= 2*n { // trim seldom: every trim is a copy
		s.values = append(make([]float64, 0, 2*n), s.values[len(s.values)-n+1:]...)
	}
	s.values = append(s.values, v)
}

func (s *series) max() int {
	if s.limit == 0 {
		return seriesMax
	}
	return s.limit
}

func (s *series) list() []float64 {
	return s.values[max(0, len(s.values)-s.max()):len(s.values):len(s.values)]
}

// eventLog keeps the newest events of all nodes in the order of their time.
type eventLog struct {
	limit  int
	total  uint64
	events []adminapi.Event // snapshots hold windows of it
	shared int              // so many of them are in a snapshot: they are never changed
}

// add puts an event where its time belongs. Most come in order and are
// appended; one that is late for what a snapshot shows costs a copy.
func (l *eventLog) add(e adminapi.Event) {
	l.total++
	if len(l.events) >= 2*l.limit { // trim seldom: every trim is a copy
		l.events, l.shared = slices.Clone(l.list()), 0
	}
	at := sort.Search(len(l.events), func(i int) bool { return l.events[i].At.After(e.At) })
	if at < l.shared {
		l.events, l.shared = slices.Clone(l.events), 0
	}
	l.events = slices.Insert(l.events, at, e)
}

func (l *eventLog) list() []adminapi.Event {
	l.shared = len(l.events)
	return l.events[max(0, len(l.events)-l.limit):len(l.events):len(l.events)]
}

// queueLog turns counters of queues into rates and trends.
type queueLog struct {
	rows []QueueRow
	of   string
	at   time.Time
	past map[string]*queuePast
	beat time.Time // of the last trend value
}

type queuePast struct {
	samples []queueSample
	trend   series
	seen    time.Time
}

type queueSample struct {
	at              time.Time
	enqueued, acked uint64
}

// trendMax is how many seconds of depth a queue's trend shows.
const trendMax = 60

// tookQueues takes the answer of a leader. An older leader that still talks is
// not listened to.
func (s *Source) tookQueues(st adminapi.Status, queues []adminapi.Queue) {
	for i := range queues {
		queues[i].Name = Clean(queues[i].Name)
	}
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.mu.pollers {
		if p.status.Role == adminapi.RoleLeader && p.status.Epoch > st.Epoch && now.Sub(p.seenAt) < s.cfg.StaleAfter {
			return
		}
	}
	s.mu.queues.take(st.Node, st.Now, now, queues)
}

func (l *queueLog) take(of string, nodeNow, now time.Time, queues []adminapi.Queue) {
	if l.past == nil || l.of != of { // counters of another node start anew
		l.dropSamples()
	}
	beat := now.Sub(l.beat) >= time.Second
	if beat {
		l.beat = now
	}
	rows := make([]QueueRow, len(queues))
	for i, q := range queues {
		past := l.past[q.Name]
		if past == nil {
			past = &queuePast{trend: series{limit: trendMax}}
			l.past[q.Name] = past
		}
		rows[i] = past.row(q, nodeNow, beat)
		past.seen = now
	}
	for name, past := range l.past {
		if past.seen != now && now.Sub(past.seen) > time.Minute {
			delete(l.past, name)
		}
	}
	l.rows, l.of, l.at = rows, of, now
}

func (l *queueLog) dropSamples() {
	if l.past == nil {
		l.past = map[string]*queuePast{}
	}
	for _, p := range l.past {
		p.samples = nil
	}
}

func (p *queuePast) row(q adminapi.Queue, at time.Time, beat bool) QueueRow {
	p.samples = append(p.samples, queueSample{at, q.Enqueued, q.Acked})
	for len(p.samples) > 2 && at.Sub(p.samples[1].at) >= ratesOver || len(p.samples) > 64 {
		p.samples = p.samples[1:]
	}
	if beat {
		p.trend.push(float64(q.Depth))
	}
	row := QueueRow{Queue: q, InRate: -1, OutRate: -1, Trend: p.trend.list()}
	first, last := p.samples[0], p.samples[len(p.samples)-1]
	dt := last.at.Sub(first.at).Seconds()
	if dt > 0 && last.enqueued >= first.enqueued && last.acked >= first.acked {
		row.InRate = float64(last.enqueued-first.enqueued) / dt
		row.OutRate = float64(last.acked-first.acked) / dt
	}
	return row
}
