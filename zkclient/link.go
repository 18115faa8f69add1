package zkclient

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"
)

const (
	handshakeLenMin = 20  // version, timeout, session id, empty password
	handshakeLenMax = 256 // real ones have 36 or 37
	replyLenMin     = 16  // xid, zxid, error code
	frameKeep       = 64 << 10
	grantedMin      = 10 * time.Millisecond

	xidAuth = -4
	opAuth  = 100
)

// dial opens and prepares a connection for the library, which gives no context
// and holds no lock while it waits.
func (s *Session) dial(network, server string, limit time.Duration) (net.Conn, error) {
	if d := s.client.route.pause(); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-s.ctx.Done():
		case <-timer.C:
		}
	}
	if s.ctx.Err() != nil {
		return nil, ErrClosed
	}
	ctx, cancel := context.WithTimeout(s.ctx, min(limit, s.patience()))
	defer cancel()
	address, err := s.client.route.resolve(ctx, server)
	if err != nil {
		s.fail(err)
		return nil, err
	}
	conn, err := s.client.cfg.Dial(ctx, network, address)
	if err != nil {
		s.fail(err)
		return nil, err
	}
	l := &link{Conn: conn, s: s, address: address}
	if !s.adopt(l) {
		conn.Close()
		return nil, ErrClosed
	}
	return l, nil
}

// adopt remembers the newest connection, unless the session is over.
func (s *Session) adopt(l *link) bool {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	if s.state.cause != nil {
		return false
	}
	s.state.link = l
	return true
}

// patience is how long one server may take to connect or to answer the
// handshake: a third of the session timeout while the session may still live,
// so that a hung server leaves time for another one; then growing, as an
// ensemble that is merely slow must be reached some day.
func (s *Session) patience() time.Duration {
	s.client.mu.Lock()
	timeout, since := s.client.cfg.SessionTimeout, s.state.since
	if s.state.timeout > 0 {
		timeout = min(timeout, s.state.timeout)
	}
	s.client.mu.Unlock()
	return min(max(timeout/3, time.Since(since)/4, handshakeFloor), handshakeMax)
}

// link is the connection that the library reads and writes. It bounds the
// handshake in time, learns from it what the library hides (granted timeout),
// authenticates, passes on only whole frames that the library can take, and
// fires the watches when the connection breaks.
type link struct {
	net.Conn
	s       *Session
	address string
	watches watches

	// Used by the library's connecting goroutine, then by its reader.
	shaken bool
	frame  []byte // buffer of the newest frame
	rest   []byte // what is left to give to the library
	ended  error  // why there will be no more frames

	authSent bool // used by the library's writer
}

// SetReadDeadline is ignored during the handshake, where the library asks for
// 6.67 session timeouts and then for none.
func (l *link) SetReadDeadline(t time.Time) error {
	if !l.shaken {
		return nil
	}
	return l.Conn.SetReadDeadline(t)
}

// Write puts the credentials before the library's first request. Its own way of
// sending them can wedge it for good when the connection breaks meanwhile.
func (l *link) Write(p []byte) (int, error) {
	if pw := l.s.client.cfg.Password; pw != "" && l.shaken && !l.authSent {
		if _, err := l.Conn.Write(authFrame("digest", l.s.client.cfg.User+":"+pw)); err != nil {
			return 0, fmt.Errorf("authenticate: %w", err)
		}
		l.authSent = true
	}
	if l.shaken {
		l.watches.request(p)
	}
	return l.Conn.Write(p)
}

