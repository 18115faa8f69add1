package zkclient

import (
	"encoding/binary"
	"sync"
)

// watches mirrors the watches that the library holds on one connection, to end
// them with it. The library would restore them on the next connection, from a
// position in the server's history that it reads while its other goroutine
// writes it: a data race by which a change can be missed, and with each read
// anew it would hold one more channel for the same watch. Firing them instead
// makes whoever watches read again, which is right in any case.
type watches struct {
	mu      sync.Mutex      // the library's writer and reader both come here
	asked   map[int32]watch // by xid of requests not yet answered
	granted map[watch]struct{}
}

// watch is what the library's own table is keyed by, but that watches for
// existence and data go together.
type watch struct {
	path     string
	children bool
}

const (
	opExists       = 3
	opGetData      = 4
	opGetChildren2 = 12

	xidEvent   = -1
	codeNoNode = -101

	eventCreated         = 1
	eventDeleted         = 2
	eventDataChanged     = 3
	eventChildrenChanged = 4
)

// request looks at a frame that the library sends.
func (w *watches) request(frame []byte) {
	if len(frame) < 16 {
		return
	}
	xid, op := int32(binary.BigEndian.Uint32(frame[4:])), binary.BigEndian.Uint32(frame[8:])
	if op != opExists && op != opGetData && op != opGetChildren2 {
		return
	}
	path, rest, ok := cutString(frame[12:])
	if !ok || len(rest) != 1 || rest[0] == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked == nil {
		w.asked = make(map[int32]watch)
	}
	w.asked[xid] = watch{path, op == opGetChildren2}
}

// reply looks at a frame that the library is about to read, in its order.
func (w *watches) reply(xid, code int32, body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if xid == xidEvent {
		w.eventLocked(body)
		return
	}
	asked, ok := w.asked[xid]
	if !ok {
		return
	}
	delete(w.asked, xid)
	if code == 0 || code == codeNoNode { // only exists sets a watch on a missing node; one event too many is harmless
		if w.granted == nil {
			w.granted = make(map[watch]struct{})
		}
		w.granted[asked] = struct{}{}
	}
}

func (w *watches) eventLocked(body []byte) {
	if len(body) < 8 {
		return
	}
	path, _, ok := cutString(body[8:])
	if !ok {
		return
	}
	switch binary.BigEndian.Uint32(body) {
	case eventCreated, eventDataChanged:
		delete(w.granted, watch{path, false})
	case eventChildrenChanged:
		delete(w.granted, watch{path, true})
	case eventDeleted:
		delete(w.granted, watch{path, false})
		delete(w.granted, watch{path, true})
	}
}

// fire returns the frames of events that end all watches.
func (w *watches) fire() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b []byte
	for g := range w.granted {
		event := uint32(eventDataChanged)
		if g.children {
			event = eventChildrenChanged
		}
		b = appendEvent(b, event, g.path)
	}
	w.granted = nil
	return b
}

// appendEvent appends a watch event's frame: header with xid, zxid and code,
// then type, state (0, disconnected) and path.
func appendEvent(b []byte, event uint32, path string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(replyLenMin+12+len(path)))
	xid := int32(xidEvent)
	b = binary.BigEndian.AppendUint32(b, uint32(xid))
	b = binary.BigEndian.AppendUint64(b, 0)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, event)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(path)))
	return append(b, path...)
}

// cutString takes a string off the front.
func cutString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) < 4 {
		return "", nil, false
	}
	n := int64(int32(binary.BigEndian.Uint32(b)))
	if n < 0 || n > int64(len(b)-4) {
		return "", nil, false
	}
	return string(b[4 : 4+n]), b[4+n:], true
}
