package stompserver

import (
	"slices"
	"sync"
)

// budget bounds what waits to be written to all clients together. The first
// outputFree bytes of each are its own and are not counted. What a client that
// has more than that waiting already may take on top ends at the first half:
// the other half is for those who have read what they were given. So clients
// that do not read cannot fill more than half of it and one message each, and
// while others wait for what those messages hold, whoever reads too slowly is
// cut off: see conn.writePart.
//
// Only messages wait for it. Receipts, ERRORs and heart-beats are counted and
// never held back; how many of them a client can cause is bounded by
// outbox.waitRoom.
type budget struct {
	max    int64
	spares sync.Pool // of *[]byte: buffers of those that have nothing to write

	mu   sync.Mutex
	used int64
	line []*outbox // those who read and found no room, in the order of their coming
}

// OutputBodies is how many of the largest bodies Config.OutputMemory has to hold.
const OutputBodies = 2

// outputFree is what each client may have waiting in any case, in bytes.
const outputFree = 16 << 10

// counted is what size bytes of one client count.
func counted(size int) int64 { return max(int64(size)-outputFree, 0) }

// take lets an outbox go from what it counts to more. If there is no room, it
// is woken when there may be.
func (b *budget) take(o *outbox, from, to int64) bool {
	if from == to {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	most := b.max / 2
	if from == 0 {
		most = max(b.max, to) // alone anything fits
	}
	if b.used-from+to <= most {
		b.used += to - from
		return true
	}
	if from == 0 && o.wants == 0 {
		b.line = append(b.line, o)
		o.wants = to
	}
	return false
}

// change notes what an outbox counts now, whether there is room or not.
func (b *budget) change(from, to int64) {
	if from == to {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += to - from
	if to < from {
		b.call()
	}
}

// call wakes those in line for whom there is room now. They may find that
// somebody else was faster, and get in line again.
func (b *budget) call() {
	for used := b.used; len(b.line) > 0; b.line = b.line[1:] {
		o := b.line[0]
		if used += o.wants; used > max(b.max, o.wants) {
			return
		}
		o.wants = 0
		o.signal()
	}
	b.line = nil
}

// leave takes an outbox out of the line.
func (b *budget) leave(o *outbox) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o.wants > 0 {
		o.wants = 0
		b.line = slices.DeleteFunc(b.line, func(x *outbox) bool { return x == o })
		b.call() // a smaller one behind it may fit
	}
}

// leaveSpare takes a large buffer from a client that has nothing to write: of
// many clients they would be much.
func (b *budget) leaveSpare(buf []byte) []byte {
	if cap(buf) <= outputFree {
		return buf
	}
	if buf = buf[:0]; cap(buf) <= spareMax {
		b.spares.Put(&buf)
	}
	return nil
}

// takeSpare returns such a buffer, or nil.
func (b *budget) takeSpare() []byte {
	if p, ok := b.spares.Get().(*[]byte); ok {
		return *p
	}
	return nil
}

// wanted says that a client which reads waits for what others hold.
func (b *budget) wanted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.line) > 0
}

func (b *budget) level() (used int64, waiting int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, len(b.line)
}
