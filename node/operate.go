package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"baton/node/admin"
	"baton/node/adminapi"
	"baton/node/broker"
	"baton/node/broker/destination"
	"baton/store/record"
)

// operator does what operators ask for with messages. Only a leader can.
type operator struct{ n *Node }

// lead returns the leadership and its broker, or says who leads.
func (o operator) lead() (*leadership, *broker.Broker, error) {
	o.n.mu.Lock()
	l, leader := o.n.mu.leadership, o.n.mu.role.leader
	o.n.mu.Unlock()
	if l != nil {
		l.mu.Lock()
		b := l.mu.broker
		l.mu.Unlock()
		if b != nil {
			return l, b, nil
		}
	}
	err := ErrNotLeader
	if leader != "" && leader != o.n.cfg.ID {
		err = fmt.Errorf("%w: %s does; ask it", ErrNotLeader, leader)
	}
	return nil, nil, refusal(err)
}

// refusal gives an error its code.
func refusal(err error) error {
	for _, c := range []struct {
		is     error
		status int
		code   string
	}{
		{ErrNotLeader, http.StatusConflict, "not_leader"},
		{broker.ErrNoQueue, http.StatusNotFound, "no_queue"},
		{broker.ErrNoSubscription, http.StatusNotFound, "no_subscription"},
		{broker.ErrInUse, http.StatusConflict, "in_use"},
		{broker.ErrRef, http.StatusBadRequest, "bad_ref"},
		{broker.ErrDestination, http.StatusBadRequest, "bad_destination"},
		{broker.ErrMessageSize, http.StatusRequestEntityTooLarge, "too_large"},
		{broker.ErrDiskFull, http.StatusInsufficientStorage, "disk_full"},
		{broker.ErrBusy, http.StatusServiceUnavailable, "busy"},
		{broker.ErrNoQuorum, http.StatusServiceUnavailable, "no_quorum"},
		{broker.ErrClosed, http.StatusServiceUnavailable, "in_doubt"},
		{context.Canceled, http.StatusServiceUnavailable, "in_doubt"},
	} {
		if errors.Is(err, c.is) {
			return &admin.Refusal{Status: c.status, Code: c.code, Err: err}
		}
	}
	return err
}

func (o operator) Browse(_ context.Context, queue string, p adminapi.Browse) (adminapi.Page, error) {
	_, b, err := o.lead()
	if err != nil {
		return adminapi.Page{}, err
	}
	page, err := b.Browse(queue, p)
	return page, refusal(err)
}

func (o operator) Publish(ctx context.Context, queue string, p adminapi.Publish) (string, error) {
	_, b, err := o.lead()
	if err != nil {
		return "", err
	}
	m := record.Message{Priority: destination.PriorityNormal, Transient: p.Transient, Deadline: max(p.Expires, 0), DedupID: p.DedupID, Body: p.Body}
	if p.Priority != nil {
		m.Priority = min(*p.Priority, 9)
	}
	if p.Text != "" {
		m.Body = []byte(p.Text)
	}
	for _, h := range p.Headers {
		m.Headers = append(m.Headers, record.HeaderField{Name: h.Name, Value: h.Value})
	}
	id, err := b.Publish(ctx, queue, m)
	return id, refusal(err)
}

func (o operator) Purge(ctx context.Context, queue string, tell func(adminapi.Progress)) (adminapi.Progress, error) {
	l, b, err := o.lead()
	if err != nil {
		return adminapi.Progress{}, err
	}
	p, err := b.Purge(ctx, queue, tell)
	if err == nil {
		err = l.settle() // who looks at the queue next sees what was done
	}
	return p, refusal(err)
}

func (o operator) Move(ctx context.Context, queue string, m adminapi.Move, tell func(adminapi.Progress)) (adminapi.Progress, error) {
	l, b, err := o.lead()
	if err != nil {
		return adminapi.Progress{}, err
	}
	p, err := b.Move(ctx, queue, m.To, m.Refs, tell)
	if err == nil {
		err = l.settle()
	}
	return p, refusal(err)
}

func (o operator) DeleteQueue(ctx context.Context, queue string) error {
	l, b, err := o.lead()
	if err != nil {
		return err
	}
	if err := b.DeleteQueue(ctx, queue); err != nil {
		return refusal(err)
	}
	if err := l.settle(); err != nil {
		return refusal(err)
	}
	if q, ok := o.n.store.Index().Queue(queue); ok && q.Depth > 0 {
		return refusal(fmt.Errorf("%w: a message came meanwhile", broker.ErrInUse))
	}
	return nil
}

func (o operator) Subscriptions() ([]adminapi.Subscription, error) {
	_, b, err := o.lead()
	if err != nil {
		return nil, err
	}
	return b.DurableSubscriptions(), nil
}

func (o operator) Unsubscribe(ctx context.Context, clientID, name string) error {
	l, b, err := o.lead()
	if err != nil {
		return err
	}
	if err := b.RemoveDurable(ctx, clientID, name); err != nil {
		return refusal(err)
	}
	return refusal(l.settle())
}
