package record

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"baton/node/adminapi"
	"baton/tui/data"
)

// Recording is one that was read into memory. It is not safe for concurrent use.
type Recording struct {
	Header Header
	Path   string
	Torn   bool // the file ended in the middle: its writer was killed

	frames []frame
	events []adminapi.Event // in the order in which they came
	logs   []data.LogLine

	at     int // frame that the state below shows, -1 for none
	parts  map[string]json.RawMessage
	series map[string][]float64
	stamps []time.Time
}

type frame struct {
	t            time.Duration
	key          bool
	parts        map[string]json.RawMessage
	events, logs int // how many of all there were by then
}

// Read reads a whole recording. One that ends in the middle is read up to
// there and marked.
func Read(path string) (*Recording, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	defer f.Close()
	r, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("read recording %s: %w", path, err)
	}
	r.Path = path
	return r, nil
}

func read(from io.Reader) (*Recording, error) {
	zip, err := gzip.NewReader(from)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	r := &Recording{at: -1}
	lines := bufio.NewScanner(zip)
	lines.Buffer(make([]byte, 0, 64<<10), lineMax+1)
	size := 0
	for n := 0; lines.Scan(); n++ {
		if size += len(lines.Bytes()); size > memoryMax {
			return nil, ErrTooBig
		}
		if n == 0 {
			if err := r.header(lines.Bytes()); err != nil {
				return nil, err
			}
			continue
		}
		if err := r.take(lines.Bytes()); err != nil {
			if lines.Scan() { // not the last line: no writer that was killed
				return nil, fmt.Errorf("%w: line %d: %w", ErrFormat, n+1, err)
			}
			r.Torn = true
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, io.ErrUnexpectedEOF):
		r.Torn = true
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if r.Header.Magic == "" {
		return nil, ErrFormat
	}
	if len(r.frames) == 0 {
		return nil, ErrEmpty
	}
	return r, nil
}

func (r *Recording) header(b []byte) error {
	if err := json.Unmarshal(b, &r.Header); err != nil || r.Header.Magic != magic {
		return ErrFormat
	}
	if r.Header.Version != Version {
		return fmt.Errorf("%w: %d, this program reads %d", ErrVersion, r.Header.Version, Version)
	}
	r.Header.Cluster, r.Header.Product, r.Header.Command = data.Clean(r.Header.Cluster), data.Clean(r.Header.Product), data.Clean(r.Header.Command)
	return nil
}

func (r *Recording) take(b []byte) error {
	var l frameLine
	if err := json.Unmarshal(b, &l); err != nil {
		return err
	}
	if len(r.frames) == 0 && !l.Key {
		return errors.New("the first frame is not whole")
	}
	if n := len(r.frames); n > 0 && time.Duration(l.T) < r.frames[n-1].t {
		l.T = int64(r.frames[n-1].t) // the clock was set back
	}
	for i := range l.Events {
		data.CleanEvent(&l.Events[i])
	}
	for i := range l.Logs {
		l.Logs[i].Text, l.Logs[i].Source = data.Clean(l.Logs[i].Text), data.Clean(l.Logs[i].Source)
	}
	r.events, r.logs = append(r.events, l.Events...), append(r.logs, l.Logs...)
	r.frames = append(r.frames, frame{t: time.Duration(l.T), key: l.Key, parts: l.Parts, events: len(r.events), logs: len(r.logs)})
	return nil
}

// Len is the number of frames.
func (r *Recording) Len() int { return len(r.frames) }

// Time of a frame since the first.
func (r *Recording) Time(i int) time.Duration { return r.frames[i].t - r.frames[0].t }

// At returns the last frame that is not after t.
func (r *Recording) At(t time.Duration) int {
	return max(0, sort.Search(len(r.frames), func(i int) bool { return r.Time(i) > t })-1)
}

// Events are all of the recording, by time.
func (r *Recording) Events() []adminapi.Event {
	out := slices.Clone(r.events)
	slices.SortStableFunc(out, func(a, b adminapi.Event) int { return a.At.Compare(b.At) })
	return out
}

// Logs are all lines of the recording.
func (r *Recording) Logs() []data.LogLine { return r.logs }

// seriesMax is how many values a series shows: two minutes at four a second.
const seriesMax = 480

// Snapshot is what the console showed at a frame.
func (r *Recording) Snapshot(i int) (*data.Snapshot, error) {
	i = max(0, min(i, len(r.frames)-1))
	if i < r.at || r.at < 0 || i-r.at > seriesMax {
		from := max(0, i-seriesMax)
		for !r.frames[from].key {
			from--
		}
		r.at, r.parts, r.series, r.stamps = from-1, map[string]json.RawMessage{}, map[string][]float64{}, nil
	}
	var s *data.Snapshot
	for s == nil || r.at < i {
		if r.at < i {
			r.at++
			r.apply(r.frames[r.at])
		}
		var err error
		if s, err = r.build(); err != nil {
			return nil, fmt.Errorf("%w: frame %d: %w", ErrFormat, r.at, err)
		}
	}
	return s, nil
}

func (r *Recording) apply(f frame) {
	if f.key {
		r.parts = map[string]json.RawMessage{}
	}
	for name, raw := range f.parts {
		if string(raw) == "null" {
			delete(r.parts, name)
		} else {
			r.parts[name] = raw
		}
	}
}

// eventsMax is how many events a snapshot shows.
const eventsMax = 2000

func (r *Recording) build() (*data.Snapshot, error) {
	f := r.frames[r.at]
	s := &data.Snapshot{At: r.Header.At.Add(f.t), Cluster: r.Header.Cluster}
	var c counts
	for name, to := range map[string]any{"counts": &c, "tree": &s.Tree, "queues": &s.Queues, "ledger": &s.Ledger, "processes": &s.Processes,
		"failovers": &s.Failovers, "servers": &s.Servers, "links": &s.Links, "lesson": &s.Lesson, "chains": &s.Chains, "self": &s.Self} {
		if raw, ok := r.parts[name]; ok {
			if err := json.Unmarshal(raw, to); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	s.Seq, s.EventsAll, s.LogsAll, s.QueuesOf, s.QueuesAt, s.Launched = c.Seq, c.EventsAll, c.LogsAll, data.Clean(c.QueuesOf), c.QueuesAt, c.Launched
	for name, raw := range r.parts {
		if !strings.HasPrefix(name, "node/") {
			continue
		}
		n := data.Node{}
		if err := json.Unmarshal(raw, &n); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		s.Nodes = append(s.Nodes, n)
	}
	slices.SortFunc(s.Nodes, func(a, b data.Node) int { return strings.Compare(a.ID, b.ID) })
	s.Events = slices.Clone(r.events[max(0, f.events-eventsMax):f.events])
	slices.SortStableFunc(s.Events, func(a, b adminapi.Event) int { return a.At.Compare(b.At) })
	s.Logs = r.logs[max(0, f.logs-5000):f.logs]
	s.CleanAll()
	s.Derive()
	r.trends(s)
	return s, nil
}

// trends rebuilds the rows of figures that sparklines are drawn from.
func (r *Recording) trends(s *data.Snapshot) {
	again := len(r.stamps) > 0 && s.At.Equal(r.stamps[len(r.stamps)-1])
	sample := !again && (len(r.stamps) == 0 || s.At.Sub(r.stamps[len(r.stamps)-1]) >= 200*time.Millisecond)
	if sample {
		r.stamps = append(r.stamps, s.At)[max(0, len(r.stamps)+1-seriesMax):]
	}
	row := func(name string, v float64, most int) []float64 {
		if sample {
			row := append(slices.Clone(r.series[name]), v)
			r.series[name] = row[max(0, len(row)-most):]
		}
		return r.series[name]
	}
	in, out := 0.0, 0.0
	if l := s.LeaderNode(); l != nil {
		in, out = l.InRate, l.OutRate
		if in < 0 || out < 0 {
			in, out = math.NaN(), math.NaN()
		}
	}
	s.InRate, s.OutRate = row("in", in, seriesMax), row("out", out, seriesMax)
	for i := range s.Nodes {
		s.Nodes[i].Lag = row("lag/"+s.Nodes[i].ID, s.Nodes[i].LagBytes, seriesMax)
	}
	for i := range s.Queues {
		s.Queues[i].Trend = row("queue/"+s.Queues[i].Name, float64(s.Queues[i].Depth), 60)
	}
}

// Last is the newest frame.
func (r *Recording) Last() (*data.Snapshot, error) { return r.Snapshot(len(r.frames) - 1) }
