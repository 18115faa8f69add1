// Package chaos draws the menu of actions: what can be done to the target that
// it points at, why some cannot be done now, and what the one under the cursor
// is expected to do.
package chaos

import (
	"fmt"
	"strings"

	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/page"
	"baton/tui/style"
)

// Row is one action of the menu.
type Row struct {
	Key, Label, Help string
	Why              string // why it cannot be done now, "" if it can
	Asks             bool   // it says what will happen and asks first
}

// Outlook is what the action under the cursor is expected to do.
type Outlook struct {
	Lines []string
	CLI   string // how another terminal does the same, "" if it cannot
}

// Render draws the menu for a target in at most f.W by f.H cells; row is the
// action under the cursor, aim what it would be done to.
func Render(f page.Frame, target, aim string, rows []Row, row int, o Outlook) []string {
	t := f.Theme
	w := min(76, f.W)
	inner := w - 2
	lines := []string{targetsLine(f, target, inner), ""}
	extra := o.render(t, rows[row].Label+" "+aim, inner)
	room := f.H - 2 - len(lines)
	if room-len(extra)-1 < min(6, len(rows)) {
		extra = extra[:max(0, min(len(extra), room-7))]
	}
	show := max(1, min(len(rows), room-len(extra)))
	from := component.Scroll(0, row, show, len(rows))
	for i := from; i < min(len(rows), from+show); i++ {
		lines = append(lines, rowLine(t, rows[i], i == row, inner))
	}
	lines = append(lines, extra...)
	box := component.Box{Title: t.Paint(style.Strong, "actions") + t.Paint(style.Dim, "  one key acts on the target"),
		Footer: t.Paint(style.Dim, "↑↓ forecast  ←→ target  esc close"), Focus: true}
	if show < len(rows) {
		box.Right = t.Paint(style.Dim, fmt.Sprintf("%d of %d", row+1, len(rows)))
	}
	return box.Render(t, lines, w, min(len(lines)+2, f.H))
}

// render is the forecast, with a rule above it.
func (o Outlook) render(t style.Theme, what string, w int) []string {
	out := []string{t.Paint(style.Dim, " "+strings.Repeat(t.Glyphs.Border.H, 2)) + " " + t.Paint(style.Strong, what) + t.Paint(style.Dim, ": what will happen")}
	if len(o.Lines) == 0 {
		out = append(out, "   "+t.Paint(style.Dim, "nothing is put at risk: it happens at once"))
	}
	for _, s := range o.Lines {
		for _, l := range page.Wrap(s, w-5) {
			out = append(out, "   "+l)
		}
	}
	if o.CLI != "" {
		out = append(out, "   "+t.Paint(style.Dim, component.Cut("in another terminal: "+o.CLI, w-4, t.Glyphs.Ellipsis)))
	}
	return out
}

// targetsLine shows all targets with the chosen one marked.
func targetsLine(f page.Frame, target string, w int) string {
	for _, gap := range []string{"   ", "  "} {
		if line := targets(f, target, gap); component.Width(line) <= w {
			return component.FitSpread(w, [2]string{line, f.Theme.Paint(style.Dim, "choose target ")}, [2]string{line, ""})
		}
	}
	return component.Cut(targets(f, target, " "), w, f.Theme.Glyphs.Ellipsis)
}

func targets(f page.Frame, target, gap string) string {
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
			line += t.Paint(role, glyph) + t.Paint(style.Badge, " "+id+word+" ") + gap[1:]
			continue
		}
		line += t.Paint(role, glyph) + " " + id + gap
	}
	return line + t.Paint(style.Focus, t.Glyphs.Right)
}

func rowLine(t style.Theme, r Row, cursor bool, w int) string {
	label := component.Pad(r.Label, 15)
	lead := "  "
	if cursor {
		lead = t.Paint(style.Focus, t.Glyphs.Cursor) + " "
	}
	if r.Why != "" {
		return lead + t.Paint(style.Dim, component.Pad(r.Key+"  "+label+"("+r.Why+")", w-2))
	}
	asks := ""
	if r.Asks {
		asks = t.Paint(style.Warn, "asks ")
	}
	text := lead + t.Paint(style.Focus, r.Key) + "  " + t.Paint(style.Strong, label) + r.Help
	return component.FitSpread(w, [2]string{text, asks}, [2]string{text, ""})
}
