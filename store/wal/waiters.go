package wal

import (
	"container/heap"

	"baton/store/record"
)

// waiter is one call of WaitFlushed.
type waiter struct {
	pos  record.Position
	done chan error // capacity 1
	at   int        // in the heap, -1 when it has left
}

// newWaiter takes one that is used again if there is one: those are known to
// nobody.
func (l *Log) newWaiter(pos record.Position) *waiter {
	w, ok := l.unused.Get().(*waiter)
	if !ok {
		w = &waiter{done: make(chan error, 1), at: -1}
	}
	w.pos = pos
	return w
}

// waiters is a heap by position, so that a flush touches only those it frees.
type waiters []*waiter

func (w waiters) Len() int           { return len(w) }
func (w waiters) Less(i, j int) bool { return w[i].pos < w[j].pos }
func (w waiters) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].at, w[j].at = i, j
}

// Push is for container/heap.
func (w *waiters) Push(x any) {
	e := x.(*waiter)
	e.at = len(*w)
	*w = append(*w, e)
}

// Pop is for container/heap.
func (w *waiters) Pop() any {
	old := *w
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*w = old[:len(old)-1]
	e.at = -1
	return e
}

func (w *waiters) add(e *waiter) { heap.Push(w, e) }

func (w *waiters) remove(e *waiter) {
	if e.at >= 0 {
		heap.Remove(w, e.at)
	}
}

// next takes out one that waits for a position up to pos, or returns nil.
func (w *waiters) next(pos record.Position) *waiter {
	if len(*w) == 0 || (*w)[0].pos > pos {
		return nil
	}
	return heap.Pop(w).(*waiter)
}

// dropAbove takes out all that wait for a position above pos.
func (w *waiters) dropAbove(pos record.Position) []*waiter {
	var out, keep []*waiter
	for _, e := range *w {
		if e.pos > pos {
			e.at = -1
			out = append(out, e)
		} else {
			keep = append(keep, e)
		}
	}
	*w = keep
	for i, e := range keep {
		e.at = i
	}
	heap.Init(w)
	return out
}
