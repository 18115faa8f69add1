package devserver

import (
	"fmt"
	"strings"

	"baton/zkclient/devserver/acl"
	"baton/zkclient/devserver/journal"
	"baton/zkclient/devserver/tree"
	"baton/zkclient/devserver/watch"
	"baton/zkclient/devserver/wire"
)

// event is what happened to a node.
type event struct {
	kind wire.EventType
	path string
}

// fire tells the watchers of an event.
func (p *processor) fire(e event) {
	tell := func(c *conn, e watch.Event) { p.tell(c, e) }
	if e.kind == wire.EventNodeDataChanged {
		p.watches.Changed(e.path, tell)
		return
	}
	parent, _ := tree.Split(e.path)
	if e.kind == wire.EventNodeCreated {
		p.watches.Created(e.path, parent, tell)
	} else {
		p.watches.Deleted(e.path, parent, tell)
	}
}

// transaction is changes that are made with one zxid, all or none.
type transaction struct {
	zxid    int64
	millis  int64
	changes []tree.Change
	undo    []func()
	events  []event
	sync    bool // something in it must survive the machine
}

// begin starts a transaction. It takes a zxid even if nothing comes of it, as
// in ZooKeeper.
func (p *processor) begin() *transaction {
	p.db.zxid++
	return &transaction{zxid: p.db.zxid, millis: p.now.UnixMilli()}
}

func (tx *transaction) rollback() {
	for i := len(tx.undo) - 1; i >= 0; i-- {
		tx.undo[i]()
	}
}

// commit writes the transaction to the journal and tells the watchers. It
// fails, with everything undone, if the journal cannot hold so much at once.
func (p *processor) commit(tx *transaction) wire.Code {
	if p.journal != nil && len(tx.changes) > 0 {
		record := encodeChanges(tx.zxid, tx.millis, tx.changes)
		if len(record) > journal.MaxRecord {
			tx.rollback()
			return wire.BadArguments
		}
		p.record(record)
		p.sync = p.sync || tx.sync
	}
	for _, e := range tx.events {
		p.fire(e)
	}
	return wire.OK
}

// apply checks a change and makes it; result is the record that answers it.
func (p *processor) apply(c *conn, tx *transaction, r wire.Change) (result []byte, code wire.Code) {
	change, kind, code := p.prepare(c, r)
	if code != wire.OK || r.Op == wire.OpCheck {
		return nil, code
	}
	n := p.db.tree.Get(change.Path)
	tx.sync = tx.sync || change.Kind != tree.SetData || n.Owner.Session() == 0
	undo, err := p.db.tree.Apply(change, tx.zxid, tx.millis)
	if err != nil {
		panic(fmt.Sprintf("checked change does not fit: %v", err))
	}
	tx.undo = append(tx.undo, undo)
	tx.changes = append(tx.changes, change)
	if kind != 0 {
		tx.events = append(tx.events, event{kind, change.Path})
	}
	var e wire.Encoder
	switch r.Op {
	case wire.OpDelete:
	case wire.OpCreate:
		e.String(change.Path)
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		e.String(change.Path)
		e.Stat(p.db.tree.Get(change.Path).Stat())
	default:
		e.Stat(p.db.tree.Get(change.Path).Stat())
	}
	return e.Bytes(), wire.OK
}

