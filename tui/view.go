package tui

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"baton/tui/component"
	"baton/tui/keymap"
	"baton/tui/page"
	"baton/tui/style"
)

// Sizes under which the screen degrades.
const (
	tinyWidth  = 30
	tinyHeight = 6
)

// bodyTop is the first row of the page: under the status bar.
func (m *Model) bodyTop() int { return 1 }

// frame is what the page draws in: all but status bar and key line.
func (m *Model) frame() page.Frame {
	s := m.snap()
	now := m.now
	if m.frozen != nil {
		now = s.At
	}
	return page.Frame{
		Snap: s, Theme: m.cfg.Theme, W: m.w, H: max(0, m.h-2), Now: now, ShowResult: m.cfg.ShowResult,
		Hints: m.hints(),
	}
}

func (m *Model) hints() page.Hints {
	h := page.Hints{Filter: m.table.ByID("filter").Key(), Sort: m.table.ByID("sort").Key()}
	if !m.cfg.ReadOnly {
		h.Chaos = m.table.ByID("chaos").Key()
	}
	return h
}

// View implements tea.Model. Whatever the parts drew, what leaves here fits.
func (m *Model) View() string {
	if !m.sized {
		return "starting" + m.cfg.Theme.Glyphs.Ellipsis
	}
	lines := component.Clip(m.draw(), m.w, m.h)
	out := strings.Join(lines, "\n")
	if m.cfg.Theme.Level == style.Plain {
		out = ansi.Strip(out)
	}
	if m.cfg.Theme.ASCII {
		out = component.ToASCII(out)
	}
	return out
}

func (m *Model) draw() []string {
	if m.snap() == nil {
		t := m.cfg.Theme
		return []string{" " + t.Paint(style.Strong, m.cfg.Product) + "  " + m.cfg.Cluster, "",
			"  " + t.Paint(style.Warn, t.Glyphs.Starting) + " waiting for the first answer" + t.Glyphs.Ellipsis + "  (q quits)"}
	}
	if m.w < tinyWidth || m.h < tinyHeight {
		return m.overlaid([]string{m.tinyLine()})
	}
	lines := append([]string{m.statusBar()}, m.page().Render(m.frame())...)
	for len(lines) < m.h-1 {
		lines = append(lines, "")
	}
	lines = append(lines[:m.h-1], m.keyLine())
	return m.overlaid(lines)
}

// overlaid draws the dialogs over the page, each in the middle.
func (m *Model) overlaid(lines []string) []string {
	if len(m.dialogs) == 0 {
		return lines
	}
	for len(lines) < m.h {
		lines = append(lines, "")
	}
	for _, d := range m.dialogs[max(0, len(m.dialogs)-2):] {
		box := d.render(m, m.dialogFrame())
		if len(box) == 0 {
			continue
		}
		lines = component.Overlay(lines, box, (m.w-component.Width(box[0]))/2, max(0, (m.h-len(box))/2), m.w)
	}
	return lines
}

// dialogFrame is the room for a dialog: it leaves the status bar and the key
// line to be seen where there is room for that.
func (m *Model) dialogFrame() page.Frame {
	f := m.frame()
	f.H = m.h
	if m.h > 12 {
		f.H = m.h - 2
	}
	return f
}

// statusBar is the first line: who, what, how it fares.
func (m *Model) statusBar() string {
	s, t := m.snap(), m.cfg.Theme
	left := " " + t.Paint(style.Strong, m.cfg.Product) + "  " + component.Cut(s.Cluster, 20, t.Glyphs.Ellipsis) + "  " + m.badge()
	if c := m.page().Crumb(); c != "" {
		left += "  " + c
	}
	g, role := page.HealthLook(t, s.Health)
	health := t.Paint(role, g) + " " + t.Paint(style.Strong, t.Paint(role, s.Health.Word()))
	quorum := fmt.Sprintf("quorum %d/%d", s.Quorum.Have, s.Quorum.Replicas)
	if s.Quorum.Replicas == 0 {
		quorum = fmt.Sprintf("%d members", s.Quorum.Have)
	}
	if !s.Quorum.OK {
		quorum = t.Paint(style.Bad, quorum)
	}
	rates, short := m.rateTexts()
	epoch, clock := fmt.Sprintf("epoch %d", s.Epoch), s.At.Format("15:04:05")
	end := m.timeBadge()
	extra := ""
	if l := s.LeaderNode(); l != nil && l.Status.Sync != "" {
		extra = "   sync " + l.Status.Sync
	}
	zk := t.Paint(style.Good, t.Glyphs.Leader)
	if !s.ZooKeeperUp() {
		zk = t.Paint(style.Bad, t.Glyphs.Down)
	}
	extra += "   zookeeper " + zk
	return component.FitSpread(m.w,
		[2]string{left + "  " + health + "   " + quorum + extra, rates + "   " + epoch + "   " + clock + end},
		[2]string{left + "  " + health + "  " + quorum, short + "  " + epoch + "  " + clock + end},
		[2]string{left + "  " + health + "  " + quorum, short + "  " + clock + end},
		[2]string{left + "  " + health + "  " + quorum, clock + end},
		[2]string{left + "  " + health, clock + end},
		[2]string{" " + health + "  " + quorum, clock + end},
		[2]string{" " + health, strings.TrimSpace(end)})
}

