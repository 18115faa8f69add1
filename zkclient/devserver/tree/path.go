package tree

import "strings"

// Paths that ZooKeeper itself keeps; they cannot be deleted.
const (
	Root      = "/"
	System    = "/zookeeper"
	SystemCfg = "/zookeeper/config"
	Quota     = "/zookeeper/quota"
)

// Reserved reports whether path is one of ZooKeeper's own nodes.
func Reserved(path string) bool {
	return path == Root || path == System || path == SystemCfg || path == Quota
}

// Split returns the parent of path and the name under it. path must contain a
// slash and not be the root.
func Split(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	if i == 0 {
		return Root, path[1:]
	}
	return path[:i], path[i+1:]
}

// ValidPath reports whether path may name a node: absolute, no empty, "." or
// ".." part, no control, private-use or special characters.
func ValidPath(path string) bool {
	if path == Root {
		return true
	}
	if len(path) < 2 || path[0] != '/' {
		return false
	}
	for part := range strings.SplitSeq(path[1:], "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	for _, r := range path { // a byte that is not UTF-8 reads as U+FFFD, a special
		switch {
		case r <= 0x1f, r >= 0x7f && r <= 0x9f, r >= 0xd800 && r <= 0xf8ff, r >= 0xfff0 && r <= 0xffff:
			return false
		}
	}
	return true
}
