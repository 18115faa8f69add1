package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-stomp/stomp/v3/frame"
)

const (
	outMax       = 128             // frames waiting to be written
	outBytesMax  = 64 << 10        // gathered into one write
	writeTimeout = 5 * time.Second // of one write; a dead peer's window is full long before
)

// errMoved ends a connection because another address serves.
var errMoved = errors.New("another server took over")

// waiter waits for the answer to one frame.
type waiter struct {
	at   time.Time
	done func(*frame.Frame, error) // called once; with an error if the connection ended first
}

// session is one connection that was answered CONNECTED.
type session struct {
	c       *Client
	ctx     context.Context // its lifecycle, for the watch
	cancel  context.CancelFunc
	num     int // of the connections of the client, from 1; set by adopt
	conn    *heardConn
	reader  *frame.Reader
	address string
	at      time.Time // CONNECTED arrived
	v12     bool
	beatOut time.Duration // we owe a heart-beat so often, 0 = never
	beatIn  time.Duration // the server owes one so often, 0 = never

	out       chan *frame.Frame
	done      chan struct{} // closed at the end
	wg        sync.WaitGroup
	lastFrame atomic.Int64 // nanoseconds since the epoch, heart-beats not counted

	mu        sync.Mutex // guards the rest
	pending   map[string]waiter
	err       error
	errText   string   // of an ERROR that belongs to no receipt
	successor *session // found by the watch, adopted by runSessions
}

func newSession(c *Client, conn *heardConn, r *frame.Reader, address string, connected *frame.Frame) *session {
	s := &session{
		c: c, conn: conn, reader: r, address: address, at: time.Now(),
		v12: connected.Header.Get(frame.Version) == "1.2",
		out: make(chan *frame.Frame, outMax), done: make(chan struct{}), pending: map[string]waiter{},
	}
	s.ctx, s.cancel = context.WithCancel(c.ctx)
	s.lastFrame.Store(s.at.UnixNano())
	if h, ok := connected.Header.Contains(frame.HeartBeat); ok && c.cfg.HeartBeat > 0 {
		sends, wants, err := frame.ParseHeartBeat(h)
		if err == nil && sends > 0 {
			s.beatIn = max(sends, c.cfg.HeartBeat)
		}
		if err == nil && wants > 0 {
			s.beatOut = max(wants, c.cfg.HeartBeat)
		}
	}
	return s
}

func (s *session) start() {
	s.wg.Add(3)
	go s.runRead()
	go s.runWrite()
	go s.runWatch()
}

// discard ends a session that was never started.
func (s *session) discard() {
	s.cancel()
	s.conn.Close()
}

func (s *session) alive() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// die ends the session once and tells everybody who waits for an answer.
func (s *session) die(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	if s.errText != "" {
		err = fmt.Errorf("%w: %s (%v)", ErrRefused, s.errText, err)
	}
	s.err = err
	waiting := s.pending
	s.pending = nil
	close(s.done)
	s.mu.Unlock()
	s.cancel()
	s.conn.Close()
	for _, w := range waiting {
		w.done(nil, err)
	}
}

// queue hands a frame to the writer. If it returns an error the frame was not
// sent and never will be.
func (s *session) queue(ctx context.Context, f *frame.Frame) error {
	select {
	case <-s.done:
		return ErrStale
	default:
	}
	select {
	case s.out <- f:
		return nil
	case <-s.done:
		return ErrStale
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask queues a frame that asks for a receipt; done hears the answer, on a
// goroutine that must not be kept. After an error done is not called.
func (s *session) ask(ctx context.Context, f *frame.Frame, done func(*frame.Frame, error)) (id string, err error) {
	id = s.c.nextID()
	f.Header.Set(frame.Receipt, id)
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return id, ErrStale
	}
	s.pending[id] = waiter{at: time.Now(), done: done}
	s.mu.Unlock()
	if err := s.queue(ctx, f); err != nil {
		if s.forget(id) {
			return id, err
		}
		// The session died meanwhile and done has been, or is being, called.
	}
	return id, nil
}

// forget stops waiting for an answer; it is false if done was called or will be.
func (s *session) forget(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.pending[id]
	delete(s.pending, id)
	return ok
}

func (s *session) take(id string) (waiter, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.pending[id]
	delete(s.pending, id)
	return w, ok
}

func (s *session) runRead() {
	defer s.wg.Done()
	for {
		f, err := readFrame(s.reader)
		if err != nil {
			s.die(fmt.Errorf("connection to %s lost: %w", s.address, err))
			return
		}
		if f == nil {
			continue
		}
		s.lastFrame.Store(time.Now().UnixNano())
		switch f.Command {
		case frame.RECEIPT, frame.ERROR:
			s.answered(f)
		case frame.MESSAGE:
			s.c.deliver(s, f)
		}
	}
}

// answered passes a receipt or an ERROR on. An ERROR that names no receipt is
// about the connection; the server closes it, and the text becomes the reason.
func (s *session) answered(f *frame.Frame) {
	if id, ok := f.Header.Contains(frame.ReceiptId); ok {
		if w, ok := s.take(id); ok {
			w.done(f, nil)
		}
		return
	}
	if f.Command == frame.ERROR {
		s.mu.Lock()
		s.errText = errorText(f)
		s.mu.Unlock()
	}
}

func (s *session) runWrite() {
	defer s.wg.Done()
	var buf bytes.Buffer
	w := frame.NewWriterSize(&buf, 4096)
	var beat <-chan time.Time
	if s.beatOut > 0 {
		t := time.NewTicker(s.beatOut * 2 / 3)
		defer t.Stop()
		beat = t.C
	}
	for {
		var f *frame.Frame // nil is a heart-beat
		select {
		case <-s.done:
			return
		case <-beat:
		case f = <-s.out:
		}
		buf.Reset()
		err := w.Write(f)
		for more := true; more && err == nil && buf.Len() < outBytesMax; {
			select {
			case f = <-s.out:
				err = w.Write(f)
			default:
				more = false
			}
		}
		if err == nil {
			_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			_, err = s.conn.Write(buf.Bytes())
		}
		if err != nil {
			s.die(fmt.Errorf("connection to %s lost: %w", s.address, err))
			return
		}
	}
}
