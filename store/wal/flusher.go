package wal

import (
	"fmt"
	"runtime"
	"time"

	"baton/store/record"
)

// runFlusher makes groups durable: it takes all that is queued, writes it and
// syncs it, with no other goroutine in between. What arrives while it syncs is
// runWriter's, and part of the next sync.
func (l *Log) runFlusher() {
	defer l.wg.Done()
	var buf []byte
	for {
		group, at, few, ok := l.nextGroup()
		if !ok {
			return
		}
		if group != nil {
			buf = l.putGroup(group, at, buf)
			// A sync takes its processor along for a while. Those who ship what
			// was written go first; what was appended meanwhile is taken along.
			// Where many call, hundreds may stand in line, and the disk would
			// wait for all of them.
			if few {
				runtime.Gosched()
				if group, at = l.moreGroup(); group != nil {
					buf = l.putGroup(group, at, buf)
				}
			}
		}
		s, from, to := l.beginFlush()
		if s == nil {
			continue
		}
		began := time.Now()
		err := l.sync(s, from)
		l.endFlush(to, time.Since(began), err)
		if l.cfg.FlushInterval > 0 {
			l.rest()
		}
	}
}

// putGroup writes a group that was taken, and returns buf for the next time.
func (l *Log) putGroup(group []queued, at record.Position, buf []byte) []byte {
	buf, err := l.writeGroup(group, at, buf)
	l.endGroup(group, err)
	if cap(buf) > bufferMax {
		return nil // a burst must not hold its memory for ever
	}
	return buf
}

// moreGroup takes what is queued by now, if anything is.
func (l *Log) moreGroup() ([]queued, record.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.err != nil || l.mu.exclusive || l.mu.busyWrite {
		return nil, 0
	}
	return l.take(), l.mu.pos.Written
}

// nextGroup waits until there is something to write or to sync, and takes what
// is queued; few tells whether few wait for it, and ok is false at the end.
func (l *Log) nextGroup() (group []queued, at record.Position, few, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		pos := &l.mu.pos
		nothing := pos.Written == pos.Flush && len(l.mu.queue) == 0
		switch {
		case l.mu.err != nil, nothing && l.mu.closed && !l.mu.busyWrite:
			l.wakeAll()
			return nil, 0, false, false
		case nothing, l.mu.exclusive, l.mu.busyWrite:
			l.mu.flusherWaits = true
			l.flush.Wait()
			l.mu.flusherWaits = false
		case !l.mu.closed && l.mu.queueBytes < paceBytes && l.mu.pace.short(l.mu.metrics.Batches):
			l.mu.Unlock()
			runtime.Gosched()
			l.mu.Lock()
		default:
			return l.take(), pos.Written, l.mu.pace.expect <= paceCallers, true
		}
	}
}

// rest is the pause of FlushInterval.
func (l *Log) rest() {
	l.setResting(true)
	pause := time.NewTimer(l.cfg.FlushInterval)
	select {
	case <-pause.C:
	case <-l.closing:
	}
	pause.Stop()
	l.setResting(false)
}

func (l *Log) setResting(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.resting = on
	if on && len(l.mu.queue) > 0 {
		l.work.Signal()
	}
}

// beginFlush returns what is to be synced, nil if there is nothing.
func (l *Log) beginFlush() (s *segment, from, to record.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.err != nil || l.mu.exclusive || l.mu.pos.Written == l.mu.pos.Flush {
		return nil, 0, 0
	}
	l.mu.busyFlush = true
	l.beginTurn(l.mu.pos.Written)
	l.mu.pace.flushing = l.mu.pace.written
	if len(l.mu.queue) > 0 {
		l.work.Signal()
	}
	return l.mu.segments[len(l.mu.segments)-1], l.mu.pos.Flush, l.mu.pos.Written
}

// pace keeps groups whole. Callers that wait for a flush and then append again
// come back a moment after it; a sync that begins before they do leaves half
// of them behind, every time, and so twice as many syncs are made as needed.
// Therefore the flusher waits a fraction of a sync's time for as many batches
// as there were callers of WaitFlushed: those that the last sync freed, and
// those that came during it. Who appends without waiting here, as replication
// does, comes back when others have done their part, and is not waited for.
// Beyond paceBytes a sync costs by its size, and waiting gains nothing; nor
// does it beyond paceCallers: two halves, one of which comes back while the
// other is at the disk, are faster then.
// All counts are of batches since Open.
type pace struct {
	taken    uint64 // by the writer
	written  uint64
	flushing uint64 // by the sync in progress
	flushed  uint64
	expect   uint64    // how many the next sync should cover
	deadline time.Time // it begins by then
}

func (p *pace) short(appended uint64) bool {
	if p.expect > paceCallers || appended-p.flushed >= p.expect {
		return false
	}
	return time.Now().Before(p.deadline)
}

func (p *pace) flushEnded(took time.Duration, callers int64) {
	p.flushed = p.flushing
	p.expect = uint64(callers)
	p.deadline = time.Now().Add(min(took/4, gatherMax))
}

// sync makes all of the segment durable, and with it, now and then, the mark
// of what was already durable before: the mark is in a page of its own, which
// makes a small sync a quarter slower.
func (l *Log) sync(s *segment, flushed record.Position) error {
	if int64(flushed-s.base) >= s.marked+l.cfg.SegmentSize/markFraction {
		if err := s.writeMark(mark{Position: flushed}); err != nil {
			return err
		}
		s.marked = int64(flushed - s.base)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", s.path, err)
	}
	return nil
}

func (l *Log) endFlush(to record.Position, took time.Duration, err error) {
	l.mu.Lock()
	l.mu.busyFlush = false
	l.idle.Broadcast()
	if err != nil {
		l.fail(err)
		l.mu.Unlock()
		return
	}
	l.mu.metrics.flushed(took)
	l.mu.pace.flushEnded(took, l.callers())
	l.advanceFlush(to)
	wake := l.endTurn()
	l.mu.Unlock()
	wake() // they come for the lock next
}

// advanceFlush moves the flush position. l.mu is held; the caller ends the
// turn of those who wait for it.
func (l *Log) advanceFlush(to record.Position) {
	if l.mu.pos.Flush < to {
		l.mu.pos.Flush = to
		l.notify()
	}
}
