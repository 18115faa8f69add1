package component

import "baton/tui/style"

// Column of a table. Exactly one column may have Width 0: it takes the rest.
type Column struct {
	Title string
	Width int
	Right bool // align right, for numbers
}

// Table draws rows under a heading. It keeps no state: cursor and offset come
// from the page, which owns them.
type Table struct {
	Columns []Column
	Rows    [][]string // cells may be painted
	Cursor  int        // row that is marked, -1 for none
	Offset  int        // first row shown
	Focus   bool
	Dim     bool // the figures are old
}

// Render draws the heading and at most h-1 rows in w cells.
func (t Table) Render(th style.Theme, w, h int) []string {
	if w <= 0 || h <= 0 {
		return nil
	}
	widths := t.widths(w)
	head := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		head[i] = c.Title
	}
	out := []string{th.Paint(style.Dim, "  "+t.line(head, widths))}
	for i := t.Offset; i < len(t.Rows) && len(out) < h; i++ {
		out = append(out, t.row(th, i, widths))
	}
	return out
}

func (t Table) row(th style.Theme, i int, widths []int) string {
	text := t.line(t.Rows[i], widths)
	switch {
	case i == t.Cursor && t.Focus:
		return th.Paint(style.Focus, th.Glyphs.Cursor+" ") + th.Paint(style.Strong, text)
	case t.Dim:
		return th.Paint(style.Dim, "  "+text)
	}
	return "  " + text
}

func (t Table) line(cells []string, widths []int) string {
	out := ""
	for i, w := range widths {
		if w <= 0 {
			continue
		}
		cell := ""
		if i < len(cells) {
			cell = cells[i]
		}
		if out != "" {
			out += " "
		}
		if t.Columns[i].Right {
			out += PadLeft(cell, w)
		} else {
			out += Pad(cell, w)
		}
	}
	return out
}

// widths gives the elastic column what the others leave; columns from the
// right are dropped while it would get less than eight cells.
func (t Table) widths(w int) []int {
	out := make([]int, len(t.Columns))
	elastic := -1
	for i, c := range t.Columns {
		out[i] = c.Width
		if c.Width == 0 {
			elastic = i
		}
	}
	if elastic < 0 {
		return out
	}
	for last := len(out) - 1; ; last-- {
		rest := w - 2
		for i, n := range out {
			if n > 0 && i != elastic {
				rest -= n + 1
			}
		}
		if rest >= 8 || last < 0 {
			out[elastic] = max(rest, 1)
			return out
		}
		if last != elastic {
			out[last] = 0
		}
	}
}

// Scroll returns the offset that keeps cursor among rows visible lines.
func Scroll(offset, cursor, rows, total int) int {
	if rows <= 0 {
		return 0
	}
	if cursor < offset {
		offset = cursor
	}
	if cursor >= offset+rows {
		offset = cursor - rows + 1
	}
	return max(0, min(offset, total-rows))
}
