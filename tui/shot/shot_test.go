package shot_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/tui/shot"
)

func wellFormed(t *testing.T, svg []byte) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
}

func TestSVG(t *testing.T) {
	svg := string(shot.SVG("a \x1b[1;91mred\x1b[0m<&>\n██▁ 日本x\n╭─╮", shot.Options{Title: "t<itle", Cols: 10, Rows: 4}))
	wellFormed(t, []byte(svg))
	require.Contains(t, svg, `fill="#ff6b85" xml:space="preserve" font-weight="700">red</text>`)
	require.Contains(t, svg, "&lt;&amp;&gt;")
	require.Contains(t, svg, `<rect x="12.00" y="55.50" width="16.80"`, "equal blocks are one rectangle")
	require.Contains(t, svg, `<text x="79.20" y="68.80" fill="#c8cee8" xml:space="preserve">x`, "wide characters keep the grid")
	require.Contains(t, svg, "t&lt;itle")
	require.Contains(t, svg, "<path d=")
}

func FuzzSVG(f *testing.F) {
	f.Add("\x1b[38;5;300mx\x1b[48;2;1;2m\x1b[999999999999m日\x00")
	f.Fuzz(func(t *testing.T, s string) {
		svg := shot.SVG(s, shot.Options{})
		require.True(t, strings.HasSuffix(string(svg), "</svg>\n"))
		wellFormed(t, svg)
	})
}
