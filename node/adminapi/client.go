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
	"strings"
)

// Client calls one node. It holds no connection of its own that needs closing.
type Client struct {
	Address string // host:port of the admin listener
	Token   string // bearer token for control verbs, may be empty
	HTTP    *http.Client
}

// answerMax bounds what a node may answer to one request, in bytes.
const answerMax = 64 << 20

// Status asks for the node's status.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
}

// Claim tells the node that a process at the admin address by would join with
// its id, and returns that id: an answer means that the id is taken.
func (c *Client) Claim(ctx context.Context, by string) (node string, err error) {
	var id Identity
	err = c.call(ctx, http.MethodGet, "/v1/identity", url.Values{"claimed-by": {by}}, &id)
	return id.Node, err
}

// Queues asks for all queues, sorted by name.
func (c *Client) Queues(ctx context.Context) ([]Queue, error) {
	var q []Queue
	return q, c.call(ctx, http.MethodGet, "/v1/queues", nil, &q)
}

// Transfer asks the leader to hand over to a node; "" lets it choose.
func (c *Client) Transfer(ctx context.Context, to string) error {
	return c.call(ctx, http.MethodPost, "/v1/transfer", url.Values{"to": {to}}, nil)
}

// Shutdown asks the node to stop cleanly. It answers before it stops.
func (c *Client) Shutdown(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/shutdown", nil, nil)
}

// Events streams the node's events with a sequence above after, oldest first,
// until ctx ends or the node goes away; it always returns an error that says
// which. fn runs on the caller's goroutine.
func (c *Client) Events(ctx context.Context, after uint64, fn func(Event)) error {
	q := url.Values{"after": {strconv.FormatUint(after, 10)}}
	resp, err := c.do(ctx, http.MethodGet, "/v1/events", q, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	sc := bufio.NewScanner(resp.Body)
	sc.Buffer(make([]byte, 0, 4096), 1<<20)
	for sc.Scan() {
		data, ok := strings.CutPrefix(sc.Text(), "data: ")
		if !ok {
			continue
		}
		var e Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("decode event of %s: %w", c.Address, err)
		}
		fn(e)
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("read events of %s: %w", c.Address, err)
	}
	return fmt.Errorf("read events of %s: %w", c.Address, io.ErrUnexpectedEOF)
}

func (c *Client) call(ctx context.Context, method, path string, q url.Values, out any) error {
	resp, err := c.do(ctx, method, path, q, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return fmt.Errorf("read answer of %s: %w", c.Address, err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("decode answer of %s: %w", c.Address, err)
	}
	return nil
}

// do sends a request to a path that is escaped already.
func (c *Client) do(ctx context.Context, method, path string, q url.Values, body io.Reader) (*http.Response, error) {
	u := "http://" + c.Address + path
	if len(q) > 0 {
		u += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return nil, fmt.Errorf("ask node at %s: %w", c.Address, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	h := c.HTTP
	if h == nil {
		h = http.DefaultClient
	}
	resp, err := h.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask node at %s: %w", c.Address, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var e Error
	if json.Unmarshal(b, &e) != nil || e.Message == "" {
		e.Message = string(bytes.TrimSpace(b))
	}
	return nil, fmt.Errorf("node at %s refused: %s (%s)", c.Address, e.Message, resp.Status)
}
