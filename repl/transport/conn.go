// Package transport is a replication connection: who is on the other end, and
// frames with deadlines. It proves both sides to each other before anything
// else, and never waits without a bound. What the frames mean is its caller's
// business; so is who dials whom, and TLS around the net.Conn.
package transport

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"time"

	"baton/repl/wire"
	"baton/store/record"
)

// Bounds of a connection.
const (
	WriteTimeout = 10 * time.Second // for the kernel to take writeStep bytes
	writeStep    = 1 << 20
	drainTimeout = 250 * time.Millisecond // for a refused peer to read why
	readBuffer   = 64 << 10
)

// RefusedError is a session that one side refused.
type RefusedError struct {
	wire.Refuse
	ByPeer bool // the other side refused; otherwise this one
}

func (e *RefusedError) Error() string {
	if e.ByPeer {
		return fmt.Sprintf("refused by the peer (%s): %s", e.Code, e.Text)
	}
	return fmt.Sprintf("refused the peer (%s): %s", e.Code, e.Text)
}

// ErrSilent means that nothing was heard from the peer for the idle timeout.
var ErrSilent = errors.New("transport: nothing heard from the peer")

// Conn carries frames. One goroutine may read while another writes.
type Conn struct {
	nc     net.Conn
	frames *wire.Reader
	out    []byte
	bufs   [2][]byte
}

// idleReader gives each read of the socket its own deadline, so that a long
// frame over a slow link is not mistaken for silence.
type idleReader struct {
	nc   net.Conn
	idle time.Duration // 0 leaves the deadline alone
}

func (r *idleReader) Read(b []byte) (int, error) {
	if r.idle > 0 {
		if err := r.nc.SetReadDeadline(time.Now().Add(r.idle)); err != nil {
			return 0, err
		}
	}
	n, err := r.nc.Read(b)
	var t net.Error
	if err != nil && errors.As(err, &t) && t.Timeout() {
		err = fmt.Errorf("%w: %w", ErrSilent, err)
	}
	return n, err
}

// newConn wraps nc and bounds the whole handshake.
func newConn(nc net.Conn, handshake time.Duration) (*Conn, *idleReader, error) {
	if t, ok := nc.(*net.TCPConn); ok {
		if err := t.SetNoDelay(true); err != nil {
			return nil, nil, fmt.Errorf("set TCP_NODELAY: %w", err)
		}
	}
	if err := nc.SetDeadline(time.Now().Add(handshake)); err != nil {
		return nil, nil, fmt.Errorf("set handshake deadline: %w", err)
	}
	r := &idleReader{nc: nc}
	return &Conn{nc: nc, frames: wire.NewReader(bufio.NewReaderSize(r, readBuffer))}, r, nil
}

// Next reads and decodes one frame.
func (c *Conn) Next() (record.Epoch, wire.Body, error) {
	f, err := c.frames.Next()
	if err != nil {
		return 0, nil, err
	}
	b, err := f.Parse()
	return f.Epoch, b, err
}

// Send writes one frame.
func (c *Conn) Send(epoch record.Epoch, b wire.Body) error {
	c.out = wire.AppendFrame(c.out[:0], epoch, b)
	return c.write(c.out, nil)
}

// SendAppend writes an Append without copying the batches.
func (c *Conn) SendAppend(epoch record.Epoch, commit record.Position, batches []byte) error {
	c.out = wire.AppendHead(c.out[:0], epoch, commit, batches)
	return c.write(c.out, batches)
}

// SendChunk writes a Chunk without copying its data.
func (c *Conn) SendChunk(epoch record.Epoch, chunk wire.Chunk) error {
	c.out = wire.AppendChunkHead(c.out[:0], epoch, chunk)
	return c.write(c.out, chunk.Data)
}

// write gives each step a deadline of its own, so that a large batch over a
// slow link is not mistaken for a peer that does not read.
func (c *Conn) write(head, tail []byte) error {
	for len(head)+len(tail) > 0 {
		if err := c.nc.SetWriteDeadline(time.Now().Add(WriteTimeout)); err != nil {
			return err
		}
		step := tail[:min(len(tail), writeStep)]
		c.bufs = [2][]byte{head, step}
		bufs := net.Buffers(c.bufs[:])
		if _, err := bufs.WriteTo(c.nc); err != nil {
			return err
		}
		head, tail = nil, tail[len(step):]
	}
	return nil
}

// Refuse tells the peer why, waits shortly for it to read that, and closes. It
// must be called by the goroutine that sends, with no reader at work.
func (c *Conn) Refuse(epoch record.Epoch, r wire.Refuse) *RefusedError {
	defer c.Close()
	e := &RefusedError{Refuse: r}
	c.nc.SetDeadline(time.Now().Add(drainTimeout))
	if _, err := c.nc.Write(wire.AppendFrame(nil, epoch, r)); err != nil {
		return e // the peer is gone: nobody is left to tell
	}
	// Closing with unread bytes would reset the connection and could take
	// the refusal with it.
	if h, ok := c.nc.(interface{ CloseWrite() error }); ok && h.CloseWrite() == nil {
		buf := make([]byte, 32<<10)
		for {
			if _, err := c.nc.Read(buf); err != nil {
				break
			}
		}
	}
	return e
}

// Close ends the connection; a blocked read or write returns.
func (c *Conn) Close() { c.nc.Close() }

// Remote is the peer's address.
func (c *Conn) Remote() string { return c.nc.RemoteAddr().String() }

// HalfClose ends what this side sends and gives the peer time to read it:
// until done is closed, but at most d. A reader may be at work meanwhile.
func (c *Conn) HalfClose(done <-chan struct{}, d time.Duration) {
	h, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || h.CloseWrite() != nil {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}
