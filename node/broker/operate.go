package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"baton/node/adminapi"
	"baton/node/broker/destination"
	"baton/store/record"
)

// Errors of what operators ask for.
var (
	// ErrNoQueue means that there is no such queue.
	ErrNoQueue = errors.New("no such queue")
	// ErrNoSubscription means that there is no such durable subscription.
	ErrNoSubscription = errors.New("no such durable subscription")
	// ErrInUse means that a queue or a subscription is not to be deleted.
	ErrInUse = errors.New("it is in use")
	// ErrRef means that a text names no message.
	ErrRef = errors.New("no name of a message: it is a priority from 0 to 9, a dash and a sequence")
)

const (
	operateRecords = 256     // messages of one batch of an operator's work
	operateBytes   = 1 << 20 // the same, bytes
)

// ref names a message of a queue, among all of its lanes.
type ref struct {
	priority uint8
	seq      record.Sequence
}

func (r ref) String() string { return fmt.Sprintf("%d-%d", r.priority, r.seq) }

func parseRef(s string) (ref, error) {
	p, n, ok := strings.Cut(s, "-")
	seq, err := strconv.ParseUint(n, 10, 64)
	if !ok || err != nil || len(p) != 1 || p[0] < '0' || p[0] > '9' {
		return ref{}, fmt.Errorf("%q is %w", s, ErrRef)
	}
	return ref{p[0] - '0', record.Sequence(seq)}, nil
}

func queueOf(name string) destination.Destination {
	return destination.Destination{Kind: destination.Queue, Name: name}
}

// checkQueue refuses what is not the name of one queue that clients can use.
func checkQueue(name string) error {
	pattern, err := destination.CheckName(name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDestination, err)
	}
	if pattern {
		return fmt.Errorf("%w: %q stands for many queues", ErrDestination, name)
	}
	return nil
}

// indexLane is one lane of a queue as the index has it.
type indexLane struct {
	QueueInfo
	priority uint8
}

// indexLanes returns the lanes of a queue that the index has, in the order of
// delivery. ErrNoQueue if there are none.
func (b *Broker) indexLanes(name string) (lanes []indexLane, err error) {
	if base, _ := destination.SplitLane(name); base != name {
		return nil, fmt.Errorf("%w: %q is the part of a queue", ErrNoQueue, name)
	}
	for p := 9; p >= 0; p-- {
		lane := name
		if name != destination.Schedule {
			lane = destination.Lane(name, uint8(p))
		} else if p != destination.PriorityNormal {
			continue
		}
		if info, ok := b.cfg.Index.Queue(lane); ok {
			lanes = append(lanes, indexLane{info, uint8(p)})
		}
	}
	if len(lanes) == 0 {
		return nil, fmt.Errorf("%w: %q", ErrNoQueue, name)
	}
	return lanes, nil
}

// DeleteQueue proposes to remove a queue, and returns when that is committed:
// the queue is gone when it is applied, if no message came meanwhile. Errors:
// ErrNoQueue, ErrInUse, those of a Proposer, of ctx, ErrClosed.
func (b *Broker) DeleteQueue(ctx context.Context, name string) error {
	b.cfg.CatchUp()
	lanes, err := b.indexLanes(name)
	if err != nil {
		return err
	}
	batch := record.NewBatch(256)
	for _, l := range lanes {
		if l.Depth > 0 {
			return fmt.Errorf("%w: the queue holds messages, purge it first", ErrInUse)
		}
		batch.Add(record.TypeDeleteQueue, record.DeleteQueue{Queue: l.Name}.AppendTo)
	}
	if q := b.find(name); q != nil {
		if consumers := q.consumed(); consumers > 0 {
			return fmt.Errorf("%w: the queue has %d consumers", ErrInUse, consumers)
		}
	}
	return b.proposeWait(ctx, batch, nil)
}

// Publish puts a message into a queue. It returns the id of the message when
// it is committed. Unlike a session's it does not wait for room. Errors:
// ErrDestination, ErrMessageSize, ErrFull, those of a Proposer, of ctx, ErrClosed.
func (b *Broker) Publish(ctx context.Context, queue string, m record.Message) (string, error) {
	if err := checkQueue(queue); err != nil {
		return "", err
	}
	if err := checkSize(&m); err != nil {
		return "", err
	}
	p := b.policyFor(queueOf(queue))
	if err := admits(queueOf(queue), p, &m); err != nil {
		return "", err
	}
	m.ID = b.nextID(nil)
	if m.Timestamp == 0 {
		m.Timestamp = b.cfg.Now().UnixMilli()
	}
	m.Deadline = b.expiry(p, &m)
	demands, err := b.room(queue, &m)
	if err != nil {
		return "", err
	}
	batch := record.NewBatch(len(m.Body) + 1024)
	batch.Add(record.TypeEnqueue, record.Enqueue{Queue: destination.Lane(queue, m.Priority), Message: m}.AppendTo)
	return m.ID, b.proposeWait(ctx, batch, demands)
}

// room admits a message to a queue, if that has limits. Error: ErrFull.
func (b *Broker) room(queue string, m *record.Message) ([]demand, error) {
	if err := b.storage.check(b); err != nil || b.cfg.Policies == nil {
		return nil, err
	}
	q := b.findOrAdd(queue)
	if !q.policy.Limits.Bounded() {
		return nil, nil
	}
	d := demandOf(q, m)
	if err := d.reserve(nil); err != nil {
		return nil, err
	}
	return []demand{d}, nil
}

