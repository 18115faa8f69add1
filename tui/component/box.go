package component

import "baton/tui/style"

// Box is a frame with a title in its top edge and a note in its bottom edge.
type Box struct {
	Title  string // may be painted
	Right  string // at the right end of the top edge
	Footer string // at the right end of the bottom edge
	Focus  bool   // double frame and a marker beside the title
	Pad    bool   // a blank cell inside both edges
	Alarm  style.Role
}

// Inner is the width that a box leaves to its lines.
func (b Box) Inner(w int) int {
	if b.Pad {
		return w - 4
	}
	return w - 2
}

// Render frames lines into exactly h rows of w cells; lines beyond that are
// dropped, missing ones are blank. Below 4x2 there is no room for a frame and
// nothing is drawn.
func (b Box) Render(t style.Theme, lines []string, w, h int) []string {
	if w < 4 || h < 2 {
		return nil
	}
	edge, role := t.Glyphs.Border, style.Dim
	if b.Focus {
		edge, role = t.Glyphs.Heavy, style.Focus
	}
	if b.Alarm != style.Text {
		role = b.Alarm
	}
	inner := w - 2
	out := make([]string, 0, h)
	out = append(out, b.top(t, edge, role, inner))
	v := t.Paint(role, edge.V)
	for i := range h - 2 {
		line := ""
		if i < len(lines) {
			line = lines[i]
		}
		if b.Pad {
			line = " " + Pad(line, inner-2) + " "
		}
		out = append(out, v+Pad(line, inner)+v)
	}
	return append(out, b.bottom(t, edge, role, inner))
}

func (b Box) top(t style.Theme, e style.Border, role style.Role, inner int) string {
	if b.Title == "" && b.Right == "" {
		return t.Paint(role, e.TL+repeat(e.H, inner)+e.TR)
	}
	title := b.Title
	if b.Focus {
		title += " " + t.Paint(style.Focus, t.Glyphs.Cursor)
	}
	title = Cut(title, inner-4, t.Glyphs.Ellipsis)
	right := b.Right
	if right != "" && Width(title)+Width(right)+7 > inner {
		right = ""
	}
	if Width(title) == 0 {
		return t.Paint(role, e.TL+repeat(e.H, inner)+e.TR)
	}
	rest := inner - 3 - Width(title)
	if right == "" {
		return t.Paint(role, e.TL+e.H) + " " + title + " " + t.Paint(role, repeat(e.H, rest)+e.TR)
	}
	rest -= Width(right) + 3
	return t.Paint(role, e.TL+e.H) + " " + title + " " + t.Paint(role, repeat(e.H, rest)) +
		" " + right + " " + t.Paint(role, e.H+e.TR)
}

func (b Box) bottom(t style.Theme, e style.Border, role style.Role, inner int) string {
	foot := Cut(b.Footer, inner-4, t.Glyphs.Ellipsis)
	if Width(foot) == 0 {
		return t.Paint(role, e.BL+repeat(e.H, inner)+e.BR)
	}
	rest := inner - 3 - Width(foot)
	return t.Paint(role, e.BL+repeat(e.H, rest)) + " " + foot + " " + t.Paint(role, e.H+e.BR)
}

func repeat(s string, n int) string {
	if n <= 0 {
		return ""
	}
	out := make([]byte, 0, n*len(s))
	for range n {
		out = append(out, s...)
	}
	return string(out)
}

// Beside joins blocks of lines side by side. Each block keeps the width given
// for it; a shorter block is filled with blanks.
func Beside(widths []int, blocks ...[]string) []string {
	rows := 0
	for _, b := range blocks {
		rows = max(rows, len(b))
	}
	out := make([]string, rows)
	for r := range out {
		for i, b := range blocks {
			line := ""
			if r < len(b) {
				line = b[r]
			}
			out[r] += Fill(line, widths[i])
		}
	}
	return out
}

// Split divides w cells among n columns as evenly as it goes.
func Split(w, n int) []int {
	if n <= 0 {
		return nil
	}
	out := make([]int, n)
	for i := range out {
		out[i] = w*(i+1)/n - w*i/n
	}
	return out
}
