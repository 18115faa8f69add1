package wal

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"

	"baton/store/record"
	"baton/store/record/reuse"
)

// runWriter writes what is queued while the flusher syncs, so that readers can
// ship it at once. What arrives during a write becomes the next group.
func (l *Log) runWriter() {
	defer l.wg.Done()
	var buf []byte
	for {
		group, at := l.nextEarly()
		if group == nil {
			return
		}
		buf = l.putGroup(group, at, buf)
	}
}

// nextEarly waits for work while the flusher is at something else; nil means
// the end, and what is left is the flusher's.
func (l *Log) nextEarly() ([]queued, record.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.mu.closed || l.mu.err != nil {
			return nil, 0
		}
		if len(l.mu.queue) > 0 && !l.mu.busyWrite && (l.mu.busyFlush || l.mu.resting) {
			if l.mu.yielded {
				l.mu.yielded = false
				return l.take(), l.mu.pos.Written
			}
			// Others that are about to append come first.
			l.mu.yielded = true
			l.mu.Unlock()
			runtime.Gosched()
			l.mu.Lock()
			continue
		}
		l.mu.yielded = false
		l.work.Wait()
	}
}

// take takes all that is queued, nil if there is nothing. l.mu is held.
func (l *Log) take() []queued {
	if len(l.mu.queue) == 0 {
		return nil
	}
	group := l.mu.queue
	l.mu.queue, l.mu.spareQueue = l.mu.spareQueue[:0], nil
	l.mu.busyWrite = true
	l.mu.pace.taken = l.mu.metrics.Batches
	return group
}

// endGroup takes back what take handed out.
func (l *Log) endGroup(group []queued, err error) {
	var size int64
	for i, q := range group {
		size += int64(len(q.b))
		if q.from != nil {
			reuse.Recycle(q.from)
		}
		group[i] = queued{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.queueBytes -= size
	if cap(group) <= queueMax {
		l.mu.spareQueue = group[:0]
	}
	l.mu.busyWrite = false
	l.mu.pace.written = l.mu.pace.taken
	if err != nil {
		l.fail(err)
	}
	if l.mu.queueWaits > 0 {
		l.room.Broadcast()
	}
	l.idle.Broadcast()
	l.flush.Signal()
}

// writeGroup writes a group at position at, with one write for each segment
// that it touches, and returns buf for the next time.
func (l *Log) writeGroup(group []queued, at record.Position, buf []byte) ([]byte, error) {
	for len(group) > 0 {
		s := l.active()
		room := l.cfg.SegmentSize - int64(at-s.base)
		var n int64
		run := group
		n, group = fitting(group, room, at == s.base)
		if n == 0 {
			if err := l.roll(s, at); err != nil {
				return buf, err
			}
			continue
		}
		var data []byte
		if data = run[0].b; int64(len(data)) < n {
			buf = gather(buf[:0], run, n)
			data = buf
		}
		off := s.offset(at)
		err := l.patiently(func() error {
			_, err := s.file.WriteAt(data[:n], off)
			return err
		})
		if err != nil {
			return buf, fmt.Errorf("write %s at offset %d: %w", s.path, off, err)
		}
		at += record.Position(n)
		l.written(at, n)
	}
	return buf, nil
}

func (l *Log) active() *segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.segments[len(l.mu.segments)-1]
}

// fitting returns how many bytes from the front of group fit into room, in whole
// batches, and what is left of the group. alone takes the first batch whatever
// its size: it gets a segment of its own.
func fitting(group []queued, room int64, alone bool) (int64, []queued) {
	var n int64
	for i, q := range group {
		if n+int64(len(q.b)) <= room {
			n += int64(len(q.b))
			continue
		}
		fits := 0
		for fits < len(q.b) {
			size := int(binary.LittleEndian.Uint32(q.b[fits+8:]))
			if n+int64(fits+size) > room && !(alone && n == 0 && fits == 0) {
				break
			}
			fits += size
		}
		rest := slices.Clone(group[i:])
		if rest[0].b = q.b[fits:]; len(rest[0].b) == 0 {
			rest = rest[1:]
		}
		return n + int64(fits), rest
	}
	return n, nil
}

func gather(buf []byte, run []queued, n int64) []byte {
	buf = slices.Grow(buf, int(n))
	for _, q := range run {
		if left := n - int64(len(buf)); left < int64(len(q.b)) {
			return append(buf, q.b[:left]...)
		}
		buf = append(buf, q.b...)
	}
	return buf
}

func (l *Log) written(at record.Position, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.pos.Written = at
	l.mu.metrics.Groups++
	l.mu.metrics.Bytes += uint64(n)
	l.notify()
	// The filler works ahead, so it need not hear of each write.
	if l.mu.space.used += n; l.mu.space.used >= min(zeroChunk, l.cfg.SegmentSize)/fillFraction {
		l.mu.space.used = 0
		l.fill.Signal()
	}
}
