package style_test

import (
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"baton/tui/style"
)

func TestDetect(t *testing.T) {
	cases := []struct {
		name  string
		o     style.Options
		env   map[string]string
		level style.Level
		light bool
		ascii bool
		bad   bool
	}{
		{name: "default", level: style.Colour},
		{name: "NO_COLOR", env: map[string]string{"NO_COLOR": "1"}, level: style.Mono},
		{name: "the flag wins over NO_COLOR", o: style.Options{Color: "always"}, env: map[string]string{"NO_COLOR": "1"}, level: style.Colour},
		{name: "never", o: style.Options{Color: "never"}, level: style.Mono},
		{name: "dumb", env: map[string]string{"TERM": "dumb"}, level: style.Mono, ascii: true},
		{name: "mono theme", o: style.Options{Theme: "mono"}, level: style.Mono},
		{name: "light by COLORFGBG", env: map[string]string{"COLORFGBG": "0;default;15"}, level: style.Colour, light: true},
		{name: "dark by COLORFGBG", env: map[string]string{"COLORFGBG": "15;0"}, level: style.Colour},
		{name: "the flag wins over COLORFGBG", o: style.Options{Theme: "dark"}, env: map[string]string{"COLORFGBG": "0;15"}, level: style.Colour},
		{name: "ascii", o: style.Options{ASCII: true}, level: style.Colour, ascii: true},
		{name: "bad theme", o: style.Options{Theme: "pink"}, bad: true},
		{name: "bad colour", o: style.Options{Color: "maybe"}, bad: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			th, err := style.Detect(c.o, func(k string) string {
				if v, ok := c.env[k]; ok {
					return v
				}
				return map[string]string{"TERM": "xterm-256color"}[k]
			})
			if c.bad {
				require.ErrorIs(t, err, style.ErrBadOption)
				return
			}
			require.NoError(t, err)
			require.Equal(t, []any{c.level, c.light, c.ascii}, []any{th.Level, th.Light, th.ASCII})
		})
	}
}

func TestGlyphsAreOneCell(t *testing.T) {
	for _, ascii := range []bool{false, true} {
		g := style.New(style.Plain, false, ascii).Glyphs
		all := append([]string{g.Leader, g.Follower, g.CatchUp, g.Elected, g.Down, g.Paused, g.Unknown, g.Starting, g.OK, g.Missing,
			g.Cursor, g.Pending, g.Up, g.DownArrow, g.Flat, g.Dot, g.Ellipsis, g.Arrow, g.Left, g.Right, g.Timer, g.Vote, g.Branch,
			g.Last, g.BarLeft, g.BarRight}, append(g.Spark, g.Fill...)...)
		for _, s := range all {
			require.Equal(t, 1, ansi.StringWidth(s), "%q", s)
		}
		states := []string{g.Leader, g.Follower, g.CatchUp, g.Elected, g.Down, g.Paused, g.Unknown, g.Starting}
		seen := map[string]bool{}
		for _, s := range states {
			require.False(t, seen[s], "%q stands for two states: colour alone would tell them apart", s)
			seen[s] = true
		}
	}
}

func TestPaint(t *testing.T) {
	require.Equal(t, "x", style.New(style.Plain, false, false).Paint(style.Bad, "x"))
	require.Equal(t, "\x1b[1;91mx\x1b[0m", style.New(style.Colour, false, false).Paint(style.Bad, "x"))
	require.Equal(t, "\x1b[1;31mx\x1b[0m", style.New(style.Colour, true, false).Paint(style.Bad, "x"))
	require.Equal(t, "\x1b[7mx\x1b[0m", style.New(style.Mono, false, false).Paint(style.Badge, "x"), "a selection shows without colour")
	require.Empty(t, style.New(style.Colour, false, false).Paint(style.Bad, ""))
}
