package zkclient

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-zookeeper/zk"
)

type (
	// Stat is ZooKeeper's description of a node.
	Stat = zk.Stat
	// Event is what a watch reports, once.
	Event = zk.Event
)

// CreateMode says what kind of node to create.
type CreateMode int32

// Kinds of nodes. They can be combined.
const (
	Persistent CreateMode = 0
	Ephemeral  CreateMode = zk.FlagEphemeral // goes with the session that created it
	Sequential CreateMode = zk.FlagSequence  // ten digits, rising, are appended to the name
)

// AnyVersion makes a Set or Delete unconditional.
const AnyVersion int32 = -1

// Ops are the calls to ZooKeeper. Each waits for a connection and an answer
// until its context ends, and then gives ErrDisconnected; the request may still
// be executed later, as long as its session lives. A watch channel gives one
// event: when the node changes, and also when the connection or the session is
// lost, as nobody watches any more then. Read again on any event.
type Ops struct {
	pick func(context.Context) (*Session, error)
	cfg  *Config
}

// Get reads a node.
func (o Ops) Get(ctx context.Context, path string) (data []byte, stat Stat, err error) {
	r, err := call(ctx, o, "read", path, func(c *zk.Conn) (r result, err error) {
		r.data, r.stat, err = c.Get(path)
		return r, err
	})
	return r.data, r.value(), err
}

// GetW is Get with a watch for a change of the data or the node's end.
func (o Ops) GetW(ctx context.Context, path string) (data []byte, stat Stat, watch <-chan Event, err error) {
	r, err := call(ctx, o, "read", path, func(c *zk.Conn) (r result, err error) {
		r.data, r.stat, r.watch, err = c.GetW(path)
		return r, err
	})
	return r.data, r.value(), r.watch, err
}

// Children lists the names of a node's children, in no order.
func (o Ops) Children(ctx context.Context, path string) (names []string, stat Stat, err error) {
	r, err := call(ctx, o, "list", path, func(c *zk.Conn) (r result, err error) {
		r.names, r.stat, err = c.Children(path)
		return r, err
	})
	return r.names, r.value(), err
}

// ChildrenW is Children with a watch for children that come and go.
func (o Ops) ChildrenW(ctx context.Context, path string) (names []string, stat Stat, watch <-chan Event, err error) {
	r, err := call(ctx, o, "list", path, func(c *zk.Conn) (r result, err error) {
		r.names, r.stat, r.watch, err = c.ChildrenW(path)
		return r, err
	})
	return r.names, r.value(), r.watch, err
}

// Exists tells whether a node exists.
func (o Ops) Exists(ctx context.Context, path string) (exists bool, stat Stat, err error) {
	r, err := call(ctx, o, "look for", path, func(c *zk.Conn) (r result, err error) {
		r.exists, r.stat, err = c.Exists(path)
		return r, err
	})
	return r.exists, r.value(), err
}

// ExistsW is Exists with a watch for the node's creation, change or end.
func (o Ops) ExistsW(ctx context.Context, path string) (exists bool, stat Stat, watch <-chan Event, err error) {
	r, err := call(ctx, o, "look for", path, func(c *zk.Conn) (r result, err error) {
		r.exists, r.stat, r.watch, err = c.ExistsW(path)
		return r, err
	})
	return r.exists, r.value(), r.watch, err
}

// Create creates a node and returns its path, which for a sequential one
// differs from the path asked for. The parent must exist.
func (o Ops) Create(ctx context.Context, path string, data []byte, mode CreateMode) (created string, err error) {
	if len(data) > DataMax {
		return "", fmt.Errorf("create %s: %w: %d bytes", path, ErrTooLarge, len(data))
	}
	r, err := call(ctx, o, "create", path, func(c *zk.Conn) (r result, err error) {
		r.path, err = c.Create(path, data, int32(mode), o.cfg.acl())
		return r, err
	})
	return r.path, err
}

// CreateAll creates a persistent node without data, and its parents, where
// they are missing.
func (o Ops) CreateAll(ctx context.Context, path string) error {
	_, err := o.Create(ctx, path, nil, Persistent)
	if errors.Is(err, ErrNoNode) {
		if parent := path[:max(strings.LastIndexByte(path, '/'), 0)]; parent != "" {
			if err := o.CreateAll(ctx, parent); err != nil {
				return err
			}
			_, err = o.Create(ctx, path, nil, Persistent)
		}
	}
	if errors.Is(err, ErrNodeExists) {
		return nil
	}
	return err
}

// Set replaces a node's data if the node has this version, or in any case with
// AnyVersion. The answer's Stat has the new version.
func (o Ops) Set(ctx context.Context, path string, data []byte, version int32) (Stat, error) {
	if len(data) > DataMax {
		return Stat{}, fmt.Errorf("write %s: %w: %d bytes", path, ErrTooLarge, len(data))
	}
	r, err := call(ctx, o, "write", path, func(c *zk.Conn) (r result, err error) {
		r.stat, err = c.Set(path, data, version)
		return r, err
	})
	return r.value(), err
}

