package overview

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"baton/demo/failover"
	"baton/tui/component"
	"baton/tui/style"
)

type duration = time.Duration

// shownRun is the failover that takes the middle row: the one under way, or
// for a while the one that just ended.
func (v view) shownRun() *failover.Run {
	if r := v.s.FailoverNow(); r != nil {
		return r
	}
	if r := v.s.LastFailover(); r != nil && r.Done() && v.s.At.Sub(r.FirstReceipt) < v.ShowResult {
		return r
	}
	return nil
}

// step is a phase with its own duration.
type step struct {
	name    string
	at      duration // since the fault, -1 if not reached
	took    duration
	running bool
}

// steps splits a run: the first phase not reached yet is the one that runs.
func steps(r *failover.Run, now time.Time) []step {
	var out []step
	before, open := duration(0), true
	for _, p := range r.Phases() {
		s := step{name: p.Name, at: p.At, took: p.At - before}
		switch {
		case p.At >= 0:
			s.took = max(0, s.took)
			before = max(before, p.At)
		case open:
			s.running, open = true, false
			s.took = max(0, now.Sub(r.Fault)-before)
		default:
			s.took = 0
		}
		out = append(out, s)
	}
	return out
}

// phaseRoles gives neighbouring phases different looks; the fills differ too,
// for screens without colour.
var phaseRoles = []style.Role{style.Bad, style.Warn, style.Accent, style.Follow, style.Good}

func (v view) phaseFill(i int) string {
	if v.t.ASCII {
		return []string{"#", "=", "+", "-", "*"}[i%5]
	}
	return []string{"█", "▓", "█", "▓", "█"}[i%5]
}

// fillOf marks the phase that runs by a fill of its own.
func (v view) fillOf(s step, i int) string {
	switch {
	case !s.running:
		return v.phaseFill(i)
	case v.t.ASCII:
		return "."
	}
	return "▒"
}

// axis writes the time under which the bars stand.
func (v view) axis(st []step, left, cells int) string {
	var sum duration
	for _, s := range st {
		sum += s.took
	}
	line := component.Fill("", left)
	for i := range 4 {
		label := component.Span(sum * duration(i) / 4)
		if i == 0 {
			label = "0"
		}
		line += component.Pad(label, cells/4)
	}
	return v.t.Paint(style.Dim, line+component.Span(sum))
}

// stopwatch draws a failover phase by phase.
func (v view) stopwatch(r *failover.Run, w, h int) []string {
	st := steps(r, v.Now)
	elapsed := v.Now.Sub(r.Fault)
	role, state := style.Bad, "running"
	if r.Done() {
		elapsed, role, state = total(r), style.Good, "done in"
	}
	title := v.t.Paint(style.Strong, fmt.Sprintf("failover #%d", r.ID)) + "  " + r.Cause +
		v.t.Paint(style.Dim, " at "+r.Fault.Format("15:04:05.000"))
	right := v.t.Paint(role, state+" "+component.Span(elapsed))
	box := component.Box{Title: title, Right: right, Alarm: role, Pad: v.tall}
	inner := box.Inner(w)
	var lines []string
	if h >= 9 {
		lines = v.waterfall(r, st, inner)
		for len(lines) < h-4 {
			lines = append(lines, "")
		}
		lines = append(lines[:h-4], component.Spread("", v.medianText(), inner))
	} else {
		lines = v.phaseRows(st, inner)
	}
	return box.Render(v.t, append(lines, v.verdict(r, inner)), w, h)
}

// phaseRows is the small form: headings, one bar, times.
func (v view) phaseRows(st []step, w int) []string {
	heads, times := "", ""
	for i, col := range component.Split(w, len(st)) {
		s := st[i]
		mark, role := v.t.Glyphs.Pending, style.Dim
		text := v.t.Glyphs.Missing
		switch {
		case s.at >= 0:
			mark, role, text = v.t.Glyphs.OK, phaseRoles[i], "+"+component.Span(s.took)
		case s.running:
			mark, role, text = v.t.Glyphs.Timer, style.Warn, component.Span(s.took)+v.t.Glyphs.Ellipsis
		}
		heads += v.t.Paint(role, component.Pad(mark+" "+s.name, col))
		times += component.Pad("  "+text, col)
	}
	return []string{heads, v.phaseBar(st, w), times}
}

// phaseBar is one bar of all phases, in proportion.
func (v view) phaseBar(st []step, w int) string {
	inner := w - 2
	if inner < 1 {
		return ""
	}
	var b strings.Builder
	cells := proportions(st, inner)
	for i, n := range cells {
		b.WriteString(v.t.Paint(phaseRoles[i], strings.Repeat(v.fillOf(st[i], i), n)))
	}
	return v.t.Paint(style.Dim, v.t.Glyphs.BarLeft) + component.Fill(b.String(), inner) + v.t.Paint(style.Dim, v.t.Glyphs.BarRight)
}

// proportions shares cells among the phases by their time; a phase that took
// any time gets at least one.
func proportions(st []step, cells int) []int {
	var sum duration
	for _, s := range st {
		sum += s.took
	}
	out := make([]int, len(st))
	if sum == 0 || cells < len(st) {
		return out
	}
	used := 0
	for i, s := range st {
		if s.took > 0 {
			out[i] = max(1, int(int64(s.took)*int64(cells)/int64(sum)))
		}
		used += out[i]
	}
	out[slices.Index(out, slices.Max(out))] += cells - used // what rounding left or took
	return out
}

