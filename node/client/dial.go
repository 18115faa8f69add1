package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-stomp/stomp/v3/frame"
)

// readBuffer is the size of go-stomp's reader, in bytes.
const readBuffer = 32 << 10

// heardConn notes when bytes last came, which a frame reader would tell only
// at the end of a long frame.
type heardConn struct {
	net.Conn
	last atomic.Int64 // nanoseconds since the epoch
}

func (h *heardConn) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	if n > 0 {
		h.last.Store(time.Now().UnixNano())
	}
	return n, err
}

// race tries the addresses at once until one serves, each with its own
// back-off, and returns the first connection that is answered CONNECTED. With
// tries > 0 an address gives up after so many. fatal says that an ERROR answer
// ends the race: it is the only word that the caller has ever heard.
func (c *Client) race(ctx context.Context, addresses []string, tries int, fatal bool) (*session, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	won := make(chan *session, len(addresses))
	errs := make([]error, len(addresses))
	var wg sync.WaitGroup
	for i, a := range addresses {
		wg.Go(func() {
			s, err := c.pursue(ctx, a, tries, fatal)
			if s != nil {
				won <- s
			}
			errs[i] = err
			if s != nil || fatal && errors.Is(err, ErrRefused) {
				cancel()
			}
		})
	}
	wg.Wait() // prompt: cancel ends dials and handshakes
	close(won)
	first := <-won
	for s := range won {
		s.discard()
	}
	if first != nil {
		return first, nil
	}
	for _, err := range errs {
		if errors.Is(err, ErrRefused) {
			return nil, err
		}
	}
	return nil, errors.Join(errs...)
}

// pursue tries one address. The pause before the next try is an eighth of the
// time that the outage lasts already: a leader is found at most that much
// later than it could have been, and a long outage costs little.
func (c *Client) pursue(ctx context.Context, address string, tries int, fatal bool) (*session, error) {
	began := time.Now()
	for n := 1; ; n++ {
		s, err := c.handshake(ctx, address)
		if err == nil {
			return s, nil
		}
		c.setReason(err)
		if tries > 0 && n >= tries || fatal && errors.Is(err, ErrRefused) || ctx.Err() != nil {
			return nil, err
		}
		pause := min(max(time.Since(began)/8, c.cfg.InitialReconnectDelay), c.cfg.MaxReconnectDelay)
		pause = time.Duration(float64(pause) * (0.75 + rand.Float64()/2))
		if !sleep(ctx, pause) {
			return nil, err
		}
	}
}

// handshake connects to one address, bounded by ConnectTimeout.
func (c *Client) handshake(ctx context.Context, address string) (_ *session, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ConnectTimeout)
	defer cancel()
	raw, err := c.cfg.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	defer func() {
		if err != nil {
			raw.Close()
		}
	}()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	conn := &heardConn{Conn: raw}
	if _, err := conn.Write(c.connectFrame(address)); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	reader := frame.NewReaderSize(conn, readBuffer)
	f, err := readFrame(reader)
	for err == nil && f == nil { // a heart-beat before CONNECTED
		f, err = readFrame(reader)
	}
	if err == nil && !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		if ctx.Err() == context.DeadlineExceeded {
			err = fmt.Errorf("no answer within %v", c.cfg.ConnectTimeout)
		}
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	switch f.Command {
	case frame.CONNECTED:
	case frame.ERROR:
		return nil, fmt.Errorf("connect to %s: %w: %s", address, ErrRefused, errorText(f))
	default:
		return nil, fmt.Errorf("connect to %s: %s instead of CONNECTED", address, f.Command)
	}
	return newSession(c, conn, reader, address, f), nil
}

// connectFrame builds CONNECT by hand: its headers are not escaped, which
// go-stomp's writer would do.
func (c *Client) connectFrame(address string) []byte {
	var b bytes.Buffer
	host := c.cfg.VHost
	if host == "" {
		host, _, _ = net.SplitHostPort(address)
	}
	beat := max(0, c.cfg.HeartBeat.Milliseconds())
	fmt.Fprintf(&b, "CONNECT\naccept-version:1.1,1.2\nhost:%s\nheart-beat:%d,%d\n", host, beat, beat)
	for _, h := range [][2]string{{"login", c.cfg.Login}, {"passcode", c.cfg.Passcode}, {"client-id", c.cfg.ClientID}} {
		if h[1] != "" {
			fmt.Fprintf(&b, "%s:%s\n", h[0], h[1])
		}
	}
	b.WriteString("\n\x00")
	return b.Bytes()
}

// readFrame reads one frame; a length that no memory can hold is an error and
// not a panic.
func readFrame(r *frame.Reader) (f *frame.Frame, err error) {
	defer func() {
		if p := recover(); p != nil {
			f, err = nil, fmt.Errorf("read frame: %v", p)
		}
	}()
	return r.Read()
}

func errorText(f *frame.Frame) string {
	if m := f.Header.Get(frame.Message); m != "" {
		return m
	}
	return strings.TrimSpace(string(f.Body[:min(len(f.Body), 500)]))
}

// sleep is false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
