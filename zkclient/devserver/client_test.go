package devserver_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver"
	"baton/zkclient/devserver/wire"
)

// patience bounds every wait: the machine may be busy.
const patience = time.Minute

func start(t testing.TB, cfg devserver.Config) *devserver.Server {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	s, err := devserver.Start(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// client is one connection with a session.
type client struct {
	t        testing.TB
	net      net.Conn
	xid      int32
	session  int64
	password []byte
	timeout  int32
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
	return &client{t: t, net: nc}
}

func connect(t testing.TB, addr string, timeout time.Duration) *client {
	t.Helper()
	c := dial(t, addr)
	require.NoError(t, c.attach(wire.ConnectRequest{TimeoutMillis: int32(timeout.Milliseconds()), Password: make([]byte, 16)}))
	require.NotZero(t, c.session)
	return c
}

// reattach goes on with the session of another client over a new connection.
func reattach(t testing.TB, addr string, old *client) *client {
	t.Helper()
	c := dial(t, addr)
	require.NoError(t, c.attach(wire.ConnectRequest{TimeoutMillis: old.timeout, SessionID: old.session, Password: old.password}))
	return c
}

func (c *client) attach(r wire.ConnectRequest) error {
	if _, err := c.net.Write(wire.Frame(r.Encode())); err != nil {
		return err
	}
	packet, err := wire.ReadFrame(c.net)
	if err != nil {
		return err
	}
	response, err := wire.DecodeConnectResponse(packet)
	c.session, c.password, c.timeout = response.SessionID, response.Password, response.TimeoutMillis
	return err
}

func (c *client) send(op wire.Op, fill func(*wire.Encoder)) error {
	c.xid++
	var e wire.Encoder
	e.Int32(c.xid)
	e.Int32(int32(op))
	if fill != nil {
		fill(&e)
	}
	_, err := c.net.Write(wire.Frame(e.Bytes()))
	return err
}

// call returns the answer to a request; events before it are skipped.
func (c *client) call(op wire.Op, fill func(*wire.Encoder)) (zxid int64, code wire.Code, body *wire.Decoder, err error) {
	if err := c.send(op, fill); err != nil {
		return 0, 0, nil, err
	}
	for {
		packet, err := wire.ReadFrame(c.net)
		if err != nil {
			return 0, 0, nil, err
		}
		d := wire.NewDecoder(packet)
		xid := d.Int32()
		zxid, code := d.Int64(), wire.Code(d.Int32())
		if xid != wire.XidNotification {
			require.Equal(c.t, c.xid, xid)
			return zxid, code, d, nil
		}
	}
}

// must is a call that succeeds.
func (c *client) must(op wire.Op, fill func(*wire.Encoder)) (zxid int64, body *wire.Decoder) {
	c.t.Helper()
	zxid, code, body, err := c.call(op, fill)
	require.NoError(c.t, err)
	require.Equal(c.t, wire.OK, code)
	return zxid, body
}

// code is a call whose code matters.
func (c *client) code(op wire.Op, fill func(*wire.Encoder)) wire.Code {
	c.t.Helper()
	_, code, _, err := c.call(op, fill)
	require.NoError(c.t, err)
	return code
}

// ended waits for the server to close the connection.
func (c *client) ended() {
	c.t.Helper()
	_, err := io.Copy(io.Discard, c.net)
	if nerr, ok := err.(net.Error); ok {
		require.False(c.t, nerr.Timeout(), "the connection is still open")
	}
}

var world = []wire.ACL{{Perms: 31, Scheme: "world", ID: "anyone"}}

func create(path string, data []byte, mode int32) func(*wire.Encoder) {
	return func(e *wire.Encoder) {
		e.String(path)
		e.Buffer(data)
		e.ACLs(world)
		e.Int32(mode)
	}
}

func path(path string, watched bool) func(*wire.Encoder) {
	return func(e *wire.Encoder) {
		e.String(path)
		e.Bool(watched)
	}
}

func versioned(path string, version int32) func(*wire.Encoder) {
	return func(e *wire.Encoder) {
		e.String(path)
		e.Int32(version)
	}
}

func setData(path string, data []byte) func(*wire.Encoder) {
	return func(e *wire.Encoder) {
		e.String(path)
		e.Buffer(data)
		e.Int32(-1)
	}
}
