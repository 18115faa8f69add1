package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"baton/store/vfs"
)

// fillJob is zeros to be written: to s from offset off, or to a new spare.
type fillJob struct {
	s      *segment
	f      vfs.File // of s
	off, n int64
	create string // path of the new spare
	sync   bool   // s is a spare, which is synced now and then
}

// runFiller writes zeros ahead of the append position and keeps the next
// segment ready. It is the only one that takes space from the disk.
func (l *Log) runFiller() {
	defer l.wg.Done()
	zeros := make([]byte, headerBlock+min(zeroChunk, l.cfg.SegmentSize))
	pause := fullPauseMin
	for {
		job, ok := l.nextFill(int64(len(zeros)))
		if !ok {
			return
		}
		err := l.doFill(&job, zeros)
		if vfs.IsFull(err) && !errors.Is(err, errSpareSync) {
			l.endFill(job, nil)
			l.holdFill(pause)
			pause = min(2*pause, fullPauseMax)
			continue
		}
		pause = fullPauseMin
		l.endFill(job, err)
	}
}

// nextFill waits until zeros run short; false means the end.
func (l *Log) nextFill(chunk int64) (fillJob, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.mu.closed || l.mu.err != nil {
			return fillJob{}, false
		}
		if !l.mu.space.blocked && !l.mu.space.held {
			if job, ok := l.findFill(chunk); ok {
				l.mu.space.filling, l.mu.space.busy = job.s, true
				return job, true
			}
		}
		l.fill.Wait()
	}
}

// findFill decides what is to be filled next: what an append waits for, then
// what is ahead. l.mu is held.
func (l *Log) findFill(chunk int64) (fillJob, bool) {
	sp := &l.mu.space
	for i, need := range sp.needs {
		if s := l.prepared(i); s == nil || s.filled < need {
			return l.fillOf(i, chunk, max(need, headerBlock+l.cfg.SegmentSize))
		}
	}
	from := sp.tail
	if from.before(sp.demand) {
		from = sp.demand
	}
	last := len(sp.spares)
	whole := headerBlock + l.cfg.SegmentSize
	left, _ := l.left(from)
	hot := int64(l.mu.metrics.Bytes) >= l.cfg.SegmentSize/4
	room := l.prepared(last).filled < whole
	switch {
	case left >= l.reserve+l.ahead() && !(hot && last > 0 && room):
		if left > l.reserve {
			l.setFull(false)
		}
		l.mu.space.demand, l.mu.space.needs = layout{}, nil
		return fillJob{}, false
	case room:
		return l.fillOf(last, chunk, whole)
	}
	return l.fillOf(last+1, chunk, whole)
}

// ahead is how many zeros are kept in front of the reserve. It grows with use,
// so that a log which is hardly used stays small, and one that is has its
// segments ready before their turn: a sync that finds zeros to be written out
// beside the batches takes several times as long.
func (l *Log) ahead() int64 {
	return min(max(zeroChunk, 2*int64(l.mu.metrics.Bytes)), l.cfg.SegmentSize/2)
}

func (l *Log) fillOf(i int, chunk, to int64) (fillJob, bool) {
	if i > len(l.mu.space.spares) {
		l.mu.space.named++
		name := fmt.Sprintf("spare-%d%s", l.mu.space.named, vfs.TempSuffix)
		return fillJob{create: filepath.Join(l.cfg.Dir, l.cfg.Name, name), n: chunk}, true
	}
	if i == 0 && l.mu.exclusive {
		return fillJob{}, false // its end wakes the filler
	}
	s := l.prepared(i)
	job := fillJob{s: s, f: s.file.File, off: s.filled, n: min(chunk, to-s.filled)}
	end := job.off + job.n
	job.sync = i > 0 && (end == to || end/spareSyncBytes != job.off/spareSyncBytes)
	return job, true
}

// errSpareSync marks the errors that are final although they may say that the
// disk is full: nobody knows what a failed sync has dropped.
var errSpareSync = errors.New("sync spare segment")

// doFill does the job. What it has written is in job.s and job.n, also if it
// returns an error. A spare is synced here, in large pieces, so that the syncs of the log find
// nothing to do in it when it is the active segment.
func (l *Log) doFill(job *fillJob, zeros []byte) error {
	if job.s == nil {
		f, err := l.cfg.FS.Create(job.create)
		if err != nil {
			job.n = 0
			return fmt.Errorf("create spare segment: %w", err)
		}
		job.s, job.f = &segment{path: job.create, file: &handle{File: f, path: job.create}}, f
	}
	n, err := job.f.WriteAt(zeros[:job.n], job.off)
	job.n = int64(n)
	if err == nil && job.sync {
		if err = job.f.Sync(); err != nil {
			return fmt.Errorf("%w: %w", errSpareSync, err)
		}
	}
	if job.create != "" && n < headerBlock {
		err = errors.Join(err, l.discardSpare(job.s))
		job.s = nil
	}
	if err != nil {
		return fmt.Errorf("fill with zeros: %w", err)
	}
	return nil
}

func (l *Log) endFill(job fillJob, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.space.filling, l.mu.space.busy = nil, false
	if job.s != nil {
		job.s.filled = job.off + job.n
		if job.create != "" {
			l.mu.space.spares = append(l.mu.space.spares, job.s)
		}
	}
	if err != nil {
		l.fail(err)
	}
	l.room.Broadcast()
	l.idle.Broadcast()
}

// holdFill notes that the disk is full, and lets the filler try again later.
func (l *Log) holdFill(pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.space.blocked = true
	l.setFull(true)
	l.mu.space.demand, l.mu.space.needs = layout{}, nil
	time.AfterFunc(pause, l.retryFill)
}

// retryFill lets the filler try again at once.
func (l *Log) retryFill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.space.blocked = false
	l.fill.Signal()
}

// discardSpare closes and removes a spare.
func (l *Log) discardSpare(s *segment) error {
	err := l.cfg.FS.Remove(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // the directory was moved aside
	}
	return errors.Join(s.file.File.Close(), err)
}
