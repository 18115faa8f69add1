// Package lesson is the screen of a guided lesson: its steps, the story of the
// one under way, the prediction that it asks for, what the learner shall do,
// and the facts that the live cluster has to show before it goes on.
package lesson

import (
	"fmt"

	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/page"
	"baton/tui/style"
)

// Page is the screen; it keeps nothing of its own but what is asked for.
type Page struct{ hint bool }

// New returns the page.
func New() *Page { return &Page{} }

// Name implements page.Page.
func (p *Page) Name() string { return "lesson" }

// Crumb implements page.Page.
func (p *Page) Crumb() string { return "lesson" }

// Command implements page.Page.
func (p *Page) Command(page.Command, page.Frame) {}

// Click implements page.Page.
func (p *Page) Click(int, int, page.Frame) {}

// Target implements page.Page.
func (p *Page) Target(*data.Snapshot) string { return "" }

// Press implements page.Presser.
func (p *Page) Press(id string, _ page.Frame) string {
	if id == "lesson.hint" {
		p.hint = !p.hint
	}
	return ""
}

// Render implements page.Page.
func (p *Page) Render(f page.Frame) []string {
	if f.W <= 0 || f.H <= 0 {
		return nil
	}
	l := f.Snap.Lesson
	if l == nil {
		lines := []string{"", "  No lesson runs here.", "", "  baton demo --list-lessons   names them", "  baton demo --lesson NAME    starts one", ""}
		return component.Box{Title: f.Theme.Paint(style.Strong, "lesson"), Focus: true}.Render(f.Theme, lines, f.W, min(f.H, 8))
	}
	v := view{Page: p, Frame: f, t: f.Theme, s: f.Snap, l: l}
	if f.W < 110 || f.H < 24 {
		nodes := 3
		if f.H < 14 {
			nodes = 0
		}
		return append(v.nodes(f.W, nodes), v.step(f.W, max(0, f.H-nodes))...)
	}
	left := max(50, f.W*45/100)
	right := f.W - left
	side := v.nodes(right, 3)
	side = append(side, v.ledger(right, 5)...)
	side = append(side, v.steps(right, min(f.H-8, len(l.Steps)+2))...)
	if rest := f.H - len(side); rest > 2 {
		side = append(side, v.events(right, rest)...)
	}
	return component.Beside([]int{left, right}, v.step(left, f.H), side)
}

type view struct {
	*Page
	page.Frame
	t style.Theme
	s *data.Snapshot
	l *data.Lesson
}

// nodes is one line of what each node is.
func (v view) nodes(w, h int) []string {
	if h < 3 {
		return nil
	}
	line := ""
	for i := range v.s.Nodes {
		n := &v.s.Nodes[i]
		g, role := page.StateLook(v.t, n.State)
		text := n.State.Word()
		if n.State.Follows() {
			text = n.State.Detail()
			if n.LagBytes > 0 && n.State != data.StateInSync {
				text += " -" + component.BytesShort(n.LagBytes)
			}
		}
		line += "  " + v.t.Paint(role, g) + " " + n.ID + " " + v.t.Paint(role, text)
	}
	return component.Box{Title: v.t.Paint(style.Strong, "nodes")}.Render(v.t, []string{line}, w, h)
}

func (v view) ledger(w, h int) []string {
	l := v.s.Ledger
	lost := v.t.Paint(style.Good, "0")
	if l.Lost > 0 {
		lost = v.t.Paint(style.Bad, component.Grouped(l.Lost))
	}
	lines := []string{
		fmt.Sprintf(" sent %s   receipted %s   received %s", component.Grouped(l.Sent), component.Grouped(l.Receipted), component.Grouped(l.Received)),
		" lost " + lost + fmt.Sprintf("   duplicates %d   in doubt %d", l.Duplicates, l.InDoubt),
		" in " + component.Spark(v.t, v.s.InRate, max(0, w-16)) + " " + component.Short(l.Rate) + "/s",
	}
	return component.Box{Title: v.t.Paint(style.Strong, "the counting producers")}.Render(v.t, lines, w, h)
}

func (v view) steps(w, h int) []string {
	var lines []string
	for i, s := range v.l.Steps {
		mark, role := v.t.Glyphs.Pending, style.Dim
		switch {
		case i < v.l.Step:
			mark, role = v.t.Glyphs.OK, style.Good
		case i == v.l.Step:
			mark, role = v.t.Glyphs.Cursor, style.Focus
		}
		lines = append(lines, v.t.Paint(role, fmt.Sprintf(" %s %d  ", mark, i+1))+s.Title)
	}
	return component.Box{Title: v.t.Paint(style.Strong, "steps")}.Render(v.t, lines, w, h)
}

