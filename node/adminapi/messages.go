package adminapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// Bounds of browsing.
const (
	BrowseLimitMax = 1000
	BrowseLimit    = 50 // messages of a page, if none is asked for
	BrowseBodyMax  = 64 << 10
	BrowseBody     = 1 << 10 // bytes of each body, if none are asked for
	PublishMax     = 8 << 20 // bytes of a request to publish
	MoveMax        = 4 << 20 // bytes of a request to move
)

// Header is one header of a message.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Message is a message that is in a queue.
type Message struct {
	// Ref names the message among those of its queue: priority, a dash, and the
	// sequence among the messages of this priority.
	Ref          string   `json:"ref"`
	ID           string   `json:"id"`
	Priority     uint8    `json:"priority"`
	Sequence     uint64   `json:"sequence"`
	Position     uint64   `json:"position"`          // of its record in the log
	Size         int      `json:"size"`              // of its record, bytes
	Timestamp    int64    `json:"timestamp"`         // Unix milliseconds
	Expires      int64    `json:"expires,omitempty"` // Unix milliseconds, 0 = never
	Redeliveries uint32   `json:"redeliveries"`
	Persistent   bool     `json:"persistent"`
	Pending      bool     `json:"pending"` // a consumer has it
	Headers      []Header `json:"headers,omitempty"`
	BodySize     int      `json:"body_size"` // bytes of all of it
	// Text is the beginning of the body, if that is UTF-8, and Body if not.
	Text string `json:"text,omitempty"`
	Body []byte `json:"body,omitempty"` // base64
	// Cut means that the body goes on.
	Cut bool `json:"cut,omitempty"`
}

// Page is a part of a queue, in the order of delivery. Next is where the next
// one begins, "" if this is the last.
type Page struct {
	Messages []Message `json:"messages"`
	Next     string    `json:"next,omitempty"`
}

// Browse says which part of a queue is wanted.
type Browse struct {
	After string // Next of the page before, "" = from the start
	Limit int    // messages, 0 = BrowseLimit
	Body  int    // bytes of each body, 0 = BrowseBody, -1 = none
}

// Move says which messages are to be moved, and where.
type Move struct {
	// To is the destination; "" = where each message came from before it became
	// a dead letter.
	To   string   `json:"to,omitempty"`
	Refs []string `json:"refs,omitempty"` // these
	All  bool     `json:"all,omitempty"`  // or all that are there
}

// Publish is a message to be put into a queue.
type Publish struct {
	Headers   []Header `json:"headers,omitempty"`
	Text      string   `json:"text,omitempty"` // the body, or
	Body      []byte   `json:"body,omitempty"` // the body in base64
	Priority  *uint8   `json:"priority,omitempty"`
	Expires   int64    `json:"expires,omitempty"` // Unix milliseconds
	Transient bool     `json:"transient,omitempty"`
	DedupID   string   `json:"dedup_id,omitempty"` // suppresses another one of the same id
}

// Progress of a purge or a move. The last one is Finished, or has an Error:
// what is Done then stays done.
type Progress struct {
	Done     uint64 `json:"done"`
	Kept     uint64 `json:"kept"`  // left alone: consumers have them, or they cannot go where they should
	Total    uint64 `json:"total"` // messages when it began
	Finished bool   `json:"finished,omitempty"`
	Error    *Error `json:"error,omitempty"`
	// Why says why messages were kept, if that is known.
	Why string `json:"why,omitempty"`
}

// Subscription is a durable subscription.
type Subscription struct {
	ClientID    string `json:"client_id"`
	Name        string `json:"name"`
	Destination string `json:"destination"`
	Selector    string `json:"selector,omitempty"`
	NoLocal     bool   `json:"no_local,omitempty"`
	Queue       string `json:"queue"` // of the log, which holds what is for it
	Depth       uint64 `json:"depth"`
	Consumers   int    `json:"consumers"`
}

// queuePath makes a path of a queue's name, which may hold anything.
func queuePath(queue, verb string) string { return "/v1/queues/" + escape(queue) + verb }

