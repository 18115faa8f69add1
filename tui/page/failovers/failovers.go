// Package failovers is the report screen: every failover of the run with its
// phases, the reason for the length of each, who stood for election, what
// became of the messages, and how it compares with the others.
package failovers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"baton/demo/failover"
	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/page"
	"baton/tui/report"
	"baton/tui/style"
)

// Page is the screen; back counts runs from the newest, scroll the lines of
// reasons above the first that is shown.
type Page struct {
	back   int
	scroll int
}

// whyMax bounds scrolling.
const whyMax = 40

// New returns the page at the newest failover.
func New() *Page { return &Page{} }

// Name implements page.Page.
func (p *Page) Name() string { return "failovers" }

// Crumb implements page.Page.
func (p *Page) Crumb() string { return "failovers" }

// Target implements page.Page.
func (p *Page) Target(*data.Snapshot) string { return "" }

// Click implements page.Page.
func (p *Page) Click(int, int, page.Frame) {}

// Command implements page.Page.
func (p *Page) Command(c page.Command, f page.Frame) {
	n := len(runs(f.Snap))
	switch c {
	case page.Left, page.PrevPane:
		p.back, p.scroll = p.back+1, 0
	case page.Right, page.NextPane:
		p.back, p.scroll = p.back-1, 0
	case page.Up:
		p.scroll--
	case page.Down:
		p.scroll++
	case page.PageUp, page.Top:
		p.scroll = 0
	case page.PageDown, page.Bottom:
		p.scroll += 5
	}
	p.scroll = max(0, min(p.scroll, whyMax))
	p.back = max(0, min(p.back, n-1))
}

// runs are the failovers without false alarms, oldest first.
func runs(s *data.Snapshot) []failover.Run {
	return slices.DeleteFunc(slices.Clone(s.Failovers), func(r failover.Run) bool { return r.FalseAlarm() })
}

// Selected is the failover that the page shows.
func (p *Page) Selected(s *data.Snapshot) (failover.Run, bool) {
	all := runs(s)
	if len(all) == 0 {
		return failover.Run{}, false
	}
	return all[len(all)-1-min(p.back, len(all)-1)], true
}

// Copy implements page.Copier: the report on the failover that is shown.
func (p *Page) Copy(f page.Frame) (what, text string) {
	r, ok := p.Selected(f.Snap)
	if !ok {
		return "", ""
	}
	return fmt.Sprintf("the report on failover %d", r.ID), report.OfRun(r, f.Snap.Events).Text()
}

// Render implements page.Page.
func (p *Page) Render(f page.Frame) []string {
	if f.W <= 0 || f.H <= 0 {
		return nil
	}
	t := f.Theme
	run, ok := p.Selected(f.Snap)
	if !ok {
		lines := []string{"", "  No leader was lost yet.", "",
			"  The stopwatch starts by itself, whoever causes it: a fault of yours, a crash,",
			"  a network. Open the actions with x, or start a lesson with baton demo --lesson.", ""}
		return component.Box{Title: t.Paint(style.Strong, "failovers"), Focus: true}.Render(t, lines, f.W, min(f.H, len(lines)+2))
	}
	v := view{Frame: f, t: t, s: f.Snap, scroll: p.scroll, r: run, rep: report.OfRun(run, f.Snap.Events), n: len(runs(f.Snap))}
	phases := min(9, f.H)
	out := v.phases(f.W, phases)
	rest := f.H - phases
	if page.Small(f) {
		return append(out, v.why(f.W, max(0, rest))...)
	}
	facts := 7
	if f.H >= 30 {
		facts = 9
	}
	facts = min(facts, rest)
	cols := component.Split(f.W, 3)
	blocks := [][]string{v.messages(cols[0], facts), v.candidates(cols[1], facts), v.compared(cols[2], facts)}
	if f.W < 110 {
		cols = component.Split(f.W, 2)
		blocks = [][]string{v.messages(cols[0], facts), v.compared(cols[1], facts)}
	}
	out = append(out, component.Beside(cols, blocks...)...)
	rest -= facts
	if rest < 3 {
		return out
	}
	why := rest
	if rest > 16 {
		why = 13
	}
	out = append(out, v.why(f.W, why)...)
	return append(out, v.timeline(f.W, rest-why)...)
}

