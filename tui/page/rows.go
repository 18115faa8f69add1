package page

import (
	"strings"

	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/style"
)

// CheckLines draws a checklist: what is done, what everybody waits for, and
// what comes after.
func CheckLines(t style.Theme, checks []data.Check, w int) []string {
	var out []string
	for _, c := range checks {
		mark, role := t.Glyphs.Pending, style.Dim
		switch c.State {
		case data.CheckDone:
			mark, role = t.Glyphs.OK, style.Good
		case data.CheckWaiting:
			mark, role = t.Glyphs.Timer, style.Warn
		case data.CheckUnknown:
			mark, role = t.Glyphs.Unknown, style.Warn
		}
		for i, text := range Wrap(c.Text, max(8, w-13)) {
			head := t.Paint(role, mark+" "+component.Pad(c.Name, 10)) + " "
			if i > 0 {
				head = component.Fill("", 13)
			}
			if c.State == data.CheckLater {
				text = t.Paint(style.Dim, text)
			}
			out = append(out, head+text)
		}
	}
	return out
}

// Wrap breaks text at blanks into lines of at most w cells.
func Wrap(text string, w int) []string {
	var out []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case component.Width(line)+1+component.Width(word) <= w:
			line += " " + word
		default:
			out = append(out, line)
			line = word
		}
	}
	if line != "" {
		out = append(out, line)
	}
	return out
}

// Cursor is a position in a list with its scrolling; the zero value is the top.
type Cursor struct{ At int }

// Move applies a command to a list of n rows of which page are shown.
func (c *Cursor) Move(cmd Command, n, page int) {
	switch cmd {
	case Up:
		c.At--
	case Down:
		c.At++
	case PageUp:
		c.At -= max(1, page-1)
	case PageDown:
		c.At += max(1, page-1)
	case Top:
		c.At = 0
	case Bottom:
		c.At = n - 1
	}
	c.At = max(0, min(c.At, n-1))
}

// Small says that a frame has no room for panes side by side.
func Small(f Frame) bool { return f.W < 70 || f.H < 16 }
