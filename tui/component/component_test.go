package component_test

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"baton/tui/component"
	"baton/tui/style"
)

var theme = style.New(style.Plain, false, false)

func TestNumbers(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1 000", 1048210: "1 048 210", math.MaxUint64: "18 446 744 073 709 551 615"} {
		require.Equal(t, want, component.Grouped(n))
	}
	for v, want := range map[float64]string{0: "0", 0.25: "0.2", 2.5: "2.5", 12: "12", 999.4: "999", 999.6: "1.0k", 1250: "1.2k", 90211: "90k", 3.4e6: "3.4M", 1e30: "huge", -1: "–"} {
		require.Equal(t, want, component.Short(v), v)
		require.LessOrEqual(t, component.Width(component.Short(v)), 5)
	}
	for v, want := range map[float64]string{0: "0 B", 1023: "1023 B", 6349: "6.2 KiB", 18 << 20: "18 MiB", 1 << 62: "4.0 EiB"} {
		require.Equal(t, want, component.Bytes(v))
	}
	for d, want := range map[time.Duration]string{-1: "–", 1400 * time.Microsecond: "1.4 ms", 96 * time.Millisecond: "96 ms", 2140 * time.Millisecond: "2.14 s", 187 * time.Second: "3m07", 8040 * time.Second: "2h14", 900 * time.Hour: "37d"} {
		require.Equal(t, want, component.Span(d))
	}
	require.Equal(t, "–", component.Seconds(math.NaN()))
	require.Equal(t, "6.2s", component.Seconds(6.2))
}

func TestWidths(t *testing.T) {
	for w := range 30 {
		for _, s := range []string{"", "abc", "日本語のキュー", theme.Paint(style.Bad, "x"), "\x1b[31mred text that is long\x1b[0m"} {
			require.Equal(t, w, component.Width(component.Pad(s, w)), "%q", s)
			require.Equal(t, w, component.Width(component.PadLeft(s, w)), "%q", s)
			require.Equal(t, w, component.Width(component.Spread(s, "12.3k", w)), "%q in %d", s, w)
			require.Equal(t, w, component.Width(component.Center(s, w)))
		}
	}
	require.Equal(t, "a long na… 42", component.Spread("a long name indeed", "42", 13), "the figure wins")
}

func TestClean(t *testing.T) {
	cases := map[string]string{
		"plain": "plain", "日本語": "日本語", "a\tb\nc": "a b c", "\x1b[2Jx\x1b]0;t\x07y": "xy",
		"a\u202eb\u200fc\ufeff": "abc", "\x00\x7f\u009b": "", "bad\xffutf": "bad?utf",
	}
	for in, want := range cases {
		require.Equal(t, want, component.Clean(in), "%q", in)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b[31mx\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		out := component.Clean(s)
		require.True(t, utf8.ValidString(out))
		require.Equal(t, out, component.Clean(out), "cleaning is done at once")
		require.NotContains(t, out, "\x1b")
	})
}

func FuzzWidth(f *testing.F) {
	for _, s := range []string{"abc", "─│╭█", "\x1b[1;31mred\x1b[0m", "a\u0301", "█\ufe0f", "日本", "\x1b[2J", "x\u200dy", "\x1b[31", "▟■"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		require.Equal(t, ansi.StringWidth(s), component.Width(s), "%q", s)
	})
}

func FuzzClip(f *testing.F) {
	f.Add("\x1b[31mabc\x1b[2J\u202e日本", 5)
	f.Fuzz(func(t *testing.T, s string, w int) {
		w = min(max(w, 1), 300)
		for _, l := range component.Clip(strings.Split(s, "\n"), w, 4) {
			require.LessOrEqual(t, component.Width(l), w)
			for i := strings.IndexByte(l, 0x1b); i >= 0; i = strings.IndexByte(l, 0x1b) {
				end := strings.IndexByte(l[i:], 'm')
				require.Greater(t, end, 0, "only colours may stay: %q", l)
				require.Empty(t, strings.Trim(l[i+2:i+end], "0123456789;"))
				l = l[i+end:]
			}
		}
	})
}