// prepare turns a request into the change it makes, or says why it must not be
// made. kind is what watchers are told, zero for nothing. The order of the
// checks is ZooKeeper's.
func (p *processor) prepare(c *conn, r wire.Change) (change tree.Change, kind wire.EventType, code wire.Code) {
	switch r.Op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		change, code = p.prepareCreate(c, r)
		return change, wire.EventNodeCreated, code
	case wire.OpDelete:
		return tree.Change{Kind: tree.Delete, Path: r.Path}, wire.EventNodeDeleted, p.checkDelete(c, r)
	case wire.OpSetData:
		_, code = p.writable(c, r, wire.PermWrite)
		return tree.Change{Kind: tree.SetData, Path: r.Path, Data: r.Data}, wire.EventNodeDataChanged, code
	case wire.OpCheck:
		_, code = p.writable(c, r, wire.PermRead)
		return tree.Change{}, 0, code
	}
	if !tree.ValidPath(r.Path) {
		return change, 0, wire.BadArguments
	}
	rules, ok := acl.Resolve(r.ACL, c.owned.ids)
	if !ok {
		return change, 0, wire.InvalidACL
	}
	_, code = p.writable(c, r, wire.PermAdmin)
	return tree.Change{Kind: tree.SetACL, Path: r.Path, ACL: rules}, 0, code
}

// writable checks path, permission and version of a change to a node that
// exists.
func (p *processor) writable(c *conn, r wire.Change, perm int32) (*tree.Node, wire.Code) {
	if !tree.ValidPath(r.Path) {
		return nil, wire.BadArguments
	}
	n, code := p.readable(c, r.Path, perm)
	if code != wire.OK {
		return nil, code
	}
	version := n.Version
	if r.Op == wire.OpSetACL {
		version = n.Aversion
	}
	if r.Version != -1 && r.Version != version {
		return nil, wire.BadVersion
	}
	return n, wire.OK
}

func (p *processor) prepareCreate(c *conn, r wire.Change) (change tree.Change, code wire.Code) {
	owner, sequential, code := ownerOf(c, r)
	if code != wire.OK {
		return change, code
	}
	slash := strings.LastIndexByte(r.Path, '/')
	if slash < 0 || strings.IndexByte(r.Path, 0) >= 0 {
		return change, wire.BadArguments
	}
	rules, ok := acl.Resolve(r.ACL, c.owned.ids)
	if !ok {
		return change, wire.InvalidACL
	}
	parentPath := tree.Root
	if slash > 0 {
		parentPath = r.Path[:slash]
	}
	parent, code := p.readable(c, parentPath, wire.PermCreate)
	if code != wire.OK {
		return change, code
	}
	path := r.Path
	if sequential {
		path = fmt.Sprintf("%s%010d", path, parent.Creates)
	}
	switch {
	case !tree.ValidPath(path):
		return change, wire.BadArguments
	case p.db.tree.Get(path) != nil:
		return change, wire.NodeExists
	case parent.Owner.Session() != 0:
		return change, wire.NoChildrenForEphemerals
	}
	return tree.Change{Kind: tree.Create, Path: path, Data: r.Data, ACL: rules, Owner: owner}, wire.OK
}

// ownerOf reads the mode of a create.
func ownerOf(c *conn, r wire.Change) (owner tree.Owner, sequential bool, code wire.Code) {
	timed := false
	switch r.Mode {
	case wire.ModePersistent:
	case wire.ModePersistentSequential:
		sequential = true
	case wire.ModeEphemeral, wire.ModeEphemeralSequential:
		owner, sequential = tree.Owner(c.session.Load().ID), r.Mode == wire.ModeEphemeralSequential
	case wire.ModeContainer:
		owner = tree.Container
	case wire.ModePersistentTTL, wire.ModePersistentSequentialTTL:
		timed, sequential = true, r.Mode == wire.ModePersistentSequentialTTL
	default:
		return 0, false, wire.BadArguments
	}
	switch {
	case timed && (r.TTL <= 0 || r.TTL > tree.MaxTTL), !timed && r.TTL >= 0:
		return 0, false, wire.BadArguments
	case timed:
		owner = tree.TTLOwner(r.TTL)
	}
	return owner, sequential, wire.OK
}

