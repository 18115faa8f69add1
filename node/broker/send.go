package broker

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"baton/node/broker/destination"
	"baton/node/broker/policy"
	"baton/store/record"
	"baton/store/record/reuse"
)

// target is a queue of the log that a message goes to.
type target struct {
	queue string
	// topic and original are headers that its copy gets: the topic that a
	// durable subscription has it from, and what it was sent to.
	topic, original string
	deadline        int64 // of the copy
}

// publication is a message for queues in memory. It is handed out when what
// was proposed with it is committed, in the order of the session.
type publication struct {
	from *Session
	temp *temporary // nil: the subscribers of topic
	to   destination.Destination
	m    *record.Message
	size int
}

// router finds out who gets a message, and puts it into a unit for them. It
// belongs to one goroutine.
type router struct {
	b    *Broker
	from *Session // nil: the broker itself

	// Of the message at hand.
	targets      []target
	publications []publication
	demands      []demand      // in those queues that have limits
	wait         time.Duration // for room
	fields       []record.HeaderField
	message      record.Enqueue
	encode       func([]byte) []byte // appends message; made once
}

func newRouter(b *Broker, from *Session) *router {
	r := &router{b: b, from: from}
	r.encode = func(dst []byte) []byte { return r.message.AppendTo(dst) }
	return r
}

// Send adds a message to the batch, or to a transaction: one copy for each of
// its destinations and for each durable subscription, all or none of them
// stored. m.ID is set by the broker. Nothing of m is kept. Errors:
// ErrDestination, ErrMessageSize, ErrTransaction, ErrClosed.
func (s *Session) Send(to []destination.Destination, m record.Message, tx, receipt string) error {
	s.message = m // of the session, so that it is not allocated anew for each frame
	err := s.send(to, tx, receipt)
	s.message = record.Message{}
	return err
}

func (s *Session) send(to []destination.Destination, tx, receipt string) error {
	m := &s.message
	if err := s.identify(m); err != nil {
		return s.Refuse(tx, err)
	}
	size, err := s.router.route(to, m)
	if err != nil {
		return s.Refuse(tx, err)
	}
	return s.routed(*m, size, tx, receipt)
}

// identify checks a message and gives it an id.
func (s *Session) identify(m *record.Message) error {
	if err := checkSize(m); err != nil {
		return err
	}
	if len(s.scratch) == 0 {
		s.scratch = make([]byte, 64)
	}
	m.ID = s.b.nextID(s.scratch)
	return nil
}

// routed adds a message that was routed to the batch or to a transaction.
func (s *Session) routed(m record.Message, size int, tx, receipt string) error {
	if tx != "" {
		if err := s.sendIn(tx, m, size); err != nil {
			s.router.drop()
			return err
		}
		return s.added(Op{OpSend, receipt, true})
	}
	return s.sendOrPark(m, Op{OpSend, receipt, len(s.router.targets) == 0})
}

// begin forgets the message before.
func (r *router) begin() {
	r.targets, r.publications, r.demands, r.wait = r.targets[:0], r.publications[:0], r.demands[:0], 0
}

// route finds the queues and publications of a message, which has its id, and
// returns about how many bytes they are. addTo or drop must follow. Errors:
// ErrDestination, ErrMessageSize.
func (r *router) route(to []destination.Destination, m *record.Message) (size int, err error) {
	r.begin()
	original := ""
	if len(to) > 1 {
		original = compositeText(to)
	}
	for _, d := range to {
		p := r.b.policyFor(d)
		if err = admits(d, p, m); err != nil {
			r.drop()
			return 0, err
		}
		switch {
		case d.Pattern:
			err = fmt.Errorf("%w: a message cannot be sent to wildcards", ErrDestination)
		case d.Kind == destination.Queue:
			r.targets = append(r.targets, target{queue: d.Name, original: original, deadline: r.b.expiry(p, m)})
		case d.Kind == destination.Topic:
			r.toTopic(d, m, original)
		default:
			err = r.toTemporary(d, m)
		}
		if err != nil {
			r.drop()
			return 0, err
		}
	}
	r.demand(m)
	if size = r.size(m); len(r.targets) > 1 && size > BodyMax {
		r.drop()
		return 0, fmt.Errorf("%w (its %d copies have %d bytes, at most %d)", ErrMessageSize, len(r.targets), size, BodyMax)
	}
	return size, nil
}

