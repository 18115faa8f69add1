package zktest_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver/wire"
)

// raw is a client that says exactly what a script wants, right or wrong, and
// writes every packet it gets into the transcript.
type raw struct {
	x        *transcript
	name     string
	net      net.Conn
	xid      int32
	session  int64
	password []byte
}

// dial opens a connection without a word on it.
func (x *transcript) dial(name string) *raw {
	x.t.Helper()
	nc, err := net.DialTimeout("tcp", x.addr, patience)
	require.NoError(x.t, err)
	x.t.Cleanup(func() { nc.Close() })
	require.NoError(x.t, nc.SetDeadline(time.Now().Add(3*patience)))
	return &raw{x: x, name: name, net: nc}
}

// open opens a connection with a session of its own.
func (x *transcript) open(name string) *raw {
	x.t.Helper()
	r := x.dial(name)
	r.connect(wire.ConnectRequest{TimeoutMillis: 30000, Password: make([]byte, wire.PasswordLen), HasReadOnly: true})
	return r
}

func (r *raw) connect(request wire.ConnectRequest) {
	r.x.t.Helper()
	r.sendRaw(wire.Frame(request.Encode()))
	packet, err := wire.ReadFrame(r.net)
	if err != nil {
		r.x.logf("%s: connect: %s", r.name, ending(err))
		return
	}
	response, err := wire.DecodeConnectResponse(packet)
	require.NoError(r.x.t, err)
	r.session, r.password = response.SessionID, response.Password
	if r.session != 0 {
		r.x.t.Cleanup(r.end)
	}
	zeros := strings.Trim(string(response.Password), "\x00") == ""
	r.x.logf("%s: connected timeout=%d session=%s password=%d zeros=%v readOnlyByte=%v",
		r.name, response.TimeoutMillis, r.x.session(response.SessionID), len(response.Password), zeros, response.HasReadOnly)
}

// end closes the session, over a new connection since the old one may be of no
// use: a session left behind would expire in the middle of another script and
// move its zxids.
func (r *raw) end() {
	r.net.Close()
	nc, err := net.DialTimeout("tcp", r.x.addr, patience)
	require.NoError(r.x.t, err)
	defer nc.Close()
	require.NoError(r.x.t, nc.SetDeadline(time.Now().Add(patience)))
	again := &raw{x: &transcript{t: r.x.t, addr: r.x.addr}, net: nc}
	again.sendRaw(wire.Frame(wire.ConnectRequest{TimeoutMillis: 30000, SessionID: r.session, Password: r.password}.Encode()))
	again.sendAs(1, wire.OpCloseSession, nil)
	io.Copy(io.Discard, nc)
}

func (r *raw) sendRaw(b []byte) {
	r.x.t.Helper()
	_, err := r.net.Write(b)
	if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		require.NoError(r.x.t, err)
	}
}

// send sends a request and returns its xid.
func (r *raw) send(op wire.Op, fill func(e *wire.Encoder)) int32 {
	r.x.t.Helper()
	r.xid++
	r.sendAs(r.xid, op, fill)
	return r.xid
}

func (r *raw) sendAs(xid int32, op wire.Op, fill func(e *wire.Encoder)) {
	r.x.t.Helper()
	var e wire.Encoder
	e.Int32(xid)
	e.Int32(int32(op))
	if fill != nil {
		fill(&e)
	}
	r.sendRaw(wire.Frame(e.Bytes()))
}

// do sends a request and reads up to its answer, whose record show writes.
func (r *raw) do(what string, op wire.Op, fill func(*wire.Encoder), show func(*wire.Decoder) string) {
	r.x.t.Helper()
	xid := r.send(op, fill)
	r.until(what, xid, show)
}

// until reads packets up to the answer with an xid.
func (r *raw) until(what string, xid int32, show func(*wire.Decoder) string) {
	r.x.t.Helper()
	for {
		packet, err := wire.ReadFrame(r.net)
		if err != nil {
			r.x.logf("%s: %s: %s", r.name, what, ending(err))
			return
		}
		if r.notification(packet) {
			continue
		}
		d := wire.NewDecoder(packet)
		got, zxid, code := d.Int32(), d.Int64(), d.Int32()
		record := ""
		if code == 0 && show != nil && d.Len() > 0 {
			record = " " + show(d)
		}
		r.x.logf("%s: %s: xid=%s zxid=%s err=%d%s rest=%d%s", r.name, what, r.xidName(got, xid), r.x.zxid(zxid), code, record, d.Len(), failure(d))
		if got == xid {
			return
		}
	}
}

func (r *raw) xidName(got, want int32) string {
	if got == want && got > 0 {
		return "same"
	}
	return fmt.Sprint(got)
}

func failure(d *wire.Decoder) string {
	if d.Err() != nil {
		return " " + d.Err().Error()
	}
	return ""
}