// Delete removes a node without children if it has this version.
func (o Ops) Delete(ctx context.Context, path string, version int32) error {
	_, err := call(ctx, o, "delete", path, func(c *zk.Conn) (result, error) {
		return result{}, c.Delete(path, version)
	})
	return err
}

// WorldWritable tells whether anybody may change or remove what is below a node.
func (o Ops) WorldWritable(ctx context.Context, path string) (bool, error) {
	r, err := call(ctx, o, "read access list of", path, func(c *zk.Conn) (r result, err error) {
		acl, _, err := c.GetACL(path)
		for _, a := range acl {
			if a.Scheme == "world" && a.Perms&(zk.PermWrite|zk.PermCreate|zk.PermDelete|zk.PermAdmin) != 0 {
				r.exists = true
			}
		}
		return r, err
	})
	return r.exists, err
}

// Op is one step of Multi.
type Op struct {
	path string
	make func(Config) any
}

// CreateOp creates a node.
func CreateOp(path string, data []byte, mode CreateMode) Op {
	return Op{path, func(c Config) any {
		return &zk.CreateRequest{Path: path, Data: data, Acl: c.acl(), Flags: int32(mode)}
	}}
}

// SetOp writes a node that has this version.
func SetOp(path string, data []byte, version int32) Op {
	return Op{path, func(Config) any { return &zk.SetDataRequest{Path: path, Data: data, Version: version} }}
}

// DeleteOp deletes a node that has this version.
func DeleteOp(path string, version int32) Op {
	return Op{path, func(Config) any { return &zk.DeleteRequest{Path: path, Version: version} }}
}

// CheckOp fails the whole Multi unless the node has this version.
func CheckOp(path string, version int32) Op {
	return Op{path, func(Config) any { return &zk.CheckVersionRequest{Path: path, Version: version} }}
}

// OpResult is what one step of Multi did: the path created, or the node's
// state after a write.
type OpResult struct {
	Path string
	Stat Stat
}

// Multi executes all steps or none. The error is that of the first step that
// failed.
func (o Ops) Multi(ctx context.Context, ops ...Op) ([]OpResult, error) {
	if len(ops) == 0 {
		return nil, nil
	}
	reqs := make([]any, len(ops))
	for i, op := range ops {
		reqs[i] = op.make(*o.cfg)
	}
	r, err := call(ctx, o, "execute transaction on", ops[0].path, func(c *zk.Conn) (r result, err error) {
		r.multi, err = c.Multi(reqs...)
		return r, err
	})
	if err != nil {
		return nil, err
	}
	out := make([]OpResult, len(r.multi))
	for i, m := range r.multi {
		out[i].Path = m.String
		if m.Stat != nil {
			out[i].Stat = *m.Stat
		}
	}
	return out, nil
}

// result holds what any of the library's calls returns.
type result struct {
	data   []byte
	names  []string
	path   string
	exists bool
	stat   *Stat
	watch  <-chan Event
	multi  []zk.MultiResponse
}

func (r result) value() Stat {
	if r.stat == nil {
		return Stat{}
	}
	return *r.stat
}

// call runs one of the library's calls, which know no context, in a goroutine
// of its own and waits for whatever ends first. The goroutine of a call that
// was given up ends when the library answers or the session is over.
func call(ctx context.Context, o Ops, verb, path string, f func(*zk.Conn) (result, error)) (result, error) {
	s, err := o.pick(ctx)
	if err == nil {
		err = s.admit(ctx)
	}
	if err != nil {
		return result{}, fmt.Errorf("%s %s: %w", verb, path, err)
	}
	type outcome struct {
		result
		err error
	}
	answered := make(chan outcome, 1)
	go func() {
		defer s.calls.Done()
		r, err := f(s.conn)
		<-s.slots
		answered <- outcome{r, err}
	}()
	select {
	case out := <-answered:
		if out.err == nil {
			return out.result, nil
		}
		select {
		case <-s.done: // what the library says while it ends is of no interest
			return result{}, fmt.Errorf("%s %s: %w", verb, path, s.over())
		default:
		}
		return result{}, explain(verb, path, out.err)
	case <-s.done:
		return result{}, fmt.Errorf("%s %s: %w", verb, path, s.over())
	case <-ctx.Done():
		return result{}, fmt.Errorf("%s %s: %w", verb, path, s.client.unanswered(ctx))
	}
}

// admit waits until the session is attached and there is room for one more
// call, and counts the call.
func (s *Session) admit(ctx context.Context) error {
	<-s.started
	for {
		s.client.mu.Lock()
		up, attached := s.state.up, s.state.attached
		s.client.mu.Unlock()
		if !attached {
			select {
			case <-up:
				continue
			case <-s.done:
				return s.over()
			case <-ctx.Done():
				return s.client.unanswered(ctx)
			}
		}
		select {
		case s.slots <- struct{}{}:
		case <-s.done:
			return s.over()
		case <-ctx.Done():
			return s.client.unanswered(ctx)
		}
		s.client.mu.Lock()
		over := s.state.cause != nil
		if !over {
			s.calls.Add(1) // under the lock that end takes, so never after Wait
		}
		s.client.mu.Unlock()
		if over {
			<-s.slots
			return s.over()
		}
		return nil
	}
}