// unknownDeadline is that of a target whose queue has yet to be looked at, for
// which no lock of topics may be held.
const unknownDeadline = -1

// demand finds out which of the targets have limits, and how long their room is
// worth waiting for.
func (r *router) demand(m *record.Message) {
	wait := time.Duration(-1)
	for i := range r.targets {
		t := &r.targets[i]
		if r.b.cfg.Policies == nil {
			if t.deadline == unknownDeadline {
				t.deadline = m.Deadline
			}
			continue
		}
		q := r.b.findOrAdd(t.queue)
		if t.deadline == unknownDeadline {
			t.deadline = r.b.expiry(&q.policy, m)
		}
		if q.policy.Limits.Bounded() {
			r.demands = append(r.demands, demand{q: q, messages: 1, each: []admission{{id: m.ID}}})
			wait = max(wait, q.policy.Limits.Wait)
		}
	}
	if r.wait = wait; wait < 0 { // room in the store is all that is needed
		r.wait = r.b.standard.Limits.Wait
	}
}

// admits refuses a message that is larger than its destination takes.
func admits(d destination.Destination, p *policy.Policy, m *record.Message) error {
	if most := p.Limits.MessageSize; most > 0 && int64(len(m.Body)) > most {
		return fmt.Errorf("%w (its body has %d bytes, %s takes at most %d)", ErrMessageSize, len(m.Body), d, most)
	}
	return nil
}

// expiry returns when a message expires whose destination has a policy.
func (b *Broker) expiry(p *policy.Policy, m *record.Message) int64 {
	if p.Expiry == (policy.Expiry{}) {
		return m.Deadline
	}
	return p.Expiry.Deadline(b.cfg.Now().UnixMilli(), m.Deadline)
}

// policyFor returns the policy of a queue or a topic, which may not be there.
func (b *Broker) policyFor(d destination.Destination) *policy.Policy {
	if b.cfg.Policies == nil {
		return &b.standard
	}
	if d.Kind == destination.Queue {
		if q := b.find(d.Name); q != nil {
			return &q.policy
		}
	}
	p := b.cfg.Policies.Of(d.Kind, d.Name)
	return &p
}

// Prefetch is what the policies say for a consumer that names none, 0 if they
// say nothing. Of several destinations the first that says something counts.
func (b *Broker) Prefetch(from []destination.Destination) int {
	for _, d := range from {
		if n := b.policyFor(d).Prefetch; n > 0 {
			return n
		}
	}
	return 0
}

func compositeText(to []destination.Destination) string {
	var b strings.Builder
	for i, d := range to {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(d.String())
	}
	return b.String()
}

// size is about what the records and publications of the message have.
func (r *router) size(m *record.Message) int {
	one := recordSize(m)
	size := 0
	for i := range r.demands {
		r.demands[i].bytes, r.demands[i].each[0].bytes = int64(one), int64(one)
	}
	for i := range r.targets {
		t := &r.targets[i]
		size += one + len(t.queue) + len(t.topic) + len(t.original)
	}
	for i := range r.publications {
		size += r.publications[i].size
	}
	return size
}

// recordSize is about what a message has in the log.
func recordSize(m *record.Message) int {
	size := record.RecordHeaderSize + 64 + len(m.Body)
	for i := range m.Headers {
		size += len(m.Headers[i].Name) + len(m.Headers[i].Value) + 6
	}
	return size
}

