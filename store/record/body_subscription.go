package record

import "fmt"

// Subscribe makes a durable subscription, or replaces the one of the same
// client and name. What is published to its destination is put into a queue
// for it, also while the client is away.
type Subscribe struct {
	ClientID    string
	Name        string
	Destination string // of the topics: a name, or a pattern
	Selector    string // "" = everything
	NoLocal     bool   // not what the client's own connection published
}

const flagNoLocal = 1

// AppendTo appends the encoded body.
func (s Subscribe) AppendTo(b []byte) []byte {
	b = appendString(b, s.ClientID)
	b = appendString(b, s.Name)
	var flags byte
	if s.NoLocal {
		flags |= flagNoLocal
	}
	b = append(b, flags)
	b = appendString(b, s.Destination)
	return appendString(b, s.Selector)
}

// ParseSubscribe decodes a body of TypeSubscribe.
func ParseSubscribe(b []byte) (Subscribe, error) {
	d := decoder{b: b}
	s := Subscribe{ClientID: d.str(), Name: d.str()}
	flags := d.byte()
	if flags&^flagNoLocal != 0 && d.err == nil {
		d.fail(fmt.Errorf("%w: subscription flags %#x", ErrVersion, flags))
	}
	s.NoLocal = flags&flagNoLocal != 0
	s.Destination, s.Selector = d.str(), d.str()
	return s, d.close("subscribe")
}

// Unsubscribe removes a durable subscription. The messages in its queue are
// acknowledged by other records.
type Unsubscribe struct {
	ClientID string
	Name     string
}

// AppendTo appends the encoded body.
func (u Unsubscribe) AppendTo(b []byte) []byte {
	return appendString(appendString(b, u.ClientID), u.Name)
}

// ParseUnsubscribe decodes a body of TypeUnsubscribe.
func ParseUnsubscribe(b []byte) (Unsubscribe, error) {
	d := decoder{b: b}
	u := Unsubscribe{ClientID: d.str(), Name: d.str()}
	return u, d.close("unsubscribe")
}
