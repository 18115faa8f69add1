package zkclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	// callsMax bounds the calls of one session that the library works on. Its own
	// queue holds 16 and blocks without regard to any context when full.
	callsMax = 64
	// requestMax and answerMax bound packets in bytes. A server's limit for a
	// request is 1 MiB; an answer that lists children may be larger.
	requestMax = 1 << 20
	answerMax  = 8 << 20
	// closeWait bounds how long a server may take to confirm the end of a session.
	closeWait = time.Second
)

// Session is one ZooKeeper session, from its first handshake until it is lost.
// It survives disconnects: calls wait for the next attachment. When the session
// is over its calls give ErrSessionExpired, and none that was still queued is
// ever sent.
type Session struct {
	Ops

	client  *Client
	conn    *zk.Conn
	events  <-chan zk.Event
	started chan struct{} // closed when conn and events are set

	ctx    context.Context // ends with the session; bounds dialing
	cancel context.CancelFunc
	done   chan struct{} // closed when the session is over
	slots  chan struct{} // one token per running call
	calls  sync.WaitGroup

	// state is guarded by client.mu.
	state struct {
		id        int64
		timeout   time.Duration
		attached  bool
		server    string
		up        chan struct{} // closed while attached
		down      chan struct{} // closed while detached
		since     time.Time     // of the last attach or detach
		refusedAt time.Time     // of the newest refusal since the last detach
		broken    error         // why the newest connection broke
		cause     error         // why it is over
		link      net.Conn      // newest connection, if any
	}
}

// openSession starts a session and makes it the current one.
func (c *Client) openSession() (*Session, error) {
	s := &Session{
		client:  c,
		started: make(chan struct{}),
		done:    make(chan struct{}),
		slots:   make(chan struct{}, callsMax),
	}
	s.Ops = Ops{pick: func(context.Context) (*Session, error) { return s, nil }, cfg: &c.cfg}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.state.up, s.state.down = make(chan struct{}), make(chan struct{})
	close(s.state.down)
	s.state.since = time.Now()
	c.mu.Lock()
	c.mu.session = s
	c.mu.Unlock()
	conn, events, err := zk.Connect(c.cfg.Servers, c.cfg.SessionTimeout,
		zk.WithDialer(s.dial),
		zk.WithHostProvider(hosts{c.route, s}),
		zk.WithEventCallback(s.onEvent),
		zk.WithLogger(libraryLog{c.log}),
		zk.WithMaxBufferSize(answerMax),
		zk.WithMaxConnBufferSize(requestMax))
	if err != nil {
		s.cancel()
		return nil, fmt.Errorf("start ZooKeeper client: %w", err)
	}
	s.conn, s.events = conn, events
	close(s.started)
	return s, nil
}

// ID is the session's id, the owner of the ephemeral nodes it creates.
func (s *Session) ID() int64 {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.state.id
}

// Done is closed when the session is lost or the client closes.
func (s *Session) Done() <-chan struct{} { return s.done }

// Detached returns a channel that is closed when the connection which carries
// the session now is lost; it is closed already if there is none. Whoever reads
// nodes should read them again after the next attachment.
func (s *Session) Detached() <-chan struct{} {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.state.down
}

// onEvent runs in the library's own goroutine, which must not be held up.
func (s *Session) onEvent(ev zk.Event) {
	if ev.Type != zk.EventSession {
		return
	}
	switch ev.State {
	case zk.StateHasSession:
		s.attach()
	case zk.StateDisconnected:
		s.detach()
	case zk.StateExpired:
		s.client.route.stay()
		s.end(ErrSessionExpired)
	}
}

func (s *Session) attach() {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.state.attached || s.state.cause != nil {
		return
	}
	s.state.attached, s.state.since, s.state.refusedAt = true, time.Now(), time.Time{}
	close(s.state.up)
	s.state.down = make(chan struct{})
	st := c.mu.state
	if st.SessionID != s.state.id {
		st.Sessions++
	}
	st.Connected, st.Err = true, nil
	st.SessionID, st.SessionTimeout, st.Server = s.state.id, s.state.timeout, s.state.server
	c.changeLocked(st)
}

func (s *Session) detach() {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.state.attached {
		s.detachLocked()
	}
}

func (s *Session) detachLocked() {
	c := s.client
	c.route.lasted(time.Since(s.state.since))
	s.state.attached, s.state.since = false, time.Now()
	s.state.up = make(chan struct{})
	close(s.state.down)
	if c.mu.session == s {
		st := c.mu.state
		st.Connected, st.Server, st.Err = false, "", s.state.broken
		c.changeLocked(st)
	}
}

// end marks the session as over; from here on it opens no connection and sends
// no request. It does not block. Only the first cause counts.
func (s *Session) end(cause error) {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.state.cause != nil {
		return
	}
	s.state.cause = cause
	s.cancel()
	close(s.done)
	if s.state.attached {
		s.detachLocked()
	}
	st := c.mu.state
	if s.state.id != 0 && !errors.Is(cause, ErrClosed) {
		st.Expiries++
	}
	st.SessionID = 0
	if errors.Is(cause, ErrRefused) {
		st.Err = cause
	}
	c.changeLocked(st)
}

// shutdown ends the session and waits for the library's goroutines and the
// calls. A server that is connected is told, so that ephemeral nodes go at once.
func (s *Session) shutdown(cause error) {
	s.client.mu.Lock()
	attached := s.state.attached
	s.client.mu.Unlock()
	s.end(cause)
	// Not waited for: it lingers for up to 3 s when the server does not answer,
	// on timers alone.
	go s.conn.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range s.events { // closed by the library when its loop has ended
		}
	}()
	if attached {
		timer := time.NewTimer(closeWait)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
		}
	}
	s.client.mu.Lock()
	link := s.state.link
	s.client.mu.Unlock()
	if link != nil {
		link.Close()
	}
	<-ended
	s.calls.Wait()
}

// refusedFor tells for how long servers have refused to take the session back.
// It is 0 if there is no session to lose, or nobody refused it, or it is there.
func (s *Session) refusedFor() time.Duration {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	if s.state.attached || s.state.id == 0 || s.state.refusedAt.IsZero() {
		return 0
	}
	return time.Since(s.state.since)
}

// fail notes why an attempt to connect failed.
func (s *Session) fail(err error) {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.state.cause != nil || s.state.attached {
		return
	}
	if errors.Is(err, ErrRefused) {
		s.state.refusedAt = time.Now()
	}
	if st := c.mu.state; st.Err == nil || st.Err.Error() != err.Error() {
		st.Err = err
		c.changeLocked(st)
	}
}

// broken notes why an established connection broke; the library says that it
// did, after this.
func (s *Session) broken(err error) {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	s.state.broken = err
}

// over is the error of calls on an ended session.
func (s *Session) over() error {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	if errors.Is(s.state.cause, ErrClosed) {
		return ErrClosed
	}
	if errors.Is(s.state.cause, ErrSessionExpired) {
		return s.state.cause
	}
	return fmt.Errorf("%w: %w", ErrSessionExpired, s.state.cause)
}
