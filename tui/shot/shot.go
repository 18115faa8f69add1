// Package shot draws a terminal screen as SVG on a fixed grid of cells: for
// pictures in documents, for saving a screen, and for looking at frames that a
// test drew. It understands the colours and attributes of SGR and nothing else.
package shot

import (
	"bytes"
	"fmt"
	"html"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Options of a picture; the zero value is a dark screen as large as its text.
type Options struct {
	Title string // in a window bar; none without it
	Cols  int    // at least so many columns
	Rows  int    // at least so many rows
	Light bool
	Size  float64 // of the font in pixels, default 14
}

// The cell is as wide as JetBrains Mono advances, so that text set in one run
// stays on the grid even where textLength is ignored.
const (
	advance = 0.6
	leading = 1.25
	margin  = 12.0
	bar     = 38.0
)

// SVG draws lines that are separated by \n.
func SVG(screen string, o Options) []byte {
	if o.Size == 0 {
		o.Size = 14
	}
	rows := parse(strings.TrimRight(strings.ToValidUTF8(screen, "?"), "\n"))
	d := drawing{o: o, pal: palette(o.Light), cw: o.Size * advance, ch: o.Size * leading, top: margin}
	cols, lines := o.Cols, max(o.Rows, len(rows))
	for _, r := range rows {
		cols = max(cols, width(r))
	}
	if o.Title != "" {
		d.top = bar
	}
	w, h := float64(cols)*d.cw+2*margin, float64(lines)*d.ch+d.top+margin
	fmt.Fprintf(&d.out, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" `+
		`font-family="'JetBrains Mono','DejaVu Sans Mono',Menlo,Consolas,monospace" font-size="%g">`+"\n", w, h, w, h, o.Size)
	fmt.Fprintf(&d.out, `<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", d.pal.back)
	if o.Title != "" {
		d.window(w)
	}
	for y, r := range rows {
		d.row(y, r)
	}
	d.out.WriteString("</svg>\n")
	return d.out.Bytes()
}

type drawing struct {
	o           Options
	pal         colours
	cw, ch, top float64
	out         bytes.Buffer
}

func (d *drawing) window(w float64) {
	for i, c := range []string{"#ff5f57", "#febc2e", "#28c840"} {
		fmt.Fprintf(&d.out, `<circle cx="%d" cy="19" r="6" fill="%s"/>`, 20+i*20, c)
	}
	fmt.Fprintf(&d.out, `<text x="%.1f" y="23" text-anchor="middle" fill="%s" opacity=".7" font-size="13">%s</text>`+"\n",
		w/2, d.pal.fore, escape(d.o.Title))
}

// row draws runs of equally styled narrow characters as one text; wide ones
// and block elements stand alone, so that nothing drifts off the grid.
func (d *drawing) row(y int, r []cell) {
	x := 0
	for i := 0; i < len(r); {
		c := r[i]
		j, w := i+1, c.width
		for j < len(r) && c.width == 1 && r[j].style == c.style && r[j].width == 1 && joins(c.text, r[j].text) {
			w++
			j++
		}
		d.run(x, y, w, r[i:j])
		x += w
		i = j
	}
}

// joins says that a cell continues the run that began with first: text goes
// with text, a drawn sign only with its like.
func joins(first, next string) bool {
	return first == next || !drawn(first) && !drawn(next)
}

func drawn(s string) bool {
	_, block := blockOf(s)
	return block || lineOf(s) != ""
}

func (d *drawing) run(x, y, w int, cells []cell) {
	s := cells[0].style
	fore, back := s.fore, s.back
	if fore == "" {
		fore = d.pal.fore
	}
	if s.reverse {
		if back == "" {
			back = d.pal.back
		}
		fore, back = back, fore
	}
	px, py, pw := margin+float64(x)*d.cw, d.top+float64(y)*d.ch, float64(w)*d.cw
	if back != "" {
		fmt.Fprintf(&d.out, `<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f" fill="%s"/>`, px, py, pw+.3, d.ch+.3, back)
	}
	if b, ok := blockOf(cells[0].text); ok {
		if s.faint {
			b.shade *= .6
		}
		wide := b.w * d.cw
		if b.w == 1 {
			wide = pw
		}
		fmt.Fprintf(&d.out, `<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f" fill="%s" opacity="%.2g"/>`+"\n",
			px+b.x*d.cw, py+b.y*d.ch, wide, b.h*d.ch+.3, fore, b.shade)
		return
	}
	if lineOf(cells[0].text) != "" {
		d.lines(px, py, cells, fore, s.faint)
		return
	}
	var text strings.Builder
	for _, c := range cells {
		text.WriteString(c.text)
	}
	if strings.TrimSpace(text.String()) == "" {
		return
	}
	fmt.Fprintf(&d.out, `<text x="%.2f" y="%.2f" fill="%s" xml:space="preserve"%s>%s</text>`+"\n",
		px, py+d.ch*.76, fore, attributes(s), escape(text.String()))
}

// escape makes text safe for XML, which allows fewer characters than Go.
func escape(s string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0xfffe || r == 0xffff || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?")))
}

func attributes(s sgr) string {
	a := ""
	if s.bold {
		a += ` font-weight="700"`
	}
	if s.faint {
		a += ` opacity=".6"`
	}
	if s.italic {
		a += ` font-style="italic"`
	}
	if s.underline {
		a += ` text-decoration="underline"`
	}
	return a
}

// block is the part of a cell that a block element fills; drawn as a rectangle
// it leaves no gaps between cells.
type block struct{ x, y, w, h, shade float64 }

func blockOf(s string) (block, bool) {
	r := []rune(s)
	if len(r) != 1 {
		return block{}, false
	}
	switch c := r[0]; {
	case c >= '▁' && c <= '█':
		f := float64(c-'▁'+1) / 8
		return block{0, 1 - f, 1, f, 1}, true
	case c >= '▉' && c <= '▏':
		return block{0, 0, float64('▏'-c+1) / 8, 1, 1}, true
	case c == '▕':
		return block{.875, 0, .125, 1, 1}, true
	case c == '▒':
		return block{0, 0, 1, 1, .4}, true
	case c == '▓':
		return block{0, 0, 1, 1, .7}, true
	}
	return block{}, false
}

type cell struct {
	text  string
	width int
	style sgr
}

func width(r []cell) int {
	n := 0
	for _, c := range r {
		n += c.width
	}
	return n
}

func parse(screen string) [][]cell {
	var rows [][]cell
	var s sgr
	p := ansi.NewParser()
	for line := range strings.SplitSeq(screen, "\n") {
		var row []cell
		state := byte(0)
		for len(line) > 0 {
			seq, w, n, next := ansi.DecodeSequence(line, state, p)
			switch {
			case w > 0:
				row = append(row, cell{seq, w, s})
			case strings.HasPrefix(seq, "\x1b[") && strings.HasSuffix(seq, "m"):
				s.apply(seq[2 : len(seq)-1])
			}
			line, state = line[n:], next
		}
		rows = append(rows, row)
	}
	return rows
}