// waterfall is the large form: one line per phase with what happened in it.
func (v view) waterfall(r *failover.Run, st []step, w int) []string {
	const name, took, said = 17, 11, 44
	bar := w - name - took - said
	cells := proportions(st, max(0, bar-2))
	lines := []string{v.axis(st, name+took, max(0, bar-2))}
	at := 0
	for i, s := range st {
		mark, role, text := v.t.Glyphs.Pending, style.Dim, v.t.Glyphs.Missing
		switch {
		case s.at >= 0:
			mark, role, text = v.t.Glyphs.OK, phaseRoles[i], "+"+component.Span(s.took)
		case s.running:
			mark, role, text = v.t.Glyphs.Timer, phaseRoles[i], component.Span(s.took)+v.t.Glyphs.Ellipsis
		}
		line := " " + v.t.Paint(role, component.Pad(mark+" "+s.name, name-1)) + component.PadLeft(text, took-2) + "  "
		line += component.Fill("", at) + v.t.Paint(role, strings.Repeat(v.fillOf(s, i), cells[i]))
		at += cells[i]
		lines = append(lines, component.Fill(line, name+took+bar)+v.t.Paint(style.Dim, component.Cut(v.phaseSaying(r, i), said, v.t.Glyphs.Ellipsis)))
	}
	return lines
}

func (v view) phaseSaying(r *failover.Run, i int) string {
	after := r.LeaderAfter
	if after == "" {
		after = "the new leader"
	}
	return []string{
		"a follower lost its leader for good",
		fmt.Sprintf("a quorum promised epoch %d on disk", max(r.Epoch, r.EpochBefore+1)),
		after + " has the newest log: chosen in ZooKeeper",
		after + " committed its first record, opened doors",
		"a producer hears success again",
	}[i]
}

// verdict is who handed to whom and what became of the messages.
func (v view) verdict(r *failover.Run, w int) string {
	from, to := r.LeaderBefore, r.LeaderAfter
	if from == "" {
		from = "?"
	}
	if to == "" {
		to = v.t.Glyphs.Ellipsis
	}
	who := from + " " + v.t.Glyphs.Arrow + " " + v.t.Paint(style.Good, to)
	epoch := fmt.Sprintf("epoch %d", r.EpochBefore)
	if r.Epoch > 0 {
		epoch += fmt.Sprintf(" %s %d", v.t.Glyphs.Arrow, r.Epoch)
	}
	left := who + "   " + epoch
	l := v.s.Ledger
	if !l.OK {
		return component.Spread(left, v.medianText(), w)
	}
	lost := v.t.Paint(style.Good, v.t.Glyphs.OK+" receipted messages lost 0")
	if l.Lost > 0 {
		lost = v.t.Paint(style.Bad, v.t.Glyphs.Down+" receipted messages lost "+component.Grouped(l.Lost))
	}
	if !r.Done() {
		lost += " so far"
	}
	doubt := "in doubt " + component.Grouped(l.InDoubt)
	return component.FitSpread(w, [2]string{left + "   " + doubt, lost}, [2]string{left, lost}, [2]string{who, lost})
}

// medianText compares with the other runs.
func (v view) medianText() string {
	all := v.totals()
	if len(all) < 2 {
		return ""
	}
	return v.t.Paint(style.Dim, fmt.Sprintf("median of %d: %s", len(all), component.Span(all[len(all)/2])))
}

func (v view) totals() []duration {
	var all []duration
	for i := range v.s.Failovers {
		if r := &v.s.Failovers[i]; r.Done() {
			all = append(all, total(r))
		}
	}
	slices.Sort(all)
	return all
}

// failoverPane is the newest run beside the queues, on wide screens.
func (v view) failoverPane(w, h int) []string {
	box := component.Box{Title: v.t.Paint(style.Strong, "failovers"), Pad: v.tall}
	inner := box.Inner(w)
	r := v.s.LastFailover()
	if r == nil {
		return box.Render(v.t, []string{v.t.Paint(style.Dim, "none yet"),
			v.t.Paint(style.Dim, component.Fit(inner, "the stopwatch starts by itself when a leader is lost", "starts when a leader is lost"))}, w, h)
	}
	head := v.t.Paint(style.Strong, fmt.Sprintf("#%d ", r.ID)) + r.Cause
	sum := v.t.Paint(style.Warn, "running")
	if r.Done() {
		sum = v.t.Paint(style.Good, component.Span(total(r)))
	} else if v.s.FailoverNow() == nil {
		sum = v.t.Paint(style.Dim, "no receipt")
	}
	lines := []string{component.Spread(head, sum, inner)}
	st := steps(r, v.Now)
	longest := duration(1)
	for _, s := range st {
		longest = max(longest, s.took)
	}
	for i, s := range st {
		text := v.t.Glyphs.Missing
		if s.at >= 0 || s.running {
			text = component.Span(s.took)
		}
		n := int(int64(s.took) * int64(max(0, inner-25)) / int64(longest))
		lines = append(lines, component.Pad(s.name, 14)+component.PadLeft(text, 9)+"  "+v.t.Paint(phaseRoles[i], strings.Repeat(v.phaseFill(i), n)))
	}
	if all := v.totals(); len(all) > 1 && h-2 > len(lines) {
		lines = append(lines, v.t.Paint(style.Dim, component.Cut(fmt.Sprintf("best %s  median %s  n %d",
			component.Span(all[0]), component.Span(all[len(all)/2]), len(all)), inner, v.t.Glyphs.Ellipsis)))
	}
	return box.Render(v.t, lines, w, h)
}
