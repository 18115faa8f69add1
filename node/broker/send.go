package broker

import (
	"bytes"
	"fmt"

	"baton/node/broker/destination"
	"baton/store/record"
)

// target is a queue of the log that a message goes to.
type target struct {
	queue string
	// topic and original are headers that its copy gets: the topic that a
	// durable subscription has it from, and what it was sent to.
	topic, original string
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

// Send adds a message to the batch, or to a transaction: one copy for each of
// its destinations and for each durable subscription, all or none of them
// stored. m.ID is set by the broker. Nothing of m is kept. Errors:
// ErrDestination, ErrMessageSize, ErrTransaction, ErrClosed.
func (s *Session) Send(to []destination.Destination, m record.Message, tx, receipt string) error {
	if err := checkSize(&m); err != nil {
		return s.Refuse(tx, err)
	}
	if len(s.scratch) == 0 {
		s.scratch = make([]byte, 64)
	}
	m.ID = s.b.nextID(s.scratch)
	s.targets, s.publications = s.targets[:0], s.publications[:0]
	defer func() {
		clear(s.publications)
		s.message = record.Enqueue{}
	}()
	if err := s.route(to, &m); err != nil {
		s.b.giveRoom(s.publications)
		return s.Refuse(tx, err)
	}
	size := s.sizeOf(&m)
	if len(s.targets) > 1 && size > BodyMax {
		s.b.giveRoom(s.publications)
		return s.Refuse(tx, fmt.Errorf("%w (its %d copies have %d bytes, at most %d)", ErrMessageSize, len(s.targets), size, BodyMax))
	}
	if tx != "" {
		if err := s.sendIn(tx, m, size); err != nil {
			s.b.giveRoom(s.publications)
			return err
		}
		return s.added(Op{OpSend, receipt, true})
	}
	s.unit.send(s, m, s.hint)
	return s.added(Op{OpSend, receipt, len(s.targets) == 0})
}

// route finds the queues and publications of a message.
func (s *Session) route(to []destination.Destination, m *record.Message) error {
	original := ""
	if len(to) > 1 {
		original = compositeText(to)
	}
	for _, d := range to {
		if d.Pattern {
			return fmt.Errorf("%w: a message cannot be sent to wildcards", ErrDestination)
		}
		var err error
		switch d.Kind {
		case destination.Queue:
			s.targets = append(s.targets, target{queue: d.Name, original: original})
		case destination.Topic:
			s.toTopic(d, m, original)
		default:
			err = s.toTemporary(d, m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func compositeText(to []destination.Destination) string {
	text := ""
	for i, d := range to {
		if i > 0 {
			text += ","
		}
		text += d.String()
	}
	return text
}

// sizeOf is about what the records of the message have.
func (s *Session) sizeOf(m *record.Message) int {
	one := record.RecordHeaderSize + 64 + len(m.Body)
	for i := range m.Headers {
		one += len(m.Headers[i].Name) + len(m.Headers[i].Value) + 6
	}
	size := 0
	for i := range s.targets {
		t := &s.targets[i]
		size += one + len(t.queue) + len(t.topic) + len(t.original)
	}
	for i := range s.publications {
		size += s.publications[i].size
	}
	return size
}

// send adds the session's targets and publications. hint is the size that the
// batch is expected to have.
func (u *unit) send(s *Session, m record.Message, hint int) {
	headers := m.Headers
	for i := range s.targets {
		t := &s.targets[i]
		m.Headers = headers
		if t.topic != "" || t.original != "" {
			m.Headers = s.withOrigin(t, headers)
		}
		s.message = record.Enqueue{Queue: destination.Lane(t.queue, m.Priority), Message: m}
		if u.batch == nil {
			u.batch = record.NewBatch(max(hint, len(m.Body)+1024))
		}
		u.batch.Add(record.TypeEnqueue, s.encode)
	}
	for i := range s.publications {
		u.published = append(u.published, s.publications[i])
		u.bytes += s.publications[i].size
	}
}

// Headers that the broker puts before the producer's.
const (
	headerDestination = "destination"
	headerOriginal    = "original-destination"
)

func (s *Session) withOrigin(t *target, headers []record.HeaderField) []record.HeaderField {
	s.fields = s.fields[:0]
	if t.topic != "" {
		s.fields = append(s.fields, record.HeaderField{Name: headerDestination, Value: t.topic})
	}
	if t.original != "" {
		s.fields = append(s.fields, record.HeaderField{Name: headerOriginal, Value: t.original})
	}
	s.fields = append(s.fields, headers...)
	return s.fields
}

// publish adds a publication of a message, of which it makes a copy, once for
// all of them.
func (s *Session) publish(p publication, m *record.Message, original string) {
	p.from = s
	for i := range s.publications { // a composite destination: bodies are shared
		if q := &s.publications[i]; len(q.m.Body) > 0 {
			body := q.m.Body
			p.m = copyMessage(m, p.to, original)
			p.m.Body = body
			p.size = messageSize(p.m)
			s.publications = append(s.publications, p)
			return
		}
	}
	p.m = copyMessage(m, p.to, original)
	p.m.Body = bytes.Clone(m.Body)
	p.size = messageSize(p.m)
	s.publications = append(s.publications, p)
}

// copyMessage copies all but the body.
func copyMessage(m *record.Message, to destination.Destination, original string) *record.Message {
	c := *m
	c.Headers = make([]record.HeaderField, 0, len(m.Headers)+2)
	if to.Kind == destination.Topic {
		c.Headers = append(c.Headers, record.HeaderField{Name: headerDestination, Value: to.String()})
	}
	if original != "" {
		c.Headers = append(c.Headers, record.HeaderField{Name: headerOriginal, Value: original})
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
	if len(m.Headers) > record.MaxHeaders-ownHeaders {
		return fmt.Errorf("%w (it has %d headers, at most %d)", ErrMessageSize, len(m.Headers), record.MaxHeaders-ownHeaders)
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

// ownHeaders is how many headers the broker may add to a message.
const ownHeaders = 8
