package shot

import "fmt"

// lineOf returns the strokes of a box-drawing character: letters name the
// edges that it reaches (l r u d), capitals the double ones, and c a rounded
// corner. "" is any other character.
func lineOf(s string) string {
	return map[string]string{
		"─": "lr", "│": "ud", "╭": "crd", "╮": "cld", "╰": "cru", "╯": "clu", "├": "udr",
		"═": "LR", "║": "UD", "╔": "RD", "╗": "LD", "╚": "RU", "╝": "LU",
	}[s]
}

// lines draws box-drawing characters as strokes: fonts leave gaps between them.
func (d *drawing) lines(x, y float64, cells []cell, colour string, faint bool) {
	opacity := ""
	if faint {
		opacity = ` opacity=".6"`
	}
	path := ""
	for i, c := range cells {
		path += d.strokes(lineOf(c.text), x+float64(i)*d.cw, y)
	}
	fmt.Fprintf(&d.out, `<path d="%s" fill="none" stroke="%s" stroke-width="1.1"%s/>`+"\n", path, colour, opacity)
}

func (d *drawing) strokes(s string, x, y float64) string {
	mx, my, r, b := x+d.cw/2, y+d.ch/2, x+d.cw, y+d.ch
	if s[0] == 'c' {
		ex, ey := r, b
		if s[1] == 'l' {
			ex = x
		}
		if s[2] == 'u' {
			ey = y
		}
		return fmt.Sprintf("M%.2f %.2fQ%.2f %.2f %.2f %.2f", ex, my, mx, my, mx, ey)
	}
	const g = 1.6 // half the gap of a double line
	out := ""
	for _, e := range s {
		switch e {
		case 'l':
			out += fmt.Sprintf("M%.2f %.2fH%.2f", x, my, mx)
		case 'r':
			out += fmt.Sprintf("M%.2f %.2fH%.2f", mx, my, r)
		case 'u':
			out += fmt.Sprintf("M%.2f %.2fV%.2f", mx, y, my)
		case 'd':
			out += fmt.Sprintf("M%.2f %.2fV%.2f", mx, my, b)
		}
	}
	switch s {
	case "LR":
		return fmt.Sprintf("M%.2f %.2fH%.2fM%.2f %.2fH%.2f", x, my-g, r, x, my+g, r)
	case "UD":
		return fmt.Sprintf("M%.2f %.2fV%.2fM%.2f %.2fV%.2f", mx-g, y, b, mx+g, y, b)
	case "RD", "LD", "RU", "LU":
		ex, ey, sx, sy := r, b, -g, -g // the outer corner
		if s[0] == 'L' {
			ex, sx = x, g
		}
		if s[1] == 'U' {
			ey, sy = y, g
		}
		return fmt.Sprintf("M%.2f %.2fH%.2fV%.2fM%.2f %.2fH%.2fV%.2f", ex, my+sy, mx+sx, ey, ex, my-sy, mx-sx, ey)
	}
	return out
}
