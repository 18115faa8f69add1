package sim

import "time"

// event is something that will happen. Events of one instant happen in the
// order in which they were scheduled.
type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

// events is a heap, the next one first. Package container/heap would allocate
// for each of them, and they are most of what a run does.
type events []event

func (q events) less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}

func (q *events) push(e event) {
	h := append(*q, e)
	for i := len(h) - 1; i > 0 && h.less(i, (i-1)/2); i = (i - 1) / 2 {
		h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
	}
	*q = h
}

func (q *events) pop() event {
	h := *q
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], event{}
	h = h[:last]
	for i := 0; ; {
		next := 2*i + 1
		if next >= last {
			break
		}
		if next+1 < last && h.less(next+1, next) {
			next++
		}
		if !h.less(next, i) {
			break
		}
		h[i], h[next] = h[next], h[i]
		i = next
	}
	*q = h
	return first
}

// epochZero is the wall clock at virtual time 0.
var epochZero = time.Unix(1_000_000, 0)

// at is what the clock of a node shows at a moment of virtual time. Clocks may
// differ, and run at different speeds.
func (n *node) at(t time.Duration) time.Time {
	return epochZero.Add(n.offset + time.Duration(float64(t)*n.speed))
}

func (n *node) clock() time.Time { return n.at(n.s.now) }

// after schedules what happens outside of any process.
func (s *Sim) after(d time.Duration, f func()) {
	s.seq++
	s.queue.push(event{s.now + max(d, 0), s.seq, f})
}

// run executes events until the given time or until a checker objects.
func (s *Sim) run(until time.Duration) {
	for len(s.queue) > 0 && s.violation == "" && s.queue[0].at <= until {
		e := s.queue.pop()
		s.now = e.at
		s.events++
		e.do()
	}
	if s.violation == "" {
		s.now = max(s.now, until)
	}
}

// chance is true n times of m.
func (s *Sim) chance(n, m int) bool { return s.rng.IntN(m) < n }

// around draws a time of the given mean, now and then a much longer one.
func (s *Sim) around(mean time.Duration) time.Duration {
	d := time.Duration(s.rng.Float64() * 2 * float64(mean))
	if s.chance(1, 32) {
		d *= 8
	}
	return d + 1
}

// upTo draws from [0, d).
func (s *Sim) upTo(d time.Duration) time.Duration { return time.Duration(s.rng.Int64N(int64(d))) }
