package devserver

import (
	"slices"
	"strings"

	"baton/zkclient/devserver/acl"
	"baton/zkclient/devserver/tree"
	"baton/zkclient/devserver/wire"
)

// request answers one packet of a connection with a session.
func (p *processor) request(c *conn, t task) {
	s := c.session.Load()
	if s == nil || p.attached[s.ID] != c { // the session has ended, or moved to another connection
		p.finish(c)
		return
	}
	s.Heard(p.now)
	d := wire.NewDecoder(t.packet)
	xid, op := d.Int32(), wire.Op(d.Int32())
	if d.Err() != nil {
		p.finish(c)
		return
	}
	c.owned.lastOp, c.owned.lastXid = op, xid
	var body wire.Encoder
	code := p.dispatch(c, op, d, &body)
	zxid := p.db.zxid
	switch {
	case op == wire.OpAuth:
		zxid = 0
	case code == wire.Unimplemented && !served(op):
		zxid = -1
	}
	c.owned.lastZxid = zxid
	p.answer(c, t, wire.Reply(xid, zxid, code, body.Bytes()))
	switch {
	case op == wire.OpCloseSession, op == wire.OpAuth && code != wire.OK, zxid == -1, p.tooManyWatches(c):
		p.finish(c)
	}
}

// served reports whether an operation can be asked for at all. A client that
// asks for another one is answered and its connection closed.
func served(op wire.Op) bool {
	switch op {
	case wire.OpNotification, wire.OpReconfig, wire.OpDeleteContainer, wire.OpSASL, wire.OpCreateSession, wire.OpError:
		return false
	}
	return !strings.HasPrefix(op.String(), "OP")
}

// dispatch does what a request asks for and encodes the answer's record. It is
// one flat list of the operations.
func (p *processor) dispatch(c *conn, op wire.Op, d *wire.Decoder, body *wire.Encoder) (code wire.Code) {
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpDelete, wire.OpSetData, wire.OpSetACL, wire.OpCheck:
		return p.changeOne(c, op, d, body)
	case wire.OpMulti:
		return p.multi(c, d, body)
	case wire.OpMultiRead:
		return p.multiRead(c, d, body)
	case wire.OpPing:
		return wire.OK
	case wire.OpExists:
		code = p.exists(c, d, body)
	case wire.OpGetData:
		code = p.getData(c, d.String(), d.Bool(), body)
	case wire.OpGetChildren, wire.OpGetChildren2:
		code = p.getChildren(c, op, d.String(), d.Bool(), body)
	case wire.OpGetACL:
		code = p.getACL(c, d, body)
	case wire.OpSync:
		body.String(d.String())
	case wire.OpGetEphemerals:
		p.getEphemerals(c, d.String(), body)
	case wire.OpGetAllChildrenNumber:
		code = p.getAllChildrenNumber(c, d.String(), body)
	case wire.OpWhoAmI:
		p.whoAmI(c, body)
	case wire.OpSetWatches, wire.OpSetWatches2:
		code = p.setWatches(c, op, d)
	case wire.OpAddWatch:
		code = p.addWatch(c, d, body)
	case wire.OpCheckWatches, wire.OpRemoveWatches:
		code = p.removeWatches(c, op, d)
	case wire.OpAuth:
		return p.authenticate(c, d)
	case wire.OpCloseSession:
		p.endSession(c.session.Load())
	default:
		return wire.Unimplemented
	}
	if d.Err() != nil {
		return wire.MarshallingError
	}
	return code
}

// readable returns the node at path, or why the caller may not read it.
func (p *processor) readable(c *conn, path string, perm int32) (*tree.Node, wire.Code) {
	n := p.db.tree.Get(path)
	if n == nil {
		return nil, wire.NoNode
	}
	if !acl.Allowed(n.ACL, c.owned.ids, perm) {
		return nil, wire.NoAuth
	}
	return n, wire.OK
}

