package wal

import (
	"fmt"
	"runtime"
	"time"

	"baton/store/record"
)

// runFlusher syncs everything written so far, while the writer goes on and
// readers ship what is written.
func (l *Log) runFlusher() {
	defer l.wg.Done()
	for {
		s, from, to := l.nextFlush()
		if s == nil {
			return
		}
		began := time.Now()
		err := l.sync(s, from)
		l.endFlush(to, time.Since(began), err)
		if l.cfg.FlushInterval > 0 {
			pause := time.NewTimer(l.cfg.FlushInterval)
			select {
			case <-pause.C:
			case <-l.closing:
			}
			pause.Stop()
		}
	}
}

// nextFlush waits for written bytes; nil means the end.
func (l *Log) nextFlush() (s *segment, from, to record.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.waitWritten() {
		return nil, 0, 0
	}
	for l.mu.pace.short(l.mu.metrics.Batches) && !l.mu.closed {
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
		if !l.waitWritten() {
			return nil, 0, 0
		}
	}
	l.mu.busyFlush = true
	l.mu.pace.flushing = l.mu.pace.written
	return l.mu.segments[len(l.mu.segments)-1], l.mu.pos.Flush, l.mu.pos.Written
}

// waitWritten waits until there is something to sync; false means the end.
// l.mu is held.
func (l *Log) waitWritten() bool {
	pos := &l.mu.pos
	for pos.Written == pos.Flush || l.mu.exclusive || l.mu.err != nil {
		if l.mu.err != nil || l.mu.writerDone && pos.Written == pos.Flush {
			return false
		}
		l.flush.Wait()
	}
	return true
}

// pace keeps groups whole. Callers that wait for a flush and then append again
// come back a moment after it; a sync that begins before they do leaves half
// of them behind, every time, and so twice as many syncs are made as needed.
// Therefore the flusher waits a fraction of a sync's time for as many batches
// as there were callers: those that the last sync freed, and those that came
// during it. All fields count batches since Open.
type pace struct {
	taken    uint64 // by the writer
	written  uint64
	flushing uint64 // by the sync in progress
	flushed  uint64
	expect   uint64    // how many the next sync should cover
	deadline time.Time // it begins by then
}

func (p *pace) short(appended uint64) bool {
	if min(p.written, appended)-p.flushed >= p.expect {
		return false
	}
	return time.Now().Before(p.deadline)
}

func (p *pace) flushEnded(took time.Duration, appended uint64) {
	freed := p.flushing - p.flushed
	p.flushed = p.flushing
	p.expect = freed + (appended - p.flushed)
	p.deadline = time.Now().Add(min(took/8, gatherMax))
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
	defer l.mu.Unlock()
	l.mu.busyFlush = false
	if err != nil {
		l.fail(err)
	} else {
		l.mu.metrics.flushed(took)
		l.mu.pace.flushEnded(took, l.mu.metrics.Batches)
		l.advanceFlush(to)
	}
	l.idle.Broadcast()
}

// advanceFlush moves the flush position. l.mu is held.
func (l *Log) advanceFlush(to record.Position) {
	if l.mu.pos.Flush >= to {
		return
	}
	l.mu.pos.Flush = to
	l.wakeWaiters(to, nil)
	l.notify()
}
