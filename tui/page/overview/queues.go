package overview

import (
	"fmt"
	"strconv"
	"time"

	"baton/node/adminapi"
	"baton/tui/component"
	"baton/tui/style"
)

// queuesPane is the table of queues.
func (v view) queuesPane(w, h int) []string {
	rows := v.rows(v.s)
	at := v.cursorIn(rows)
	name := "queues"
	count := fmt.Sprintf(" %d", len(v.s.Queues))
	if v.filter != "" {
		count = fmt.Sprintf(" %d/%d  filter %q", len(rows), len(v.s.Queues), v.filter)
	}
	mark := "▼"
	if v.t.ASCII {
		mark = "v"
	}
	title := v.title(name) + count + v.t.Paint(style.Dim, "  sort "+sortNames[v.sort]+mark)
	if v.s.QueuesStale && !v.s.QueuesAt.IsZero() {
		title += v.t.Paint(style.Warn, "  stale "+component.Seconds(v.Now.Sub(v.s.QueuesAt).Seconds())+": no leader answers")
	}
	box := component.Box{Title: title, Focus: v.focused(paneQueues), Footer: v.queueFoot()}
	tb := component.Table{Columns: v.queueColumns(w), Cursor: at, Focus: v.focused(paneQueues), Dim: v.s.QueuesStale}
	tb.Offset = component.Scroll(0, at, h-3, len(rows))
	for _, q := range rows[tb.Offset:min(len(rows), tb.Offset+max(0, h-3))] {
		tb.Rows = append(tb.Rows, v.queueRow(q.Queue, q.InRate, q.OutRate, q.Trend))
	}
	tb.Cursor -= tb.Offset
	tb.Offset = 0
	box.Pad = v.tall
	lines := tb.Render(v.t, box.Inner(w), h-2)
	if len(rows) == 0 {
		lines = append(lines, v.t.Paint(style.Dim, "  "+v.noQueues()))
	}
	return box.Render(v.t, lines, w, h)
}

func (v view) noQueues() string {
	switch {
	case v.filter != "" && len(v.s.Queues) > 0:
		return "no queue matches the filter; esc clears it"
	case v.s.QueuesAt.IsZero():
		return "no leader has told its queues yet"
	}
	return "no queues; a producer makes one by sending to it"
}

func (v view) queueFoot() string {
	foot := ""
	if k := v.Hints.Filter; k != "" {
		foot = k + " filter"
	}
	if k := v.Hints.Sort; k != "" {
		foot += "  " + k + " sort"
	}
	return v.t.Paint(style.Dim, foot)
}

func (v view) queueColumns(w int) []component.Column {
	cols := []component.Column{
		{Title: "QUEUE"}, {Title: "DEPTH", Width: 11, Right: true}, {Title: "IN/s", Width: 8, Right: true},
		{Title: "OUT/s", Width: 8, Right: true}, {Title: "CONS", Width: 5, Right: true},
	}
	if w >= 90 {
		cols = append(cols, component.Column{Title: "PENDING", Width: 8, Right: true},
			component.Column{Title: "OLDEST", Width: 8, Right: true})
	}
	return append(cols, component.Column{Title: "TREND", Width: 12})
}

func (v view) queueRow(q adminapi.Queue, in, out float64, trend []float64) []string {
	depth, consumers, pending := component.Grouped(q.Depth), strconv.Itoa(q.Consumers), strconv.Itoa(q.Pending)
	inText, outText := perSecond(in), perSecond(out)
	if v.s.QueuesStale {
		depth, inText, outText, consumers, pending = depth+"?", "–", "–", "–", "–"
	}
	row := []string{q.Name, depth, inText, outText, consumers}
	if len(v.queueColumns(v.queueWidthNow())) > 6 {
		oldest := "–"
		if q.OldestMS > 0 {
			oldest = component.Span(time.Duration(q.OldestMS) * time.Millisecond)
		}
		row = append(row, pending, oldest)
	}
	return append(row, component.SparkLow(v.t, trend, 12))
}

func (v view) queueWidthNow() int {
	if v.one {
		return v.w
	}
	return v.queueWidth
}

func perSecond(x float64) string {
	if x < 0 {
		return "–"
	}
	return component.Short(x)
}

// ledgerLine is the load generator's account, on one line.
func (v view) ledgerLine(w int) string {
	l := v.s.Ledger
	t := v.t
	lost := t.Paint(style.Good, t.Glyphs.OK+" LOST 0")
	if l.Lost > 0 {
		lost = t.Paint(style.Bad, t.Glyphs.Down+" LOST "+component.Grouped(l.Lost))
	}
	count := func(name string, n uint64, bad style.Role) string {
		s := name + " " + component.Grouped(n)
		if n > 0 && bad != style.Text {
			return t.Paint(bad, s)
		}
		return s
	}
	head := t.Paint(style.Accent, " load") + " " + rate(l.Rate)
	sent, got, recv := count("sent", l.Sent, style.Text), count("receipted", l.Receipted, style.Text), count("received", l.Received, style.Text)
	dup, doubt := count("dup", l.Duplicates, style.Warn), count("in doubt", l.InDoubt, style.Warn)
	order := count("out of order", l.OutOfOrder, style.Warn)
	const gap = "   "
	return component.Fit(w,
		head+gap+sent+gap+got+gap+recv+gap+lost+gap+count("duplicates", l.Duplicates, style.Warn)+gap+order+gap+doubt,
		head+"  "+sent+"  "+got+"  "+recv+"  "+lost+"  "+dup+"  "+doubt,
		head+"  "+sent+"  "+got+"  "+recv+"  "+lost+"  "+dup,
		head+" "+sent+" "+lost+" "+dup, lost)
}