func (p *processor) exists(c *conn, d *wire.Decoder, body *wire.Encoder) wire.Code {
	path, watched := d.String(), d.Bool()
	if d.Err() != nil {
		return wire.MarshallingError
	}
	if strings.ContainsRune(path, 0) {
		return wire.BadArguments
	}
	if watched { // also on a node that does not exist: the watch hears of its creation
		p.watches.AddData(path, c)
	}
	n := p.db.tree.Get(path)
	if n == nil {
		return wire.NoNode
	}
	body.Stat(n.Stat())
	return wire.OK
}

func (p *processor) getData(c *conn, path string, watched bool, body *wire.Encoder) wire.Code {
	n, code := p.readable(c, path, wire.PermRead)
	if code != wire.OK {
		return code
	}
	if watched {
		p.watches.AddData(path, c)
	}
	body.Buffer(n.Data)
	body.Stat(n.Stat())
	return wire.OK
}

func (p *processor) getChildren(c *conn, op wire.Op, path string, watched bool, body *wire.Encoder) wire.Code {
	n, code := p.readable(c, path, wire.PermRead)
	if code != wire.OK {
		return code
	}
	if watched {
		p.watches.AddChild(path, c)
	}
	body.Strings(n.Children())
	if op == wire.OpGetChildren2 {
		body.Stat(n.Stat())
	}
	return wire.OK
}

func (p *processor) getACL(c *conn, d *wire.Decoder, body *wire.Encoder) wire.Code {
	n, code := p.readable(c, d.String(), wire.PermRead|wire.PermAdmin)
	if code != wire.OK {
		return code
	}
	rules := n.ACL
	if !acl.Allowed(rules, c.owned.ids, wire.PermAdmin) {
		rules = acl.Masked(rules)
	}
	body.ACLs(rules)
	body.Stat(n.Stat())
	return wire.OK
}

func (p *processor) getEphemerals(c *conn, prefix string, body *wire.Encoder) {
	paths := p.db.tree.Ephemerals(c.session.Load().ID)
	body.Strings(slices.DeleteFunc(paths, func(path string) bool { return !strings.HasPrefix(path, prefix) }))
}

func (p *processor) getAllChildrenNumber(c *conn, path string, body *wire.Encoder) wire.Code {
	if _, code := p.readable(c, path, wire.PermRead); code != wire.OK {
		return code
	}
	body.Int32(int32(p.db.tree.Descendants(path)))
	return wire.OK
}

func (p *processor) whoAmI(c *conn, body *wire.Encoder) {
	body.Int32(int32(len(c.owned.ids)))
	for _, id := range c.owned.ids {
		body.String(id.Scheme)
		body.String(id.User())
	}
}

// multiRead answers several getData and getChildren at once; each has its own
// result or error.
func (p *processor) multiRead(c *conn, d *wire.Decoder, body *wire.Encoder) wire.Code {
	for {
		h := d.MultiHeader()
		if d.Err() != nil {
			return wire.MarshallingError
		}
		if h.Done {
			break
		}
		path, _ := d.String(), d.Bool()
		var result wire.Encoder
		var code wire.Code
		switch {
		case d.Err() != nil:
			return wire.MarshallingError
		case h.Op == wire.OpGetData:
			code = p.getData(c, path, false, &result)
		case h.Op == wire.OpGetChildren:
			code = p.getChildren(c, h.Op, path, false, &result)
		default:
			return wire.MarshallingError
		}
		if code != wire.OK {
			body.MultiHeader(wire.MultiHeader{Op: wire.OpError, Err: code})
			body.Int32(int32(code))
		} else {
			body.MultiHeader(wire.MultiHeader{Op: h.Op})
			body.Raw(result.Bytes())
		}
		if body.Len() > p.cfg.MaxQueuedBytes {
			return wire.MarshallingError // few paths can ask for much data
		}
	}
	body.MultiHeader(wire.EndMulti)
	return wire.OK
}
