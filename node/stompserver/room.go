package stompserver

import (
	"errors"
	"os"
	"slices"
	"sync"
	"time"
)

// BodyCopies is how often a body is in memory while its frame is handled: as
// it was received, and in the batch for the log.
const BodyCopies = 2

const (
	roomWait     = 30 * time.Second // for the room that a large body needs
	slowGrace    = 5 * time.Second  // in which a large body need not have come far
	slowRate     = 64 << 10         // bytes per second that it must come at then
	slowInterval = time.Second      // between two looks at that
)

// room bounds the bytes of the large bodies that all connections receive at a
// time. A body is let in when there is room for all of it, first come, first
// served: so each one that was let in can be received to its end, and none of
// many that arrive together is stuck halfway.
type room struct {
	max int64

	mu      sync.Mutex
	used    int64
	waiting []*roomClaim
}

// roomClaim is a body that waits to be let in.
type roomClaim struct {
	n   int64
	let chan struct{} // closed when it is
}

// take sets n bytes aside. It waits for those before it, until end is closed or
// patience is over, and is false then. Without patience it takes what is free.
func (r *room) take(n int64, patience time.Duration, end <-chan struct{}) bool {
	r.mu.Lock()
	if (len(r.waiting) == 0 || patience == 0) && r.used+n <= r.max {
		r.used += n
		r.mu.Unlock()
		return true
	}
	if patience == 0 {
		r.mu.Unlock()
		return false
	}
	x := &roomClaim{n: n, let: make(chan struct{})}
	r.waiting = append(r.waiting, x)
	r.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-x.let:
		return true
	case <-timer.C:
	case <-end:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.waiting, x)
	if i < 0 {
		return true // let in at the last moment
	}
	r.waiting = slices.Delete(r.waiting, i, i+1)
	r.letIn() // a smaller one behind it may fit
	return false
}

func (r *room) give(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used -= n
	r.letIn()
}

func (r *room) letIn() {
	for len(r.waiting) > 0 && r.used+r.waiting[0].n <= r.max {
		r.used += r.waiting[0].n
		close(r.waiting[0].let)
		r.waiting = r.waiting[1:]
	}
}

// wanted says that somebody waits.
func (r *room) wanted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting) > 0
}

func (r *room) level() (used int64, waiting int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.used, len(r.waiting)
}

// intake is a connection's part of the room, for its reader alone.
type intake struct {
	*conn
	since    time.Time // when the body that is read was let in
	received int       // bytes of it since then
	held     int64
}

// Take implements stomp.Room. A body whose end is not known in advance grows
// only while there is room: to wait with a part of it could be for ever.
func (in *intake) Take(n, held int) error {
	need, patience := BodyCopies*int64(n), roomWait
	if held > 0 {
		patience = 0
	}
	if err := in.sess.Flush(); err != nil { // it may take a while
		return err
	}
	if !in.s.room.take(need, patience, in.gone) {
		return refuseFatally("no memory for a large body: other large messages are on their way; send it again later")
	}
	in.held += need
	in.since, in.received = time.Now(), 0
	return nil
}

// Give implements stomp.Room.
func (in *intake) Give(int) {
	in.s.room.give(in.held)
	in.held = 0
	in.nc.SetReadDeadline(time.Time{})
}

// read reads a part of a large body. Whoever sends it slowly while others wait
// for its room is cut.
func (in *intake) read(p []byte) (int, error) {
	for began := time.Now(); ; {
		in.nc.SetReadDeadline(time.Now().Add(slowInterval))
		n, err := in.nc.Read(p)
		in.received += n
		if in.slow() {
			return 0, refuseFatally("a large body comes at less than %d bytes a second while others wait: send it again later", slowRate)
		}
		late := errors.Is(err, os.ErrDeadlineExceeded) && (in.silence == 0 || time.Since(began) < in.silence)
		if n > 0 || !late {
			return n, err
		}
	}
}

// slow says that the body comes too slowly, and that others wait.
func (in *intake) slow() bool {
	allowed := time.Since(in.since) - slowGrace
	return allowed > 0 && float64(in.received) < allowed.Seconds()*slowRate && in.s.room.wanted()
}
