package zkclient

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// answerOf is a server's answer to the handshake, with its length.
func answerOf(timeout int32, id int64) []byte {
	b := binary.BigEndian.AppendUint32(nil, 36)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(timeout))
	b = binary.BigEndian.AppendUint64(b, uint64(id))
	b = binary.BigEndian.AppendUint32(b, 16)
	return append(b, make([]byte, 16)...)
}

func replyOf(xid, code int32, body ...byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(16+len(body)))
	b = binary.BigEndian.AppendUint32(b, uint32(xid))
	b = binary.BigEndian.AppendUint64(b, 7)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	return append(b, body...)
}

// getW is a request to read a node with a watch.
func getW(xid int32, op uint32, path string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+4+len(path)+1))
	b = binary.BigEndian.AppendUint32(b, uint32(xid))
	b = binary.BigEndian.AppendUint32(b, op)
	b = binary.BigEndian.AppendUint32(b, uint32(len(path)))
	return append(append(b, path...), 1)
}

// pipe is a link whose server end the test plays.
func pipe(t *testing.T) (*link, net.Conn) {
	t.Helper()
	cfg := Config{Servers: []string{"s:1"}}.withDefaults()
	c := &Client{cfg: cfg, log: cfg.Logger, route: newRoute(cfg.Servers)}
	c.mu.changed = make(chan struct{})
	s := &Session{client: c, done: make(chan struct{}), cancel: func() {}}
	s.state.since = time.Now()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	return &link{Conn: socketLike{near}, s: s, address: "s:1"}, far
}

// socketLike takes deadlines after the other end has closed, as a socket does.
type socketLike struct{ net.Conn }

func (c socketLike) SetReadDeadline(t time.Time) error {
	if err := c.Conn.SetReadDeadline(t); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	return nil
}

// feed sends b in pieces of n bytes and closes.
func feed(far net.Conn, b []byte, n int) {
	defer far.Close()
	for len(b) > 0 {
		k := min(n, len(b))
		if _, err := far.Write(b[:k]); err != nil {
			return
		}
		b = b[k:]
	}
}

func TestLinkPassesFrames(t *testing.T) {
	stream := answerOf(4000, 0x77)
	stream = append(stream, replyOf(1, 0, make([]byte, 100)...)...)
	stream = append(stream, replyOf(-2, 0)...)
	stream = append(stream, replyOf(2, 0, make([]byte, 2*frameKeep)...)...)
	stream = append(stream, replyOf(3, -101)...)
	for name, size := range map[string]int{"whole": len(stream), "halved": (len(stream) + 1) / 2, "byte by byte": 1} {
		t.Run(name, func(t *testing.T) {
			l, far := pipe(t)
			go feed(far, stream, size)
			got, err := io.ReadAll(l)
			require.ErrorIs(t, err, io.EOF)
			require.Equal(t, stream, got)
			require.EqualValues(t, 0x77, l.s.ID())
			require.Equal(t, 4*time.Second, l.s.state.timeout)
		})
	}
}

func TestLinkRefusesRubbish(t *testing.T) {
	good := answerOf(4000, 0x77)
	long := binary.BigEndian.AppendUint32(nil, answerMax+1)
	for name, row := range map[string]struct {
		stream []byte
		want   error
	}{
		"closed at once":        {nil, ErrRefused},
		"closed in the answer":  {good[:11], ErrRefused},
		"web server":            {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), ErrProtocol},
		"answer too short":      {append([]byte{0, 0, 0, 8}, make([]byte, 8)...), ErrProtocol},
		"no session timeout":    {answerOf(0, 0x77), ErrProtocol},
		"negative timeout":      {answerOf(-5, 0x77), ErrProtocol},
		"password too long":     {func() []byte { b := answerOf(4000, 1); b[23] = 99; return b }(), ErrProtocol},
		"frame too short":       {append(good[:len(good):len(good)], 0, 0, 0, 15), ErrProtocol},
		"frame too long":        {append(good[:len(good):len(good)], long...), ErrProtocol},
		"frame of negative len": {append(good[:len(good):len(good)], 255, 255, 255, 255), ErrProtocol},
		"credentials refused":   {append(good[:len(good):len(good)], replyOf(-4, -115)...), ErrAuth},
		"torn frame":            {append(good[:len(good):len(good)], replyOf(1, 0)[:9]...), io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			l, far := pipe(t)
			go feed(far, row.stream, 7)
			_, err := io.ReadAll(l)
			require.ErrorIs(t, err, row.want)
		})
	}
}

func TestLinkTakesNoOtherSession(t *testing.T) {
	l, far := pipe(t)
	l.s.state.id = 0x55
	go feed(far, answerOf(4000, 0x77), 100)
	_, err := io.ReadAll(l)
	require.ErrorIs(t, err, ErrProtocol)
	require.ErrorIs(t, l.s.over(), ErrSessionExpired)
	require.EqualValues(t, 0x55, l.s.ID())
}