// escape is url.PathEscape, and also keeps "." and ".." from being taken for
// steps of a path.
func escape(s string) string {
	switch s {
	case ".":
		return "%2E"
	case "..":
		return "%2E%2E"
	}
	return url.PathEscape(s)
}

// Browse asks the leader for a part of a queue.
func (c *Client) Browse(ctx context.Context, queue string, b Browse) (Page, error) {
	q := url.Values{}
	if b.After != "" {
		q.Set("after", b.After)
	}
	if b.Limit != 0 {
		q.Set("limit", strconv.Itoa(b.Limit))
	}
	if b.Body != 0 {
		q.Set("body", strconv.Itoa(max(b.Body, 0)))
	}
	var p Page
	return p, c.call(ctx, http.MethodGet, queuePath(queue, "/messages"), q, &p)
}

// Publish asks the leader to put a message into a queue, and returns its id
// when it is committed.
func (c *Client) Publish(ctx context.Context, queue string, m Publish) (id string, err error) {
	var out struct {
		ID string `json:"id"`
	}
	resp, err := c.send(ctx, http.MethodPost, queuePath(queue, "/messages"), nil, m)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	err = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&out)
	return out.ID, err
}

// Purge asks the leader to remove all messages that are in a queue and with no
// consumer. fn hears how far it is; may be nil.
func (c *Client) Purge(ctx context.Context, queue string, fn func(Progress)) (Progress, error) {
	return c.follow(ctx, queuePath(queue, "/purge"), nil, fn)
}

// MoveMessages asks the leader to move messages of a queue. fn is as with
// Purge.
func (c *Client) MoveMessages(ctx context.Context, queue string, m Move, fn func(Progress)) (Progress, error) {
	return c.follow(ctx, queuePath(queue, "/move"), m, fn)
}

// DeleteQueue asks the leader to remove a queue that is empty.
func (c *Client) DeleteQueue(ctx context.Context, queue string) error {
	return c.call(ctx, http.MethodDelete, queuePath(queue, ""), nil, nil)
}

// Subscriptions asks for the durable subscriptions, by client id and name.
func (c *Client) Subscriptions(ctx context.Context) ([]Subscription, error) {
	var s []Subscription
	return s, c.call(ctx, http.MethodGet, "/v1/subscriptions", nil, &s)
}

// Unsubscribe asks the leader to remove a durable subscription that nobody
// uses, with the messages for it.
func (c *Client) Unsubscribe(ctx context.Context, clientID, name string) error {
	return c.call(ctx, http.MethodDelete, "/v1/subscriptions/"+escape(clientID)+"/"+escape(name), nil, nil)
}

// follow sends a verb and reads its progress to the end.
func (c *Client) follow(ctx context.Context, path string, body any, fn func(Progress)) (p Progress, err error) {
	resp, err := c.send(ctx, http.MethodPost, path, nil, body)
	if err != nil {
		return p, err
	}
	defer resp.Body.Close()
	sc := bufio.NewScanner(resp.Body)
	sc.Buffer(make([]byte, 0, 4096), 1<<20)
	for sc.Scan() {
		p = Progress{}
		if err := json.Unmarshal(sc.Bytes(), &p); err != nil {
			return p, fmt.Errorf("decode progress of %s: %w", c.Address, err)
		}
		if p.Error != nil {
			return p, fmt.Errorf("node at %s stopped after %d messages: %s", c.Address, p.Done, p.Error.Message)
		}
		if fn != nil {
			fn(p)
		}
		if p.Finished {
			return p, nil
		}
	}
	if err = sc.Err(); err == nil {
		err = io.ErrUnexpectedEOF
	}
	return p, fmt.Errorf("node at %s did not finish, %d messages are done: %w", c.Address, p.Done, err)
}

// send is do with a body in JSON, which may be nil.
func (c *Client) send(ctx context.Context, method, path string, q url.Values, body any) (*http.Response, error) {
	if body == nil {
		return c.do(ctx, method, path, q, nil)
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode request to %s: %w", c.Address, err)
	}
	return c.do(ctx, method, path, q, bytes.NewReader(b))
}
