package record

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"baton/node/adminapi"
	"baton/tui/data"
)

// Config of a Writer.
type Config struct {
	Path     string
	Header   Header
	BytesMax int64 // of the file; default 256 MiB
	Backlog  int   // snapshots that wait for the disk before some are left out; default 16
	// OnEnd is called once when recording ended before Close: the disk failed or
	// the file is as big as it may get.
	OnEnd func(error)
}

// Writer writes one recording. Take never waits for the disk. The caller
// closes it.
type Writer struct {
	cfg   Config
	file  *os.File
	count counter
	zip   *gzip.Writer
	inbox chan *data.Snapshot
	done  chan struct{}

	// Owned by runWrite.
	last   map[string][]byte
	frames int
	events map[eventKey]struct{}
	counts data.Snapshot // EventsAll and LogsAll of the last frame
	logs   uint64
	queues time.Time

	mu struct {
		sync.Mutex
		closed bool
		err    error
	}
}

type eventKey struct {
	node, kind, text string
	seq              uint64
	at               int64
}

// Create begins a recording in a new file, with its directory.
func Create(cfg Config) (*Writer, error) {
	if cfg.BytesMax <= 0 {
		cfg.BytesMax = 256 << 20
	}
	if cfg.Backlog <= 0 {
		cfg.Backlog = 16
	}
	if cfg.OnEnd == nil {
		cfg.OnEnd = func(error) {}
	}
	cfg.Header.Magic, cfg.Header.Version = magic, Version
	if err := os.MkdirAll(filepath.Dir(cfg.Path), 0o700); err != nil {
		return nil, fmt.Errorf("create recording: %w", err)
	}
	f, err := os.OpenFile(cfg.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create recording: %w", err)
	}
	w := &Writer{cfg: cfg, file: f, inbox: make(chan *data.Snapshot, cfg.Backlog), done: make(chan struct{}),
		last: map[string][]byte{}, events: map[eventKey]struct{}{}}
	w.count.to = f
	w.zip = gzip.NewWriter(&w.count)
	if err := w.line(cfg.Header); err != nil {
		return nil, errors.Join(fmt.Errorf("begin recording: %w", err), f.Close(), os.Remove(cfg.Path))
	}
	go w.runWrite()
	return w, nil
}

// Path of the file.
func (w *Writer) Path() string { return w.cfg.Path }

// Take records a snapshot soon. If the disk is slower than the snapshots come,
// some are left out; their events and lines come with the next.
func (w *Writer) Take(s *data.Snapshot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.closed {
		return
	}
	select {
	case w.inbox <- s:
	default:
	}
}

// Close writes what was taken and ends the file. It returns the first error of
// the recording.
func (w *Writer) Close() error {
	w.mu.Lock()
	if !w.mu.closed {
		w.mu.closed = true
		close(w.inbox)
	}
	w.mu.Unlock()
	<-w.done
	return w.mu.err
}

// errFull says that the file has all the bytes it may have.
var errFull = errors.New("record: the recording has reached its size; what follows is not in it")

func (w *Writer) runWrite() {
	defer close(w.done)
	flush := time.NewTicker(time.Second)
	defer flush.Stop()
	var err error
	for err == nil {
		select {
		case s, ok := <-w.inbox:
			if !ok {
				w.end(nil)
				return
			}
			err = w.frame(s)
		case <-flush.C:
			err = w.zip.Flush()
		}
		if err == nil && w.count.n > w.cfg.BytesMax {
			err = errFull
		}
	}
	w.end(err)
	w.cfg.OnEnd(err)
	for range w.inbox { // nobody waits for the disk
	}
}

func (w *Writer) end(err error) {
	err = errors.Join(err, w.zip.Close(), w.file.Close())
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && !errors.Is(err, errFull) {
		w.mu.err = fmt.Errorf("write recording %s: %w", w.cfg.Path, err)
	}
}

