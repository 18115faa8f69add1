package broker

import (
	"fmt"
	"time"

	"baton/node/broker/destination"
	"baton/node/broker/schedule"
	"baton/store/record"
)

const (
	// headerPlan is the first header of a message in the schedule. No client can
	// send one of this name.
	headerPlan = "\x03plan"
	// HeaderJob names the schedule that a message comes from: it is the id of the
	// message that asked for it. ActiveMQ's name.
	HeaderJob = "scheduledJobId"
)

// SendLater is Send to the schedule, from where the message goes to its
// destinations when the plan says so; the plan's To is set. Errors: also
// schedule.ErrPlan.
func (s *Session) SendLater(to []destination.Destination, m record.Message, p schedule.Plan, tx, receipt string) error {
	if err := s.b.later(to, &m, p); err != nil {
		return s.Refuse(tx, err)
	}
	if err := s.identify(&m); err != nil {
		return s.Refuse(tx, err)
	}
	s.router.begin()
	s.router.targets = append(s.router.targets, target{queue: destination.Schedule, deadline: m.Deadline})
	s.router.wait = s.b.standard.Limits.Wait
	return s.routed(m, s.router.size(&m), tx, receipt)
}

// later makes a message one of the schedule. Errors: schedule.ErrPlan,
// ErrDestination.
func (b *Broker) later(to []destination.Destination, m *record.Message, p schedule.Plan) error {
	for _, d := range to {
		switch {
		case d.Pattern:
			return fmt.Errorf("%w: a message cannot be sent to wildcards", ErrDestination)
		case d.Temporary():
			return fmt.Errorf("%w: a temporary destination may be gone when a scheduled message is due", ErrDestination)
		}
	}
	now := b.cfg.Now()
	if err := p.Check(); err != nil {
		return err
	}
	due, err := p.First(now)
	if err != nil {
		return err
	}
	if m.Deadline != 0 {
		p.Life = max(m.Deadline-m.Timestamp, 1)
	}
	p.To = compositeText(to)
	text := p.Encode()
	if len(text) > record.MaxStringSize {
		return fmt.Errorf("%w: its destination is too long", schedule.ErrPlan)
	}
	m.Headers = append([]record.HeaderField{{Name: headerPlan, Value: text}}, m.Headers...)
	m.Deadline = due.UnixMilli()
	return nil
}

// fire sends messages of the schedule that are due: in one batch with their
// removal, and with the times at which they are due again. It returns how many
// it took.
func (b *Broker) fire(list []Due, now time.Time) (n int, stored, leading bool) {
	var u unit
	u.batch = record.NewBatch(4096)
	fired := record.Ack{Queue: destination.Schedule}
	for ; n < len(list) && u.batch.Len() < choreBatchBytes; n++ {
		e, gone, err := b.read(destination.Schedule, list[n].Sequence, list[n].Position)
		if err != nil {
			b.fail(err)
			return n, false, false
		}
		if gone {
			continue
		}
		fired.Sequences = append(fired.Sequences, list[n].Sequence)
		if err := b.fireOne(&u, &e.Message, time.UnixMilli(list[n].Deadline), now); err != nil {
			b.fail(fmt.Errorf("send message %d of the schedule: %w", list[n].Sequence, err))
			return n, false, false
		}
	}
	if len(fired.Sequences) == 0 {
		return n, true, true
	}
	u.batch.Add(record.TypeAck, fired.AppendTo)
	outcome := b.proposeChore(u.batch, u.reserved)
	if outcome == choreCommitted {
		b.hand(u.published)
	} else {
		b.giveRoom(u.published)
	}
	return n, outcome.stored(), outcome != choreOver
}

// fireOne adds to a batch what becomes of one message of the schedule.
func (b *Broker) fireOne(u *unit, m *record.Message, due, now time.Time) error {
	if len(m.Headers) == 0 || m.Headers[0].Name != headerPlan {
		return fmt.Errorf("%w: a message of the schedule has no plan", record.ErrCorrupt)
	}
	p, err := schedule.Decode(m.Headers[0].Value)
	if err != nil {
		return err
	}
	next := p.Fire(due, now)
	for _, w := range next.Plans {
		again := *m
		again.Headers = append([]record.HeaderField{{Name: headerPlan, Value: w.Plan.Encode()}}, m.Headers[1:]...)
		again.Deadline, again.DedupID = w.Due.UnixMilli(), ""
		u.batch.Add(record.TypeEnqueue, record.Enqueue{Queue: destination.Schedule, Message: again}.AppendTo)
	}
	if !next.Send {
		return nil
	}
	sent := *m
	sent.Headers = append([]record.HeaderField{{Name: HeaderJob, Value: m.ID}}, m.Headers[1:]...)
	sent.Timestamp, sent.Deadline = now.UnixMilli(), 0
	if p.Life > 0 {
		sent.Deadline = sent.Timestamp + p.Life
	}
	if len(next.Plans) > 0 || p.Sent {
		sent.ID, sent.DedupID = b.nextID(nil), ""
	}
	to, err := destination.Append(nil, p.To)
	if err != nil {
		return err
	}
	r := newRouter(b, nil)
	if _, err := r.route(to, &sent); err != nil {
		return err // what route refuses, SendLater has refused
	}
	for i := range r.demands {
		r.demands[i].force()
	}
	u.reserved = append(u.reserved, r.demands...)
	r.addTo(u, sent, 0)
	return nil
}