func (v view) events(w, h int) []string {
	var lines []string
	for _, e := range v.s.Events[max(0, len(v.s.Events)-(h-2)):] {
		lines = append(lines, v.t.Paint(style.Dim, e.At.Format("15:04:05.000"))+" "+component.Pad(e.Node, 4)+" "+e.Text)
	}
	return component.Box{Title: v.t.Paint(style.Strong, "events")}.Render(v.t, lines, w, h)
}

// step is the text of the step under way, or the end of the lesson.
func (v view) step(w, h int) []string {
	n := len(v.l.Steps)
	title := v.t.Paint(style.Strong, v.l.Title)
	box := component.Box{Title: title, Focus: true, Pad: true, Right: v.t.Paint(style.Dim, fmt.Sprintf("step %d of %d", min(v.l.Step+1, n), n))}
	inner := box.Inner(w)
	var lines []string
	para := func(role style.Role, text string) {
		for _, l := range page.Wrap(text, inner) {
			lines = append(lines, v.t.Paint(role, l))
		}
	}
	if v.l.Failed != "" {
		para(style.Bad, v.t.Glyphs.Down+" The lesson did not hold: "+v.l.Failed)
		lines = append(lines, "")
	}
	if v.l.Step >= n {
		lines = append(lines, v.t.Paint(style.Good, v.t.Glyphs.OK+" The lesson is done: the cluster showed all of it."), "")
		for _, s := range v.l.Steps {
			if s.Explain != "" && len(lines) < h-4 {
				para(style.Text, s.Explain)
				lines = append(lines, "")
			}
		}
		box.Footer = v.t.Paint(style.Dim, "5 failover report  q quit")
		return box.Render(v.t, lines, w, h)
	}
	s := v.l.Steps[v.l.Step]
	lines = append(lines, v.t.Paint(style.Accent, s.Title), "")
	if !s.Ready || s.Ask == "" { // it was read before the prediction
		para(style.Text, s.Story)
		lines = append(lines, "")
	}
	v.ask(&lines, s, inner)
	if s.Do != "" && (s.Ask == "" || s.Guess >= 0) {
		lines = append(lines, v.t.Paint(style.Focus, v.t.Glyphs.Cursor)+" press "+v.t.Paint(style.Strong, "enter")+" to do it: "+v.t.Paint(style.Strong, s.Do))
	}
	for _, c := range s.Checks {
		mark := v.t.Paint(style.Dim, v.t.Glyphs.Pending)
		if c.OK {
			mark = v.t.Paint(style.Good, v.t.Glyphs.OK)
		}
		lines = append(lines, "  "+mark+" "+component.Cut(c.Text, inner-4, v.t.Glyphs.Ellipsis))
	}
	if s.Ready {
		lines = append(lines, "")
		if s.Guess >= 0 && s.Right >= 0 {
			if s.Guess == s.Right {
				lines = append(lines, v.t.Paint(style.Good, v.t.Glyphs.OK+" your prediction was right"))
			} else {
				para(style.Warn, "It went otherwise than you said: "+s.Choices[min(s.Right, len(s.Choices)-1)]+".")
			}
		}
		para(style.Text, s.Explain)
		lines = append(lines, v.t.Paint(style.Focus, v.t.Glyphs.Cursor)+" "+v.t.Paint(style.Strong, "enter")+" goes on")
	}
	if v.l.Step > 0 && !s.Ready && len(lines)+3 < h {
		if last := v.l.Steps[v.l.Step-1]; last.Explain != "" {
			lines = append(lines, "")
			para(style.Dim, "Before: "+last.Explain)
		}
	}
	if v.hint && s.Hint != "" {
		lines = append(lines, "")
		para(style.Warn, "Hint: "+s.Hint)
	}
	return box.Render(v.t, lines, w, h)
}

// ask is the prediction, with what the learner said.
func (v view) ask(lines *[]string, s data.LessonStep, w int) {
	if s.Ask == "" {
		return
	}
	for _, l := range page.Wrap(s.Ask, w) {
		*lines = append(*lines, v.t.Paint(style.Strong, l))
	}
	for i, c := range s.Choices {
		mark, role := "  ", style.Text
		if i == s.Guess {
			mark, role = v.t.Glyphs.Cursor+" ", style.Focus
		}
		*lines = append(*lines, v.t.Paint(role, mark+string(rune('a'+i))+"  "+component.Cut(c, w-6, v.t.Glyphs.Ellipsis)))
	}
	switch {
	case s.Ready:
	case s.Guess < 0:
		*lines = append(*lines, v.t.Paint(style.Warn, "guess first: press its letter"))
	default:
		*lines = append(*lines, v.t.Paint(style.Good, v.t.Glyphs.OK+" noted; now see for yourself"))
	}
	*lines = append(*lines, "")
}
