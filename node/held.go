package node

import (
	"fmt"
	"sync"
	"time"

	"baton/store/record"
	"baton/store/snapshot"
)

// snapshotGrace is how long a snapshot that is not being sent any more still
// holds the log: a follower that was cut off, or restarted, or has installed it
// and comes for the rest, goes on where it was.
const snapshotGrace = 2 * time.Minute

// heldSnapshots are those that hold the log of this node for others.
type heldSnapshots struct {
	n  *Node
	mu struct {
		sync.Mutex
		sending map[*snapshot.Snapshot]bool
		last    *snapshot.Snapshot // the one in its grace, nil if none
		timer   *time.Timer        // ends that
	}
}

func (h *heldSnapshots) begin(s *snapshot.Snapshot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.sending == nil {
		h.mu.sending = map[*snapshot.Snapshot]bool{}
	}
	h.mu.sending[s] = true
}

// end begins the grace of a snapshot. One of them is enough: each holds all of
// the log from its start on.
func (h *heldSnapshots) end(s *snapshot.Snapshot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.mu.sending, s)
	if h.mu.last != nil {
		h.mu.timer.Stop()
		h.mu.last.Release()
	}
	h.mu.last = s
	h.mu.timer = time.AfterFunc(snapshotGrace, func() { h.drop(s) })
}

func (h *heldSnapshots) drop(s *snapshot.Snapshot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.last == s {
		h.mu.last = nil
		s.Release()
	}
}

// close ends what is in its grace.
func (h *heldSnapshots) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.last != nil {
		h.mu.timer.Stop()
		h.mu.last = nil
	}
}

// bound gives up what is held once it keeps too much log that no queue needs:
// a follower that takes its snapshot slower than the log grows would fill the
// disk. What was being sent ends with an error, and the follower asks again.
func (h *heldSnapshots) bound(free record.Position) {
	n := h.n
	start := n.store.Log().Positions().Start
	if free < start || int64(free-start) <= 2*(n.cfg.RetainBytes+n.cfg.SegmentSize) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	held := len(h.mu.sending)
	for s := range h.mu.sending {
		s.Release()
	}
	if h.mu.last != nil {
		held++
		h.mu.timer.Stop()
		h.mu.last.Release()
		h.mu.last = nil
	}
	if held > 0 {
		n.cfg.Logger.Warn(fmt.Sprintf("gave up %d snapshots that kept %d bytes of log which no queue needs: give --retain-bytes more, or the follower a faster link",
			held, free-start))
	}
}
