package supervisor

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// chunkMax and chunksMax bound what one direction of a connection holds while
// it is cut or delayed: 32 KiB x 32 = 1 MiB.
const (
	chunkMax  = 32 << 10
	chunksMax = 32
)

// chunk is what was read at once. Without data it is the end of the stream,
// clean or not: an end waits its turn like bytes do, and does not pass a cut.
type chunk struct {
	data []byte
	due  time.Time
	err  error
}

// link is one proxied connection.
type link struct {
	p      *Proxy
	ctx    context.Context // its own lifecycle: ends on reset or when both directions ended
	cancel context.CancelFunc

	mu     sync.Mutex
	client net.Conn
	server net.Conn // nil until dialled
	dead   bool
}

func (l *link) run() {
	defer l.p.wg.Done()
	defer func() {
		l.reset()
		l.p.mu.Lock()
		delete(l.p.conns, l)
		l.p.mu.Unlock()
	}()
	if !l.p.open(l.ctx, toTarget, toDialler) {
		return
	}
	d := net.Dialer{Timeout: l.p.cfg.DialTimeout}
	server, err := d.DialContext(l.ctx, "tcp", l.p.cfg.Target)
	if err != nil {
		return // reset tells the dialler
	}
	l.mu.Lock()
	l.server = server
	dead := l.dead
	l.mu.Unlock()
	if dead {
		resetConn(server)
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.pass(l.client, server, toTarget) })
	both.Go(func() { l.pass(server, l.client, toDialler) })
	both.Wait()
}

// reset ends the connection on both sides without saying goodbye.
func (l *link) reset() {
	l.cancel()
	l.mu.Lock()
	was := l.dead
	l.dead = true
	client, server := l.client, l.server
	l.mu.Unlock()
	if was {
		return
	}
	resetConn(client)
	if server != nil {
		resetConn(server)
	}
}

func resetConn(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// pass carries one direction until its end. Reading runs ahead of writing by a
// bounded number of chunks, so that a delay costs time and not throughput.
func (l *link) pass(from, to net.Conn, way direction) {
	ch := make(chan chunk, chunksMax)
	var reader sync.WaitGroup
	reader.Go(func() { l.runRead(from, ch) })
	if err := l.write(to, ch, way); err != nil {
		l.reset() // also unblocks the reader
	}
	reader.Wait()
}

func (l *link) runRead(from net.Conn, ch chan<- chunk) {
	for {
		buf := make([]byte, chunkMax)
		n, err := from.Read(buf)
		delay, _ := l.p.speed()
		due := time.Now().Add(delay)
		if n > 0 && !push(l.ctx, ch, chunk{data: buf[:n], due: due}) {
			return
		}
		if err != nil {
			push(l.ctx, ch, chunk{due: due, err: err})
			return
		}
	}
}

func push(ctx context.Context, ch chan<- chunk, c chunk) bool {
	select {
	case ch <- c:
		return true
	case <-ctx.Done():
		return false
	}
}

// write passes chunks on when they are due and the link is open. It returns nil
// after a clean end of the stream, which it passes on as such.
func (l *link) write(to net.Conn, ch <-chan chunk, way direction) error {
	for {
		var c chunk
		select {
		case c = <-ch:
		case <-l.ctx.Done():
			return l.ctx.Err()
		}
		if d := time.Until(c.due); d > 0 && !wait(l.ctx, d) {
			return l.ctx.Err()
		}
		if !l.p.open(l.ctx, way) {
			return context.Canceled
		}
		if c.data == nil {
			if !errors.Is(c.err, io.EOF) {
				return c.err
			}
			if t, ok := to.(*net.TCPConn); ok {
				return t.CloseWrite()
			}
			return c.err
		}
		if err := l.writeChunk(to, c.data); err != nil {
			return err
		}
	}
}

// writeChunk writes in slices of a twentieth of a second when throttled.
func (l *link) writeChunk(to net.Conn, data []byte) error {
	for len(data) > 0 {
		n := len(data)
		_, rate := l.p.speed()
		if rate > 0 {
			n = min(n, max(1, int(rate/20)))
		}
		if rate > 0 && !wait(l.ctx, time.Duration(float64(n)/rate*float64(time.Second))) {
			return l.ctx.Err()
		}
		if _, err := to.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
		l.p.mu.Lock()
		l.p.passed += uint64(n)
		l.p.mu.Unlock()
	}
	return nil
}

// wait sleeps for d; it is false if ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
