package nodetest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Event is one that a node reported. Nodes log every event, and the log
// outlives them, which their own memory of events does not.
type Event struct {
	At     time.Time
	Node   string
	Kind   string
	Epoch  uint64
	Text   string
	Fields map[string]string
}

// recorder keeps what all nodes of a cluster log.
type recorder struct {
	mu    sync.Mutex
	lines []Event // those without a Kind are other lines of the log
}

func (r *recorder) events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.lines), func(e Event) bool { return e.Kind == "" })
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, e := range r.lines {
		fmt.Fprintf(&b, "%s %s %-24s %3d %s %v\n", e.At.Format("05.000000"), e.Node, e.Kind, e.Epoch, e.Text, e.Fields)
	}
	return b.String()
}

// nodeHandler is the slog.Handler of one node.
type nodeHandler struct {
	rec   *recorder
	node  string
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (h nodeHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// WithAttrs implements slog.Handler.
func (h nodeHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = slices.Concat(h.attrs, attrs)
	return h
}

// WithGroup implements slog.Handler; groups are not told apart.
func (h nodeHandler) WithGroup(string) slog.Handler { return h }

// Handle implements slog.Handler.
func (h nodeHandler) Handle(_ context.Context, r slog.Record) error {
	e := Event{At: r.Time, Node: h.node, Text: r.Message, Fields: map[string]string{}}
	take := func(a slog.Attr) bool {
		switch {
		case a.Key == "kind":
			e.Kind = a.Value.String()
		case a.Key == "epoch" && a.Value.Kind() == slog.KindUint64:
			e.Epoch = a.Value.Uint64()
		default:
			e.Fields[a.Key] = a.Value.String()
		}
		return true
	}
	for _, a := range h.attrs {
		take(a)
	}
	r.Attrs(take)
	h.rec.mu.Lock()
	defer h.rec.mu.Unlock()
	h.rec.lines = append(h.rec.lines, e)
	return nil
}