func TestLinkHandshakeIsBounded(t *testing.T) {
	for name, sent := range map[string][]byte{"silent": nil, "length only": {0, 0, 0, 36}, "half": answerOf(4000, 1)[:20]} {
		t.Run(name, func(t *testing.T) {
			l, far := pipe(t)
			l.s.client.cfg.SessionTimeout = 3 * handshakeFloor
			go far.Write(sent) //nolint:errcheck // the pipe is closed by then
			start := time.Now()
			l.SetReadDeadline(start.Add(time.Hour)) //nolint:errcheck // what the library does
			l.SetReadDeadline(time.Time{})          //nolint:errcheck // what the library does
			_, err := io.ReadAll(l)
			require.Error(t, err)
			require.False(t, errors.Is(err, ErrRefused), "a hung server refuses nothing")
		})
	}
}

// TestLinkFiresWatches follows the library's table: set by replies, cleared by
// events, what is left fired at the end.
func TestLinkFiresWatches(t *testing.T) {
	l, far := pipe(t)
	stream := answerOf(4000, 0x77)
	stream = append(stream, replyOf(1, 0)...)          // /changed read
	stream = append(stream, replyOf(2, 0)...)          // /stays read
	stream = append(stream, replyOf(3, 0)...)          // /stays listed
	stream = append(stream, replyOf(4, codeNoNode)...) // /absent looked for
	stream = append(stream, replyOf(5, -102)...)       // /denied read
	stream = append(stream, appendEvent(nil, eventDataChanged, "/changed")...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 256)
		for range 6 { // handshake request and five more
			far.Read(buf) //nolint:errcheck // net.Pipe gives one write per read
		}
		feed(far, stream, 13)
	}()
	_, err := l.Write(make([]byte, 49))
	require.NoError(t, err)
	l.shaken = true // the requests come after the handshake
	for _, r := range [][]byte{
		getW(1, opGetData, "/changed"), getW(2, opGetData, "/stays"), getW(3, opGetChildren2, "/stays"),
		getW(4, opExists, "/absent"), getW(5, opGetData, "/denied"),
	} {
		_, err := l.Write(r)
		require.NoError(t, err)
	}
	l.shaken = false
	got, err := io.ReadAll(l)
	require.ErrorIs(t, err, io.EOF)
	<-done
	require.Equal(t, stream, got[:len(stream)])
	fired := map[string]bool{}
	for b := got[len(stream):]; len(b) > 0; {
		n := 4 + binary.BigEndian.Uint32(b)
		path, _, ok := cutString(b[28:n])
		require.True(t, ok)
		fired[path+map[byte]string{eventDataChanged: " data", eventChildrenChanged: " children"}[b[23]]] = true
		b = b[n:]
	}
	require.Equal(t, map[string]bool{"/stays data": true, "/stays children": true, "/absent data": true}, fired)
}

func FuzzLink(f *testing.F) {
	f.Add(answerOf(4000, 0x77), uint8(1))
	f.Add(append(answerOf(4000, 0x77), replyOf(1, 0, 1, 2, 3)...), uint8(9))
	f.Add(append(answerOf(4000, 0), appendEvent(nil, eventDeleted, "/x")...), uint8(200))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		l, far := pipe(t)
		l.watches.request(getW(1, opGetData, "/x"))
		go feed(far, stream, int(piece)+1)
		got, err := io.ReadAll(l)
		// Only whole frames of at least a reply's length come out.
		for first := true; len(got) > 0; first = false {
			require.GreaterOrEqual(t, len(got), 4)
			n := int(binary.BigEndian.Uint32(got))
			require.LessOrEqual(t, n, len(got)-4, "torn frame passed on (%v)", err)
			if !first {
				require.GreaterOrEqual(t, n, replyLenMin)
			}
			got = got[4+n:]
		}
	})
}

func FuzzWatches(f *testing.F) {
	f.Add(getW(1, opGetData, "/x"), replyOf(1, 0))
	f.Add(getW(1, opExists, "/x"), appendEvent(nil, eventCreated, "/x"))
	f.Fuzz(func(t *testing.T, request, reply []byte) {
		var w watches
		w.request(request)
		if len(reply) >= 20 {
			w.reply(int32(binary.BigEndian.Uint32(reply[4:])), int32(binary.BigEndian.Uint32(reply[16:])), reply[20:])
		}
		w.fire()
		require.Empty(t, w.fire())
	})
}

func TestRoutePause(t *testing.T) {
	r := newRoute([]string{"a", "b", "c"})
	seen := map[string]bool{}
	for range 3 { // each server once without a wait
		seen[r.advance()] = true
		require.Zero(t, r.pause())
	}
	require.Len(t, seen, 3)
	r.advance()
	require.GreaterOrEqual(t, r.pause(), backoffBase)
	for range 10000 {
		r.advance()
	}
	require.LessOrEqual(t, r.pause(), backoffFactor*(backoffBase+backoffJitter))
	r.lasted(time.Millisecond)
	require.NotZero(t, r.pause(), "a connection cut at once resets nothing")
	r.lasted(time.Hour)
	last := r.advance()
	require.Zero(t, r.pause())
	r.stay()
	require.Equal(t, last, r.advance())
}
