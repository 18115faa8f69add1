// Package logs is the screen of what the processes and nodes say, merged by
// time: per source, by level, filtered, followed or held, with a ruler where a
// failover ended.
package logs

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"baton/node/adminapi"
	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/page"
	"baton/tui/style"
)

// Page is the screen with its selection of lines and place in them.
type Page struct {
	least  int // index into levels
	only   string
	filter string
	wrap   bool

	held    bool      // does not follow
	at      time.Time // of the last line shown while held
	seq     uint64    // and its sequence
	heldAll uint64    // lines there were when it was held
}

var levels = []string{data.LevelDebug, data.LevelInfo, data.LevelWarn, data.LevelError}

// New returns the page: it follows and shows everything but debug lines.
func New() *Page { return &Page{least: 1} }

// Name implements page.Page.
func (p *Page) Name() string { return "logs" }

// Crumb implements page.Page.
func (p *Page) Crumb() string { return "logs" }

// Filter implements page.Filterer.
func (p *Page) Filter() string { return p.filter }

// SetFilter implements page.Filterer.
func (p *Page) SetFilter(s string) { p.filter = s }

// Target implements page.Page.
func (p *Page) Target(s *data.Snapshot) string {
	if s.NodeByID(p.only) != nil {
		return p.only
	}
	return ""
}

// Click implements page.Page.
func (p *Page) Click(int, int, page.Frame) {}

// line is one row: what a process wrote, what a node told, or a ruler.
type line struct {
	at     time.Time
	seq    uint64
	source string
	level  string
	text   string
	ruler  bool
}

// all merges output, events and rulers.
func all(s *data.Snapshot) []line {
	out := make([]line, 0, len(s.Logs)+16)
	for _, l := range s.Logs {
		out = append(out, line{at: l.At, seq: l.Seq, source: l.Source, level: l.Level, text: l.Text})
	}
	for i, e := range s.Events {
		if len(s.Logs) > 0 && e.Kind != data.KindConsole {
			continue // the nodes log what they tell
		}
		text := e.Text
		if twin := e.Fields[data.FieldCommand]; twin != "" {
			text += "   (" + twin + ")"
		}
		out = append(out, line{at: e.At, seq: uint64(i), source: orWord(e.Node), level: levelOf(e.Kind), text: text})
	}
	for _, r := range s.Failovers {
		if r.Done() {
			out = append(out, line{at: r.FirstReceipt, ruler: true, text: fmt.Sprintf("failover #%d (%s) complete, %s", r.ID, r.Cause, component.Span(r.FirstReceipt.Sub(r.Fault)))})
		}
	}
	slices.SortStableFunc(out, func(a, b line) int { return a.at.Compare(b.at) })
	return out
}

func orWord(node string) string {
	if node == "" {
		return "console"
	}
	return node
}

func levelOf(kind string) string {
	switch kind {
	case adminapi.KindFailed, adminapi.KindRefused, adminapi.KindNoQuorum:
		return data.LevelError
	case adminapi.KindSuspected, adminapi.KindLinkLost, adminapi.KindDetached, adminapi.KindZKLost, adminapi.KindZKExpired, adminapi.KindFenced, data.KindConsole:
		return data.LevelWarn
	}
	return data.LevelInfo
}

// passes says whether a line is shown.
func (p *Page) passes(l line) bool {
	if l.ruler {
		return p.filter == ""
	}
	if p.only != "" && l.source != p.only {
		return false
	}
	if i := slices.Index(levels, l.level); i >= 0 && i < p.least {
		return false
	}
	return p.filter == "" || strings.Contains(strings.ToLower(l.source+" "+l.text), strings.ToLower(p.filter))
}

// shown are the lines that pass, up to where the screen is held.
func (p *Page) shown(s *data.Snapshot) (lines []line, hidden int) {
	for _, l := range all(s) {
		if p.held && (l.at.After(p.at) || l.at.Equal(p.at) && l.seq > p.seq) {
			break
		}
		if p.passes(l) {
			lines = append(lines, l)
		} else {
			hidden++
		}
	}
	return lines, hidden
}

// Command implements page.Page: moving up holds the screen, the end follows again.
func (p *Page) Command(c page.Command, f page.Frame) {
	step := 0
	switch c {
	case page.Up:
		step = -1
	case page.Down:
		step = 1
	case page.PageUp:
		step = -max(1, f.H-3)
	case page.PageDown:
		step = max(1, f.H-3)
	case page.Top:
		step = -1 << 30
	case page.Bottom:
		p.held = false
		return
	case page.NextPane, page.Right:
		p.source(f.Snap, 1)
		return
	case page.PrevPane, page.Left:
		p.source(f.Snap, -1)
		return
	}
	p.scroll(step, f)
}

func (p *Page) scroll(step int, f page.Frame) {
	was := p.held
	before, _ := p.shown(f.Snap)
	p.held = false
	var passing []line
	for _, l := range all(f.Snap) {
		if p.passes(l) {
			passing = append(passing, l)
		}
	}
	at := len(passing) - 1
	if was {
		at = len(before) - 1
	}
	at = max(min(at+step, len(passing)-1), min(len(passing)-1, f.H-3))
	if len(passing) == 0 || at >= len(passing)-1 && step > 0 {
		return // at the end: it follows
	}
	p.hold(passing[max(0, at)], f.Snap, was)
}

