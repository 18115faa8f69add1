package devserver

import (
	"baton/zkclient/devserver/watch"
	"baton/zkclient/devserver/wire"
)

// watchesMax bounds the paths that one connection may watch.
const watchesMax = 1 << 17

func (p *processor) tooManyWatches(c *conn) bool {
	if p.watches.LenOf(c) <= watchesMax {
		return false
	}
	p.cfg.Logger.Warn("connection cut: too many watches", "client", c.remote, "limit", watchesMax)
	return true
}

// setWatches restores the watches of a client that has reconnected. What it
// has missed since the zxid it names is told at once.
func (p *processor) setWatches(c *conn, op wire.Op, d *wire.Decoder) wire.Code {
	seen := d.Int64()
	data, exist, children := d.Strings(), d.Strings(), d.Strings()
	var persistent, recursive []string
	if op == wire.OpSetWatches2 {
		persistent, recursive = d.Strings(), d.Strings()
	}
	if d.Err() != nil {
		return wire.MarshallingError
	}
	for _, path := range data {
		if n := p.db.tree.Get(path); n == nil {
			p.tell(c, watch.Event{Type: wire.EventNodeDeleted, Path: path})
		} else if n.Mzxid > seen {
			p.tell(c, watch.Event{Type: wire.EventNodeDataChanged, Path: path})
		} else {
			p.watches.AddData(path, c)
		}
	}
	for _, path := range exist {
		if p.db.tree.Get(path) != nil {
			p.tell(c, watch.Event{Type: wire.EventNodeCreated, Path: path})
		} else {
			p.watches.AddData(path, c)
		}
	}
	for _, path := range children {
		if n := p.db.tree.Get(path); n == nil {
			p.tell(c, watch.Event{Type: wire.EventNodeDeleted, Path: path})
		} else if n.Pzxid > seen {
			p.tell(c, watch.Event{Type: wire.EventNodeChildrenChanged, Path: path})
		} else {
			p.watches.AddChild(path, c)
		}
	}
	for _, path := range persistent {
		p.watches.AddPersistent(path, c)
	}
	for _, path := range recursive {
		p.watches.AddRecursive(path, c)
	}
	return wire.OK
}

func (p *processor) addWatch(c *conn, d *wire.Decoder, body *wire.Encoder) wire.Code {
	path, mode := d.String(), d.Int32()
	if d.Err() != nil {
		return wire.MarshallingError
	}
	switch mode {
	case wire.WatchPersistent:
		p.watches.AddPersistent(path, c)
	case wire.WatchPersistentRecursive:
		p.watches.AddRecursive(path, c)
	default:
		return wire.BadArguments
	}
	body.Int32(0) // an ErrorResponse that says there is none
	return wire.OK
}

// removeWatches also answers checkWatches, which only looks.
func (p *processor) removeWatches(c *conn, op wire.Op, d *wire.Decoder) wire.Code {
	path, kind := d.String(), d.Int32()
	if d.Err() != nil {
		return wire.MarshallingError
	}
	found, known := p.watches.Has(path, c, kind)
	if op == wire.OpRemoveWatches {
		found, known = p.watches.Remove(path, c, kind)
	}
	switch {
	case !known:
		return wire.MarshallingError
	case !found:
		return wire.NoWatcher
	}
	return wire.OK
}
