// Package replication is the screen of how the log travels: where each node's
// positions stand, how far followers lag and whether that grows, how a catch-up
// goes on, and whether the replicas hold the same.
package replication

import (
	"fmt"
	"math"

	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/page"
	"baton/tui/style"
)

// Page is the screen with its cursor.
type Page struct{ cursor page.Cursor }

// New returns the page.
func New() *Page { return &Page{} }

// Name implements page.Page.
func (p *Page) Name() string { return "replication" }

// Crumb implements page.Page.
func (p *Page) Crumb() string { return "replication" }

// Command implements page.Page.
func (p *Page) Command(c page.Command, f page.Frame) {
	switch c {
	case page.Left, page.PrevPane:
		c = page.Up
	case page.Right, page.NextPane:
		c = page.Down
	}
	p.cursor.Move(c, len(f.Snap.Nodes), 5)
}

// Click implements page.Page.
func (p *Page) Click(_, y int, f page.Frame) {
	if y >= 2 && y-2 < len(f.Snap.Nodes) {
		p.cursor.At = y - 2
	}
}

// Target implements page.Page.
func (p *Page) Target(s *data.Snapshot) string {
	if len(s.Nodes) == 0 {
		return ""
	}
	return s.Nodes[min(p.cursor.At, len(s.Nodes)-1)].ID
}

// Render implements page.Page.
func (p *Page) Render(f page.Frame) []string {
	if f.W <= 0 || f.H <= 0 {
		return nil
	}
	v := view{Page: p, Frame: f, t: f.Theme, s: f.Snap}
	table := min(len(f.Snap.Nodes)+3, max(4, f.H/2))
	if page.Small(f) {
		return append(v.positions(f.W, table), v.charts(f.W, max(0, f.H-table))...)
	}
	out := v.positions(f.W, table)
	rest := f.H - table
	facts := min(9, rest/2)
	out = append(out, v.charts(f.W, rest-facts)...)
	half := f.W / 2
	return append(out, component.Beside([]int{half, f.W - half}, v.quorum(half, facts), v.flow(f.W-half, facts))...)
}

type view struct {
	*Page
	page.Frame
	t style.Theme
	s *data.Snapshot
}

func (v view) title(s string) string { return v.t.Paint(style.Strong, s) }

func (v view) positions(w, h int) []string {
	tb := component.Table{
		Columns: []component.Column{{Title: "NODE", Width: 5}, {Title: "STATE"}, {Title: "RECEIVED", Width: 13, Right: true}, {Title: "FLUSHED", Width: 13, Right: true},
			{Title: "COMMIT", Width: 13, Right: true}, {Title: "APPLIED", Width: 13, Right: true}, {Title: "LAG", Width: 8, Right: true},
			{Title: "MSGS", Width: 6, Right: true}, {Title: "TIME", Width: 6, Right: true}, {Title: "", Width: 1}},
		Cursor: min(v.cursor.At, len(v.s.Nodes)-1), Focus: true,
	}
	if w < 100 { // the lag matters more than two of the positions
		tb.Columns[4].Width, tb.Columns[5].Width = 0, 0
		tb.Columns = append(tb.Columns[:4], tb.Columns[6:]...)
	}
	for i := range v.s.Nodes {
		cells := v.nodeRow(&v.s.Nodes[i])
		if w < 100 {
			cells = append(cells[:4], cells[6:]...)
		}
		tb.Rows = append(tb.Rows, cells)
	}
	if w < 100 {
		tb.Columns[1].Width = 0
	}
	tb.Offset = component.Scroll(0, max(0, tb.Cursor), h-3, len(tb.Rows))
	title := v.title("positions of the log") + v.t.Paint(style.Dim, "  bytes")
	return component.Box{Title: title, Focus: true, Footer: v.chainText()}.Render(v.t, tb.Render(v.t, w-2, h-2), w, h)
}

