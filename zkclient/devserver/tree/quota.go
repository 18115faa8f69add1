package tree

import (
	"fmt"
	"strconv"
	"strings"
)

// A quota on a path is two nodes under Quota+path: one with the limits, whose
// existence is what counts here, and one with what the path and all below it
// use: "count=3,bytes=17". ZooKeeper keeps the second up to date with every
// change, without moving its version or telling its watchers, and only warns
// of exceeded limits in its log.
const (
	quotaLimits = "zookeeper_limits"
	quotaUsed   = "zookeeper_stats"
)

// Apply makes a change as of a zxid and a time in Unix milliseconds. undo puts
// back exactly what was there, provided that later changes are undone first.
func (t *Tree) Apply(c Change, zxid, now int64) (undo func(), err error) {
	before := 0
	if n := t.nodes[c.Path]; n != nil {
		before = len(n.Data)
	}
	undone, err := t.apply(c, zxid, now)
	if err != nil || t.quotas == 0 {
		return undone, err
	}
	used := t.account(c, before)
	if used == nil {
		return undone, nil
	}
	return func() { used(); undone() }, nil
}

// account brings the use of the quota that c falls under up to date; before is
// how long the node's data was. It returns how to undo that, or nil.
func (t *Tree) account(c Change, before int) (undo func()) {
	if path, ok := quotaPath(c.Path, quotaUsed); ok && c.Kind == Create { // a new quota begins with what is there
		count, bytes := t.use(path)
		return t.setUse(path, count, bytes)
	}
	path := t.quotaOf(c.Path)
	if path == "" {
		return nil
	}
	count, bytes := t.recorded(path)
	switch c.Kind {
	case Create:
		return t.setUse(path, count+1, bytes+int64(len(c.Data)))
	case Delete:
		return t.setUse(path, count-1, bytes-int64(before))
	case SetData:
		return t.setUse(path, count, bytes+int64(len(c.Data)-before))
	}
	return nil
}

// quotaPath returns the path that a node of the given name under Quota is about.
func quotaPath(node, name string) (path string, ok bool) {
	rest, under := strings.CutPrefix(node, Quota+"/")
	if !under {
		return "", false
	}
	path, ok = strings.CutSuffix(rest, "/"+name)
	return "/" + path, ok
}

// quotaOf returns the nearest path at or above path that has a quota, "" if
// there is none. The root can have none.
func (t *Tree) quotaOf(path string) string {
	for path != Root {
		if t.nodes[Quota+path+"/"+quotaLimits] != nil {
			return path
		}
		path, _ = Split(path)
	}
	return ""
}

// use counts the nodes and bytes of data at path and below; none if there is
// no such node.
func (t *Tree) use(path string) (count, bytes int64) {
	if t.nodes[path] == nil {
		return 0, 0
	}
	for other, n := range t.nodes {
		if other == path || strings.HasPrefix(other, path+"/") {
			count++
			bytes += int64(len(n.Data))
		}
	}
	return count, bytes
}

// recorded reads the use that is written down for path. What a client has
// overwritten with something else counts as nothing.
func (t *Tree) recorded(path string) (count, bytes int64) {
	n := t.nodes[Quota+path+"/"+quotaUsed]
	if n == nil {
		return 0, 0
	}
	for field := range strings.SplitSeq(string(n.Data), ",") {
		key, value, _ := strings.Cut(field, "=")
		number, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil:
		case key == "count":
			count = number
		case key == "bytes":
			bytes = number
		}
	}
	return count, bytes
}

func (t *Tree) setUse(path string, count, bytes int64) (undo func()) {
	n := t.nodes[Quota+path+"/"+quotaUsed]
	if n == nil {
		return nil
	}
	old := n.Data
	set := func(data []byte) {
		t.dataBytes += int64(len(data) - len(n.Data))
		n.Data = data
	}
	set(fmt.Appendf(nil, "count=%d,bytes=%d", count, bytes))
	return func() { set(old) }
}