func (p *processor) checkDelete(c *conn, r wire.Change) wire.Code {
	if strings.LastIndexByte(r.Path, '/') < 0 || strings.IndexByte(r.Path, 0) >= 0 || tree.Reserved(r.Path) {
		return wire.BadArguments
	}
	parentPath, _ := tree.Split(r.Path)
	parent, n := p.db.tree.Get(parentPath), p.db.tree.Get(r.Path)
	switch {
	case parent == nil:
		return wire.NoNode
	case !acl.Allowed(parent.ACL, c.owned.ids, wire.PermDelete):
		return wire.NoAuth
	case n == nil:
		return wire.NoNode
	case r.Version != -1 && r.Version != n.Version:
		return wire.BadVersion
	case n.NumChildren() > 0:
		return wire.NotEmpty
	}
	return wire.OK
}

// changeOne makes a single change.
func (p *processor) changeOne(c *conn, op wire.Op, d *wire.Decoder, body *wire.Encoder) wire.Code {
	tx := p.begin()
	r, _ := wire.DecodeChange(op, d)
	if d.Err() != nil {
		return wire.MarshallingError
	}
	result, code := p.apply(c, tx, r)
	if code == wire.OK {
		code = p.commit(tx)
	}
	body.Raw(result)
	return code
}

// multi makes several changes or none. Each has a result: its record, or, if
// one has failed, an error: none before it, its own, RuntimeInconsistency after
// it. The answer as a whole is a success either way.
func (p *processor) multi(c *conn, d *wire.Decoder, body *wire.Encoder) wire.Code {
	tx := p.begin()
	requests, code := decodeMulti(d)
	if code != wire.OK {
		return code
	}
	var results wire.Encoder
	for i, r := range requests {
		if r.Op == wire.OpCreate2 { // ZooKeeper 3.8 answers it like a create within a multi
			r.Op = wire.OpCreate
		}
		result, code := p.apply(c, tx, r)
		if code != wire.OK {
			tx.rollback()
			failMulti(body, len(requests), i, code)
			return wire.OK
		}
		results.MultiHeader(wire.MultiHeader{Op: resultOp(r.Op)})
		results.Raw(result)
	}
	if code := p.commit(tx); code != wire.OK {
		failMulti(body, len(requests), 0, code)
		return wire.OK
	}
	body.Raw(results.Bytes())
	body.MultiHeader(wire.EndMulti)
	return wire.OK
}

// resultOp is the operation in the header of a result.
func resultOp(op wire.Op) wire.Op {
	switch op {
	case wire.OpCreateContainer, wire.OpCreateTTL:
		return wire.OpCreate2
	}
	return op
}

func decodeMulti(d *wire.Decoder) ([]wire.Change, wire.Code) {
	var requests []wire.Change
	for {
		h := d.MultiHeader()
		if d.Err() != nil {
			return nil, wire.MarshallingError
		}
		if h.Done {
			return requests, wire.OK
		}
		r, ok := wire.DecodeChange(h.Op, d)
		if !ok || h.Op == wire.OpSetACL || d.Err() != nil {
			return nil, wire.MarshallingError
		}
		requests = append(requests, r)
	}
}

func failMulti(body *wire.Encoder, count, failed int, code wire.Code) {
	for i := range count {
		result := wire.OK
		switch {
		case i == failed:
			result = code
		case i > failed:
			result = wire.RuntimeInconsistency
		}
		body.MultiHeader(wire.MultiHeader{Op: wire.OpError, Err: result})
		body.Int32(int32(result))
	}
	body.MultiHeader(wire.EndMulti)
}

// removeOutlived deletes emptied containers and nodes whose time to live has
// passed.
func (p *processor) removeOutlived() {
	for _, path := range p.db.tree.Removable(p.now.UnixMilli()) {
		tx := p.begin()
		change := tree.Change{Kind: tree.Delete, Path: path}
		if _, err := p.db.tree.Apply(change, tx.zxid, tx.millis); err != nil {
			panic(err) // Removable gives only nodes without children
		}
		tx.changes, tx.sync = append(tx.changes, change), true
		tx.events = append(tx.events, event{wire.EventNodeDeleted, path})
		p.commit(tx) // one short record always fits
		p.cfg.Logger.Info("node removed", "path", path)
	}
}
