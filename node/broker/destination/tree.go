package destination

import (
	"iter"
	"strings"
)

// Tree holds values by name or pattern, level by level, so that a search costs
// about as much as it finds, not as much as there is. The zero value is empty.
type Tree[V comparable] struct {
	root node[V]
	size int
}

type node[V comparable] struct {
	below  map[string]*node[V]
	values []V
}

// Len is the number of values.
func (t *Tree[V]) Len() int { return t.size }

// Add puts a value at a name or pattern. A value may be at several.
func (t *Tree[V]) Add(name string, v V) {
	n := &t.root
	for level := range strings.SplitSeq(name, ".") {
		next := n.below[level]
		if next == nil {
			next = &node[V]{}
			if n.below == nil {
				n.below = map[string]*node[V]{}
			}
			n.below[level] = next
		}
		n = next
	}
	n.values = append(n.values, v)
	t.size++
}

// Remove takes a value away; false if it was not there.
func (t *Tree[V]) Remove(name string, v V) bool {
	if !t.root.remove(name, true, v) {
		return false
	}
	t.size--
	return true
}

// remove also drops what is left empty.
func (n *node[V]) remove(name string, more bool, v V) bool {
	if !more {
		for i := range n.values {
			if n.values[i] == v {
				n.values = append(n.values[:i], n.values[i+1:]...)
				if len(n.values) == 0 {
					n.values = nil
				}
				return true
			}
		}
		return false
	}
	level, rest, more := strings.Cut(name, ".")
	next := n.below[level]
	if next == nil || !next.remove(rest, more, v) {
		return false
	}
	if len(next.below) == 0 && len(next.values) == 0 {
		delete(n.below, level)
	}
	return true
}

// Matching returns the values at those names of the tree that a pattern stands
// for. The tree must not be changed meanwhile.
func (t *Tree[V]) Matching(pattern string) iter.Seq[V] {
	return func(yield func(V) bool) { t.root.matching(pattern, true, yield) }
}

func (n *node[V]) matching(pattern string, more bool, yield func(V) bool) bool {
	if !more {
		return n.all(yield)
	}
	level, rest, more := strings.Cut(pattern, ".")
	switch {
	case level == ">" && !more:
		return n.everything(yield)
	case level == "*":
		for _, next := range n.below {
			if !next.matching(rest, more, yield) {
				return false
			}
		}
		return true
	}
	if next := n.below[level]; next != nil {
		return next.matching(rest, more, yield)
	}
	return true
}

func (n *node[V]) all(yield func(V) bool) bool {
	for _, v := range n.values {
		if !yield(v) {
			return false
		}
	}
	return true
}

func (n *node[V]) everything(yield func(V) bool) bool {
	if !n.all(yield) {
		return false
	}
	for _, next := range n.below {
		if !next.everything(yield) {
			return false
		}
	}
	return true
}

// StandingFor returns the values at those patterns of the tree that stand for
// a name. The tree must not be changed meanwhile.
func (t *Tree[V]) StandingFor(name string) iter.Seq[V] {
	return func(yield func(V) bool) { t.root.standing(name, true, yield) }
}

func (n *node[V]) standing(name string, more bool, yield func(V) bool) bool {
	if len(n.below) == 0 && more {
		return true
	}
	if rest := n.below[">"]; rest != nil && !rest.all(yield) {
		return false
	}
	if !more {
		return n.all(yield)
	}
	level, rest, more := strings.Cut(name, ".")
	if next := n.below["*"]; next != nil && !next.standing(rest, more, yield) {
		return false
	}
	if level == "*" || level == ">" && !more {
		return true // found above
	}
	if next := n.below[level]; next != nil {
		return next.standing(rest, more, yield)
	}
	return true
}
