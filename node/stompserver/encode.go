package stompserver

import (
	"bytes"
	"strconv"

	"baton/node/broker"
	"baton/node/stomp"
)

// deliveryCount is JMS's name for how often a message was delivered, this time
// included, as far as it counts.
const deliveryCount = "JMSXDeliveryCount"

// consumer is a subscription as its connection knows it.
type consumer struct {
	id     string
	number uint64 // on this connection, part of ack ids
	prefix []byte // of its MESSAGE frames: command and subscription
	from   []byte // destination header, if a delivery says no other
	sub    *broker.Subscription
	// durable is the name of its durable subscription, "" if it has none.
	durable string
	ended   bool // guarded by the outbox
}

func newConsumer(v stomp.Version, destination, id string, number uint64) *consumer {
	prefix := stomp.AppendCommand(nil, stomp.CmdMessage)
	if id != "" {
		prefix = stomp.AppendHeader(prefix, v, "subscription", id)
	}
	return &consumer{id: id, number: number, prefix: prefix, from: stomp.AppendHeader(nil, v, "destination", destination)}
}

// appendMessage appends a MESSAGE frame: the broker's headers, which come
// first and so count, then those of the producer. The broker has put the
// destination first among them if the message was published to a topic.
func appendMessage(b []byte, v stomp.Version, c *consumer, d *broker.Delivery) []byte {
	m := d.Message
	b = append(b, c.prefix...)
	switch {
	case len(m.Headers) > 0 && m.Headers[0].Name == "destination":
	case d.Destination != "":
		b = stomp.AppendHeader(b, v, "destination", d.Destination)
	default:
		b = append(b, c.from...)
	}
	b = stomp.AppendHeader(b, v, "message-id", m.ID)
	if v == stomp.V12 && d.Subscription.Mode() != broker.Auto {
		b = append(b, "ack:"...)
		b = strconv.AppendUint(b, c.number, 10)
		b = append(b, '-')
		b = strconv.AppendUint(b, d.Tag, 10)
		b = append(b, '\n')
	}
	if d.Redelivered {
		b = append(b, "redelivered:true\n"...)
	}
	if d.Redeliveries > 0 {
		b = stomp.AppendNumber(b, deliveryCount, int64(d.Redeliveries)+1)
	}
	b = stomp.AppendNumber(b, "expires", m.Deadline)
	if m.DedupID != "" {
		b = stomp.AppendHeader(b, v, DedupHeader, m.DedupID)
	}
	b = stomp.AppendNumber(b, "priority", int64(m.Priority))
	b = stomp.AppendNumber(b, "timestamp", m.Timestamp)
	if m.Transient {
		b = append(b, "persistent:false\n"...)
	} else {
		b = append(b, "persistent:true\n"...)
	}
	sized := false
	for i := range m.Headers {
		h := &m.Headers[i]
		if h.Name == contentLength {
			sized = true
			continue
		}
		b = stomp.AppendHeader(b, v, h.Name, h.Value)
	}
	if sized || bytes.IndexByte(m.Body, 0) >= 0 {
		b = stomp.AppendNumber(b, contentLength, int64(len(m.Body)))
	}
	return stomp.AppendBody(b, m.Body)
}

func appendReceipt(b []byte, v stomp.Version, id string) []byte {
	b = stomp.AppendCommand(b, stomp.CmdReceipt)
	b = stomp.AppendHeader(b, v, "receipt-id", id)
	return stomp.AppendBody(b, nil)
}

func appendError(b []byte, v stomp.Version, text, receipt string) []byte {
	f := stomp.Frame{
		Command: stomp.CmdError,
		Headers: []stomp.Header{{Name: "message", Value: text}, {Name: "content-type", Value: "text/plain"}},
		Body:    []byte(text),
	}
	if receipt != "" {
		f.Headers = append(f.Headers, stomp.Header{Name: "receipt-id", Value: receipt})
	}
	return stomp.AppendFrame(b, v, &f)
}