type view struct {
	page.Frame
	t   style.Theme
	s   *data.Snapshot
	r   failover.Run
	rep report.Failover
	n   int

	scroll int
}

var phaseRoles = []style.Role{style.Bad, style.Warn, style.Accent, style.Follow, style.Good}

// phases is the waterfall: each phase a bar that begins where the last ended.
func (v view) phases(w, h int) []string {
	title := v.t.Paint(style.Strong, fmt.Sprintf("failover #%d of %d", v.r.ID, v.n)) + "  " + v.r.Cause + v.t.Paint(style.Dim, " at "+v.r.Fault.Format("15:04:05.000"))
	right := v.t.Paint(style.Warn, "not finished")
	if v.r.Done() {
		right = v.t.Paint(style.Good, component.Span(v.r.FirstReceipt.Sub(v.r.Fault))+" to the first receipt")
	}
	const name, took = 16, 10
	bar := max(4, w-2-name-2*took-2)
	total := 1.0
	for _, p := range v.rep.Phases {
		if p.AtMS != nil {
			total = max(total, *p.AtMS)
		}
	}
	var lines []string
	before := 0.0
	for i, p := range v.rep.Phases {
		if p.AtMS == nil {
			mark := v.t.Glyphs.Pending
			if i == 0 && !v.r.Detected.IsZero() || v.r.Done() {
				mark = v.t.Glyphs.Missing
			}
			lines = append(lines, v.t.Paint(style.Dim, " "+mark+" "+component.Pad(p.Name, name-3)+component.PadLeft("not needed", took)))
			if !v.r.Done() {
				lines[len(lines)-1] = v.t.Paint(style.Dim, " "+mark+" "+component.Pad(p.Name, name-3)+component.PadLeft("–", took))
			}
			continue
		}
		from, to := int(before/total*float64(bar)), int(*p.AtMS/total*float64(bar))
		to = max(to, from+1)
		before = max(before, *p.AtMS)
		fill := v.t.Glyphs.Fill[len(v.t.Glyphs.Fill)-1]
		lines = append(lines, " "+v.t.Paint(phaseRoles[i%5], v.t.Glyphs.OK+" "+component.Pad(p.Name, name-3))+
			component.PadLeft(fmt.Sprintf("+%.1f ms", *p.TookMS), took)+v.t.Paint(style.Dim, component.PadLeft(fmt.Sprintf("%.1f", *p.AtMS), took))+"  "+
			component.Fill("", min(from, bar-1))+v.t.Paint(phaseRoles[i%5], strings.Repeat(fill, min(to-from, bar-min(from, bar-1)))))
	}
	to := v.r.LeaderAfter
	if to == "" {
		to = v.t.Glyphs.Ellipsis
	}
	who := " " + orDash(v.r.LeaderBefore) + " " + v.t.Glyphs.Arrow + " " + v.t.Paint(style.Good, to) + fmt.Sprintf("   epoch %d %s %d", v.r.EpochBefore, v.t.Glyphs.Arrow, v.r.Epoch)
	redundant := ""
	if v.rep.RedundantMS != nil {
		redundant = fmt.Sprintf("a follower in sync again after %.0f ms ", *v.rep.RedundantMS)
	}
	lines = append(lines, "", component.Spread(who, v.t.Paint(style.Dim, redundant), w-2))
	return component.Box{Title: title, Right: right, Focus: true}.Render(v.t, lines, w, h)
}

