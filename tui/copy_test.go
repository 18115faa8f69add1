package tui

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"baton/tui/style"
	"baton/tui/tuitest"
)

// clipboard is what a terminal makes of the sequences that fill it.
type clipboard struct {
	got bytes.Buffer
	err error
}

func (c *clipboard) Write(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	return c.got.Write(b)
}

func (c *clipboard) text(t *testing.T) string {
	t.Helper()
	s := c.got.String()
	c.got.Reset()
	body, ok := strings.CutPrefix(strings.TrimRight(s, "\a\x1b\\"), "\x1b]52;c;")
	require.True(t, ok, "%q", s)
	b, err := base64.StdEncoding.DecodeString(body)
	require.NoError(t, err)
	return string(b)
}

func TestCopy(t *testing.T) {
	s := tuitest.Story()
	s.Derive()
	clip := &clipboard{}
	cfg := setup(style.New(style.Mono, false, false), s)
	cfg.Clipboard, cfg.Queues = clip, &shelf{}
	m := screen(t, cfg, s, 140, 40)
	typed := func(keys ...string) {
		for _, k := range keys {
			m.Update(keyMsg(k))
			if k != "y" && k != "enter" || len(m.cmds) == 0 {
				continue
			}
			m.Update(m.cmds[0]()) // what comes after it clears a line in some seconds
		}
	}
	press(m, "y")
	require.Zero(t, clip.got.Len())
	require.Contains(t, ansi.Strip(m.View()), "nothing is selected on this screen")

	typed("4", "y")
	require.Contains(t, clip.text(t), s.Logs[len(s.Logs)-1].Text)
	require.Contains(t, ansi.Strip(m.View()), "copied the last line, if the terminal allows it")

	typed("5", "y")
	require.Contains(t, clip.text(t), "Failover 2: kill n1, n1 to n2, epoch 7 to 8")

	typed("1", "x", "y")
	require.Regexp(t, `^baton chaos kill n\d$`, clip.text(t))
	typed("esc", "1", "tab", "tab", "tab", "tab", "down", "enter")
	require.Equal(t, "queue", m.page().Name())
	typed("y")
	require.Contains(t, clip.text(t), `"sku": "A-17"`)
	typed("down", "down", "y")
	require.Contains(t, clip.text(t), "00 01 02 ff 1b", "as it is shown")

	clip.err = errors.New("gone")
	typed("y")
	require.Contains(t, ansi.Strip(m.View()), "copy: gone")
}

func TestCopyIsBounded(t *testing.T) {
	s := tuitest.Healthy()
	s.Derive()
	clip := &clipboard{}
	cfg := setup(style.New(style.Mono, false, false), s)
	cfg.Clipboard = clip
	m := screen(t, cfg, s, 80, 24)
	m.cmds = nil
	m.copyText("much", strings.Repeat("日", copyMax))
	msg := m.cmds[0]().(copiedMsg)
	require.Equal(t, "much, its first 64 KiB", msg.what)
	text := clip.text(t)
	require.LessOrEqual(t, len(text), copyMax)
	require.Greater(t, len(text), copyMax-3)
	require.True(t, utf8.ValidString(text))
}
