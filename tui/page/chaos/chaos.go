// Package chaos draws the menu of faults: what can be done to the node it
// points at, what each does, and why some cannot be done now.
package chaos

import (
	"fmt"
	"slices"
	"time"

	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/page"
	"baton/tui/style"
)

// Row is one action of the menu.
type Row struct {
	Key, Label, Help string
	Why              string // why it cannot be done now, "" if it can
	Asks             bool   // it asks first
}

// Render draws the menu for a target in at most f.W by f.H cells.
func Render(f page.Frame, target string, rows []Row) []string {
	t := f.Theme
	w := min(74, f.W)
	inner := w - 2
	lines := []string{targetsLine(f, target, inner), ""}
	for _, r := range rows {
		lines = append(lines, rowLine(t, r, inner))
	}
	h := len(lines) + 2
	if extra := forecast(f.Snap, t, target, inner); h+len(extra)+1 <= f.H {
		lines = append(append(lines, ""), extra...)
		h = len(lines) + 2
	}
	box := component.Box{Title: t.Paint(style.Strong, "chaos") + t.Paint(style.Dim, "  one key acts on the target"),
		Footer: t.Paint(style.Dim, "esc close"), Focus: true}
	return box.Render(t, lines, w, min(h, f.H))
}

// targetsLine shows all targets with the chosen one marked.
func targetsLine(f page.Frame, target string, w int) string {
	t := f.Theme
	line := " " + t.Paint(style.Focus, t.Glyphs.Left) + " "
	for _, id := range f.Snap.Targets() {
		glyph, role := t.Glyphs.Leader, style.Follow
		word := ""
		if n := f.Snap.NodeByID(id); n != nil {
			glyph, role = page.StateLook(t, n.State)
			word = " " + n.State.Word()
		} else if p := f.Snap.ProcessByName(id); p != nil {
			if p.State != data.ProcessRunning {
				glyph, role = t.Glyphs.Down, style.Bad
			} else if p.Mode != "" {
				word = " " + p.Mode
			}
		}
		if id == target {
			line += t.Paint(role, glyph) + t.Paint(style.Badge, " "+id+word+" ") + "  "
			continue
		}
		line += t.Paint(role, glyph) + " " + id + "   "
	}
	return component.FitSpread(w, [2]string{line + t.Paint(style.Focus, t.Glyphs.Right), t.Paint(style.Dim, "choose target ")}, [2]string{line, ""})
}

func rowLine(t style.Theme, r Row, w int) string {
	label := component.Pad(r.Label, 11)
	if r.Why != "" {
		return t.Paint(style.Dim, component.Pad("  "+r.Key+"  "+label+"("+r.Why+")", w))
	}
	asks := ""
	if r.Asks {
		asks = t.Paint(style.Warn, "asks first ")
	}
	return component.FitSpread(w,
		[2]string{"  " + t.Paint(style.Focus, r.Key) + "  " + t.Paint(style.Strong, label) + r.Help, asks},
		[2]string{"  " + t.Paint(style.Focus, r.Key) + "  " + t.Paint(style.Strong, label) + r.Help, ""})
}

// forecast says what losing the target would mean, from the present state and
// from the failovers that were measured.
func forecast(s *data.Snapshot, t style.Theme, target string, w int) []string {
	n := s.NodeByID(target)
	if n == nil || !n.State.Alive() {
		return nil
	}
	left, size := s.Remaining(data.ActionKill, target), s.Quorum.Size
	text := fmt.Sprintf("  without %s: %d of %d nodes, quorum %d", target, left, s.Quorum.Replicas, size)
	role := style.Dim
	switch {
	case left < size:
		text, role = text+", producers wait", style.Bad
	case left == size:
		text += "; one more loss stops the cluster"
	}
	out := []string{t.Paint(role, component.Cut(text, w, t.Glyphs.Ellipsis))}
	if n.State.Leads() && left >= size {
		if m, of := median(s); of > 0 {
			out = append(out, t.Paint(style.Dim, fmt.Sprintf("  producers stall about %s (median of %d failovers)", component.Span(m), of)))
		}
	}
	return out
}

func median(s *data.Snapshot) (time.Duration, int) {
	var all []time.Duration
	for i := range s.Failovers {
		if r := &s.Failovers[i]; r.Done() {
			all = append(all, r.FirstReceipt.Sub(r.Fault))
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], len(all)
}
