package tui

import (
	"fmt"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/keymap"
	"baton/tui/page"
	"baton/tui/page/chaos"
	"baton/tui/style"
)

// dialog lies over the page and sees keys first.
type dialog interface {
	key(m *Model, msg tea.KeyMsg)
	render(m *Model, f page.Frame) []string
}

func (m *Model) open(d dialog) { m.dialogs = append(m.dialogs, d) }

func (m *Model) close() {
	if n := len(m.dialogs); n > 0 {
		m.dialogs = m.dialogs[:n-1]
	}
}

// help lists the keys of the page and of the chaos menu.
type help struct{ offset int }

func (h *help) key(m *Model, msg tea.KeyMsg) {
	f := m.dialogFrame()
	lines := h.lines(m, f)
	switch msg.String() {
	case "down", "j":
		h.offset++
	case "up", "k":
		h.offset--
	case "pgdown", "ctrl+d", " ":
		h.offset += 10
	case "pgup", "ctrl+u":
		h.offset -= 10
	default:
		m.close()
	}
	h.offset = max(0, min(h.offset, len(lines)-(helpHeight(f, lines)-2)))
}

func helpHeight(f page.Frame, lines []string) int { return min(len(lines)+2, f.H) }

// lines is the whole help.
func (h *help) lines(m *Model, f page.Frame) []string {
	t := f.Theme
	w := min(76, f.W)
	var lines []string
	section := func(name string, scopes ...string) {
		rows := m.table.HelpLines(scopes...)
		if len(rows) == 0 {
			return
		}
		lines = append(lines, " "+t.Paint(style.Strong, name))
		for _, r := range rows {
			lines = append(lines, "  "+t.Paint(style.Focus, component.Pad(r.Keys, 13))+component.Cut(r.Help, w-18, t.Glyphs.Ellipsis))
		}
	}
	section("keys", m.page().Name(), keymap.Global)
	section("in the menu of actions (x)", keymap.Chaos)
	return append(lines, " "+t.Paint(style.Strong, "signs"), "  "+legend(t, w-4)[0], "  "+legend(t, w-4)[1],
		" "+t.Paint(style.Dim, "leader and follower are what ActiveMQ calls master and slave"))
}

func (h *help) render(m *Model, f page.Frame) []string {
	t, lines := f.Theme, h.lines(m, f)
	height := helpHeight(f, lines)
	offset := max(0, min(h.offset, len(lines)-(height-2))) // the window may have grown
	box := component.Box{Title: t.Paint(style.Strong, "help"), Footer: t.Paint(style.Dim, "any key closes"), Focus: true}
	if len(lines) > height-2 {
		box.Footer = t.Paint(style.Dim, "↑↓ scroll  any other key closes")
	}
	return box.Render(t, lines[min(offset, len(lines)):], min(76, f.W), height)
}

func legend(t style.Theme, w int) [2]string {
	g := t.Glyphs
	p := func(r style.Role, glyph, word string) string { return t.Paint(r, glyph) + " " + word + "   " }
	return [2]string{
		component.Cut(p(style.Good, g.Leader, "leader")+p(style.Follow, g.Follower, "in sync")+p(style.Warn, g.CatchUp, "catching up")+p(style.Accent, g.Elected, "elected"), w, ""),
		component.Cut(p(style.Bad, g.Down, "down")+p(style.Warn, g.Paused, "paused")+p(style.Warn, g.Unknown, "no answer")+"1 204? old figure", w, ""),
	}
}

// confirm asks before something that cannot be taken back.
type confirm struct {
	title  string
	text   []string
	action *keymap.Action[*Model]
	target string
	word   string // to be typed; "" means y
	typed  *input // nil if no word has to be typed
	quits  bool
}

// nameMax bounds what is typed where a node's name is asked for.
const nameMax = 64

func quitText(n int) []string {
	if n == 1 {
		return []string{"1 launched process stops with the console."}
	}
	return []string{fmt.Sprintf("%d launched processes stop with the console.", n)}
}

func (c *confirm) key(m *Model, msg tea.KeyMsg) {
	k := msg.String()
	switch {
	case k == "esc":
		m.close()
	case c.word == "" && (k == "y" || k == "Y"):
		c.accept(m)
	case c.word == "":
		m.close() // anything else is no
	case k == "enter":
		if c.typed.text() == c.word {
			c.accept(m)
		} else {
			m.close()
			m.say("not done: the name did not match", false)
		}
	default:
		c.typed.key(msg)
	}
}

