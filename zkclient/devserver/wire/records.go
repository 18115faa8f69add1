package wire

// PasswordLen is the length of a session's password, in bytes.
const PasswordLen = 16

// ACL lets the holders of an identity do what the permission bits say.
type ACL struct {
	Perms  int32
	Scheme string
	ID     string
}

// Stat is a node's status. Times are Unix milliseconds.
type Stat struct {
	Czxid, Mzxid, Ctime, Mtime  int64
	Version, Cversion, Aversion int32
	EphemeralOwner              int64
	DataLength, NumChildren     int32
	Pzxid                       int64
}

// ConnectRequest opens a connection: SessionID 0 asks for a new session, any
// other id asks to go on with that one.
type ConnectRequest struct {
	ProtocolVersion int32
	LastZxidSeen    int64
	TimeoutMillis   int32
	SessionID       int64
	Password        []byte
	// ReadOnly is the last byte; HasReadOnly is false for clients that do not
	// send it and do not expect one back.
	ReadOnly, HasReadOnly bool
}

// DecodeConnectRequest reads the first packet of a connection.
func DecodeConnectRequest(packet []byte) (ConnectRequest, error) {
	d := NewDecoder(packet)
	r := ConnectRequest{
		ProtocolVersion: d.Int32(), LastZxidSeen: d.Int64(), TimeoutMillis: d.Int32(),
		SessionID: d.Int64(), Password: d.Buffer(),
	}
	if d.Err() == nil && d.Len() > 0 {
		r.HasReadOnly, r.ReadOnly = true, d.Bool()
	}
	return r, d.Err()
}

// Encode returns the packet of a connect request.
func (r ConnectRequest) Encode() []byte {
	var e Encoder
	e.Int32(r.ProtocolVersion)
	e.Int64(r.LastZxidSeen)
	e.Int32(r.TimeoutMillis)
	e.Int64(r.SessionID)
	e.Buffer(r.Password)
	if r.HasReadOnly {
		e.Bool(r.ReadOnly)
	}
	return e.Bytes()
}

// ConnectResponse answers a ConnectRequest. Timeout 0 and session 0 say that
// the session asked for has expired.
type ConnectResponse struct {
	TimeoutMillis int32
	SessionID     int64
	Password      []byte
	HasReadOnly   bool
}

// Encode returns the packet of a connect response.
func (r ConnectResponse) Encode() []byte {
	var e Encoder
	e.Int32(0)
	e.Int32(r.TimeoutMillis)
	e.Int64(r.SessionID)
	e.Buffer(r.Password)
	if r.HasReadOnly {
		e.Bool(false)
	}
	return e.Bytes()
}

// DecodeConnectResponse reads the answer to a ConnectRequest.
func DecodeConnectResponse(packet []byte) (ConnectResponse, error) {
	d := NewDecoder(packet)
	d.Int32()
	r := ConnectResponse{TimeoutMillis: d.Int32(), SessionID: d.Int64(), Password: d.Buffer()}
	r.HasReadOnly = d.Err() == nil && d.Len() > 0
	return r, d.Err()
}

// Change is a request to create, delete, set, set the ACL of or check one
// node, alone or within a multi. Fields an operation does not have are zero.
type Change struct {
	Op      Op
	Path    string
	Data    []byte
	ACL     []ACL
	Mode    int32
	TTL     int64 // milliseconds; -1 without
	Version int32
}

// DecodeChange reads the record of a change. ok is false for an operation that
// is not one; a damaged record is in d.Err.
func DecodeChange(op Op, d *Decoder) (c Change, ok bool) {
	c = Change{Op: op, TTL: -1}
	switch op {
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
		c.Path, c.Data, c.ACL, c.Mode = d.String(), d.Buffer(), d.ACLs(), d.Int32()
		if op == OpCreateTTL {
			c.TTL = d.Int64()
		}
	case OpDelete, OpCheck:
		c.Path, c.Version = d.String(), d.Int32()
	case OpSetData:
		c.Path, c.Data, c.Version = d.String(), d.Buffer(), d.Int32()
	case OpSetACL:
		c.Path, c.ACL, c.Version = d.String(), d.ACLs(), d.Int32()
	default:
		return c, false
	}
	return c, true
}

// MultiHeader stands before each operation and each result of a multi, and
// with Done at its end.
type MultiHeader struct {
	Op   Op
	Done bool
	Err  Code
}

// MultiHeader reads one header.
func (d *Decoder) MultiHeader() MultiHeader {
	return MultiHeader{Op: Op(d.Int32()), Done: d.Bool(), Err: Code(d.Int32())}
}

// MultiHeader appends one header.
func (e *Encoder) MultiHeader(h MultiHeader) {
	e.Int32(int32(h.Op))
	e.Bool(h.Done)
	e.Int32(int32(h.Err))
}

// EndMulti is the last header of a multi.
var EndMulti = MultiHeader{Op: OpError, Done: true, Err: -1}

// Notification returns the packet that tells a client of an event.
func Notification(event EventType, path string) []byte {
	var e Encoder
	e.Int32(XidNotification)
	e.Int64(-1)
	e.Int32(0)
	e.Int32(int32(event))
	e.Int32(StateSyncConnected)
	e.String(path)
	return e.Bytes()
}

// Reply returns the packet that answers a request. body is left out if code is
// an error, as the protocol wants.
func Reply(xid int32, zxid int64, code Code, body []byte) []byte {
	var e Encoder
	e.Int32(xid)
	e.Int64(zxid)
	e.Int32(int32(code))
	if code == OK {
		e.Raw(body)
	}
	return e.Bytes()
}
