package component

import (
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Clip makes a frame of at most h lines of at most w cells. It is the last
// step of every view: a frame that is too tall loses its first line on the
// terminal, one that is too wide breaks every border. It also drops every
// control byte and every escape sequence that is not a colour, so that nothing
// from outside can reach the terminal as a command.
func Clip(lines []string, w, h int) []string {
	if w <= 0 || h <= 0 {
		return nil
	}
	if len(lines) > h {
		lines = lines[:h]
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		l = onlyColour(l)
		if Width(l) > w {
			l = ansi.Truncate(l, w, "")
		}
		out[i] = l
	}
	return out
}

// onlyColour keeps printable text and SGR sequences.
func onlyColour(s string) string {
	if !strings.ContainsFunc(s, needsCare) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		if n := sgrLength(s[i:]); n > 0 {
			b.WriteString(s[i : i+n])
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if !needsCare(r) {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

func needsCare(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r == utf8.RuneError || unsafeFormat(r)
}

// sgrLength is the length of the SGR sequence at the start of s, else 0.
func sgrLength(s string) int {
	if len(s) < 3 || s[0] != 0x1b || s[1] != '[' {
		return 0
	}
	for i := 2; i < len(s); i++ {
		switch c := s[i]; {
		case c == 'm':
			return i + 1
		case c != ';' && (c < '0' || c > '9'):
			return 0
		}
	}
	return 0
}

// Overlay draws box over base with its top left corner at (x, y). Lines and
// cells that fall outside base are dropped; what is left and right of the box
// keeps its colours, and a wide character that the edge cuts becomes a space.
func Overlay(base, box []string, x, y, w int) []string {
	out := append([]string(nil), base...)
	for i, line := range box {
		row := y + i
		if row < 0 || row >= len(out) {
			continue
		}
		left := Fill(ansi.Truncate(out[row], x, ""), x)
		used := x + Width(line)
		right := ""
		if used < w {
			under := out[row]
			right = ansi.TruncateLeft(under, used, "")
			if Width(under)-used < Width(right) { // the edge cut a wide character
				right = ansi.TruncateLeft(under, used+1, "")
			}
			if want := Width(under) - used; want > Width(right) {
				right = spaces(want-Width(right)) + right
			}
		}
		out[row] = left + line + right
	}
	return out
}

// Fill fills s to w cells and never cuts.
func Fill(s string, w int) string { return s + spaces(w-Width(s)) }

// ambiguous are the characters that some terminals draw two cells wide, with
// stand-ins that are safe everywhere.
var ambiguous = strings.NewReplacer("–", "-", "…", "~", "·", ".", "→", ">", "←", "<", "↑", "^", "↓", "v", "▼", "v",
	"▏", "|", "▕", "|", "█", "#", "▓", "=", "▒", ".", "●", "*", "○", "o")

// ToASCII replaces what is left of the ambiguous characters after a theme's
// own ASCII glyphs were used. Names from outside keep their letters.
func ToASCII(s string) string { return ambiguous.Replace(s) }
