package wal

import (
	"encoding/binary"
	"fmt"
	"slices"

	"baton/store/record"
)

// runWriter takes all that is queued and makes one write of it, again and
// again: what arrives during a write becomes the next group.
func (l *Log) runWriter() {
	defer l.writer.Done()
	var buf []byte
	for {
		group, at := l.nextGroup()
		if group == nil {
			return
		}
		var err error
		buf, err = l.writeGroup(group, at, buf)
		l.endGroup(group, err)
		if cap(buf) > 4<<20 {
			buf = nil // a burst must not hold its memory for ever
		}
	}
}

// nextGroup waits for work; nil means the end.
func (l *Log) nextGroup() ([]queued, record.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.mu.queue) == 0 || l.mu.err != nil {
		if l.mu.closed || l.mu.err != nil {
			l.mu.writerDone = true
			l.wakeAll()
			return nil, 0
		}
		l.work.Wait()
	}
	group := l.mu.queue
	l.mu.queue = nil
	l.mu.busyWrite = true
	l.mu.pace.taken = l.mu.metrics.Batches
	return group, l.mu.pos.Written
}

func (l *Log) endGroup(group []queued, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range group {
		l.mu.queueBytes -= int64(len(q.b))
	}
	l.mu.busyWrite = false
	l.mu.pace.written = l.mu.pace.taken
	if err != nil {
		l.fail(err)
	}
	l.idle.Broadcast()
}

// writeGroup writes a group at position at, with one write for each segment
// that it touches, and returns buf for the next time.
func (l *Log) writeGroup(group []queued, at record.Position, buf []byte) ([]byte, error) {
	for len(group) > 0 {
		s := l.active()
		room := l.cfg.SegmentSize - int64(at-s.base)
		var n int64
		run := group
		n, group = take(group, room, at == s.base)
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

// take returns how many bytes from the front of group fit into room, in whole
// batches, and what is left of the group. alone takes the first batch whatever
// its size: it gets a segment of its own.
func take(group []queued, room int64, alone bool) (int64, []queued) {
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
	l.flush.Signal()
	l.fill.Signal()
}