func (p *Page) hold(l line, s *data.Snapshot, was bool) {
	p.held, p.at, p.seq = true, l.at, l.seq
	if !was {
		p.heldAll = s.LogsAll + s.EventsAll
	}
}

// sources are all that can be chosen, "" for all of them.
func sources(s *data.Snapshot) []string {
	out := []string{""}
	for _, l := range all(s) {
		if !l.ruler && !slices.Contains(out, l.source) {
			out = append(out, l.source)
		}
	}
	slices.Sort(out)
	return out
}

func (p *Page) source(s *data.Snapshot, step int) {
	choices := sources(s)
	i := max(0, slices.Index(choices, p.only))
	p.only = choices[((i+step)%len(choices)+len(choices))%len(choices)]
}

// Copy implements page.Copier: the last line shown, which is where a held screen
// stands.
func (p *Page) Copy(f page.Frame) (what, text string) {
	lines, _ := p.shown(f.Snap)
	if len(lines) == 0 {
		return "", ""
	}
	l := lines[len(lines)-1]
	if l.ruler {
		return "the last line", l.at.Format(time.RFC3339Nano) + " " + l.text
	}
	return "the last line", strings.Join([]string{l.at.Format(time.RFC3339Nano), l.source, l.level, l.text}, " ")
}

// Press implements page.Presser.
func (p *Page) Press(id string, f page.Frame) string {
	switch id {
	case "logs.level":
		p.least = (p.least + 1) % len(levels)
		return "lines from " + levels[p.least] + " up"
	case "logs.wrap":
		p.wrap = !p.wrap
	case "logs.follow":
		if p.held {
			p.held = false
			return "following"
		}
		if lines, _ := p.shown(f.Snap); len(lines) > 0 {
			p.hold(lines[len(lines)-1], f.Snap, false)
			return "held: f follows again"
		}
	}
	return ""
}

// Render implements page.Page.
func (p *Page) Render(f page.Frame) []string {
	if f.W <= 0 || f.H <= 0 {
		return nil
	}
	t := f.Theme
	lines, hidden := p.shown(f.Snap)
	title := t.Paint(style.Strong, "logs") + t.Paint(style.Dim, "  from "+levels[p.least]+" up   source ") + p.chosen()
	if p.filter != "" {
		title += t.Paint(style.Dim, "   match ") + t.Paint(style.Focus, `"`+p.filter+`"`)
	}
	right := t.Paint(style.Good, "following")
	if p.held {
		right = t.Paint(style.WarnBadge, fmt.Sprintf(" HELD +%d new ", f.Snap.LogsAll+f.Snap.EventsAll-min(p.heldAll, f.Snap.LogsAll+f.Snap.EventsAll)))
	}
	foot := fmt.Sprintf("%d lines, %d hidden", len(lines), hidden)
	if gone := f.Snap.LogsAll - min(f.Snap.LogsAll, uint64(len(f.Snap.Logs))); gone > 0 {
		foot += fmt.Sprintf(", %d older or dropped", gone)
	}
	if len(f.Snap.Logs) == 0 {
		foot = "what nodes tell; their log files stay where they run"
	}
	box := component.Box{Title: title, Right: right, Footer: t.Paint(style.Dim, foot), Focus: true}
	return box.Render(t, p.body(f, lines, f.W-2, f.H-2), f.W, f.H)
}

func (p *Page) chosen() string {
	if p.only == "" {
		return "all"
	}
	return p.only
}

// body fills h rows from the end of the lines.
func (p *Page) body(f page.Frame, lines []line, w, h int) []string {
	if len(lines) == 0 {
		return []string{f.Theme.Paint(style.Dim, " nothing passes: v changes the level, tab the source, esc clears the filter")}
	}
	names := 2
	for _, l := range lines[max(0, len(lines)-200):] {
		names = max(names, min(10, component.Width(l.source)))
	}
	var out []string
	for i := len(lines) - 1; i >= 0 && len(out) < h; i-- {
		rows := p.rows(f.Theme, lines[i], names, w)
		out = append(slices.Clone(rows), out...)
	}
	return out[max(0, len(out)-h):]
}

func (p *Page) rows(t style.Theme, l line, names, w int) []string {
	if l.ruler {
		side := max(0, (w-component.Width(l.text)-2)/2)
		rule := strings.Repeat(t.Glyphs.Border.H, side)
		return []string{t.Paint(style.Accent, rule+" "+l.text+" "+rule)}
	}
	role := style.Text
	switch l.level {
	case data.LevelWarn:
		role = style.Warn
	case data.LevelError:
		role = style.Bad
	case data.LevelDebug:
		role = style.Dim
	}
	level := l.level
	if level == "" {
		level = "-"
	}
	head := t.Paint(style.Dim, l.at.Format("15:04:05.000")) + " " + component.Pad(l.source, names) + " " + t.Paint(role, component.Pad(level, 5)) + " "
	room := w - component.Width(head)
	if !p.wrap || room < 20 {
		return []string{head + component.Cut(l.text, room, t.Glyphs.Ellipsis)}
	}
	var out []string
	for i, part := range page.Wrap(l.text, room) {
		if i > 0 {
			head = component.Fill("", w-room)
		}
		out = append(out, head+component.Cut(part, room, t.Glyphs.Ellipsis))
	}
	return out
}