// accept runs the action if it is still allowed: while the question stood, the
// cluster moved on.
func (c *confirm) accept(m *Model) {
	m.close()
	if c.quits {
		m.cmds = append(m.cmds, tea.Quit)
		return
	}
	m.target = c.target
	if ok, why := c.action.Allowed(m.keyView()); !ok {
		m.say("not done: "+why, true)
		return
	}
	c.action.Run(m)
}

func (c *confirm) render(_ *Model, f page.Frame) []string {
	t := f.Theme
	w := min(70, f.W)
	lines := []string{""}
	for _, s := range c.text {
		for i, l := range page.Wrap(s, w-8) {
			lead := "  " + t.Glyphs.Dot + " "
			if i > 0 || len(c.text) == 1 {
				lead = "    "
			}
			lines = append(lines, lead+l)
		}
	}
	lines = append(lines, "")
	if c.word == "" {
		lines = append(lines, "  "+t.Paint(style.Bad, "y")+" yes    "+t.Paint(style.Strong, "N")+" no (any other key)")
	} else {
		lines = append(lines, "  attached cluster: type "+t.Paint(style.Strong, c.word)+" to go on", "  > "+c.typed.render(t),
			"  "+t.Paint(style.Bad, "enter")+" do it    "+t.Paint(style.Strong, "esc")+" cancel")
	}
	lines = append(lines, "")
	box := component.Box{Title: t.Paint(style.Bad, c.title+"?"), Focus: true}
	return box.Render(t, lines, w, min(len(lines)+2, f.H))
}

// menu is the menu of actions: a target, what can be done to it, and the
// forecast for the row that the cursor is on.
type menu struct{ row int }

func (m *Model) openChaos() {
	if t := m.page().Target(m.live); t != "" {
		m.target = t
	}
	if targets := m.live.Targets(); !slices.Contains(targets, m.target) {
		m.target = targets[0]
	}
	m.open(&menu{})
}

func (d *menu) key(m *Model, msg tea.KeyMsg) {
	targets := m.live.Targets()
	at := slices.Index(targets, m.target)
	rows := m.table.In(keymap.Chaos)
	step := 0
	switch k := msg.String(); k {
	case "esc", "x", "q":
		m.close()
	case "left", "shift+tab":
		step = -1
	case "right", "tab":
		step = 1
	case "up":
		d.row = max(0, d.row-1)
	case "down":
		d.row = min(d.row+1, len(rows)-1)
	case "enter":
		m.act(&rows[d.row])
	case "y":
		d.copyCommand(m)
	default:
		m.act(m.table.Find(k, keymap.Chaos))
	}
	if step != 0 && len(targets) > 0 {
		m.target = targets[((at+step)%len(targets)+len(targets))%len(targets)]
	}
}

// copyCommand copies how another terminal does what the cursor is on.
func (d *menu) copyCommand(m *Model) {
	if c := data.Verbs()[d.row].Command(m.cfg.CLI, m.target, m.live.Leader); c != "" {
		m.copyText("the command", c)
	}
}

func (d *menu) render(m *Model, f page.Frame) []string {
	f.Snap = m.live // never act on an old picture
	v := m.keyView()
	var rows []chaos.Row
	verbs := data.Verbs()
	for i, a := range m.table.In(keymap.Chaos) {
		r := chaos.Row{Key: a.Key(), Label: a.Label, Help: a.Help, Asks: verbs[i].Asks}
		if ok, why := a.Allowed(v); !ok {
			r.Why = why
		}
		rows = append(rows, r)
	}
	verb := verbs[d.row]
	return chaos.Render(f, m.target, verb.Aim(m.target), rows, d.row, chaos.Outlook{Lines: verb.Warning(m.live, m.target), CLI: verb.Command(m.cfg.CLI, m.target, m.live.Leader)})
}

// filterInput is the line in which a filter is typed.
type filterInput struct {
	before string
	*input
}

// filterMax bounds a filter, in characters.
const filterMax = 128

func (m *Model) beginFilter() {
	if p, ok := m.page().(page.Filterer); ok {
		m.input = &filterInput{before: p.Filter(), input: newInput(p.Filter(), filterMax)}
	}
}

func (m *Model) typed(msg tea.KeyMsg) {
	p, ok := m.page().(page.Filterer)
	if !ok {
		m.input = nil
		return
	}
	switch k := msg.String(); {
	case k == "enter":
		m.input = nil
	case k == "esc":
		p.SetFilter(m.input.before)
		m.input = nil
	default:
		m.input.key(msg)
		p.SetFilter(m.input.text())
	}
}

func span(d time.Duration) string { return component.Span(d) }