func (v view) messages(w, h int) []string {
	l := v.s.Ledger
	lines := []string{v.t.Paint(style.Dim, "no load of the console's own runs:"), v.t.Paint(style.Dim, "nobody counts the messages")}
	if l.OK {
		verdict := v.t.Paint(style.Good, v.t.Glyphs.OK+" 0")
		if l.Lost > 0 {
			verdict = v.t.Paint(style.Bad, v.t.Glyphs.Down+" "+component.Grouped(l.Lost))
		}
		lines = []string{
			component.Spread("receipted", component.Grouped(l.Receipted), w-4), component.Spread("received", component.Grouped(l.Received), w-4),
			component.Spread("in doubt at a cut", component.Grouped(l.InDoubt), w-4), component.Spread("duplicates", component.Grouped(l.Duplicates), w-4),
			component.Spread("out of order", component.Grouped(l.OutOfOrder), w-4), component.Spread("receipted and lost", verdict, w-4),
		}
		if h < 9 {
			lines = append(lines[:4:4], lines[5])
		}
	}
	return component.Box{Title: v.t.Paint(style.Strong, "messages of the run"), Pad: true}.Render(v.t, lines, w, h)
}

func (v view) candidates(w, h int) []string {
	var lines []string
	for _, b := range v.rep.Candidates {
		mark := "  "
		if b.Won {
			mark = v.t.Paint(style.Good, v.t.Glyphs.Vote+" ")
		}
		lines = append(lines, component.Spread(mark+b.Node+v.t.Paint(style.Dim, " epoch "+b.LastEpoch), b.Position, w-4))
	}
	if len(lines) == 0 {
		lines = []string{v.t.Paint(style.Dim, "no promise was seen")}
	}
	if v.rep.Rule != "" {
		lines = append(lines, "", v.t.Paint(style.Accent, data.Rule(v.rep.Rule)))
	}
	return component.Box{Title: v.t.Paint(style.Strong, "who stood, where its log ended"), Pad: true}.Render(v.t, lines, w, h)
}

func (v view) compared(w, h int) []string {
	var lines []string
	for _, c := range report.Compare(v.s.Failovers) {
		lines = append(lines, component.Spread(fmt.Sprintf("%s %s%d", component.Pad(c.Action, 9), "n=", c.Runs), fmt.Sprintf("%.0f / %.0f / %.0f ms", c.BestMS, c.MedianMS, c.WorstMS), w-4))
	}
	if len(lines) == 0 {
		lines = []string{v.t.Paint(style.Dim, "none is finished yet")}
	}
	return component.Box{Title: v.t.Paint(style.Strong, "compared") + v.t.Paint(style.Dim, "  best / median / worst"), Pad: true}.Render(v.t, lines, w, h)
}

func (v view) why(w, h int) []string {
	var lines []string
	for i, p := range v.rep.Phases {
		for j, l := range page.Wrap(p.Why, w-18) {
			head := component.Fill("", 14)
			if j == 0 {
				head = v.t.Paint(phaseRoles[i%5], component.Pad(p.Name, 14))
			}
			lines = append(lines, head+" "+l)
		}
	}
	foot := "E export  ←→ other failovers"
	if over := len(lines) - (h - 2); over > 0 {
		foot = "↑↓ scroll  " + foot
		lines = lines[min(v.scroll, over):]
	}
	return component.Box{Title: v.t.Paint(style.Strong, "why these numbers"), Footer: v.t.Paint(style.Dim, foot)}.Render(v.t, lines, w, h)
}

func (v view) timeline(w, h int) []string {
	if h < 3 {
		return nil
	}
	var lines []string
	for _, e := range v.s.Events {
		d := e.At.Sub(v.r.Fault)
		if d < -100*time.Millisecond || d > 15*time.Second {
			continue
		}
		sign := "+"
		if d < 0 {
			sign, d = "-", -d
		}
		lines = append(lines, v.t.Paint(style.Dim, component.PadLeft(fmt.Sprintf("%s%.1f ms", sign, float64(d.Microseconds())/1000), 12))+"  "+component.Pad(e.Node, 9)+" "+e.Text)
	}
	return component.Box{Title: v.t.Paint(style.Strong, "timeline since the fault")}.Render(v.t, lines, w, h)
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