// Read gives the library whole frames; when there are no more, first the events
// that end its watches, then the error.
func (l *link) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if l.ended != nil {
			return 0, l.ended
		}
		if err := l.fill(); err != nil {
			l.ended = err
			if l.rest = l.watches.fire(); len(l.rest) == 0 {
				return 0, err
			}
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// fill reads the next frame.
func (l *link) fill() error {
	if !l.shaken {
		if err := l.shake(); err != nil {
			l.s.fail(err)
			return err
		}
		l.shaken = true
		return nil
	}
	err := l.next()
	if err != nil {
		l.s.broken(err)
	}
	return err
}

// next reads a frame and checks it. The library slices frames without looking
// at their length, and would allocate whatever a broken one claims.
func (l *link) next() error {
	head := append(l.frame[:0], 0, 0, 0, 0)
	if _, err := io.ReadFull(l.Conn, head); err != nil {
		return fmt.Errorf("read from %s: %w", l.address, err)
	}
	n := int(binary.BigEndian.Uint32(head))
	if n < replyLenMin || n > answerMax {
		return fmt.Errorf("read from %s: %w: frame of %d bytes", l.address, ErrProtocol, n)
	}
	l.frame = slices.Grow(head, n)[:4+n]
	if _, err := io.ReadFull(l.Conn, l.frame[4:]); err != nil {
		return fmt.Errorf("read from %s: %w", l.address, err)
	}
	xid, code := int32(binary.BigEndian.Uint32(l.frame[4:])), int32(binary.BigEndian.Uint32(l.frame[16:]))
	if xid == xidAuth && code != 0 {
		return fmt.Errorf("authenticate at %s: %w (code %d)", l.address, ErrAuth, code)
	}
	l.watches.reply(xid, code, l.frame[20:])
	l.rest = l.frame
	if cap(l.frame) > frameKeep {
		l.frame = nil // not kept for the sake of one large answer
	}
	return nil
}

// shake reads the whole answer to the handshake and keeps it for the library.
func (l *link) shake() error {
	if err := l.Conn.SetReadDeadline(time.Now().Add(l.s.patience())); err != nil {
		return fmt.Errorf("handshake with %s: %w", l.address, err)
	}
	frame := make([]byte, 4, 4+handshakeLenMax)
	_, err := io.ReadFull(l.Conn, frame)
	if err == nil {
		n := binary.BigEndian.Uint32(frame)
		if n < handshakeLenMin || n > handshakeLenMax {
			return fmt.Errorf("handshake with %s: %w: frame of %d bytes", l.address, ErrProtocol, n)
		}
		frame = frame[:4+n]
		_, err = io.ReadFull(l.Conn, frame[4:])
	}
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("handshake with %s: %w", l.address, err)
		}
		return fmt.Errorf("handshake with %s: %w (%w)", l.address, ErrRefused, err)
	}
	h, err := parseHandshake(frame[4:])
	if err == nil {
		err = l.s.granted(h, l.address)
	}
	if err == nil {
		err = l.Conn.SetReadDeadline(time.Time{})
	}
	if err != nil {
		return fmt.Errorf("handshake with %s: %w", l.address, err)
	}
	l.rest = frame
	return nil
}

// handshake is what a server answers first: no session id means expired.
type handshake struct {
	timeout time.Duration
	id      int64
}

func parseHandshake(b []byte) (handshake, error) {
	if len(b) < handshakeLenMin {
		return handshake{}, fmt.Errorf("%w: answer of %d bytes", ErrProtocol, len(b))
	}
	h := handshake{
		timeout: time.Duration(int32(binary.BigEndian.Uint32(b[4:]))) * time.Millisecond,
		id:      int64(binary.BigEndian.Uint64(b[8:])),
	}
	password := int64(int32(binary.BigEndian.Uint32(b[16:])))
	if rest := int64(len(b) - handshakeLenMin); password < -1 || password > rest {
		return handshake{}, fmt.Errorf("%w: password of %d bytes", ErrProtocol, password)
	}
	// The library divides the timeout for its ping interval and panics at 0.
	if h.id != 0 && (h.timeout < grantedMin || h.timeout > sessionTimeoutMax) {
		return handshake{}, fmt.Errorf("%w: session timeout %v", ErrProtocol, h.timeout)
	}
	return h, nil
}

// granted keeps what the server granted.
func (s *Session) granted(h handshake, address string) error {
	if h.id == 0 {
		return nil // the library will say that the session expired
	}
	s.client.mu.Lock()
	id := s.state.id
	if id == 0 || id == h.id {
		s.state.id, s.state.timeout, s.state.server = h.id, h.timeout, address
	}
	s.client.mu.Unlock()
	if id != 0 && id != h.id {
		// A server must say that the old one expired; one that hands out a new one
		// instead would leave everybody believing that the ephemeral nodes live.
		s.end(fmt.Errorf("%w: server at %s opened another one unasked", ErrSessionExpired, address))
		return fmt.Errorf("%w: session %s instead of %s", ErrProtocol, hex(h.id), hex(id))
	}
	return nil
}

// authFrame is the request that authenticates a connection.
func authFrame(scheme, auth string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(4+4+4+4+len(scheme)+4+len(auth)))
	xid := int32(xidAuth)
	b = binary.BigEndian.AppendUint32(b, uint32(xid))
	b = binary.BigEndian.AppendUint32(b, opAuth)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(scheme)))
	b = append(b, scheme...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(auth)))
	return append(b, auth...)
}
