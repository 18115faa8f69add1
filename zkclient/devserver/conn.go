package devserver

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"baton/zkclient/devserver/acl"
	"baton/zkclient/devserver/session"
	"baton/zkclient/devserver/wire"
)

// requestsInFlight is how many requests of one connection may be unanswered;
// the next one is not read before the client has been sent an answer.
const requestsInFlight = 32

// conn is one connection of a client.
type conn struct {
	cfg    Config
	net    net.Conn
	remote string
	slots  chan struct{} // one per request in flight
	done   chan struct{} // closed when nothing more will be written

	// session is set by the processor and read by runConn, so that a client
	// counts as heard from even while the processor is busy.
	session atomic.Pointer[session.Session]

	out struct { // guards what waits to be written
		sync.Mutex
		frames [][]byte
		bytes  int
		slots  int  // answers among frames
		last   bool // close once frames are written
	}
	wake chan struct{} // out has changed

	owned connState // by the processor
}

// connState is what only the processor uses.
type connState struct {
	known       bool // has sent a packet
	ids         []acl.ID
	established time.Time
	received    int64
	sent        int64
	lastOp      wire.Op
	lastXid     int32
	lastZxid    int64
	lastReply   time.Time
	latency     latency
}

func newConn(cfg Config, nc net.Conn) *conn {
	c := &conn{
		cfg: cfg, net: nc, remote: nc.RemoteAddr().String(),
		slots: make(chan struct{}, requestsInFlight), done: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	host, _, err := net.SplitHostPort(c.remote)
	if err != nil {
		host = c.remote
	}
	c.owned.ids = []acl.ID{{Scheme: "ip", Name: host}}
	c.owned.established = time.Now()
	return c
}

// serve reads packets until the connection ends, and returns when both
// directions have.
func (c *conn) serve(ctx context.Context, tasks chan<- task) {
	var writer sync.WaitGroup
	writer.Go(c.runWriter)
	c.read(ctx, tasks)
	select {
	case tasks <- task{kind: taskGone, conn: c}:
	case <-ctx.Done():
		c.cut()
	}
	writer.Wait()
}

func (c *conn) read(ctx context.Context, tasks chan<- task) {
	in := bufio.NewReaderSize(c.net, 4096)
	if c.net.SetReadDeadline(time.Now().Add(c.cfg.HandshakeTimeout)) != nil {
		return
	}
	kind := taskConnect
	for {
		select {
		case c.slots <- struct{}{}:
		case <-c.done:
			return
		}
		packet, err := wire.ReadFrame(in)
		var length *wire.FrameLengthError
		if errors.As(err, &length) && kind == taskConnect {
			kind, packet, err = taskWord, length.Prefix[:], nil
		}
		if err != nil {
			return
		}
		now := time.Now()
		if s := c.session.Load(); s != nil {
			s.Heard(now)
		}
		select {
		case tasks <- task{kind: kind, conn: c, packet: packet, at: now}:
		case <-ctx.Done():
			return
		}
		switch kind {
		case taskWord:
			<-c.done // one word per connection; the answer ends it
			return
		case taskConnect:
			kind = taskPacket
			if c.net.SetReadDeadline(time.Time{}) != nil {
				return
			}
		}
	}
}

// send queues a frame; answer says that it answers a request. A client that
// does not read what is queued for it is cut.
func (c *conn) send(frame []byte, answer bool) {
	c.out.Lock()
	if c.out.last {
		c.out.Unlock()
		return
	}
	c.out.frames = append(c.out.frames, frame)
	c.out.bytes += len(frame)
	if answer {
		c.out.slots++
	}
	tooMuch := c.out.bytes > c.cfg.MaxQueuedBytes
	if tooMuch {
		c.out.last = true
	}
	c.out.Unlock()
	if tooMuch {
		c.cfg.Logger.Warn("connection cut: the client does not read its answers and events", "client", c.remote, "limit_bytes", c.cfg.MaxQueuedBytes)
		c.cut()
	}
	c.signal()
}

// finish closes the connection once what is queued is written.
func (c *conn) finish() {
	c.out.Lock()
	c.out.last = true
	c.out.Unlock()
	c.signal()
}

// cut closes the connection at once.
func (c *conn) cut() {
	c.net.Close()
	c.finish()
}

func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *conn) runWriter() {
	defer close(c.done)
	defer c.net.Close()
	for range c.wake {
		c.out.Lock()
		frames, slots, last := c.out.frames, c.out.slots, c.out.last
		c.out.frames, c.out.slots = nil, 0
		c.out.Unlock()
		for _, frame := range frames {
			if c.net.SetWriteDeadline(time.Now().Add(c.cfg.WriteTimeout)) != nil {
				return
			}
			if _, err := c.net.Write(frame); err != nil {
				c.finish() // nothing more is queued
				return
			}
			c.out.Lock()
			c.out.bytes -= len(frame)
			c.out.Unlock()
		}
		for range slots {
			<-c.slots
		}
		if last {
			return
		}
	}
}
