package watch

import (
	"strings"

	"baton/zkclient/devserver/wire"
)

// index is one of the two tables, kept by path for events and by watcher for
// the end of a connection.
type index[W comparable] struct {
	byPath    map[string]map[W]Mode
	byWatcher map[W]map[string]struct{}
	recursive int // watches with the Recursive mode; no need to look at ancestors while it is 0
	len       int
}

func newIndex[W comparable]() index[W] {
	return index[W]{byPath: map[string]map[W]Mode{}, byWatcher: map[W]map[string]struct{}{}}
}

func (x *index[W]) mode(path string, w W) Mode { return x.byPath[path][w] }

func (x *index[W]) add(path string, w W, m Mode) {
	if x.byPath[path] == nil {
		x.byPath[path] = map[W]Mode{}
	}
	if x.byWatcher[w] == nil {
		x.byWatcher[w] = map[string]struct{}{}
	}
	old := x.byPath[path][w]
	if old == 0 {
		x.len++
		x.byWatcher[w][path] = struct{}{}
	}
	if m == Recursive && old&Recursive == 0 {
		x.recursive++
	}
	x.byPath[path][w] = old | m
}

func (x *index[W]) drop(path string, w W, m Mode) {
	old := x.byPath[path][w]
	if old == 0 {
		return
	}
	if old&m&Recursive != 0 {
		x.recursive--
	}
	if rest := old &^ m; rest != 0 {
		x.byPath[path][w] = rest
		return
	}
	x.len--
	delete(x.byPath[path], w)
	if len(x.byPath[path]) == 0 {
		delete(x.byPath, path)
	}
	delete(x.byWatcher[w], path)
	if len(x.byWatcher[w]) == 0 {
		delete(x.byWatcher, w)
	}
}

func (x *index[W]) dropWatcher(w W) {
	for path := range x.byWatcher[w] {
		x.drop(path, w, OneShot|Persistent|Recursive)
	}
}

// fire tells every watcher of the event's path, and the recursive ones of the
// paths above it, at most once each; one-shot watches are used up.
func (x *index[W]) fire(e Event, tell func(W, Event)) {
	lists := e.Type == wire.EventNodeChildrenChanged
	told := map[W]bool{}
	for w, m := range x.byPath[e.Path] {
		if m&(OneShot|Persistent) != 0 || !lists {
			told[w] = true
			tell(w, e)
		}
		x.drop(e.Path, w, OneShot)
	}
	if lists || x.recursive == 0 {
		return
	}
	for path := e.Path; path != "/"; {
		path = path[:max(strings.LastIndexByte(path, '/'), 0)]
		if path == "" {
			path = "/"
		}
		for w, m := range x.byPath[path] {
			if m&Recursive != 0 && !told[w] {
				told[w] = true
				tell(w, e)
			}
		}
	}
}
