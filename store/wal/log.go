package wal

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"baton/store/record"
)

// Log is an open log. All methods may be called from several goroutines,
// except that reads below a TruncateTo in progress may find nothing.
type Log struct {
	cfg     Config
	files   *fileCache
	reserve int64 // bytes, of Config.ReserveBytes

	closing  chan struct{} // closed by Close
	wg       sync.WaitGroup
	progress atomic.Pointer[progress] // stored with mu held

	trim struct { // held by TrimTo, across its I/O; comes before mu
		sync.Mutex
		gone []*segment // taken out of the log, files not yet removed
	}

	mu struct {
		sync.Mutex

		segments   []*segment // ascending; the last is the active one
		pos        record.Positions
		boundaries []record.EpochBoundary
		commit     record.Position // highest seen in a batch header

		queue      []queued // appended, not yet taken to be written
		spareQueue []queued // its memory for the next time
		queueBytes int64    // of those and of the ones being written
		queueWaits int      // appends that wait for this to become less

		// Who is at the active file. exclusive keeps flusher and filler away
		// while the writer changes segments or TruncateTo cuts.
		busyWrite, busyFlush bool
		flusherWaits         bool // for work
		resting              bool // the flusher, between two syncs
		yielded              bool // the writer, to those who append
		exclusive            bool
		truncating           bool // appends wait
		generation           uint64

		space  space
		pace   pace
		closed bool
		err    error // wraps ErrFailed

		subs    map[chan struct{}]record.Moves
		told    record.Positions // to them
		metrics Metrics
	}
	// Conditions on mu: the writer, the flusher and the filler have one each,
	// room is for appends that wait for any of the three, idle for others who do.
	work, flush, fill, room, idle *sync.Cond
}

// queued is one append: whole batches, owned by the log.
type queued struct {
	b    []byte
	from *record.Batch // whose memory it is, nil if nobody's
}

// Open recovers the log in cfg.Dir and starts its goroutines. The caller holds
// the lock of the directory and closes the Log.
func Open(cfg Config) (*Log, Recovery, error) {
	if err := cfg.Validate(); err != nil {
		return nil, Recovery{}, err
	}
	cfg = cfg.withDefaults()
	l := &Log{
		cfg: cfg, files: newFileCache(cfg.FS), closing: make(chan struct{}),
		reserve: min(cfg.ReserveBytes, cfg.SegmentSize/4),
	}
	l.work, l.flush = sync.NewCond(&l.mu), sync.NewCond(&l.mu)
	l.fill, l.room, l.idle = sync.NewCond(&l.mu), sync.NewCond(&l.mu), sync.NewCond(&l.mu)
	l.mu.subs = map[chan struct{}]record.Moves{}
	found, err := recoverLog(cfg, l.files)
	if err != nil {
		l.files.close()
		return nil, Recovery{}, err
	}
	l.mu.segments, l.mu.boundaries = found.segments, found.boundaries
	l.mu.commit = found.report.Commit
	end := found.report.Append
	l.mu.pos = record.Positions{
		Start: found.segments[0].base, Append: end, Written: end, Flush: end, Epoch: lastEpoch(found.boundaries),
	}
	if r := found.report; r.TornBytes > 0 {
		cfg.Logger.Warn("cut the torn tail of the log", "file", r.TornFile, "position", r.Append, "bytes", r.TornBytes)
	}
	l.mu.space.tail = layout{0, l.mu.segments[len(l.mu.segments)-1].offset(end)}
	l.publish(progress{next: newTurn()})
	l.wg.Add(3)
	go l.runWriter()
	go l.runFlusher()
	go l.runFiller()
	return l, found.report, nil
}

func lastEpoch(b []record.EpochBoundary) record.Epoch {
	if len(b) == 0 {
		return 0
	}
	return b[len(b)-1].Epoch
}

// Positions returns the marks of the log, all of one moment.
func (l *Log) Positions() record.Positions {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.pos
}

// EpochBoundaries returns where each epoch of the log began, ascending. Epochs
// that ended long before Start may be missing.
func (l *Log) EpochBoundaries() []record.EpochBoundary {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.mu.boundaries)
}

// Err returns what ended the log, wrapping ErrFailed, or nil.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.err
}

// usable is the error that a new call gets. l.mu is held.
func (l *Log) usable() error {
	if l.mu.err != nil {
		return l.mu.err
	}
	if l.mu.closed {
		return ErrClosed
	}
	return nil
}

// Subscribe returns a channel that gets a value when one of the named marks,
// Full or the error state has moved since the last value was taken, and a
// function that ends the subscription. The channel is never closed.
func (l *Log) Subscribe(of record.Moves) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.subs[c] = of
	return c, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.mu.subs, c)
	}
}

// notify signals the subscribers of what has moved, or all of them if it is
// something else. l.mu is held; the sends never wait.
func (l *Log) notify() {
	moved := l.mu.pos.Moved(l.mu.told)
	l.mu.told = l.mu.pos
	for c, of := range l.mu.subs {
		if moved != 0 && moved&of == 0 {
			continue
		}
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// fail ends the log for good: a sync that failed may have dropped the data, so
// trying again could succeed without it. l.mu is held.
func (l *Log) fail(err error) {
	if l.mu.err != nil {
		return
	}
	l.mu.err = fmt.Errorf("%w: %w", ErrFailed, err)
	l.endWaiting(l.mu.err)
	l.wakeAll()
	l.notify()
}

func (l *Log) wakeAll() {
	l.work.Broadcast()
	l.flush.Broadcast()
	l.fill.Broadcast()
	l.room.Broadcast()
	l.idle.Broadcast()
}

// Close writes and flushes what was appended, ends the goroutines and closes
// the files. It returns the error that ended the log, if one did.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.mu.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	for l.mu.truncating {
		l.idle.Wait()
	}
	l.mu.closed = true
	close(l.closing)
	l.wakeAll()
	l.mu.Unlock()
	l.wg.Wait()

	l.mu.Lock()
	err, active, flushed := l.mu.err, l.mu.segments[len(l.mu.segments)-1], l.mu.pos.Flush
	if err == nil {
		l.endWaiting(ErrClosed)
	}
	l.notify()
	l.mu.Unlock()
	if err == nil && flushed > active.base {
		// Nothing is in flight now: the mark can tell the exact end.
		err = errors.Join(active.writeMark(mark{Position: flushed}), active.file.Sync())
	}
	for _, s := range l.mu.space.spares { // nobody else is left
		if derr := l.discardSpare(s); err == nil {
			err = derr
		}
	}
	if cerr := l.files.close(); err == nil {
		err = cerr
	}
	return err
}

// Metrics are counters since Open.
type Metrics struct {
	Batches uint64 // appended
	Bytes   uint64 // written
	Groups  uint64 // writes
	Flushes uint64 // syncs of the log's content

	FlushTotal time.Duration
	FlushMax   time.Duration
	// FlushBuckets[i] counts the flushes that took less than 32 us << i and
	// not less than half of it; the last one takes the rest.
	FlushBuckets [20]uint64
}

func (m *Metrics) flushed(d time.Duration) {
	m.Flushes++
	m.FlushTotal += d
	m.FlushMax = max(m.FlushMax, d)
	i := bits.Len64(uint64(d / (32 * time.Microsecond)))
	m.FlushBuckets[min(i, len(m.FlushBuckets)-1)]++
}

// Metrics returns the counters.
func (l *Log) Metrics() Metrics {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.metrics
}
