package tui

import (
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"baton/tui/component"
	"baton/tui/keymap"
	"baton/tui/page"
	"baton/tui/style"
)

// palette finds an action by what it is called: a page, a movement, or
// something done to a target ("kill n2").
type palette struct {
	*input
	at int
}

const paletteMax = 64 // characters that can be typed

func (m *Model) openPalette() { m.open(&palette{input: newInput("", paletteMax)}) }

// choice is one line of the palette.
type choice struct {
	action *keymap.Action[*Model]
	target string // "" if it needs none
	name   string
	why    string // why it cannot be done now
}

// choices are the actions whose name holds every word that was typed.
func (p *palette) choices(m *Model) []choice {
	words := strings.Fields(strings.ToLower(p.text()))
	var out []choice
	add := func(a *keymap.Action[*Model], name, target string) {
		for _, w := range words {
			if !strings.Contains(strings.ToLower(name+" "+a.Help), w) {
				return
			}
		}
		v := m.keyView()
		v.Target = target
		c := choice{action: a, target: target, name: name}
		if ok, why := a.Allowed(v); !ok {
			c.why = why
		}
		out = append(out, c)
	}
	for i := range m.table {
		a := &m.table[i]
		switch {
		case a.ID == "palette":
		case a.Scope == keymap.Global || a.Scope == m.page().Name():
			add(a, a.Label, "")
		case a.Scope == keymap.Chaos && m.live != nil && !m.cfg.ReadOnly:
			if a.Whole {
				add(a, a.Label, "")
				continue
			}
			for _, target := range m.live.Targets() {
				add(a, a.Label+" "+target, target)
			}
		}
	}
	// What can be done comes first; names count more than explanations.
	var first, rest []choice
	for _, c := range out {
		if c.why == "" && (len(words) == 0 || strings.Contains(strings.ToLower(c.name), words[0])) {
			first = append(first, c)
		} else {
			rest = append(rest, c)
		}
	}
	return append(first, rest...)
}

func (p *palette) key(m *Model, msg tea.KeyMsg) {
	all := p.choices(m)
	switch msg.String() {
	case "esc":
		m.close()
	case "up", "shift+tab":
		p.at--
	case "down", "tab":
		p.at++
	case "enter":
		m.close()
		if len(all) == 0 {
			return
		}
		c := all[max(0, min(p.at, len(all)-1))]
		if c.target != "" {
			m.target = c.target
		}
		m.pressed = c.action.Keys[0]
		m.act(c.action)
		return
	default:
		p.input.key(msg)
		p.at = 0
	}
	p.at = max(0, min(p.at, len(p.choices(m))-1))
}

func (p *palette) render(m *Model, f page.Frame) []string {
	t := f.Theme
	w, h := min(76, f.W), min(18, f.H)
	all := p.choices(m)
	lines := []string{" " + t.Paint(style.Focus, ":") + p.input.render(t), ""}
	rows := h - 4
	from := component.Scroll(0, p.at, rows, len(all))
	for i := from; i < len(all) && i < from+rows; i++ {
		c := all[i]
		mark, name := "  ", component.Pad(c.name, 18)
		text := component.Pad(name+" "+component.PadLeft(c.action.Key(), 6)+"  "+c.action.Help, w-5)
		switch {
		case i == p.at:
			mark, text = t.Paint(style.Focus, t.Glyphs.Cursor+" "), t.Paint(style.Strong, text)
		case c.why != "":
			text = t.Paint(style.Dim, text)
		}
		lines = append(lines, mark+text)
	}
	if len(all) == 0 {
		lines = append(lines, t.Paint(style.Dim, "  nothing is called that"))
	}
	box := component.Box{Title: t.Paint(style.Strong, "command"), Focus: true, Footer: t.Paint(style.Dim, "enter do  ↑↓ choose  esc close")}
	return box.Render(t, lines, w, h)
}