func (v view) nodeRow(n *data.Node) []string {
	g, role := page.StateLook(v.t, n.State)
	word := n.State.Word()
	if d := n.State.Detail(); d != "" {
		word = d
	}
	cells := []string{n.ID, v.t.Paint(role, g+" "+word), "–", "–", "–", "–", "", "", "", ""}
	if n.SeenAt.IsZero() {
		return cells
	}
	pos := n.Status.Positions
	received, flushed := pos.Append, pos.Flush
	if n.Follower != nil { // the leader's word is what commits
		received, flushed = n.Follower.Received, n.Follower.Flushed
	}
	mark := ""
	if n.Fresh != data.Fresh {
		mark = "?"
	}
	for i, p := range []uint64{received, flushed, pos.Commit, pos.Applied} {
		cells[2+i] = component.Grouped(p) + mark
	}
	if n.State.Leads() {
		return cells
	}
	cells[6] = component.BytesShort(n.LagBytes)
	if m := v.s.MessagesBehind(n.LagBytes); m >= 0 {
		cells[7] = component.Short(math.Ceil(m))
	}
	cells[8] = component.Seconds(n.LagSeconds)
	cells[9] = v.trend(n)
	return cells
}

// trend says whether a lag grows.
func (v view) trend(n *data.Node) string {
	switch component.Trend(n.Lag) {
	case 1:
		return v.t.Paint(style.Bad, v.t.Glyphs.Up)
	case -1:
		return v.t.Paint(style.Good, v.t.Glyphs.DownArrow)
	}
	return v.t.Paint(style.Dim, v.t.Glyphs.Flat)
}

// chainText says whether the replicas hold the same.
func (v view) chainText() string {
	switch c := v.s.Chains; {
	case c.Differ:
		return v.t.Paint(style.Bad, "logs DIFFER at "+component.Grouped(c.Position))
	case c.Replicas < 2:
		return v.t.Paint(style.Dim, "no common position to compare now")
	default:
		return v.t.Paint(style.Good, fmt.Sprintf("%s %d replicas hold the same up to %s", v.t.Glyphs.OK, c.Replicas, component.Grouped(c.Position)))
	}
}

// charts draws each follower's lag over the last two minutes, and its catch-up.
func (v view) charts(w, h int) []string {
	var followers []*data.Node
	for i := range v.s.Nodes {
		if n := &v.s.Nodes[i]; !n.State.Leads() {
			followers = append(followers, n)
		}
	}
	title := v.title("lag behind the leader") + v.t.Paint(style.Dim, "  two minutes, each to its own scale")
	if len(followers) == 0 || h < 4 {
		return component.Box{Title: title}.Render(v.t, []string{v.t.Paint(style.Dim, "no follower")}, w, h)
	}
	var lines []string
	for i, rows := range component.Split(h-2, len(followers)) {
		lines = append(lines, v.chart(followers[i], w-2, rows)...)
	}
	return component.Box{Title: title}.Render(v.t, lines, w, h)
}

func (v view) chart(n *data.Node, w, h int) []string {
	if h <= 0 {
		return nil
	}
	g, role := page.StateLook(v.t, n.State)
	head := v.t.Paint(role, g) + " " + component.Pad(n.ID, 4)
	now := component.Bytes(n.LagBytes)
	top := "top " + component.Bytes(highest(n.Lag))
	bar := max(1, w-8-22)
	if h == 1 {
		return []string{head + " " + component.Pad(component.Spark(v.t, n.Lag, bar), bar) + " " + component.PadLeft(now, 9)}
	}
	body := component.Chart(v.t, n.Lag, bar, h-1)
	var out []string
	for i, row := range body {
		label, side := "       ", ""
		switch i {
		case 0:
			label, side = head+" ", v.t.Paint(style.Dim, top)
		case len(body) - 1:
			side = v.t.Paint(style.Strong, now) + " now"
		}
		out = append(out, component.Pad(label, 7)+component.Pad(row, bar)+" "+side)
	}
	return append(out, "       "+v.progress(n, max(0, w-8)))
}

// progress is a catch-up's bar with rate and time to go.
func (v view) progress(n *data.Node, w int) string {
	f := n.Follower
	if f == nil || f.CatchUp == nil {
		return v.t.Paint(style.Dim, component.Cut(v.linkText(n), w, v.t.Glyphs.Ellipsis))
	}
	c := f.CatchUp
	share := 1.0
	if c.To > c.From {
		share = float64(c.Done-min(c.Done, c.From)) / float64(c.To-c.From)
	}
	text := fmt.Sprintf(" %3.0f%%  %s of %s at %s/s, about %s to go", 100*share, component.Bytes(float64(c.Done-min(c.Done, c.From))),
		component.Bytes(float64(c.To-min(c.To, c.From))), component.Bytes(c.Rate), component.Seconds(c.ETASecs))
	bar := min(30, w-component.Width(text))
	return component.Bar(v.t, style.Warn, share, max(0, bar)) + text
}

