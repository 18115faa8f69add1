package zkclient

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// Client keeps a session with ZooKeeper for as long as it lives: it reconnects
// for ever, and opens a new session when one is lost. All methods may be called
// from any goroutine. Its calls (see Ops) use the session that is current when
// they start and wait for one until their context ends.
type Client struct {
	Ops

	cfg   Config
	log   *slog.Logger
	route *route

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once

	// mu is a leaf lock, held for a few assignments only, as the library's
	// callbacks take it. It also guards the fields of the current Session.
	mu struct {
		sync.Mutex
		session     *Session
		state       State
		changed     chan struct{} // closed and replaced when state changes
		subscribers map[chan State]struct{}
	}
}

// Connect starts a client. It fails on a bad configuration only: a ZooKeeper
// that cannot be reached is tried until Close.
func Connect(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	c := &Client{cfg: cfg, log: cfg.Logger, route: newRoute(cfg.Servers)}
	c.Ops = Ops{pick: c.Session, cfg: &c.cfg}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.mu.changed = make(chan struct{})
	c.mu.subscribers = make(map[chan State]struct{})
	c.mu.state.Since = time.Now()
	s, err := c.openSession()
	if err != nil {
		c.cancel()
		return nil, err
	}
	c.wg.Add(2)
	go c.runSessions(s)
	go c.runReport()
	return c, nil
}

// Close ends the session, which removes its ephemeral nodes at once if ZooKeeper
// can be reached, and waits for the client's goroutines. Pending calls end with
// ErrClosed. It takes at most about a second.
func (c *Client) Close() error {
	c.once.Do(c.cancel)
	c.wg.Wait()
	return nil
}

// Session waits until a session is attached to a server and returns it. With a
// context that has ended it fails at once.
func (c *Client) Session(ctx context.Context) (*Session, error) {
	for {
		c.mu.Lock()
		s, st, changed := c.mu.session, c.mu.state, c.mu.changed
		c.mu.Unlock()
		if c.ctx.Err() != nil {
			return nil, ErrClosed
		}
		if ctx.Err() != nil {
			return nil, c.unanswered(ctx)
		}
		if st.Connected {
			return s, nil
		}
		select {
		case <-changed:
		case <-c.ctx.Done():
		case <-ctx.Done():
			return nil, c.unanswered(ctx)
		}
	}
}

// unanswered is the error of a call whose context ended first.
func (c *Client) unanswered(ctx context.Context) error {
	if last := c.State().Err; last != nil {
		return fmt.Errorf("%w: ZooKeeper at %s does not answer (%w): %v", ErrDisconnected, c.cfg.ensemble(), context.Cause(ctx), last)
	}
	return fmt.Errorf("%w: ZooKeeper at %s does not answer (%w)", ErrDisconnected, c.cfg.ensemble(), context.Cause(ctx))
}

// runSessions replaces the session whenever it is over. The library could open
// the next session itself, but would carry queued requests over into it.
func (c *Client) runSessions(s *Session) {
	defer c.wg.Done()
	for {
		c.watchSession(s)
		if c.ctx.Err() != nil {
			s.shutdown(ErrClosed)
			return
		}
		old := s
		c.wg.Go(func() { old.shutdown(ErrSessionExpired) })
		for {
			next, err := c.openSession()
			if err == nil {
				s = next
				break
			}
			// The configuration was accepted once, so this is not expected; if the
			// library finds a reason all the same, trying on is all there is to do.
			c.log.Error("open ZooKeeper session", "error", err)
			select {
			case <-c.ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
	}
}

// watchSession returns when the session is over or the client closes. It gives
// up a session that servers have refused to take back for too long: a server
// that was wiped refuses for ever, and the library would never say so.
func (c *Client) watchSession(s *Session) {
	tick := time.NewTicker(max(c.cfg.RefusedLimit/10, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-s.done:
			return
		case <-tick.C:
			if s.refusedFor() > c.cfg.RefusedLimit {
				s.end(fmt.Errorf("%w: given up after %v", ErrRefused, c.cfg.RefusedLimit))
			}
		}
	}
}

// hex prints a session id the way ZooKeeper's own tools do.
func hex(id int64) string { return "0x" + strconv.FormatUint(uint64(id), 16) }

// HasPassword tells whether sessions are authenticated, and nodes created are
// accessible to their user only.
func (c *Client) HasPassword() bool { return c.cfg.Password != "" }
