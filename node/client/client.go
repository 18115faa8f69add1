package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-stomp/stomp/v3/frame"
)

// closeWait bounds the goodbye of Close.
const closeWait = 500 * time.Millisecond

// Client keeps one connection to whoever serves. Its methods are safe for
// concurrent use.
type Client struct {
	cfg    Config
	name   string          // differs from that of any other client, past ones included
	ctx    context.Context // its lifecycle
	cancel context.CancelFunc
	wg     sync.WaitGroup
	ids    atomic.Uint64

	mu      sync.Mutex // guards the rest
	current *session   // nil while there is none
	changed chan struct{}
	subs    map[string]*Subscription
	ended   error // why runSessions gave up
	reason  error // why the last attempt to connect failed
	moves   int   // connections made so far
}

// New starts a client; it connects in the background. The caller closes it.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg.withDefaults(), name: rand.Text(), changed: make(chan struct{}), subs: map[string]*Subscription{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.wg.Add(1)
	go c.runSessions()
	return c, nil
}

// Dial is New, and waits for the first connection.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	c, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := c.Wait(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Wait returns once there is a connection.
func (c *Client) Wait(ctx context.Context) error {
	_, err := c.session(ctx)
	return err
}

// Server returns the address that serves now, "" if none does.
func (c *Client) Server() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		return ""
	}
	return c.current.address
}

// ConnectedAt returns when the present connection was answered, zero if there is none.
func (c *Client) ConnectedAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		return time.Time{}
	}
	return c.current.at
}

// Connections returns how many connections were made so far.
func (c *Client) Connections() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moves
}

// runSessions keeps a connection until the client ends.
func (c *Client) runSessions() {
	defer c.wg.Done()
	var next *session
	for {
		if next == nil {
			s, err := c.race(c.ctx, c.cfg.Addresses, c.cfg.MaxReconnectAttempts, c.Connections() == 0)
			if err != nil {
				c.end(err)
				return
			}
			next = s
		}
		s := next
		c.adopt(s)
		select {
		case <-s.done:
		case <-c.ctx.Done():
			c.goodbye(s)
		}
		s.wg.Wait()
		c.mu.Lock()
		c.current = nil
		c.mu.Unlock()
		s.mu.Lock()
		err := s.err
		next = s.successor
		s.mu.Unlock()
		if c.cfg.OnDisconnect != nil {
			c.cfg.OnDisconnect(s.address, err)
		}
		c.cfg.Logger.Info("disconnected", "server", s.address, "err", err)
		if c.ctx.Err() != nil {
			if next != nil {
				next.discard()
			}
			c.end(ErrClosed)
			return
		}
	}
}

// adopt makes s the connection and renews the subscriptions on it.
func (c *Client) adopt(s *session) {
	c.mu.Lock()
	c.moves++
	s.num = c.moves
	c.mu.Unlock()
	s.start()
	c.mu.Lock()
	c.current = s
	subs := make([]*Subscription, 0, len(c.subs))
	for _, sub := range c.subs {
		subs = append(subs, sub)
	}
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	if c.cfg.OnConnect != nil {
		c.cfg.OnConnect(s.address, s.at)
	}
	c.cfg.Logger.Info("connected", "server", s.address)
	for _, sub := range subs {
		sub.renew(s)
	}
}

func (c *Client) end(err error) {
	if c.ctx.Err() != nil {
		err = ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = err
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Client) setReason(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reason = err
}

// session waits for a connection, bounded by ctx and Timeout.
func (c *Client) session(ctx context.Context) (*session, error) {
	if c.cfg.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.Timeout)
		defer cancel()
	}
	for {
		c.mu.Lock()
		s, ended, changed := c.current, c.ended, c.changed
		c.mu.Unlock()
		switch {
		case errors.Is(ended, ErrClosed) || errors.Is(ended, ErrRefused):
			return nil, ended
		case ended != nil:
			return nil, fmt.Errorf("%w: %w", ErrNoServer, ended)
		case s != nil && s.alive():
			return s, nil
		}
		select {
		case <-changed: // by the next connection, or the end
		case <-ctx.Done():
			c.mu.Lock()
			reason := c.reason
			c.mu.Unlock()
			if reason != nil {
				return nil, fmt.Errorf("%w: %w (last attempt: %v)", ErrNoServer, ctx.Err(), reason)
			}
			return nil, fmt.Errorf("%w: %w", ErrNoServer, ctx.Err())
		}
	}
}

// goodbye disconnects politely within closeWait.
func (c *Client) goodbye(s *session) {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	answered := make(chan struct{}, 1)
	_, err := s.ask(ctx, frame.New(frame.DISCONNECT), func(*frame.Frame, error) { answered <- struct{}{} })
	if err == nil {
		select {
		case <-answered:
		case <-ctx.Done():
		}
	}
	s.die(ErrClosed)
}

// Close ends the connection and all subscriptions, in bounded time. Sends under
// way end in doubt. It must not be called by a message handler.
func (c *Client) Close() error {
	c.cancel()
	c.mu.Lock()
	subs := make([]*Subscription, 0, len(c.subs))
	for _, sub := range c.subs {
		subs = append(subs, sub)
	}
	c.mu.Unlock()
	for _, sub := range subs {
		sub.finish(ErrClosed)
	}
	c.wg.Wait()
	return nil
}

func (c *Client) nextID() string { return strconv.FormatUint(c.ids.Add(1), 10) }
