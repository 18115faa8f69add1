package data

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"baton/node/adminapi"
)

// Logger may be implemented by a Local that keeps the output of its processes.
type Logger interface {
	// ProcessLogs returns the lines of a process whose sequence is above after,
	// in order, and how many were ever dropped. Line.Seq is the process's own.
	ProcessLogs(name string, after uint64) (lines []LogLine, dropped uint64)
}

// Limits of what is kept of the processes' output.
const (
	logsMax   = 5000
	logsEvery = 200 * time.Millisecond
	logText   = 2000 // bytes of one line
)

// logBook is the merged output of all processes.
type logBook struct {
	lines []LogLine // only ever appended to: snapshots hold parts of it
	all   uint64
	seen  map[string]uint64 // by process
	lost  map[string]uint64
}

// runLogs collects the output of the processes until ctx ends.
func (s *Source) runLogs(ctx context.Context, from Logger) {
	tick := time.NewTicker(logsEvery)
	defer tick.Stop()
	for {
		s.collectLogs(from)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// runNotes takes over what a launched cluster says was done to it.
func (s *Source) runNotes(ctx context.Context, from Noter) {
	tick := time.NewTicker(logsEvery / 4)
	defer tick.Stop()
	after := uint64(0)
	for {
		var notes []adminapi.Event
		notes, after = from.Notes(after)
		for _, e := range notes {
			CleanEvent(&e)
			s.addNote(e)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Source) collectLogs(from Logger) {
	var fresh []LogLine
	var dropped uint64
	for _, p := range s.cfg.Local.Processes() {
		s.mu.Lock()
		after, lost := s.mu.logs.seen[p.Name], s.mu.logs.lost[p.Name]
		s.mu.Unlock()
		lines, gone := from.ProcessLogs(p.Name, after)
		dropped += gone - min(gone, lost)
		for i := range lines {
			after = max(after, lines[i].Seq)
			lines[i].Source = p.Name
			parseLog(&lines[i])
		}
		s.mu.Lock()
		s.mu.logs.seen[p.Name], s.mu.logs.lost[p.Name] = after, gone
		s.mu.Unlock()
		fresh = append(fresh, lines...)
	}
	if len(fresh)+int(dropped) == 0 {
		return
	}
	slices.SortStableFunc(fresh, func(a, b LogLine) int { return a.At.Compare(b.At) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.logs.all += dropped
	for _, l := range fresh {
		s.mu.logs.all++
		l.Seq = s.mu.logs.all
		s.mu.logs.add(l)
	}
}

func (b *logBook) add(l LogLine) {
	if len(b.lines) >= 2*logsMax { // trim seldom: every trim is a copy
		b.lines = slices.Clone(b.list())
	}
	b.lines = append(b.lines, l)
}

func (b *logBook) list() []LogLine { return b.lines[max(0, len(b.lines)-logsMax):] }

// parseLog takes a line of JSON as slog writes it apart; any other line is text.
func parseLog(l *LogLine) {
	text := l.Text
	if len(text) > logText {
		text = text[:logText]
	}
	l.Text = Clean(text)
	if !strings.HasPrefix(text, "{") {
		return
	}
	var fields map[string]any
	if json.Unmarshal([]byte(l.Text), &fields) != nil {
		return
	}
	take := func(key string) string {
		v, _ := fields[key].(string)
		delete(fields, key)
		return v
	}
	if at, err := time.Parse(time.RFC3339Nano, take("time")); err == nil {
		l.At = at
	}
	l.Level = take("level")
	msg := take("msg")
	if node, ok := fields["node"].(string); ok && node == l.Source {
		delete(fields, "node")
	}
	var attrs []string
	for k, v := range fields {
		b, err := json.Marshal(v)
		if err != nil {
			continue
		}
		attrs = append(attrs, k+"="+strings.Trim(string(b), `"`))
	}
	slices.SortFunc(attrs, cmp.Compare)
	l.Text = strings.TrimSpace(msg + "  " + strings.Join(attrs, " "))
}
