package wal

import (
	"fmt"
	"slices"
	"time"

	"baton/store/record"
	"baton/store/vfs"
)

// A batch is accepted only when the space that it will take has been written
// out with zeros already, in the active segment or in a spare that will be the
// next one. So neither the write of an accepted batch nor a roll needs new
// space from the disk, and a disk that is full is noticed by runFiller, before
// anything depends on it.

// layout is a place for a batch.
type layout struct {
	file int   // 0 is the active segment, 1 the first spare, and so on
	off  int64 // file offset
}

func (a layout) before(b layout) bool { return a.file < b.file || a.file == b.file && a.off < b.off }

// space is what Log.mu keeps about it.
type space struct {
	tail   layout     // where the next batch goes
	spares []*segment // zero-filled files without a name yet; the next segments
	named  uint64     // spares made since Open

	// What appends wait for: where the largest of them would end, and how far
	// each file has to be filled for it.
	demand layout
	needs  []int64

	used    int64    // bytes written since runFiller was woken for them
	filling *segment // what runFiller is writing to
	busy    bool     // it is at work
	blocked bool     // runFiller waits before it tries again
	held    bool     // see HoldSpace
	full    bool     // runFiller found the disk full and has not caught up yet
	stuck   bool     // the writer found the disk full
}

// following returns the place behind a batch of size bytes that is put at the
// place at. It is the writer's rule: a batch goes to the next segment if it
// does not fit, unless the segment is empty.
func (l *Log) following(at layout, size int64) layout {
	if at.off > headerBlock && at.off-headerBlock+size > l.cfg.SegmentSize {
		at = layout{at.file + 1, headerBlock}
	}
	at.off += size
	return at
}

// prepared returns file i of the layout, nil if there is none. l.mu is held.
func (l *Log) prepared(i int) *segment {
	if i == 0 {
		return l.mu.segments[len(l.mu.segments)-1]
	}
	if i > len(l.mu.space.spares) {
		return nil
	}
	return l.mu.space.spares[i-1]
}

// left returns how many zero-filled bytes there are from a place on, and false
// if the bytes in front of it are not there either. l.mu is held.
func (l *Log) left(at layout) (int64, bool) {
	s := l.prepared(at.file)
	if s == nil || s.filled < at.off {
		return 0, false
	}
	sum := s.filled - at.off
	for _, s := range l.mu.space.spares[at.file:] {
		sum += s.filled - headerBlock
	}
	return sum, true
}

// urgency is which part of the reserve an append has to leave alone.
type urgency int64

const (
	ordinary   urgency = 2 // all of it
	replicated urgency = 1 // half: what the leader accepted should find room here
	urgent     urgency = 0 // nothing
)

func (l *Log) reserved(u urgency) int64 { return l.reserve * int64(u) / 2 }

// waitForSpace waits until batches of these sizes may be queued, and returns
// the place behind them. It does not wait for a full disk: ErrFull. l.mu is held.
func (l *Log) waitForSpace(u urgency, total int64, sizes ...int64) (layout, error) {
	for {
		if err := l.waitForRoom(total); err != nil {
			return layout{}, err
		}
		end, holds := l.mu.space.tail, true
		for _, size := range sizes {
			end = l.following(end, size)
			s := l.prepared(end.file)
			holds = holds && s != nil && end.off <= s.filled
		}
		if left, ok := l.left(end); holds && ok && left >= l.reserved(u) {
			return end, nil
		}
		if l.mu.space.full || l.mu.space.stuck {
			return layout{}, fmt.Errorf("%w: %d bytes at position %d", ErrFull, total, l.mu.pos.Append)
		}
		l.request(end, sizes)
		l.room.Wait()
	}
}

// request asks runFiller for space. l.mu is held.
func (l *Log) request(end layout, sizes []int64) {
	sp := &l.mu.space
	if sp.demand.before(end) {
		sp.demand = end
	}
	at := sp.tail
	for _, size := range sizes {
		at = l.following(at, size)
		for len(sp.needs) <= at.file {
			sp.needs = append(sp.needs, 0)
		}
		sp.needs[at.file] = max(sp.needs[at.file], at.off)
	}
	l.fill.Signal()
}

// forgetDemand makes those who wait for space ask again: the files have
// changed. l.mu is held.
func (l *Log) forgetDemand() {
	l.mu.space.demand, l.mu.space.needs = layout{}, nil
	l.room.Broadcast()
}

// Full tells whether the disk is full: ordinary appends may get ErrFull. It
// ends by itself when there is space again; Subscribe tells of both.
func (l *Log) Full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.space.full || l.mu.space.stuck
}

// HoldSpace keeps the log from taking more space from the disk, as if that was
// full, until it is called with false: somebody else needs what there is. When
// it returns the log is not taking any.
func (l *Log) HoldSpace(held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.space.held = held
	if held {
		l.setFull(true)
		l.forgetDemand()
		for l.mu.space.busy {
			l.idle.Wait()
		}
	} else {
		l.fill.Signal()
	}
}

// setFull notes what runFiller found out. l.mu is held.
func (l *Log) setFull(full bool) {
	if l.mu.space.full == full {
		return
	}
	l.mu.space.full = full
	if full {
		l.cfg.Logger.Warn("the disk is full: the log accepts only what its reserve is for", "dir", l.cfg.Dir, "reserve_bytes", l.reserve)
	} else {
		l.cfg.Logger.Info("the disk has space again", "dir", l.cfg.Dir)
	}
	l.notify()
	l.room.Broadcast()
}

// patiently repeats a write of the writer while the disk is full. It writes
// the same bytes to the same place, and nothing else was written meanwhile, so
// what a short write has left does no harm.
func (l *Log) patiently(write func() error) error {
	pause := fullPauseMin
	for {
		err := write()
		full := vfs.IsFull(err)
		l.mu.Lock()
		if l.mu.space.stuck != full {
			l.mu.space.stuck = full
			l.notify()
			l.room.Broadcast()
		}
		l.mu.Unlock()
		if !full {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-l.closing:
			timer.Stop()
			return err
		}
		pause = min(2*pause, fullPauseMax)
	}
}

// onlyUrgent tells whether batches hold nothing but what the reserve is for.
func onlyUrgent(b []byte) bool {
	for _, batch := range record.Batches(b) {
		for r := range record.Records(batch) {
			if !r.Type.Urgent() {
				return false
			}
		}
	}
	return true
}

// sizesOf returns the sizes of batches.
func sizesOf(headers []record.Header) []int64 {
	sizes := slices.Grow([]int64(nil), len(headers))
	for _, h := range headers {
		sizes = append(sizes, int64(h.Length))
	}
	return sizes
}