func TestSpark(t *testing.T) {
	nan := math.NaN()
	require.Equal(t, "▁▄█", component.Spark(theme, []float64{0, 5, 10}, 3))
	require.Equal(t, "  ▁█", component.Spark(theme, []float64{nan, 1, 100}, 4))
	require.Equal(t, "▁▁▁", component.Spark(theme, []float64{1000, 0, 0, 0}, 3)[3:]+"▁", "a spike that has left does not set the scale")
	require.Equal(t, "█▁", component.Spark(theme, []float64{0, 9, 0, 0}, 2), "merging keeps the spike")
	for _, w := range []int{-1, 0, 1} {
		require.NotPanics(t, func() { component.Spark(theme, nil, w); component.Chart(theme, nil, w, 3) })
	}
	require.Equal(t, []string{" █", "▁█"}, trimTop(component.Chart(theme, []float64{0, 10}, 2, 2)))
	require.Len(t, component.Chart(theme, []float64{1, 2, 3}, 10, 4), 4)
}

// trimTop takes the gap above a chart's highest value for full.
func trimTop(rows []string) []string {
	rows[0] = strings.NewReplacer("▅", "█", "▆", "█", "▇", "█").Replace(rows[0])
	return rows
}

func TestBar(t *testing.T) {
	require.Equal(t, "▕████    ▏", component.Bar(theme, style.Good, 0.5, 10))
	for _, share := range []float64{-1, 0, 0.01, 0.99, 1, 7, math.NaN(), math.Inf(1)} {
		for w := range 12 {
			require.Contains(t, []int{0, w}, component.Width(component.Bar(theme, style.Good, share, w)))
		}
	}
}

func TestTrend(t *testing.T) {
	up, down := make([]float64, 24), make([]float64, 24)
	for i := range up {
		up[i], down[i] = float64(i), float64(24-i)
	}
	require.Equal(t, 1, component.Trend(up))
	require.Equal(t, -1, component.Trend(down))
	require.Equal(t, 0, component.Trend(make([]float64, 24)))
	require.Equal(t, 0, component.Trend(nil))
}

func TestBoxIsExactlyItsSize(t *testing.T) {
	box := component.Box{Title: "a title that is longer than most boxes", Right: "right", Footer: "some footer", Focus: true}
	for w := 4; w < 70; w++ {
		for h := 2; h < 6; h++ {
			for _, pad := range []bool{false, true} {
				box.Pad = pad
				lines := box.Render(theme, []string{"日本語日本語日本語", "x"}, w, h)
				require.Len(t, lines, h)
				for _, l := range lines {
					require.Equal(t, w, component.Width(l), "%dx%d %q", w, h, l)
				}
			}
		}
	}
}

func TestOverlay(t *testing.T) {
	base := []string{"日本語日本語", "abcdefghijkl", "x"}
	got := component.Overlay(base, []string{"##", "##", "##", "##"}, 3, 0, 12)
	require.Equal(t, []string{"日 ## 日本語", "abc##fghijkl", "x  ##"}, got)
	for _, l := range got[:2] {
		require.Equal(t, 12, component.Width(l))
	}
	require.Equal(t, "日本語日本語", base[0], "the base is not changed")
}

func TestTableKeepsTheNameColumn(t *testing.T) {
	tb := component.Table{Columns: []component.Column{{Title: "NAME"}, {Title: "A", Width: 8, Right: true}, {Title: "B", Width: 8, Right: true}}, Rows: [][]string{{"queue", "1", "2"}}, Cursor: 0, Focus: true}
	require.Equal(t, []string{"  NAME                A        B", "▸ queue               1        2"}, tb.Render(theme, 32, 5))
	require.Equal(t, "  NAME            A", tb.Render(theme, 19, 5)[0], "the last column goes first")
	for w := range 40 {
		require.NotPanics(t, func() { tb.Render(theme, w, 3) })
	}
}

func TestScroll(t *testing.T) {
	for _, c := range [][5]int{{0, 0, 3, 10, 0}, {0, 5, 3, 10, 3}, {9, 9, 3, 10, 7}, {5, 2, 3, 10, 2}, {4, 0, 3, 0, 0}, {0, 3, 0, 10, 0}} {
		require.Equal(t, c[4], component.Scroll(c[0], c[1], c[2], c[3]), c)
	}
}
