package stompserver

import (
	"errors"
	"strconv"
	"strings"

	"baton/node/broker"
	"baton/node/stomp"
)

// subscribe handles SUBSCRIBE. Its receipt is out before the first message.
func (c *conn) subscribe(f *stomp.Frame) error {
	o, err := c.subscribeOptions(f)
	if err != nil {
		return err
	}
	key, err := c.subscriptionKey(f)
	if err != nil {
		return err
	}
	if c.byKey[key] != nil {
		return refuse("a subscription with this id exists already")
	}
	if len(c.byKey) >= c.s.cfg.MaxSubscriptions {
		return refuse("too many subscriptions on this connection, at most %d", c.s.cfg.MaxSubscriptions)
	}
	receipt := f.Get("receipt")
	id := f.Get("id")
	c.lastSub++
	co := newConsumer(c.v(), f.Get("destination"), id, c.lastSub)
	o.Data, co.durable = co, o.Durable
	if co.sub, err = c.sess.Subscribe(o); err != nil {
		return err
	}
	c.byKey[key], c.byNumber[co.number] = co, co
	c.sess.Start(co.sub)
	if receipt != "" { // in order after the receipts of earlier frames
		if err := c.sess.Drain(); err != nil {
			return err
		}
		c.sendReceipt(receipt)
	}
	co.sub.Resume()
	return nil
}

// subscriptionKey is what UNSUBSCRIBE will name: the id or, in STOMP 1.0 where
// it may be absent, the destination.
func (c *conn) subscriptionKey(f *stomp.Frame) (string, error) {
	if id := f.Get("id"); id != "" {
		return "id:" + id, nil
	}
	if c.v() != stomp.V10 {
		return "", refuse("%s needs an id header", f.Command)
	}
	if d := f.Get("destination"); d != "" {
		return "destination:" + d, nil
	}
	return "", refuse("%s needs an id or a destination header", f.Command)
}

// unsubscribe handles UNSUBSCRIBE. No message follows its receipt. With the
// name of a durable subscription it removes that.
func (c *conn) unsubscribe(f *stomp.Frame) error {
	durable, err := durableName(f)
	if err != nil {
		return err
	}
	key, err := c.subscriptionKey(f)
	if err != nil && durable == "" {
		return err
	}
	co := c.byKey[key]
	if co == nil && durable == "" {
		return refuse("there is no subscription with this id")
	}
	if co != nil && (durable == "" || co.durable == durable) {
		c.drop(key, co)
	}
	if durable != "" {
		if err := c.sess.Forget(durable); err != nil {
			return err
		}
	}
	if receipt := f.Get("receipt"); receipt != "" {
		if err := c.sess.Drain(); err != nil {
			return err
		}
		c.sendReceipt(receipt)
	}
	return nil
}

// durableName is the durable subscription that an UNSUBSCRIBE is about, "" if
// none.
func durableName(f *stomp.Frame) (string, error) {
	for _, header := range []string{"activemq.subscriptionName", "durable-subscription-name"} {
		if name, ok := f.Lookup(header); ok {
			if name = strings.TrimSpace(name); name == "" {
				return "", refuse("%s is empty", header)
			}
			return name, nil
		}
	}
	return "", nil
}

// drop ends a consumer.
func (c *conn) drop(key string, co *consumer) {
	delete(c.byKey, key)
	delete(c.byNumber, co.number)
	c.out.end(co)
	c.sess.Unsubscribe(co.sub)
}

// settle handles ACK and NACK.
func (c *conn) settle(f *stomp.Frame) error {
	tx, err := transactionOf(f)
	if err != nil {
		return err
	}
	do := c.sess.Ack
	if f.Command == stomp.CmdNack {
		if c.v() == stomp.V10 {
			return refuse("STOMP 1.0 has no NACK")
		}
		do = c.sess.Nack
	}
	receipt := f.Get("receipt")
	if c.v() == stomp.V12 {
		co, tag, err := c.ackID(f)
		if err != nil {
			return err
		}
		return do(co.sub, broker.Ref{Tag: tag}, tx, receipt)
	}
	ref := broker.Ref{MessageID: f.Get("message-id")}
	if ref.MessageID == "" {
		return refuse("%s needs a message-id header", f.Command)
	}
	if id := f.Get("subscription"); id != "" || c.v() == stomp.V11 {
		co := c.byKey["id:"+id]
		if co == nil {
			return refuse("there is no subscription with this id")
		}
		return do(co.sub, ref, tx, receipt)
	}
	for _, co := range c.byKey { // STOMP 1.0 names the message alone
		if err := do(co.sub, ref, tx, receipt); !errors.Is(err, broker.ErrUnknownMessage) {
			return err
		}
	}
	return refuse("%s", broker.ErrUnknownMessage)
}

// ackID finds what the id header of a STOMP 1.2 ACK means.
func (c *conn) ackID(f *stomp.Frame) (*consumer, uint64, error) {
	id, ok := f.Lookup("id")
	if !ok {
		return nil, 0, refuse("%s needs an id header", f.Command)
	}
	a, b, _ := strings.Cut(id, "-")
	number, errA := strconv.ParseUint(a, 10, 64)
	tag, errB := strconv.ParseUint(b, 10, 64)
	co := c.byNumber[number]
	if errA != nil || errB != nil || tag == 0 || co == nil {
		return nil, 0, refuse("%s", broker.ErrUnknownMessage)
	}
	return co, tag, nil
}
