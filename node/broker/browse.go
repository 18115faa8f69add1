package broker

import (
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"baton/node/adminapi"
	"baton/store/record"
)

// browseBytes bounds the bodies and headers of one page.
const browseBytes = 4 << 20

// Browse returns a page of a queue, in the order of delivery: messages as the
// index has them, whether or not consumers have them too. It changes nothing.
// Errors: ErrNoQueue, ErrRef, and those of index and log.
func (b *Broker) Browse(name string, o adminapi.Browse) (adminapi.Page, error) {
	page := adminapi.Page{Messages: []adminapi.Message{}}
	b.cfg.CatchUp()
	lanes, err := b.indexLanes(name)
	if err != nil {
		return page, err
	}
	after := ref{priority: 9}
	if o.After != "" {
		if after, err = parseRef(o.After); err != nil {
			return page, err
		}
	}
	bytes := 0
	for _, l := range lanes {
		if l.priority > after.priority {
			continue
		}
		from := l.FirstSequence
		if l.priority == after.priority {
			from = max(from, after.seq+1)
		}
		for {
			list, err := b.cfg.Index.Scan(l.Name, from, min(o.Limit-len(page.Messages)+1, 100))
			if err != nil {
				return page, fmt.Errorf("read queue %q: %w", name, err)
			}
			if len(list) == 0 {
				break
			}
			for _, e := range list {
				if len(page.Messages) == o.Limit || bytes > browseBytes {
					page.Next = page.Messages[len(page.Messages)-1].Ref
					return page, nil
				}
				from = e.Sequence + 1
				m, ok, err := b.browseOne(name, l, e, o.Body)
				if err != nil {
					return page, err
				}
				if ok {
					page.Messages = append(page.Messages, m)
					bytes += m.Size - m.BodySize + len(m.Text) + len(m.Body)
				}
			}
		}
	}
	return page, nil
}

// headerContentLength says, without a value, that the producer gave the length of
// the body, and consumers are given it too.
const headerContentLength = "content-length"

// browseOne is not ok if the message is gone by now.
func (b *Broker) browseOne(name string, l indexLane, e Entry, body int) (out adminapi.Message, ok bool, err error) {
	got, gone, err := b.read(l.Name, e.Sequence, e.Position)
	if err != nil || gone {
		return out, false, err
	}
	m := &got.Message
	out = adminapi.Message{
		Ref: ref{l.priority, e.Sequence}.String(), ID: m.ID, Priority: m.Priority, Sequence: uint64(e.Sequence), Position: uint64(e.Position),
		Size: e.Size, Timestamp: m.Timestamp, Expires: m.Deadline, Redeliveries: e.Redeliveries, Persistent: !m.Transient, BodySize: len(m.Body),
		Pending: b.isPending(name, l.priority, e.Sequence),
	}
	for _, h := range m.Headers {
		if h.Name == headerContentLength {
			h.Value = strconv.Itoa(len(m.Body))
		}
		if h.Name != headerPlan {
			out.Headers = append(out.Headers, adminapi.Header{Name: h.Name, Value: h.Value})
		}
	}
	show(&out, m.Body, body)
	return out, true, nil
}

// show puts up to max bytes of a body into a message.
func show(out *adminapi.Message, body []byte, most int) {
	out.Cut = len(body) > most
	part := body[:min(len(body), most)]
	for n := 1; out.Cut && n < utf8.UTFMax && !utf8.Valid(part) && len(part) > n; n++ {
		if text := part[:len(part)-n]; utf8.Valid(text) {
			part = text // not in the middle of a character
		}
	}
	if utf8.Valid(part) {
		out.Text = string(part)
		return
	}
	out.Body = append([]byte(nil), part...)
}

// isPending says whether a consumer has a message.
func (b *Broker) isPending(name string, priority uint8, seq record.Sequence) bool {
	q := b.find(name)
	if q == nil {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.find(priority)
	return l != nil && l.delivered[seq] != nil && l.delivered[seq].owner != nil
}

// withoutDeadLetter returns the headers that a message had before it became a
// dead letter, and not which topic it was published to.
func withoutDeadLetter(headers []record.HeaderField) (out []record.HeaderField) {
	for _, h := range headers {
		if h.Name != headerDestination && !slices.Contains(deadLetterHeaders, h.Name) {
			out = append(out, h)
		}
	}
	return out
}
