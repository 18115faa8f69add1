package stompserver

import (
	"strconv"
	"strings"
	"time"

	"baton/node/stomp"
	"baton/store/record"
)

type headerField = record.HeaderField

const (
	contentLength   = "content-length"
	priorityDefault = 4
)

// send handles SEND. The frame's bytes are copied once, into the batch.
func (c *conn) send(f *stomp.Frame) error {
	queue, err := queueOf(f.Get("destination"))
	if err != nil {
		return err
	}
	m, err := c.message(f)
	if err != nil {
		return err
	}
	tx, err := transactionOf(f)
	if err != nil {
		return err
	}
	return c.sess.Send(queue, m, tx, f.Get("receipt"))
}

// transactionOf returns the transaction that a frame is part of, "" if it is of
// none.
func transactionOf(f *stomp.Frame) (string, error) {
	tx, ok := f.Lookup("transaction")
	if ok && tx == "" {
		return "", refuse("the transaction header is empty")
	}
	return tx, nil
}

// message turns a SEND into a message. Its header list is scratch.
func (c *conn) message(f *stomp.Frame) (record.Message, error) {
	m := record.Message{Priority: priorityDefault, Body: f.Body}
	c.headers = c.headers[:0]
	sized, timed := false, false
	first := firsts(f.Headers)
	for i := range f.Headers {
		h := &f.Headers[i]
		if !first(i) {
			continue
		}
		switch h.Name {
		case "destination", "receipt", "message-id", "redelivered", "subscription", "ack", "JMSXUserID", "transaction":
		case contentLength:
			sized = true
		case "persistent":
			m.Transient = strings.EqualFold(strings.TrimSpace(h.Value), "false")
		case "priority":
			n, err := strconv.ParseUint(strings.TrimSpace(h.Value), 10, 8)
			if err != nil || n > 9 {
				return m, refuse("priority must be a number from 0 to 9")
			}
			m.Priority = uint8(n)
		case "timestamp":
			n, err := strconv.ParseUint(strings.TrimSpace(h.Value), 10, 63)
			if err != nil {
				return m, refuse("timestamp must be a number of milliseconds")
			}
			m.Timestamp, timed = int64(n), true
		default:
			if err := refuseSendHeader(h.Name, h.Value); err != nil {
				return m, err
			}
			c.headers = append(c.headers, headerField{Name: h.Name, Value: h.Value})
		}
	}
	switch f.Get("amq-msg-type") {
	case "text":
		sized = false
	case "bytes":
		sized = true
	}
	if sized {
		// Kept as a mark: its value is computed again at each delivery.
		c.headers = append(c.headers, headerField{Name: contentLength})
	}
	if !timed {
		m.Timestamp = time.Now().UnixMilli()
	}
	m.Headers = c.headers
	return m, nil
}

// refuseSendHeader refuses headers whose meaning would silently be lost.
func refuseSendHeader(name, value string) error {
	switch name {
	case "transformation":
		return refuse("transformations are not supported")
	case "expires":
		if v := strings.TrimSpace(value); v != "" && v != "0" {
			return refuse("expiry is not supported (expires must be 0 or absent)")
		}
	case "JMSXGroupID":
		return refuse("message groups are not supported")
	case "reply-to":
		if strings.HasPrefix(value, "/temp-") || strings.HasPrefix(value, "/remote-temp-") {
			return refuse("temporary destinations are not supported, only /queue/")
		}
	default:
		if strings.HasPrefix(name, "AMQ_SCHEDULED_") {
			return refuse("scheduled delivery is not supported")
		}
	}
	return nil
}

// firsts tells whether the header at an index is the first of its name, which
// is the one that counts.
func firsts(headers []stomp.Header) func(int) bool {
	if len(headers) <= 16 {
		return func(i int) bool {
			for j := range i {
				if headers[j].Name == headers[i].Name {
					return false
				}
			}
			return true
		}
	}
	at := make(map[string]int, len(headers))
	for i := range headers {
		if _, ok := at[headers[i].Name]; !ok {
			at[headers[i].Name] = i
		}
	}
	return func(i int) bool { return at[headers[i].Name] == i }
}
