package overview

import (
	"strconv"

	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/page"
	"baton/tui/style"
)

// Render implements page.Page.
func (p *Page) Render(f page.Frame) []string {
	if f.W <= 0 || f.H <= 0 {
		return nil
	}
	l := layoutOf(f)
	if l.one {
		return p.small(f, l)
	}
	v := view{Page: p, Frame: f, layout: l, t: f.Theme, s: f.Snap}
	out := v.cardsRow()
	out = append(out, v.middleRow()...)
	if l.ledger > 0 {
		out = append(out, v.ledgerLine(l.w))
	}
	queues := v.queuesPane(l.queueWidth, l.queues)
	if l.wide {
		side := l.w - l.queueWidth
		queues = component.Beside([]int{l.queueWidth, side}, queues, v.failoverPane(side, l.queues))
	}
	out = append(out, queues...)
	return append(out, v.eventsPane(l.w, l.events)...)
}

// view is one drawing of the page.
type view struct {
	*Page
	page.Frame
	layout
	t style.Theme
	s *data.Snapshot
}

func (v view) cardsRow() []string {
	if v.cardCols == nil {
		return v.nodesTable(v.w, v.cards)
	}
	if len(v.s.Nodes) == 0 {
		text := "no node has answered yet"
		if v.s.Tree.Foreign {
			text = "an ActiveMQ store: its members tell nothing but to ZooKeeper, see 2"
		}
		return component.Box{Title: v.t.Paint(style.Strong, "nodes")}.Render(v.t,
			[]string{"", component.Center(v.t.Paint(style.Dim, text), v.w-2)}, v.w, v.cards)
	}
	blocks := make([][]string, len(v.s.Nodes))
	for i := range v.s.Nodes {
		blocks[i] = v.card(i, v.cardCols[i], v.cards)
	}
	return component.Beside(v.cardCols, blocks...)
}

// middleRow is the tree and the lag, or the stopwatch of a failover.
func (v view) middleRow() []string {
	if r := v.shownRun(); r != nil {
		return v.stopwatch(r, v.w, v.middle)
	}
	lag := v.w - v.treeWidth
	return component.Beside([]int{v.treeWidth, lag}, v.treePane(v.treeWidth, v.middle), v.lagPane(lag, v.middle))
}

// title paints a pane's name.
func (v view) title(name string) string { return v.t.Paint(style.Strong, name) }

func (v view) focused(kind int) bool { return v.kind == kind }

// nodesTable shows the nodes as rows when there are too many for cards.
func (v view) nodesTable(w, h int) []string {
	tb := component.Table{
		Columns: []component.Column{{Title: "NODE", Width: 10}, {Title: "STATE"}, {Title: "POSITION", Width: 15, Right: true},
			{Title: "LAG", Width: 8, Right: true}, {Title: "CPU", Width: 5, Right: true}, {Title: "RSS", Width: 6, Right: true}, {Title: "PID", Width: 8, Right: true}},
		Cursor: -1, Focus: v.focused(paneNode),
	}
	if v.focused(paneNode) {
		tb.Cursor = min(v.node, len(v.s.Nodes)-1)
	}
	for i := range v.s.Nodes {
		n := &v.s.Nodes[i]
		g, role := page.StateLook(v.t, n.State)
		word := n.State.Word()
		if d := n.State.Detail(); d != "" {
			word += " " + d
		}
		tb.Rows = append(tb.Rows, []string{n.ID, v.t.Paint(role, g+" "+word) + v.oldMark(n), v.position(n), lagText(n),
			percent(n.CPU), component.BytesShort(float64(n.Status.Process.RSSBytes)), strconv.Itoa(pidOf(n))})
	}
	tb.Offset = component.Scroll(0, max(0, tb.Cursor), h-3, len(tb.Rows))
	return component.Box{Title: v.t.Paint(style.Strong, "nodes"), Focus: v.focused(paneNode)}.Render(v.t, tb.Render(v.t, w-2, h-2), w, h)
}
