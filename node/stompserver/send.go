package stompserver

import (
	"math"
	"strconv"
	"strings"
	"time"

	"baton/node/broker"
	"baton/node/broker/destination"
	"baton/node/broker/schedule"
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
	to, err := c.destinations(f)
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
	if c.plan.Later() {
		return c.sess.SendLater(to, m, c.plan, tx, f.Get("receipt"))
	}
	return c.sess.Send(to, m, tx, f.Get("receipt"))
}

// destinations parses the destination header. The list is scratch.
func (c *conn) destinations(f *stomp.Frame) ([]destination.Destination, error) {
	text, ok := f.Lookup("destination")
	if !ok {
		return nil, refuse("the frame has no destination header")
	}
	var err error
	c.to, err = destination.Append(c.to[:0], text)
	return c.to, err
}

// replyTo gives an alias of this connection the name by which others can send
// to it. What is no destination is the business of the clients.
func (c *conn) replyTo(value string) (string, error) {
	to, err := destination.Append(nil, value)
	if err != nil || len(to) != 1 || !to[0].Temporary() {
		return value, nil
	}
	remote, err := c.sess.Temporary(to[0])
	return remote.String(), err
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

// message turns a SEND into a message, and c.plan into when it is to be sent.
// The message's header list is scratch.
func (c *conn) message(f *stomp.Frame) (record.Message, error) {
	m := record.Message{Priority: priorityDefault, Body: f.Body}
	c.headers, c.plan = c.headers[:0], schedule.Plan{}
	sized, timed := false, false
	first := firsts(f.Headers)
	for i := range f.Headers {
		h := &f.Headers[i]
		if !first(i) {
			continue
		}
		switch h.Name {
		case "destination", "receipt", "message-id", "redelivered", "subscription", "ack", "JMSXUserID", "transaction", deliveryCount, broker.HeaderJob:
		case contentLength:
			sized = true
		case "persistent":
			m.Transient = strings.EqualFold(strings.TrimSpace(h.Value), "false")
		case "timestamp":
			timed = true
			if err := bounded(h, &m.Timestamp, 0, math.MaxInt64); err != nil {
				return m, err
			}
		case "priority", "expires", DedupHeader, schedule.HeaderDelay, schedule.HeaderPeriod, schedule.HeaderRepeat, schedule.HeaderCron:
			if err := c.order(&m, h); err != nil {
				return m, err
			}
		case "reply-to":
			to, err := c.replyTo(h.Value)
			if err != nil {
				return m, err
			}
			c.headers = append(c.headers, headerField{Name: h.Name, Value: to})
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

// DedupHeader is the producer's own name of a message. A queue takes one
// message of each, for as long as the broker remembers them: what is sent again
// gets its receipt and is not stored.
const DedupHeader = "baton-dedup-id"

// dedupMax is its longest value, in bytes.
const dedupMax = 256

// order reads a header that says what is to be done with the message.
func (c *conn) order(m *record.Message, h *stomp.Header) error {
	switch h.Name {
	case "priority":
		var n int64
		err := bounded(h, &n, 0, 9)
		m.Priority = uint8(n)
		return err
	case "expires":
		return bounded(h, &m.Deadline, 0, math.MaxInt64)
	case DedupHeader:
		if m.DedupID = h.Value; h.Value == "" || len(h.Value) > dedupMax {
			return refuse("%s has %d bytes, it needs 1 to %d", h.Name, len(h.Value), dedupMax)
		}
	case schedule.HeaderDelay:
		return bounded(h, &c.plan.Delay, 0, math.MaxInt64)
	case schedule.HeaderPeriod:
		return bounded(h, &c.plan.Period, 0, math.MaxInt64)
	case schedule.HeaderRepeat:
		return bounded(h, &c.plan.Repeat, schedule.Forever, math.MaxInt32)
	case schedule.HeaderCron:
		c.plan.Cron = strings.TrimSpace(h.Value)
	}
	return nil
}

// bounded reads a header that is a number between bounds.
func bounded(h *stomp.Header, to *int64, low, high int64) error {
	n, err := strconv.ParseInt(strings.TrimSpace(h.Value), 10, 64)
	if err != nil || n < low || n > high {
		return refuse("%s must be a number from %d to %d", h.Name, low, high)
	}
	*to = n
	return nil
}

// refuseSendHeader refuses headers whose meaning would silently be lost.
func refuseSendHeader(name, value string) error {
	switch name {
	case "transformation":
		return refuse("transformations are not supported")
	case "JMSXGroupID":
		return refuse("message groups are not supported")
	default:
		if strings.HasPrefix(name, "AMQ_SCHEDULE") {
			return refuse("%s is not supported", name)
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
