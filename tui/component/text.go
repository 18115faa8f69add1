// Package component holds the pieces that every screen is made of: boxes,
// tables, bars, sparklines, overlays and the arithmetic of cell widths. They
// are pure functions from data to lines; none knows bubbletea.
package component

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Width is the number of terminal cells that s fills, escapes not counted.
func Width(s string) int {
	if n, ok := simpleWidth(s); ok {
		return n
	}
	return ansi.StringWidth(s)
}

// simpleWidth measures what nearly all of a screen is made of, letters, lines,
// blocks and colours, without looking for grapheme clusters: that is most of
// the time that a frame takes. ok is false for any other text.
func simpleWidth(s string) (n int, ok bool) {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			switch {
			case c >= 0x20 && c < 0x7f:
				n++
				i++
			default:
				skip := sgrLength(s[i:])
				if skip == 0 {
					return 0, false
				}
				i += skip
			}
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r < '─' || r > '▟' { // box drawing and block elements
			return 0, false
		}
		n++
		i += size
	}
	return n, true
}

// Cut shortens s to at most w cells and marks the cut with tail.
func Cut(s string, w int, tail string) string {
	switch {
	case w <= 0:
		return ""
	case Width(s) <= w:
		return s
	case w <= Width(tail):
		return ansi.Truncate(s, w, "")
	}
	return ansi.Truncate(s, w, tail)
}

// Pad cuts or fills s to exactly w cells, text to the left.
func Pad(s string, w int) string {
	s = Cut(s, w, "…")
	return s + spaces(w-Width(s))
}

// PadLeft cuts or fills s to exactly w cells, text to the right.
func PadLeft(s string, w int) string {
	s = Cut(s, w, "…")
	return spaces(w-Width(s)) + s
}

// Center fills s to w cells, text in the middle.
func Center(s string, w int) string {
	s = Cut(s, w, "…")
	return Pad(spaces((w-Width(s))/2)+s, w)
}

// Spread puts left and right at the two ends of w cells. The right side wins
// when both do not fit: figures stand there.
func Spread(left, right string, w int) string {
	right = Cut(right, w, "…")
	room := w - Width(right)
	if right != "" && room > 0 {
		room--
	}
	left = Cut(left, room, "…")
	return left + spaces(w-Width(left)-Width(right)) + right
}

// Fit returns the first candidate that is at most w cells wide, else the last,
// cut.
func Fit(w int, candidates ...string) string {
	for _, c := range candidates {
		if Width(c) <= w {
			return c
		}
	}
	if len(candidates) == 0 {
		return ""
	}
	return Cut(candidates[len(candidates)-1], w, "…")
}

// FitSpread is Spread with the first pair that fits without cutting.
func FitSpread(w int, pairs ...[2]string) string {
	for _, p := range pairs {
		if Width(p[0])+1+Width(p[1]) <= w {
			return Spread(p[0], p[1], w)
		}
	}
	if len(pairs) == 0 {
		return spaces(w)
	}
	last := pairs[len(pairs)-1]
	return Spread(last[0], last[1], w)
}

func spaces(n int) string {
	if n <= 0 {
		return ""
	}
	return strings.Repeat(" ", n)
}

// Clean makes text from outside safe to draw: escape sequences, control
// characters, line breaks and the invisible characters that reorder text are
// removed, tabs become spaces.
func Clean(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= 0x20 && s[i] < 0x7f
	}
	if plain {
		return s
	}
	s = ansi.Strip(strings.ToValidUTF8(s, "?"))
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case unicode.IsControl(r), unsafeFormat(r):
			return -1
		}
		return r
	}, s)
}

// unsafeFormat tells the format characters that move or hide text.
func unsafeFormat(r rune) bool {
	switch {
	case r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f:
		return true
	case r == 0x061c, r == 0xfeff, r == 0x00ad, r >= 0xfff9 && r <= 0xfffb, r >= 0xe0000 && r <= 0xe007f:
		return true
	}
	return false
}