// addTo puts a message that was routed into a unit. hint is the size that the
// unit's batch is expected to have.
func (r *router) addTo(u *unit, m record.Message, hint int) {
	headers := m.Headers
	for i := range r.targets {
		t := &r.targets[i]
		m.Headers, m.Deadline = headers, t.deadline
		if t.topic != "" || t.original != "" {
			m.Headers = r.withOrigin(t, headers)
		}
		r.message = record.Enqueue{Queue: t.queue, Message: m}
		if t.queue != destination.Schedule {
			r.message.Queue = destination.Lane(t.queue, m.Priority)
		}
		if u.batch == nil {
			u.batch = reuse.NewBatch(max(hint, len(m.Body)+1024))
		}
		u.batch.Add(record.TypeEnqueue, r.encode)
	}
	for i := range r.publications {
		u.published = append(u.published, r.publications[i])
		u.bytes += r.publications[i].size
	}
	clear(r.publications)
	r.publications, r.message = r.publications[:0], record.Enqueue{}
}

// drop forgets a message that was routed.
func (r *router) drop() {
	r.b.giveRoom(r.publications)
	clear(r.publications)
	r.publications = r.publications[:0]
}

// headerDestination says which topic a copy was published to. The broker puts
// it before the headers of the producer, which cannot send it.
const headerDestination = "destination"

func (r *router) withOrigin(t *target, headers []record.HeaderField) []record.HeaderField {
	r.fields = r.fields[:0]
	if t.topic != "" {
		r.fields = append(r.fields, record.HeaderField{Name: headerDestination, Value: t.topic})
	}
	if t.original != "" {
		r.fields = append(r.fields, record.HeaderField{Name: HeaderOriginalDestination, Value: t.original})
	}
	r.fields = append(r.fields, headers...)
	return r.fields
}

// publish adds a publication of a message, of which it makes a copy, once for
// all of them.
func (r *router) publish(p publication, m *record.Message, original string) {
	p.from = r.from
	for i := range r.publications { // a composite destination: bodies are shared
		if q := &r.publications[i]; len(q.m.Body) > 0 {
			body := q.m.Body
			p.m = r.b.copyMessage(m, p.to, original)
			p.m.Body = body
			p.size = messageSize(p.m)
			r.publications = append(r.publications, p)
			return
		}
	}
	p.m = r.b.copyMessage(m, p.to, original)
	p.m.Body = bytes.Clone(m.Body)
	p.size = messageSize(p.m)
	r.publications = append(r.publications, p)
}

// copyMessage copies all but the body.
func (b *Broker) copyMessage(m *record.Message, to destination.Destination, original string) *record.Message {
	c := *m
	c.Deadline = b.expiry(b.policyFor(to), m)
	c.Headers = make([]record.HeaderField, 0, len(m.Headers)+2)
	if to.Kind == destination.Topic {
		c.Headers = append(c.Headers, record.HeaderField{Name: headerDestination, Value: to.String()})
	}
	if original != "" {
		c.Headers = append(c.Headers, record.HeaderField{Name: HeaderOriginalDestination, Value: original})
	}
	c.Headers = append(c.Headers, m.Headers...)
	return &c
}

// hand gives publications to those who are there now.
func (b *Broker) hand(published []publication) {
	for i := range published {
		p := &published[i]
		if p.temp != nil {
			p.temp.hand(p)
		} else {
			b.topics.hand(b, p)
		}
	}
}

// giveRoom gives back what publications that will not be made have set aside.
func (b *Broker) giveRoom(published []publication) {
	for i := range published {
		if t := published[i].temp; t != nil {
			t.giveRoom(published[i].size)
		}
	}
}

// checkSize refuses what the log could not be read back with.
func checkSize(m *record.Message) error {
	if len(m.Headers) > HeadersMax {
		return fmt.Errorf("%w (it has %d headers, at most %d)", ErrMessageSize, len(m.Headers), HeadersMax)
	}
	for i := range m.Headers {
		if n := max(len(m.Headers[i].Name), len(m.Headers[i].Value)); n > record.MaxStringSize {
			return fmt.Errorf("%w (a header has %d bytes, at most %d)", ErrMessageSize, n, record.MaxStringSize)
		}
	}
	if len(m.Body) > BodyMax {
		return fmt.Errorf("%w (its body has %d bytes, at most %d)", ErrMessageSize, len(m.Body), BodyMax)
	}
	return nil
}
