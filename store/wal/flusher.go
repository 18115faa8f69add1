package wal

import (
	"fmt"
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
	pos := &l.mu.pos
	for pos.Written == pos.Flush || l.mu.exclusive || l.mu.err != nil {
		if l.mu.err != nil || l.mu.writerDone && pos.Written == pos.Flush {
			return nil, 0, 0
		}
		l.flush.Wait()
	}
	l.mu.busyFlush = true
	return l.mu.segments[len(l.mu.segments)-1], pos.Flush, pos.Written
}

// sync makes all of the segment durable, and with it the mark of what was
// already durable before.
func (l *Log) sync(s *segment, flushed record.Position) error {
	if flushed > s.base {
		if err := s.writeMark(mark{Position: flushed}); err != nil {
			return err
		}
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

// runFiller writes zeros ahead of the append position.
func (l *Log) runFiller() {
	defer l.wg.Done()
	zeros := make([]byte, min(zeroChunk, l.cfg.SegmentSize))
	for {
		s, off, n := l.nextFill(int64(len(zeros)))
		if s == nil {
			return
		}
		_, err := s.file.WriteAt(zeros[:n], off)
		l.mu.Lock()
		l.mu.busyFill = false
		if err != nil {
			l.fail(fmt.Errorf("fill %s with zeros: %w", s.path, err))
		} else {
			s.filled = off + n
		}
		l.idle.Broadcast()
		l.mu.Unlock()
	}
}

// nextFill waits until zeros run short; nil means the end.
func (l *Log) nextFill(chunk int64) (s *segment, off, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.mu.closed || l.mu.err != nil {
			return nil, 0, 0
		}
		s = l.mu.segments[len(l.mu.segments)-1]
		n = min(chunk, headerBlock+l.cfg.SegmentSize-s.filled)
		ahead := s.filled - s.offset(l.mu.pos.Written)
		if n > 0 && ahead < zeroAhead && !l.mu.exclusive {
			l.mu.busyFill = true
			return s, s.filled, n
		}
		l.fill.Wait()
	}
}