func (v view) linkText(n *data.Node) string {
	if f := n.Follower; f != nil && f.Connected {
		return fmt.Sprintf("in sync with %s, an append is flushed and acknowledged after %.1f ms", v.s.Leader, f.RTTMillis)
	}
	if l := n.Status.Link; l != nil && l.Error != "" && n.Fresh == data.Fresh {
		return "link to " + l.Leader + ": " + l.Error
	}
	switch n.State {
	case data.StateDown, data.StatePaused:
		return "not there: it will be caught up from where its log ends, or by a snapshot"
	}
	return "no link to a leader"
}

func (v view) quorum(w, h int) []string {
	q := v.s.Quorum
	var lines []string
	if l := v.s.LeaderNode(); l != nil {
		lines = append(lines, fmt.Sprintf("sync %s: a receipt needs %d of %d", l.Status.Sync, q.Size, q.Replicas))
		c := l.Status.Counters
		lines = append(lines, fmt.Sprintf("proposal to commit  p50 %.1f ms  p99 %.1f ms", c.CommitP50, c.CommitP99))
		if c.NoQuorumMS > 0 {
			lines = append(lines, v.t.Paint(style.Bad, "no quorum for "+component.Seconds(float64(c.NoQuorumMS)/1000)))
		}
		for _, f := range l.Status.Followers {
			mark, role := v.t.Glyphs.OK, style.Good
			note := fmt.Sprintf("acknowledged up to %s", component.Grouped(f.Flushed))
			switch {
			case !f.Voter:
				mark, role, note = v.t.Glyphs.CatchUp, style.Warn, "a learner: counts when it is caught up and registered"
			case !f.Connected:
				mark, role, note = v.t.Glyphs.Down, style.Bad, "not connected"
			case f.Flushed < l.Status.Positions.Commit:
				mark, role = v.t.Glyphs.CatchUp, style.Warn
			}
			lines = append(lines, v.t.Paint(role, mark+" "+component.Pad(f.Node, 4))+note)
		}
	} else {
		lines = append(lines, v.t.Paint(style.Bad, "no leader: nothing is committed"))
	}
	if len(q.Missing) > 0 {
		lines = append(lines, v.t.Paint(style.Warn, fmt.Sprintf("missing: %v", q.Missing)))
	}
	return component.Box{Title: v.title("quorum")}.Render(v.t, lines, w, h)
}

func (v view) flow(w, h int) []string {
	lines := []string{v.t.Paint(style.Dim, "no leader")}
	if l := v.s.LeaderNode(); l != nil {
		p := l.Status.Positions
		lines = []string{
			"log grows by  " + component.Bytes(l.ByteRate) + "/s",
			fmt.Sprintf("log holds     %s (%s to %s)", component.Bytes(float64(p.Append-min(p.Append, p.Start))), component.Grouped(p.Start), component.Grouped(p.Append)),
			fmt.Sprintf("batches %s   flushes %s   commits %s", component.Short(float64(l.Status.Counters.Batches)), component.Short(float64(l.Status.Counters.Flushes)), component.Short(float64(l.Status.Counters.Commits))),
			"messages in   " + component.Spark(v.t, v.s.InRate, max(0, w-28)) + " " + component.Short(l.InRate) + "/s",
			"messages out  " + component.Spark(v.t, v.s.OutRate, max(0, w-28)) + " " + component.Short(l.OutRate) + "/s",
		}
	}
	for _, k := range v.s.Links {
		if k.Kind == data.LinkReplication && k.Disturbed() {
			lines = append(lines, v.t.Paint(style.Warn, v.t.Glyphs.Down+" link "+k.From+" "+v.t.Glyphs.Arrow+" "+k.To+": "+k.Trouble()))
		}
	}
	return component.Box{Title: v.title("flow")}.Render(v.t, lines, w, h)
}

func highest(values []float64) float64 {
	m := 0.0
	for _, x := range values {
		if x > m {
			m = x
		}
	}
	return m
}
