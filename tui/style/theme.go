// Package style maps meaning to terminal attributes and glyphs. A Theme is a
// plain value: it never asks the terminal anything, so drawing is a pure
// function and two themes can be used side by side in a test.
package style

import "strconv"

// Role is what a piece of text means; the theme decides how that looks.
type Role uint8

// Roles. Colour is never the only sign of a state: a glyph or word says it too.
const (
	Text   Role = iota // default foreground
	Dim                // old, secondary or unavailable
	Strong             // headings and figures that matter
	Good               // leader, healthy, nothing lost
	Follow             // follower in sync
	Warn               // catching up, degraded, paused
	Bad                // down, lost, destructive
	Focus              // selection and focused pane
	Accent             // elected, phases, links
	Badge              // reversed label
	BadBadge
	WarnBadge
	roles
)

// Level is how much a theme may use of the terminal.
type Level uint8

// Levels, from nothing to the user's sixteen colours.
const (
	Plain Level = iota // no escape sequence at all
	Mono               // bold, faint and reverse only (NO_COLOR)
	Colour
)

// Theme paints text. The zero value paints nothing and draws with Unicode.
type Theme struct {
	Level  Level
	Light  bool // the terminal's background is light
	ASCII  bool // glyphs and borders in ASCII
	Glyphs Glyphs
}

// New returns a theme with the glyph set that fits it.
func New(level Level, light, ascii bool) Theme {
	t := Theme{Level: level, Light: light, ASCII: ascii, Glyphs: unicodeGlyphs()}
	if ascii {
		t.Glyphs = asciiGlyphs()
	}
	return t
}

// Paint wraps s in the attributes of the role. Segments are painted one by one
// and joined: an inner reset would end the style of what surrounds it.
func (t Theme) Paint(r Role, s string) string {
	if s == "" || t.Level == Plain {
		return s
	}
	code := t.code(r)
	if code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (t Theme) code(r Role) string {
	if t.Level == Mono {
		return monoCodes[r%roles]
	}
	c := colourCodes[r%roles]
	if c.hue == 0 {
		return c.attr
	}
	base := 30
	if !t.Light && c.bright {
		base = 90 // the plain blue and red of many palettes vanish on black
	}
	hue := strconv.Itoa(base + c.hue)
	if c.attr == "" {
		return hue
	}
	return c.attr + ";" + hue
}

var monoCodes = [roles]string{
	Dim: "2", Strong: "1", Good: "1", Bad: "1", Focus: "1", Accent: "1",
	Badge: "7", BadBadge: "1;7", WarnBadge: "7",
}

type colour struct {
	attr   string
	hue    int // 1..7, 0 for the default foreground
	bright bool
}

var colourCodes = [roles]colour{
	Dim:       {attr: "2"},
	Strong:    {attr: "1"},
	Good:      {hue: 2, bright: true},
	Follow:    {hue: 4, bright: true},
	Warn:      {hue: 3, bright: true},
	Bad:       {attr: "1", hue: 1, bright: true},
	Focus:     {hue: 5, bright: true},
	Accent:    {hue: 6, bright: true},
	Badge:     {attr: "7"},
	BadBadge:  {attr: "1;7", hue: 1, bright: true},
	WarnBadge: {attr: "7", hue: 3, bright: true},
}
