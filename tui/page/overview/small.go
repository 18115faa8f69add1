package overview

import (
	"baton/tui/component"
	"baton/tui/page"
	"baton/tui/style"
)

// small is the screen when the terminal has no room for all panes: the nodes
// shrink to one line, and one pane at a time has the rest.
func (p *Page) small(f page.Frame, l layout) []string {
	v := view{Page: p, Frame: f, layout: l, t: f.Theme, s: f.Snap}
	out := []string{v.nodesLine(f.W)}
	if f.H < 5 {
		return out[:min(len(out), f.H)]
	}
	h := f.H - 1
	if r := v.shownRun(); r != nil && h >= 6 && f.W >= 40 {
		watch := v.stopwatch(r, f.W, 6)
		out, h = append(out, watch...), h-6
	}
	if h < 3 {
		return out
	}
	switch p.kind {
	case paneNode:
		if len(f.Snap.Nodes) == 0 {
			break
		}
		v.tall = h >= 9 && f.W >= 40
		i := min(p.node, len(f.Snap.Nodes)-1)
		v.node = i
		card := min(h, 6)
		if v.tall {
			card = 9
		}
		out = append(out, v.card(i, f.W, card)...)
		if h-card >= 3 {
			out = append(out, v.eventsPane(f.W, h-card)...)
		}
	case paneTree:
		out = append(out, v.treePane(f.W, h)...)
	case paneLag:
		out = append(out, v.lagPane(f.W, h)...)
	case paneQueues:
		out = append(out, v.queuesPane(f.W, h)...)
	case paneEvents:
		out = append(out, v.eventsPane(f.W, h)...)
	}
	return out
}

// nodesLine is every node as a glyph, a name and its lag.
func (v view) nodesLine(w int) string {
	long, short := "", ""
	for i := range v.s.Nodes {
		n := &v.s.Nodes[i]
		g, role := page.StateLook(v.t, n.State)
		word := ""
		switch {
		case n.State.Leads():
			word = " " + n.State.Word()
		case n.State.Follows():
			word = " " + component.Bytes(n.LagBytes)
		default:
			word = " " + n.State.Word()
		}
		long += v.t.Paint(role, g) + " " + n.ID + word + "  "
		short += v.t.Paint(role, g) + n.ID + " "
	}
	if long == "" {
		return v.t.Paint(style.Dim, component.Cut("no node has answered yet", w, ""))
	}
	return component.Fit(w, " "+long, long, short)
}
