// Package reuse gives the memory of batches that were written to later ones.
// Without it the garbage of a busy log is a third of its processor time.
package reuse

import (
	"sync"

	"baton/store/record"
)

// largest is the most memory of one batch that is kept, in bytes.
const largest = 64 << 10

var unused = sync.Pool{New: func() any { return new([]byte) }}

// NewBatch returns an empty batch with room for size bytes of bodies.
func NewBatch(size int) *record.Batch {
	if size > largest {
		return record.NewBatch(size)
	}
	return record.NewBatchIn(*unused.Get().(*[]byte), size)
}

// Recycle takes the memory of b, which need not come from NewBatch. Only the
// owner of b calls it, when nobody reads b or its bytes any more; b is empty
// then.
func Recycle(b *record.Batch) {
	if memory := b.TakeMemory(); cap(memory) <= largest {
		unused.Put(&memory)
	}
}
