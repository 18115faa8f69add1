package tree

import (
	"errors"
	"fmt"

	"baton/zkclient/devserver/wire"
)

// ErrMisfit says that a change cannot be applied to this tree: its node or
// parent is missing, or there already. A checked request never causes it; a
// log that does not belong to its snapshot does.
var ErrMisfit = errors.New("tree: change does not fit the tree")

// Kind is what a Change does.
type Kind int32

// Kinds of changes. The numbers are on disk.
const (
	Create  Kind = 1
	Delete  Kind = 2
	SetData Kind = 3
	SetACL  Kind = 4
)

// Change is one change to one node, complete: sequence numbers are in the
// path, versions were checked. Unused fields are zero.
type Change struct {
	Kind  Kind
	Path  string
	Data  []byte
	ACL   []wire.ACL
	Owner Owner
}

// apply is Apply without the quotas.
func (t *Tree) apply(c Change, zxid, now int64) (undo func(), err error) {
	switch c.Kind {
	case Create:
		return t.create(c, zxid, now)
	case Delete:
		return t.delete(c, zxid)
	}
	n := t.nodes[c.Path]
	if n == nil {
		return nil, fmt.Errorf("%w: change of %q, which does not exist", ErrMisfit, c.Path)
	}
	old := *n
	switch c.Kind {
	case SetData:
		t.dataBytes += int64(len(c.Data) - len(n.Data))
		n.Data, n.Version, n.Mzxid, n.Mtime = c.Data, nextVersion(n.Version), zxid, now
		return func() {
			t.dataBytes += int64(len(old.Data) - len(n.Data))
			n.Data, n.Version, n.Mzxid, n.Mtime = old.Data, old.Version, old.Mzxid, old.Mtime
		}, nil
	case SetACL:
		n.ACL, n.Aversion = c.ACL, nextVersion(n.Aversion)
		return func() { n.ACL, n.Aversion = old.ACL, old.Aversion }, nil
	}
	return nil, fmt.Errorf("%w: unknown kind %d", ErrMisfit, c.Kind)
}

// nextVersion skips -1 when the counter wraps, since -1 means "any version" in
// a request.
func nextVersion(v int32) int32 {
	if v++; v == -1 {
		return 0
	}
	return v
}

func (t *Tree) create(c Change, zxid, now int64) (func(), error) {
	if !ValidPath(c.Path) || t.nodes[c.Path] != nil {
		return nil, fmt.Errorf("%w: create of %q, which exists or is no path", ErrMisfit, c.Path)
	}
	parentPath, _ := Split(c.Path)
	parent := t.nodes[parentPath]
	if parent == nil {
		return nil, fmt.Errorf("%w: create of %q, which has no parent", ErrMisfit, c.Path)
	}
	n := &Node{
		Data: c.Data, ACL: c.ACL, Owner: c.Owner,
		Czxid: zxid, Mzxid: zxid, Pzxid: zxid, Ctime: now, Mtime: now,
	}
	creates, pzxid := parent.Creates, parent.Pzxid
	t.insert(c.Path, n)
	parent.Creates++
	parent.Pzxid = zxid
	return func() {
		t.remove(c.Path, n)
		parent.Creates, parent.Pzxid = creates, pzxid
	}, nil
}

func (t *Tree) delete(c Change, zxid int64) (func(), error) {
	n := t.nodes[c.Path]
	if n == nil || Reserved(c.Path) || len(n.children) > 0 {
		return nil, fmt.Errorf("%w: delete of %q, which is missing, in use or ZooKeeper's own", ErrMisfit, c.Path)
	}
	parentPath, _ := Split(c.Path)
	parent := t.nodes[parentPath]
	pzxid := parent.Pzxid
	t.remove(c.Path, n)
	parent.Pzxid = zxid
	return func() {
		t.insert(c.Path, n)
		parent.Pzxid = pzxid
	}, nil
}

// Restore puts back a node that All has given, for a tree read from a
// snapshot. Parents must come first; a node of ZooKeeper's own replaces it.
func (t *Tree) Restore(path string, n *Node) error {
	if old := t.nodes[path]; old != nil {
		if !Reserved(path) {
			return fmt.Errorf("%w: %q twice", ErrMisfit, path)
		}
		n.children = old.children
		t.dataBytes -= int64(len(path) + len(old.Data))
		t.insert(path, n)
		return nil
	}
	if !ValidPath(path) {
		return fmt.Errorf("%w: %q is no path", ErrMisfit, path)
	}
	if parent, _ := Split(path); t.nodes[parent] == nil {
		return fmt.Errorf("%w: %q has no parent", ErrMisfit, path)
	}
	t.insert(path, n)
	return nil
}
