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
	prefix []byte // of every MESSAGE: command, destination and subscription
	sub    *broker.Subscription
	ended  bool // guarded by the outbox
}

func messagePrefix(v stomp.Version, destination, id string) []byte {
	b := stomp.AppendCommand(nil, stomp.CmdMessage)
	b = stomp.AppendHeader(b, v, "destination", destination)
	if id != "" {
		b = stomp.AppendHeader(b, v, "subscription", id)
	}
	return b
}

// appendMessage appends a MESSAGE frame: the broker's headers, which come
// first and so count, then those of the producer.
func appendMessage(b []byte, v stomp.Version, c *consumer, d *broker.Delivery) []byte {
	m := d.Message
	b = append(b, c.prefix...)
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