type frameLine struct {
	T      int64                      `json:"t"`
	Key    bool                       `json:"key,omitempty"`
	Parts  map[string]json.RawMessage `json:"parts,omitempty"`
	Events []adminapi.Event           `json:"events,omitempty"`
	Logs   []data.LogLine             `json:"logs,omitempty"`
}

// counts is a part: the figures of a snapshot that stand alone.
type counts struct {
	Seq, EventsAll, LogsAll uint64
	QueuesOf                string
	QueuesAt                time.Time
	Launched                bool
}

func (w *Writer) frame(s *data.Snapshot) error {
	f := frameLine{T: s.At.Sub(w.cfg.Header.At).Nanoseconds(), Key: w.frames%keyEvery == 0, Parts: map[string]json.RawMessage{}}
	w.frames++
	now := map[string]any{
		"tree": s.Tree, "ledger": s.Ledger, "processes": s.Processes, "failovers": s.Failovers, "servers": s.Servers,
		"links": s.Links, "lesson": s.Lesson, "chains": s.Chains, "self": s.Self,
		"counts": counts{s.Seq, s.EventsAll, s.LogsAll, s.QueuesOf, s.QueuesAt, s.Launched},
	}
	for i := range s.Nodes {
		n := nodePart{Node: s.Nodes[i]}
		now["node/"+n.ID] = n
	}
	if f.Key || s.At.Sub(w.queues) >= time.Second {
		w.queues = s.At
		rows := make([]data.QueueRow, len(s.Queues))
		for i, q := range s.Queues {
			q.Trend = nil
			rows[i] = q
		}
		now["queues"] = rows
	}
	for name, v := range now {
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode %s: %w", name, err)
		}
		if f.Key || !bytes.Equal(w.last[name], b) {
			f.Parts[name], w.last[name] = b, b
		}
	}
	for name := range w.last {
		if _, ok := now[name]; !ok && name != "queues" {
			f.Parts[name] = json.RawMessage("null")
			delete(w.last, name)
		}
	}
	f.Events, f.Logs = w.newEvents(s), w.newLogs(s)
	return w.line(f)
}

// newEvents are those that no frame has yet. They are merged by time, so they
// may stand anywhere in the window.
func (w *Writer) newEvents(s *data.Snapshot) []adminapi.Event {
	if s.EventsAll == w.counts.EventsAll {
		return nil
	}
	w.counts.EventsAll = s.EventsAll
	var fresh []adminapi.Event
	seen := make(map[eventKey]struct{}, len(s.Events))
	for _, e := range s.Events {
		k := eventKey{e.Node, e.Kind, e.Text, e.Seq, e.At.UnixNano()}
		seen[k] = struct{}{}
		if _, old := w.events[k]; !old {
			fresh = append(fresh, e)
		}
	}
	w.events = seen
	return fresh
}

func (w *Writer) newLogs(s *data.Snapshot) []data.LogLine {
	for i := len(s.Logs); i > 0; i-- {
		if s.Logs[i-1].Seq <= w.logs {
			return w.upTo(s, s.Logs[i:])
		}
	}
	return w.upTo(s, s.Logs)
}

func (w *Writer) upTo(s *data.Snapshot, fresh []data.LogLine) []data.LogLine {
	w.logs = max(w.logs, s.LogsAll)
	return fresh
}

func (w *Writer) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	if len(b) > lineMax {
		return fmt.Errorf("%w: a frame of %d bytes", ErrTooBig, len(b))
	}
	_, err = w.zip.Write(append(b, '\n'))
	return err
}

type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	c.n += int64(n)
	return n, err
}

// Live is a source whose run can be recorded.
type Live interface {
	Run(ctx context.Context, publish func(*data.Snapshot)) error
	Do(ctx context.Context, action, node string) error
	Can(action string) (ok bool, why string)
}

// Tee is a source that records all it publishes.
type Tee struct {
	Live
	To *Writer
}

// Run implements Live.
func (t Tee) Run(ctx context.Context, publish func(*data.Snapshot)) error {
	return t.Live.Run(ctx, func(s *data.Snapshot) {
		t.To.Take(s)
		publish(s)
	})
}
