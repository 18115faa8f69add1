package supervisor

import (
	"bytes"
	"os"
	"sync"
	"time"
)

// Line is one line that a process wrote.
type Line struct {
	Seq  uint64 // from 1, without gaps except for dropped lines
	At   time.Time
	Text string
}

// logRing keeps the last lines of a process in memory and appends all of them
// to a file, within bounds: a line is cut at lineMax bytes, a process that
// writes faster than rate loses lines (they are counted), and the file stops
// growing at fileMax. It never makes the process wait and never fails it.
type logRing struct {
	lineMax int
	fileMax int64
	rate    float64 // bytes per second; the burst is four seconds of it
	now     func() time.Time

	mu       sync.Mutex
	lines    []Line // circular, next points at the oldest once full
	next     int
	seq      uint64
	dropped  uint64
	tokens   float64
	refilled time.Time
	fileSize int64
	file     *os.File
}

const rateBurstSeconds = 4

func newLogRing(lines, lineMax int, rate float64, fileMax int64) *logRing {
	return &logRing{
		lineMax: lineMax, fileMax: fileMax, rate: rate, now: time.Now,
		lines: make([]Line, 0, lines), tokens: rate * rateBurstSeconds,
	}
}

// open directs further lines into the file, too, appending to what is there.
func (r *logRing) open(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.file, r.fileSize = f, fi.Size()
	return nil
}

func (r *logRing) close() error {
	r.mu.Lock()
	f := r.file
	r.file = nil
	r.mu.Unlock()
	if f == nil {
		return nil
	}
	return f.Close()
}

func (r *logRing) add(text string) {
	r.mu.Lock()
	now := r.now()
	if !r.refilled.IsZero() {
		r.tokens = min(r.rate*rateBurstSeconds, r.tokens+now.Sub(r.refilled).Seconds()*r.rate)
	}
	r.refilled = now
	cost := float64(len(text) + 1)
	if cost > r.tokens {
		r.dropped++
		r.mu.Unlock()
		return
	}
	r.tokens -= cost
	r.seq++
	l := Line{Seq: r.seq, At: now, Text: text}
	if len(r.lines) < cap(r.lines) {
		r.lines = append(r.lines, l)
	} else {
		r.lines[r.next] = l
		r.next = (r.next + 1) % len(r.lines)
	}
	f := r.file
	if f == nil || r.fileSize+int64(len(text))+1 > r.fileMax {
		r.mu.Unlock()
		return
	}
	r.fileSize += int64(len(text)) + 1
	r.mu.Unlock()
	// A log file that cannot be written must not hurt the child: the ring has the line.
	_, _ = f.WriteString(text + "\n")
}

// since returns the kept lines with a sequence above after, oldest first.
func (r *logRing) since(after uint64) (lines []Line, dropped uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.lines {
		if l := r.lines[(r.next+i)%len(r.lines)]; l.Seq > after {
			lines = append(lines, l)
		}
	}
	return lines, r.dropped
}

// lineWriter splits what a child writes to one of its outputs into lines.
type lineWriter struct {
	ring *logRing
	buf  []byte
	cut  bool // the rest of an overlong line is being skipped
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i]
		}
		if room := w.ring.lineMax - len(w.buf); len(part) > room {
			part, w.cut = part[:room], true
		}
		w.buf = append(w.buf, part...)
		if i < 0 {
			break
		}
		w.flush()
		p = p[i+1:]
	}
	return n, nil
}

func (w *lineWriter) flush() {
	text := string(bytes.TrimSuffix(w.buf, []byte{'\r'}))
	if w.cut {
		text += " [cut]"
	}
	w.buf, w.cut = w.buf[:0], false
	w.ring.add(text)
}