// proposeWait proposes a batch, for which demands were admitted, and returns
// what becomes of it.
func (b *Broker) proposeWait(ctx context.Context, batch *record.Batch, demands []demand) error {
	outcome := make(chan error, 1)
	b.cfg.Proposer.Propose(batch, func(err error) { conclude(demands, err); outcome <- err })
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the outcome is in doubt: %w", ctx.Err())
	case <-b.end:
		return fmt.Errorf("the outcome is in doubt: %w", ErrClosed)
	}
}

// Purge removes all messages that are in a queue when it begins, but for those
// that consumers have. tell hears how far it is. Errors are as of DeleteQueue;
// what was removed by then stays so.
func (b *Broker) Purge(ctx context.Context, name string, tell func(adminapi.Progress)) (adminapi.Progress, error) {
	return b.each(ctx, name, nil, tell, func(w *work, r ref, e Entry) error {
		w.take(r, e)
		return nil
	})
}

// Move puts messages of a queue into another one, or, with to "", to where they
// came from before they became dead letters. refs names them, nil means all
// that are there when it begins. Each is moved as a whole or not at all; the
// limits of the other queue do not hold it up. Errors are as of Purge, and
// ErrRef, ErrDestination.
func (b *Broker) Move(ctx context.Context, name, to string, refs []string, tell func(adminapi.Progress)) (adminapi.Progress, error) {
	if name == destination.Schedule {
		return adminapi.Progress{}, fmt.Errorf("%w (scheduled messages have a destination already)", ErrDestination)
	}
	if to != "" {
		if err := checkQueue(to); err != nil {
			return adminapi.Progress{}, err
		}
		if to == name {
			return adminapi.Progress{}, fmt.Errorf("%w (the messages are in it already)", ErrDestination)
		}
	}
	var picked []ref
	for _, s := range refs {
		r, err := parseRef(s)
		if err != nil {
			return adminapi.Progress{}, err
		}
		picked = append(picked, r)
	}
	return b.each(ctx, name, picked, tell, func(w *work, r ref, e Entry) error { return b.moveOne(w, to, r, e) })
}

// moveOne adds the move of a message to a batch.
func (b *Broker) moveOne(w *work, to string, r ref, e Entry) error {
	old, gone, err := b.read(w.laneName(r.priority), e.Sequence, e.Position)
	if err != nil || gone {
		return err
	}
	m := old.Message
	if to == "" {
		var why string
		if to, why = origin(&m); why != "" || to == w.name {
			w.keep("some messages do not say which queue they came from: name the one to move them to")
			return nil
		}
	}
	m.Headers = withoutDeadLetter(m.Headers)
	if !w.take(r, e) {
		return nil
	}
	// A message that is moved is a new one in the other queue.
	m.Deadline, m.Redeliveries, m.DedupID = b.expiry(b.policyFor(queueOf(to)), &m), 0, ""
	w.enqueue(to, m)
	return nil
}

// origin is the queue that a dead letter came from; why says that it is not
// known.
func origin(m *record.Message) (queue, why string) {
	for _, h := range m.Headers {
		if name, ok := strings.CutPrefix(h.Value, "/queue/"); ok && h.Name == HeaderOriginalDestination && checkQueue(name) == nil {
			return name, ""
		}
	}
	return "", "it has no header " + HeaderOriginalDestination
}

// DurableSubscriptions returns the durable subscriptions, by client id and name.
// One without a client id is that of a queue which consumes a virtual topic.
func (b *Broker) DurableSubscriptions() []adminapi.Subscription {
	list := b.cfg.Index.Subscriptions()
	out := make([]adminapi.Subscription, len(list))
	for i, d := range list {
		queue := b.newDurable(d).queue
		out[i] = adminapi.Subscription{ClientID: d.ClientID, Name: d.Name, Selector: d.Selector, NoLocal: d.NoLocal, Queue: queue,
			Destination: destination.Destination{Kind: destination.Topic, Name: d.Destination}.String()}
		if q := b.find(queue); q != nil {
			out[i].Consumers = q.consumed()
		}
		lanes, _ := b.indexLanes(queue) // none if nothing was ever published to it
		for _, l := range lanes {
			out[i].Depth += l.Depth
		}
	}
	return out
}

// RemoveDurable removes a durable subscription that no consumer uses, and
// returns when that is committed. The messages in its queue go by and by.
// Errors: ErrNoSubscription, ErrInUse, those of a Proposer, of ctx, ErrClosed.
func (b *Broker) RemoveDurable(ctx context.Context, client, name string) error {
	id := durableID{client, name}
	b.topics.Lock()
	is, used := b.topics.durables[id] != nil && client != "", b.topics.occupied[id] != nil
	if is && !used {
		b.topics.occupied[id] = &Session{} // nobody takes it up meanwhile
		defer func() {
			b.topics.Lock()
			defer b.topics.Unlock()
			delete(b.topics.occupied, id)
		}()
	}
	b.topics.Unlock()
	switch {
	case !is:
		return fmt.Errorf("%w: %q of client %q", ErrNoSubscription, name, client)
	case used:
		return fmt.Errorf("%w: a consumer has the subscription %q of client %q", ErrInUse, name, client)
	}
	batch := record.NewBatch(256)
	batch.Add(record.TypeUnsubscribe, record.Unsubscribe{ClientID: client, Name: name}.AppendTo)
	return b.proposeWait(ctx, batch, nil)
}
