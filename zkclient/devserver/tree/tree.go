package tree

import (
	"maps"
	"slices"
	"strings"

	"baton/zkclient/devserver/wire"
)

// Node is one node. Its fields change only through Tree.Apply; slices must not
// be modified.
type Node struct {
	Data  []byte // nil and empty differ
	ACL   []wire.ACL
	Owner Owner

	Czxid, Mzxid, Pzxid int64
	Ctime, Mtime        int64 // Unix milliseconds
	Version, Aversion   int32
	// Creates counts the children ever created. It numbers sequential children
	// and, with the children deleted, makes up the visible Cversion.
	Creates int32

	children map[string]struct{}
}

// Stat returns what clients see of the node. Only a session shows as owner.
func (n *Node) Stat() wire.Stat {
	return wire.Stat{
		Czxid: n.Czxid, Mzxid: n.Mzxid, Ctime: n.Ctime, Mtime: n.Mtime,
		Version: n.Version, Cversion: n.Creates*2 - int32(len(n.children)), Aversion: n.Aversion,
		EphemeralOwner: n.Owner.Session(), DataLength: int32(len(n.Data)),
		NumChildren: int32(len(n.children)), Pzxid: n.Pzxid,
	}
}

// Children returns the sorted names of the children.
func (n *Node) Children() []string { return slices.Sorted(maps.Keys(n.children)) }

// NumChildren returns the number of children.
func (n *Node) NumChildren() int { return len(n.children) }

// Tree is the nodes by path.
type Tree struct {
	nodes      map[string]*Node
	ephemerals map[int64]map[string]struct{}
	removable  map[string]struct{} // containers and nodes with a time to live
	dataBytes  int64
	quotas     int // nodes with limits, see quota.go
}

// New returns a tree with ZooKeeper's own nodes.
func New() *Tree {
	t := &Tree{nodes: map[string]*Node{}, ephemerals: map[int64]map[string]struct{}{}, removable: map[string]struct{}{}}
	for _, path := range []string{Root, System, SystemCfg, Quota} {
		world := []wire.ACL{{Perms: 31, Scheme: "world", ID: "anyone"}}
		n := &Node{Data: []byte{}, ACL: world}
		if path == SystemCfg {
			n.ACL = []wire.ACL{{Perms: wire.PermRead, Scheme: "world", ID: "anyone"}}
			n.Aversion = -1
		}
		t.insert(path, n)
	}
	return t
}

// Get returns the node at path, nil if there is none.
func (t *Tree) Get(path string) *Node { return t.nodes[path] }

// Len returns the number of nodes, ZooKeeper's own included.
func (t *Tree) Len() int { return len(t.nodes) }

// DataBytes returns the bytes in all paths and all data.
func (t *Tree) DataBytes() int64 { return t.dataBytes }

// Descendants counts the nodes under path.
func (t *Tree) Descendants(path string) int {
	if path == Root {
		return len(t.nodes) - 1
	}
	count := 0
	for other := range t.nodes {
		if strings.HasPrefix(other, path+"/") {
			count++
		}
	}
	return count
}

// Ephemerals returns the sorted paths that a session owns.
func (t *Tree) Ephemerals(session int64) []string {
	return slices.Sorted(maps.Keys(t.ephemerals[session]))
}

// EphemeralOwners returns the sorted ids of the sessions that own nodes.
func (t *Tree) EphemeralOwners() []int64 { return slices.Sorted(maps.Keys(t.ephemerals)) }

// NumEphemerals counts the nodes owned by sessions.
func (t *Tree) NumEphemerals() int {
	count := 0
	for _, paths := range t.ephemerals {
		count += len(paths)
	}
	return count
}

// Removable returns the sorted paths of what has served its purpose at the
// given time (Unix milliseconds): containers that have had children and have
// none now, and childless nodes whose time to live has passed since the last
// change of their data.
func (t *Tree) Removable(now int64) []string {
	var paths []string
	for path := range t.removable {
		n := t.nodes[path]
		if len(n.children) > 0 {
			continue
		}
		ttl := n.Owner.TTL()
		if n.Owner == Container && n.Creates > 0 || ttl > 0 && now-n.Mtime > ttl {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// All returns the nodes by path; parents come before their children. For
// snapshots.
func (t *Tree) All(yield func(path string, n *Node) bool) {
	for _, path := range slices.Sorted(maps.Keys(t.nodes)) {
		if !yield(path, t.nodes[path]) {
			return
		}
	}
}

// insert adds a node; its parent, if it is not the root, must be there.
func (t *Tree) insert(path string, n *Node) {
	if n.children == nil {
		n.children = map[string]struct{}{}
	}
	t.nodes[path] = n
	t.dataBytes += int64(len(path) + len(n.Data))
	if _, limits := quotaPath(path, quotaLimits); limits {
		t.quotas++
	}
	if path != Root {
		parent, name := Split(path)
		t.nodes[parent].children[name] = struct{}{}
	}
	if session := n.Owner.Session(); session != 0 {
		if t.ephemerals[session] == nil {
			t.ephemerals[session] = map[string]struct{}{}
		}
		t.ephemerals[session][path] = struct{}{}
	} else if n.Owner != 0 {
		t.removable[path] = struct{}{}
	}
}

// remove takes a node out; it must have no children and not be the root.
func (t *Tree) remove(path string, n *Node) {
	delete(t.nodes, path)
	t.dataBytes -= int64(len(path) + len(n.Data))
	if _, limits := quotaPath(path, quotaLimits); limits {
		t.quotas--
	}
	parent, name := Split(path)
	delete(t.nodes[parent].children, name)
	delete(t.removable, path)
	if session := n.Owner.Session(); session != 0 {
		delete(t.ephemerals[session], path)
		if len(t.ephemerals[session]) == 0 {
			delete(t.ephemerals, session)
		}
	}
}