// event reads one notification.
func (r *raw) event() {
	r.x.t.Helper()
	packet, err := wire.ReadFrame(r.net)
	if err != nil {
		r.x.logf("%s: event: %s", r.name, ending(err))
		return
	}
	if !r.notification(packet) {
		r.x.logf("%s: a packet that is no notification: %d bytes", r.name, len(packet))
	}
}

func (r *raw) notification(packet []byte) bool {
	d := wire.NewDecoder(packet)
	xid, zxid, code := d.Int32(), d.Int64(), d.Int32()
	if xid != wire.XidNotification {
		return false
	}
	r.x.logf("%s: event type=%d state=%d path=%s zxid=%d err=%d rest=%d", r.name, d.Int32(), d.Int32(), d.String(), zxid, code, d.Len())
	return true
}

// ended reads until the server closes the connection.
func (r *raw) ended() {
	r.x.t.Helper()
	for {
		packet, err := wire.ReadFrame(r.net)
		if err != nil {
			r.x.logf("%s: %s", r.name, ending(err))
			return
		}
		if !r.notification(packet) {
			r.x.logf("%s: a packet of %d bytes", r.name, len(packet))
		}
	}
}

func ending(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return "closed by the server"
	}
	return err.Error()
}

// The records of requests and answers.

var world = []wire.ACL{{Perms: 31, Scheme: "world", ID: "anyone"}}

func create(path, data string, mode int32) func(*wire.Encoder) {
	return createACL(path, data, mode, world)
}

func createACL(path, data string, mode int32, rules []wire.ACL) func(*wire.Encoder) {
	return func(e *wire.Encoder) {
		e.String(path)
		e.Buffer([]byte(data))
		e.ACLs(rules)
		e.Int32(mode)
	}
}

func createTTL(path string, mode int32, millis int64) func(*wire.Encoder) {
	return func(e *wire.Encoder) {
		create(path, "", mode)(e)
		e.Int64(millis)
	}
}

func pathVersion(path string, version int32) func(*wire.Encoder) {
	return func(e *wire.Encoder) {
		e.String(path)
		e.Int32(version)
	}
}

func pathWatch(path string, watched bool) func(*wire.Encoder) {
	return func(e *wire.Encoder) {
		e.String(path)
		e.Bool(watched)
	}
}

func pathOnly(path string) func(*wire.Encoder) {
	return func(e *wire.Encoder) { e.String(path) }
}

func setData(path, data string, version int32) func(*wire.Encoder) {
	return func(e *wire.Encoder) {
		e.String(path)
		e.Buffer([]byte(data))
		e.Int32(version)
	}
}

func setACL(path string, rules []wire.ACL, version int32) func(*wire.Encoder) {
	return func(e *wire.Encoder) {
		e.String(path)
		e.ACLs(rules)
		e.Int32(version)
	}
}

func auth(scheme, credentials string) func(*wire.Encoder) {
	return func(e *wire.Encoder) {
		e.Int32(0)
		e.String(scheme)
		e.Buffer([]byte(credentials))
	}
}

type multiOp struct {
	op   wire.Op
	fill func(*wire.Encoder)
}

func multi(ops ...multiOp) func(*wire.Encoder) {
	return func(e *wire.Encoder) {
		for _, op := range ops {
			e.MultiHeader(wire.MultiHeader{Op: op.op, Err: -1})
			op.fill(e)
		}
		e.MultiHeader(wire.EndMulti)
	}
}

func (x *transcript) showStat(d *wire.Decoder) string { return x.stat(d.Stat()) }

func (x *transcript) showPath(d *wire.Decoder) string { return d.String() }

func (x *transcript) showPathStat(d *wire.Decoder) string { return d.String() + " " + x.stat(d.Stat()) }

func (x *transcript) showData(d *wire.Decoder) string {
	data := d.Buffer()
	return fmt.Sprintf("%q null=%v %s", data, data == nil, x.stat(d.Stat()))
}

func (x *transcript) showMulti(d *wire.Decoder) string {
	var b strings.Builder
	for d.Err() == nil {
		h := d.MultiHeader()
		fmt.Fprintf(&b, "[%d %v %d", h.Op, h.Done, h.Err)
		if h.Done {
			b.WriteString("]")
			break
		}
		switch h.Op {
		case wire.OpError:
			fmt.Fprintf(&b, " code=%d", d.Int32())
		case wire.OpCreate:
			b.WriteString(" " + d.String())
		case wire.OpCreate2:
			b.WriteString(" " + x.showPathStat(d))
		case wire.OpSetData:
			b.WriteString(" " + x.showStat(d))
		case wire.OpGetData:
			b.WriteString(" " + x.showData(d))
		case wire.OpGetChildren:
			b.WriteString(" " + showSorted(d))
		}
		b.WriteString("] ")
	}
	return b.String()
}
