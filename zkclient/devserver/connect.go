package devserver

import (
	"crypto/rand"
	"time"

	"baton/zkclient/devserver/acl"
	"baton/zkclient/devserver/session"
	"baton/zkclient/devserver/wire"
)

// sessionsMax bounds the sessions that clients may leave behind.
const sessionsMax = 1 << 16

// idsMax bounds the identities of one connection.
const idsMax = 16

// connect answers the first packet of a connection: with a new session, with
// the one that the client had, or with a session id of 0, which tells it that
// its session has expired.
func (p *processor) connect(c *conn, t task) {
	c.owned.lastOp = wire.OpCreateSession
	r, err := wire.DecodeConnectRequest(t.packet)
	if err != nil {
		p.finish(c)
		return
	}
	if r.LastZxidSeen > p.db.zxid {
		p.cfg.Logger.Warn("connection refused: the client has seen later changes than this server has",
			"client", c.remote, "client_zxid", sessionName(r.LastZxidSeen), "zxid", sessionName(p.db.zxid))
		p.finish(c)
		return
	}
	asked := time.Duration(r.TimeoutMillis) * time.Millisecond
	timeout := min(max(asked, p.cfg.MinSessionTimeout), p.cfg.MaxSessionTimeout)
	if r.SessionID == 0 {
		p.welcome(c, t, r, p.newSession(c, timeout))
		return
	}
	s := p.db.sessions.Get(r.SessionID)
	if s == nil || !s.Authentic(r.Password) {
		p.answer(c, t, wire.ConnectResponse{Password: make([]byte, wire.PasswordLen), HasReadOnly: r.HasReadOnly}.Encode())
		p.finish(c)
		return
	}
	if old := p.attached[s.ID]; old != nil { // the client has moved to a new connection
		p.detach(old)
		p.finish(old)
	}
	if s.Timeout != timeout {
		p.record(p.db.setTimeout(s, timeout, p.now))
	}
	p.welcome(c, t, r, s)
}

func (p *processor) newSession(c *conn, timeout time.Duration) *session.Session {
	if p.db.sessions.Len() >= sessionsMax {
		p.cfg.Logger.Warn("session refused: too many sessions", "client", c.remote, "limit", sessionsMax)
		return nil
	}
	password := make([]byte, wire.PasswordLen)
	rand.Read(password) // never fails
	s, record := p.db.openSession(password, timeout, p.now)
	p.record(record)
	return s
}

func (p *processor) welcome(c *conn, t task, r wire.ConnectRequest, s *session.Session) {
	if s == nil {
		p.finish(c)
		return
	}
	s.Heard(p.now)
	c.session.Store(s)
	p.attached[s.ID] = c
	p.answer(c, t, wire.ConnectResponse{
		TimeoutMillis: int32(s.Timeout.Milliseconds()), SessionID: s.ID, Password: s.Password, HasReadOnly: r.HasReadOnly,
	}.Encode())
}

// record hands a record to the journal, if there is one. It must have been
// checked to be short enough.
func (p *processor) record(record []byte) {
	if p.journal == nil {
		return
	}
	if err := p.journal.Append(record); err != nil {
		panic(err) // a session's record is short, and changes are checked before
	}
}

// endSession ends a session that its client has closed or that has expired:
// its ephemeral nodes go, and its connection is no longer attached.
func (p *processor) endSession(s *session.Session) {
	deleted, record, err := p.db.closeSession(s)
	if err != nil {
		panic(err) // ephemeral nodes have no children, so they can be deleted
	}
	p.record(record)
	for _, path := range deleted {
		p.fire(event{wire.EventNodeDeleted, path})
	}
	if c := p.attached[s.ID]; c != nil {
		p.watches.DropWatcher(c)
		c.session.Store(nil)
		delete(p.attached, s.ID)
	}
}

// authenticate adds an identity to a connection.
func (p *processor) authenticate(c *conn, d *wire.Decoder) wire.Code {
	d.Int32()
	scheme, credentials := d.String(), d.Buffer()
	if d.Err() != nil {
		return wire.MarshallingError
	}
	switch scheme {
	case "ip": // the address is known already
		return wire.OK
	case "digest":
		id := acl.Digest(string(credentials))
		for _, known := range c.owned.ids {
			if known == id {
				return wire.OK
			}
		}
		if len(c.owned.ids) < idsMax {
			c.owned.ids = append(c.owned.ids, id)
			return wire.OK
		}
	}
	return wire.AuthFailed
}
