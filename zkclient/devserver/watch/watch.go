// Package watch keeps who wants to hear of which path, and says whom to tell
// when a node changes. It is pure and not safe for concurrent use.
//
// As in ZooKeeper a watch belongs to a connection, not to a session: a client
// restores its watches after it has reconnected. Data watches (set by exists
// and getData) hear of create, delete and data changes, child watches (set by
// getChildren) of changes of the list of children and of the delete of the
// node itself. Those two fire once. Persistent watches are both and stay;
// recursive ones stay, hear of the whole subtree, and get no child lists.
package watch

import "baton/zkclient/devserver/wire"

// Mode is a set of ways in which one watcher watches one path.
type Mode uint8

// Modes.
const (
	OneShot Mode = 1 << iota
	Persistent
	Recursive
)

// Event is what a watcher is told.
type Event struct {
	Type wire.EventType
	Path string
}

// Table holds the watches of watchers of type W. The zero value is not usable.
type Table[W comparable] struct {
	data, child index[W]
}

// New returns an empty table.
func New[W comparable]() *Table[W] {
	return &Table[W]{data: newIndex[W](), child: newIndex[W]()}
}

// AddData adds a one-shot data watch.
func (t *Table[W]) AddData(path string, w W) { t.data.add(path, w, OneShot) }

// AddChild adds a one-shot child watch.
func (t *Table[W]) AddChild(path string, w W) { t.child.add(path, w, OneShot) }

// AddPersistent adds a watch that stays.
func (t *Table[W]) AddPersistent(path string, w W) {
	t.data.add(path, w, Persistent)
	t.child.add(path, w, Persistent)
}

// AddRecursive adds a watch on a whole subtree that stays.
func (t *Table[W]) AddRecursive(path string, w W) {
	t.data.add(path, w, Recursive)
	t.child.add(path, w, Recursive)
}

// Created tells of a new node; parent is the path of its parent.
func (t *Table[W]) Created(path, parent string, tell func(W, Event)) {
	t.data.fire(Event{wire.EventNodeCreated, path}, tell)
	t.child.fire(Event{wire.EventNodeChildrenChanged, parent}, tell)
}

// Changed tells of new data.
func (t *Table[W]) Changed(path string, tell func(W, Event)) {
	t.data.fire(Event{wire.EventNodeDataChanged, path}, tell)
}

// Deleted tells of a node that is gone, each watcher of it once.
func (t *Table[W]) Deleted(path, parent string, tell func(W, Event)) {
	told := map[W]bool{}
	once := func(w W, e Event) {
		if !told[w] {
			told[w] = true
			tell(w, e)
		}
	}
	t.data.fire(Event{wire.EventNodeDeleted, path}, once)
	t.child.fire(Event{wire.EventNodeDeleted, path}, once)
	t.child.fire(Event{wire.EventNodeChildrenChanged, parent}, tell)
}

// Has reports whether the watcher watches the path in the way of one of the
// protocol's watch kinds. known is false for a kind that does not exist.
func (t *Table[W]) Has(path string, w W, kind int32) (has, known bool) {
	data, child := t.data.mode(path, w), t.child.mode(path, w)
	switch kind {
	case wire.WatchKindChildren:
		return child != 0, true
	case wire.WatchKindData:
		return data != 0, true
	case wire.WatchKindAny:
		return data|child != 0, true
	case wire.WatchKindPersistent:
		return data&Persistent != 0, true
	case wire.WatchKindPersistentRecursive:
		return data&Recursive != 0, true
	}
	return false, false
}

// Remove takes away watches of a kind; removed is false if there was none,
// known as in Has.
func (t *Table[W]) Remove(path string, w W, kind int32) (removed, known bool) {
	removed, known = t.Has(path, w, kind)
	if !removed {
		return false, known
	}
	every := OneShot | Persistent | Recursive
	switch kind {
	case wire.WatchKindChildren:
		t.child.drop(path, w, every)
	case wire.WatchKindData:
		t.data.drop(path, w, every)
	case wire.WatchKindAny:
		t.data.drop(path, w, every)
		t.child.drop(path, w, every)
	case wire.WatchKindPersistent:
		t.data.drop(path, w, Persistent)
		t.child.drop(path, w, Persistent)
	case wire.WatchKindPersistentRecursive:
		t.data.drop(path, w, Recursive)
		t.child.drop(path, w, Recursive)
	}
	return true, true
}

// DropWatcher takes away all watches of a watcher.
func (t *Table[W]) DropWatcher(w W) {
	t.data.dropWatcher(w)
	t.child.dropWatcher(w)
}

// Len returns the number of watches: a persistent one counts as two, as it
// does in ZooKeeper.
func (t *Table[W]) Len() int { return t.data.len + t.child.len }

// AllData calls see with every path that has a data watch and each of its
// watchers, in no order.
func (t *Table[W]) AllData(see func(path string, w W)) {
	for path, watchers := range t.data.byPath {
		for w := range watchers {
			see(path, w)
		}
	}
}

// LenOf returns the number of paths that a watcher watches, data and child
// watches counted apart.
func (t *Table[W]) LenOf(w W) int { return len(t.data.byWatcher[w]) + len(t.child.byWatcher[w]) }

// Paths returns the number of watched paths.
func (t *Table[W]) Paths() int {
	paths := len(t.data.byPath)
	for path := range t.child.byPath {
		if _, both := t.data.byPath[path]; !both {
			paths++
		}
	}
	return paths
}

// Watchers returns the number of watchers.
func (t *Table[W]) Watchers() int {
	watchers := len(t.data.byWatcher)
	for w := range t.child.byWatcher {
		if _, both := t.data.byWatcher[w]; !both {
			watchers++
		}
	}
	return watchers
}
