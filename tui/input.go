package tui

import (
	"strings"

	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"

	"baton/tui/component"
	"baton/tui/style"
)

// input is one line that is being typed: the editing of bubbles, drawn with
// our theme so that it looks right without colours too.
type input struct{ model textinput.Model }

func newInput(text string, limit int) *input {
	m := textinput.New()
	m.CharLimit = limit
	m.Prompt = ""
	m.Focus()
	m.SetValue(text)
	m.CursorEnd()
	return &input{m}
}

// key edits the line. What a paste brings along besides text is dropped.
func (i *input) key(msg tea.KeyMsg) {
	if msg.Type == tea.KeyRunes {
		msg.Runes = []rune(strings.TrimLeft(component.Clean(string(msg.Runes)), "\n"))
		if len(msg.Runes) == 0 {
			return
		}
	}
	i.model, _ = i.model.Update(msg) // the command would only blink a cursor that is not drawn
}

func (i *input) text() string { return i.model.Value() }

// render draws the line with its cursor.
func (i *input) render(t style.Theme) string {
	r := []rune(i.text())
	at := min(i.model.Position(), len(r))
	under, rest := " ", ""
	if at < len(r) {
		under, rest = string(r[at]), string(r[at+1:])
	}
	return string(r[:at]) + t.Paint(style.Badge, under) + rest
}
