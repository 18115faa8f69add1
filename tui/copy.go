package tui

import (
	"fmt"
	"io"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"baton/tui/page"
)

// copyMax is how much is copied, in bytes; terminals ignore what is much longer.
const copyMax = 64 << 10

// copiedMsg says that a text was handed to the terminal.
type copiedMsg struct {
	what string
	err  error
}

// copySelected hands what the page points at to the terminal's clipboard.
func (m *Model) copySelected() {
	p, ok := m.page().(page.Copier)
	if !ok {
		m.say("copy: nothing is selected on this screen; ctrl+s saves it", false)
		return
	}
	what, text := p.Copy(m.frame())
	if text == "" {
		m.say("copy: nothing is selected", false)
		return
	}
	m.copyText(what, text)
}

// copyText uses OSC 52, which works through SSH and needs no program. Whether
// the terminal took it nobody can tell: many ask for it to be allowed.
func (m *Model) copyText(what, text string) {
	if len(text) > copyMax {
		text = text[:copyMax]
		for range utf8.UTFMax - 1 { // not in the middle of a character
			if r, size := utf8.DecodeLastRuneInString(text); r != utf8.RuneError || size != 1 {
				break
			}
			text = text[:len(text)-1]
		}
		what += fmt.Sprintf(", its first %d KiB", copyMax>>10)
	}
	to := m.cfg.Clipboard
	m.cmds = append(m.cmds, func() tea.Msg {
		_, err := io.WriteString(to, ansi.SetSystemClipboard(text))
		return copiedMsg{what, err}
	})
}

func (m *Model) copied(msg copiedMsg) {
	if msg.err != nil {
		m.say("copy: "+msg.err.Error(), true)
		return
	}
	m.say("copied "+msg.what+", if the terminal allows it (OSC 52)", false)
}
