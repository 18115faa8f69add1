package zkclient

import "time"

// State is what a Client knows about its connection, at one moment.
type State struct {
	// Connected: a session is attached to a server that answers.
	Connected bool
	// Since is when Connected last changed.
	Since time.Time
	// SessionID is the current session's; while disconnected, of the session that
	// may still live; 0 if there is none.
	SessionID int64
	// Sessions counts the sessions opened, Expiries those that were lost.
	Sessions, Expiries uint64
	// SessionTimeout is what the server granted; 0 before the first session.
	SessionTimeout time.Duration
	// Server is the network address in use, "" while disconnected.
	Server string
	// Err is why the last attempt to connect failed, nil while connected.
	Err error
}

// State returns the newest state.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.state
}

// Subscribe gives a channel that holds the newest state: the present one at
// once, then each change; a reader that is slow misses states in between, never
// the last. cancel ends the subscription; the channel is not closed.
func (c *Client) Subscribe() (states <-chan State, cancel func()) {
	ch := make(chan State, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	ch <- c.mu.state
	c.mu.subscribers[ch] = struct{}{}
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.mu.subscribers, ch)
	}
}

// changeLocked replaces the state and wakes everyone who waits for it. It never
// blocks: each subscription holds one value and c.mu, which the caller holds,
// makes this the only sender.
func (c *Client) changeLocked(s State) {
	if s.Connected != c.mu.state.Connected {
		s.Since = time.Now()
	}
	c.mu.state = s
	close(c.mu.changed)
	c.mu.changed = make(chan struct{})
	for ch := range c.mu.subscribers {
		select {
		case <-ch:
		default:
		}
		ch <- s
	}
}

// runReport logs each change of state and hands it to the listener, away from
// the library's goroutines.
func (c *Client) runReport() {
	defer c.wg.Done()
	states, cancel := c.Subscribe()
	defer cancel()
	last := State{}
	for {
		select {
		case <-c.ctx.Done():
			return
		case s := <-states:
			c.report(last, s)
			if c.cfg.Listener != nil {
				c.cfg.Listener(s)
			}
			last = s
		}
	}
}

func (c *Client) report(last, s State) {
	if s.Expiries != last.Expiries {
		c.log.Warn("ZooKeeper session lost, its ephemeral nodes are gone", "expiries", s.Expiries)
	}
	switch {
	case s.Connected && (!last.Connected || s.SessionID != last.SessionID || s.Server != last.Server):
		c.log.Info("connected to ZooKeeper", "server", s.Server, "session", hex(s.SessionID), "session_timeout", s.SessionTimeout)
	case !s.Connected && last.Connected:
		c.log.Warn("disconnected from ZooKeeper", "session", hex(s.SessionID), "error", s.Err)
	case !s.Connected && s.Err != nil && (last.Err == nil || last.Err.Error() != s.Err.Error()):
		c.log.Info("ZooKeeper cannot be reached", "servers", c.cfg.ensemble(), "error", s.Err)
	}
}
