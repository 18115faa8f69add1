package stompserver

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"baton/node/broker"
	"baton/node/broker/destination"
	"baton/node/broker/schedule"
	"baton/node/stomp"
)

// conn is one client. Fields without a comment of their own belong to the
// goroutine of runConn.
type conn struct {
	s    *Server
	nc   net.Conn
	host string
	out  *outbox         // shared
	sess *broker.Session // Abort by anyone, the rest by runConn
	dec  *stomp.Decoder

	version   atomic.Uint32 // stomp.Version, set once by CONNECT
	pace      atomic.Int64  // nanoseconds between our heart-beats, 0 for none
	connected bool
	silence   time.Duration // longest silence of the client, 0 for any
	deadline  time.Time     // of CONNECT

	byKey    map[string]*consumer
	byNumber map[uint64]*consumer
	lastSub  uint64
	headers  []headerField             // scratch of SEND
	to       []destination.Destination // scratch of SEND and SUBSCRIBE
	plan     schedule.Plan             // of the last SEND

	in intake // large bodies

	gone       chan struct{} // closed when the socket is
	cutOnce    sync.Once
	writerDone chan struct{}
}

func newConn(s *Server, nc net.Conn, host string) *conn {
	c := &conn{
		s: s, nc: nc, host: host, out: newOutbox(s.cfg.MaxOutput, &s.outputs),
		byKey: map[string]*consumer{}, byNumber: map[uint64]*consumer{},
		gone: make(chan struct{}), writerDone: make(chan struct{}),
	}
	c.in.conn = c
	c.sess = s.cfg.Broker.NewSession(client{c})
	c.dec = stomp.NewDecoder(reader{c}, stomp.ConnectLimits())
	c.dec.Share(&c.in)
	return c
}

func (c *conn) v() stomp.Version { return stomp.Version(c.version.Load()) }

// runConn reads and handles frames until the connection ends.
func (c *conn) runConn() {
	defer c.s.wg.Done()
	defer c.s.remove(c)
	c.deadline = time.Now().Add(c.s.cfg.ConnectTimeout)
	c.nc.SetReadDeadline(c.deadline)
	go c.runWriter()
	polite := c.readFrames()
	c.dec.Release()
	if polite {
		c.out.finishUp()
	} else {
		c.out.close()
	}
	err := c.sess.Leave(!polite && !c.s.closing())
	if polite {
		<-c.writerDone
		c.linger()
	}
	c.cut()
	<-c.writerDone
	// What waits for room keeps its place among the connections meanwhile, so
	// that it is bounded.
	if err = errors.Join(err, c.sess.Close(false)); err != nil && !errors.Is(err, broker.ErrClosed) {
		c.s.cfg.Logger.Warn("close session", "error", err)
	}
}

// readFrames is true if the client is owed what is in the outbox. A panic in
// it ends this connection alone.
func (c *conn) readFrames() (polite bool) {
	defer func() {
		if p := recover(); p != nil {
			c.s.panics.Add(1)
			c.s.cfg.Logger.Error("connection failed", "remote", c.host, "panic", p, "stack", string(debug.Stack()))
			polite = false
		}
	}()
	for {
		f, err := c.dec.Next()
		if err == nil {
			err = c.handle(f)
		} else if errors.Is(err, stomp.ErrMalformed) || errors.Is(err, stomp.ErrTooLarge) {
			f, err = nil, refuseFatally("%s", err)
		}
		if err == nil {
			continue
		}
		var no *refusal
		if !errors.As(err, &no) {
			return errors.Is(err, errDisconnect)
		}
		receipt := ""
		if f != nil {
			receipt = f.Get("receipt")
		}
		c.sendRefusal(no, receipt)
		if no.fatal {
			c.s.cfg.Logger.Debug("client refused", "remote", c.host, "error", no.text)
			return true
		}
	}
}

func (c *conn) sendRefusal(no *refusal, receipt string) {
	c.s.errorsSent.Add(1)
	c.out.append(func(b []byte) []byte { return appendRefusal(b, c.v(), no, receipt) })
}

func (c *conn) sendReceipt(id string) {
	if id == "" {
		return
	}
	c.s.receipts.Add(1)
	c.out.append(func(b []byte) []byte { return appendReceipt(b, c.v(), id) })
}

// linger waits until the client has closed its side, for a moment: closing a
// socket with unread input resets it, and the client might not see our last
// frame.
func (c *conn) linger() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(c.s.cfg.LingerTimeout))
	io.CopyN(io.Discard, c.nc, 4<<20)
}

// abort ends the connection from outside, without a word.
func (c *conn) abort() {
	c.cut()
	c.sess.Abort()
}

// cut closes the socket; reader and writer find out by themselves.
func (c *conn) cut() {
	c.out.close()
	c.cutOnce.Do(func() {
		close(c.gone)
		c.nc.Close()
	})
}

// reader is the connection's stream as its decoder sees it.
type reader struct{ *conn }

// Read proposes what was gathered before it waits for more.
func (r reader) Read(p []byte) (int, error) {
	c := r.conn
	if err := c.sess.Flush(); err != nil {
		return 0, err
	}
	c.out.waitRoom()
	if c.in.held > 0 {
		return c.in.read(p)
	}
	if c.silence > 0 {
		c.nc.SetReadDeadline(time.Now().Add(c.silence))
	}
	return c.nc.Read(p)
}

const writeStep = 256 << 10 // bytes that must pass within WriteTimeout

// runWriter writes the outbox, and heart-beats when there was nothing else.
func (c *conn) runWriter() {
	defer close(c.writerDone)
	beat := time.NewTimer(time.Hour)
	defer beat.Stop()
	for {
		buf, autos, last := c.out.take()
		if last {
			return
		}
		if len(buf) == 0 {
			c.resume()
			if !c.awaitOutput(beat) {
				continue
			}
			buf = []byte{'\n'}
		}
		if !c.write(buf) {
			c.abort()
			return
		}
		for _, m := range autos {
			m.sub.Written(m.tag)
		}
		c.out.written(buf)
		c.resume()
	}
}

func (c *conn) resume() {
	for _, sub := range c.out.resumable() {
		sub.Resume()
	}
}

// awaitOutput returns when the outbox has something; true means that it is
// time for a heart-beat instead. It comes early, to be there in time.
func (c *conn) awaitOutput(beat *time.Timer) bool {
	var due <-chan time.Time
	if pace := time.Duration(c.pace.Load()); pace > 0 {
		beat.Reset(pace - pace/4)
		due = beat.C
	}
	select {
	case <-c.out.wake:
		return false
	case <-due:
		return true
	}
}

func (c *conn) write(buf []byte) bool {
	for len(buf) > 0 {
		n := min(len(buf), writeStep)
		if !c.writePart(buf[:n]) {
			return false
		}
		buf = buf[n:]
	}
	return true
}

// writePart writes at most writeStep bytes. A client that does not take them
// within WriteTimeout is cut off, and within slowGrace while one that reads
// waits for the memory of such clients.
func (c *conn) writePart(part []byte) bool {
	for began := time.Now(); ; {
		c.nc.SetWriteDeadline(time.Now().Add(min(slowInterval, c.s.cfg.WriteTimeout)))
		n, err := c.nc.Write(part)
		if err == nil {
			return true
		}
		part = part[n:]
		held := time.Since(began)
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded) || held >= c.s.cfg.WriteTimeout:
			return false
		case held >= slowGrace && c.out.hoards() && c.s.outputs.wanted():
			c.s.cfg.Logger.Warn("cut off a client that reads too slowly while others wait for its memory", "remote", c.host)
			return false
		}
	}
}