// rateTexts is the flow through the leader, or how long there is none.
func (m *Model) rateTexts() (long, short string) {
	s, t := m.snap(), m.cfg.Theme
	if r := s.FailoverNow(); r != nil {
		now := m.frame().Now
		text := t.Paint(style.Bad, "failover "+span(max(0, now.Sub(r.Fault))))
		return text, text
	}
	l := s.LeaderNode()
	if l == nil || l.InRate < 0 {
		return "–/s in   –/s out", "–/s"
	}
	in := component.Short(l.InRate) + "/s"
	return in + " in   " + component.Short(max(0, l.OutRate)) + "/s out", in
}

// badge says whose cluster it is.
func (m *Model) badge() string {
	t := m.cfg.Theme
	switch {
	case m.live != nil && m.live.Player != nil:
		return t.Paint(style.WarnBadge, "[recording]")
	case m.cfg.ReadOnly && m.cfg.Launched:
		return t.Paint(style.WarnBadge, "[READ ONLY]")
	case m.cfg.ReadOnly:
		return t.Paint(style.WarnBadge, "[attached READ ONLY]")
	case m.cfg.Launched:
		return t.Paint(style.Dim, "[launched]")
	}
	return t.Paint(style.WarnBadge, "[attached]")
}

// keyLine is the last line: input, message, or the keys.
func (m *Model) keyLine() string {
	t := m.cfg.Theme
	if m.input != nil {
		return component.Spread(" "+t.Paint(style.Focus, "/")+m.input.render(t), t.Paint(style.Dim, "enter keep  esc cancel "), m.w)
	}
	if m.flash.text != "" {
		role, mark := style.Accent, t.Glyphs.Cursor
		if m.flash.bad {
			role, mark = style.Bad, t.Glyphs.Down
		}
		return t.Paint(role, component.Pad(" "+mark+" "+m.flash.text, m.w))
	}
	return m.keysAndPages()
}

// pagesWidth is from where the key line has room for the names of all screens.
const pagesWidth = 120

// keysAndPages names the keys and, where there is room, the screens.
func (m *Model) keysAndPages() string {
	t, v := m.cfg.Theme, m.keyView()
	tail := t.Paint(style.Strong, "1-"+strconv.Itoa(len(pageNames))) + " " + t.Paint(style.Dim, "screens") + " "
	if m.w >= pagesWidth {
		tail = m.pageStrip(v)
	}
	line := ""
	own, global := m.table.In(m.page().Name()), m.table.In(keymap.Global)
	for _, a := range append(append(global[:2:2], own...), global[2:]...) { // help and quit come first, always
		if ok, _ := a.Allowed(v); !a.Short || !ok {
			continue
		}
		part := " " + t.Paint(style.Strong, a.Key()) + " " + t.Paint(style.Dim, a.Label) + " "
		if component.Width(line)+component.Width(part)+component.Width(tail) >= m.w {
			break
		}
		line += part
	}
	return component.FitSpread(m.w, [2]string{line, tail}, [2]string{line, ""})
}

// pageStrip names the screens with the keys that show them.
func (m *Model) pageStrip(v keymap.View) string {
	t, out := m.cfg.Theme, ""
	for i, name := range pageNames {
		if ok, _ := m.table.ByID("page." + name).Allowed(v); !ok {
			continue
		}
		role := style.Dim
		if i == m.shown {
			role = style.Focus
			name = t.Glyphs.Cursor + name
		}
		out += t.Paint(style.Strong, strconv.Itoa(i+1)) + " " + t.Paint(role, name) + "  "
	}
	return out
}

// tinyLine is all that fits a terminal of a few cells.
func (m *Model) tinyLine() string {
	s, t := m.snap(), m.cfg.Theme
	g, role := page.HealthLook(t, s.Health)
	leader := s.Leader
	if leader == "" {
		leader = "no leader"
	}
	return component.Fit(m.w,
		t.Paint(role, g+" "+s.Health.Word())+" "+leader+fmt.Sprintf(" %d/%d", s.Quorum.Have, s.Quorum.Replicas),
		t.Paint(role, g+" "+s.Health.Word()), t.Paint(role, g))
}
