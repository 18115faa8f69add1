package overview

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/style"
)

// treePane is ZooKeeper's election tree.
func (v view) treePane(w, h int) []string {
	up := v.s.ZooKeeperUp()
	mark := v.t.Paint(style.Good, v.t.Glyphs.Leader+" up")
	if !up {
		mark = v.t.Paint(style.Bad, v.t.Glyphs.Down+" down")
	}
	box := component.Box{Title: v.title("zookeeper") + " " + mark, Right: v.t.Paint(style.Dim, v.s.Tree.Path), Focus: v.focused(paneTree)}
	if t := v.s.Tree; t.SessionMS > 0 {
		box.Footer = v.t.Paint(style.Dim, "session "+component.Seconds(float64(t.SessionMS)/1000))
	}
	switch {
	case v.s.Tree.At.IsZero() && !v.s.Tree.Derived && v.s.Tree.Error == "":
		box.Title = v.title("zookeeper") + " " + v.t.Paint(style.Warn, v.t.Glyphs.Unknown)
	case !up:
		box.Footer = v.t.Paint(style.Warn, component.Fit(w-6, "no failover until it is back; the leader goes on", "no failover until it is back", "no failover"))
		if !box.Focus {
			box.Alarm = style.Warn
		}
	}
	box.Pad = v.tall
	return box.Render(v.t, v.treeLines(box.Inner(w), h-2), w, h)
}

func (v view) treeLines(w, h int) []string {
	t := v.s.Tree
	lines := []string{v.clusterLine(w)}
	if t.Error != "" && h > 5 {
		lines = append(lines, v.t.Paint(style.Dim, component.Cut(t.Error, w, v.t.Glyphs.Ellipsis)))
	}
	room := h - len(lines)
	shown := min(len(t.Members), room)
	if shown < len(t.Members) {
		shown = max(0, room-1)
	}
	two := v.tall && len(lines)+2*len(t.Members) <= h
	for i := range shown {
		m := &t.Members[i]
		branch, under := v.t.Glyphs.Branch, v.t.Glyphs.Border.V
		if i == len(t.Members)-1 {
			branch, under = v.t.Glyphs.Last, " "
		}
		lines = append(lines, v.t.Paint(style.Dim, branch)+" "+v.memberLine(m, w-2))
		if two {
			lines = append(lines, v.t.Paint(style.Dim, under)+"   "+v.t.Paint(style.Dim, memberDetail(m, w-4)))
		}
	}
	if rest := len(t.Members) - shown; rest > 0 {
		lines = append(lines, v.t.Paint(style.Dim, fmt.Sprintf("  and %d more", rest)))
	}
	if v.tall && h-len(lines) >= 2 && v.s.Quorum.Size > 0 {
		if h-len(lines) >= 3 {
			lines = append(lines, "")
		}
		lines = append(lines,
			v.t.Paint(style.Dim, component.Cut(fmt.Sprintf("%d of %d must seal; the newest log leads,", v.s.Quorum.Size, v.s.Quorum.Replicas), w, v.t.Glyphs.Ellipsis)),
			v.t.Paint(style.Dim, component.Cut("then weight, then the lowest number", w, v.t.Glyphs.Ellipsis)))
	}
	return lines
}

// clusterLine is the persistent node: epoch, phase, leader.
func (v view) clusterLine(w int) string {
	t := v.s.Tree
	if t.At.IsZero() {
		return v.t.Paint(style.Dim, "the tree was not read yet")
	}
	phase := t.Phase
	if phase == "" && !t.Derived {
		phase = "no election yet"
	}
	epoch := "epoch " + strconv.FormatUint(t.Epoch, 10)
	who := ""
	if t.Leader != "" && phase != "sealing" {
		who = v.t.Paint(style.Good, t.Leader)
	}
	if phase == "sealing" {
		phase = v.t.Paint(style.Accent, phase)
	}
	old := ""
	if age := v.s.At.Sub(t.At); age > 2*time.Second || !v.s.ZooKeeperUp() {
		old = v.t.Paint(style.Warn, "read "+component.Seconds(math.Max(0, age.Seconds()))+" ago")
	}
	return component.FitSpread(w, [2]string{"cluster  " + epoch + " " + phase + " " + who, old}, [2]string{epoch + " " + phase + " " + who, old}, [2]string{epoch + " " + phase, old})
}

// memberLine is one ephemeral node with what it has published.
func (v view) memberLine(m *data.Member, w int) string {
	t := v.s.Tree
	name := component.Pad(m.Node, min(12, max(2, v.longestNode())))
	left := v.t.Paint(style.Dim, m.Eid) + " " + name
	right := ""
	switch {
	case t.Phase == "elected" && t.Leader == m.Node:
		left += " " + v.t.Paint(style.Good, v.t.Glyphs.Vote+"elected")
		right = v.sealedText(m)
	case m.Suspect > 0 && m.Sealed <= m.Suspect:
		right = v.t.Paint(style.Warn, fmt.Sprintf("suspects %d", m.Suspect))
	case t.Phase == "sealing" && m.Sealed == t.Epoch:
		right = v.t.Paint(style.Accent, "sealed "+strconv.FormatUint(m.Sealed, 10))
		if m.Position >= 0 {
			right += " @" + component.Grouped(uint64(m.Position))
		}
	default:
		right = v.sealedText(m)
	}
	return component.Spread(left, right, w)
}

func (v view) sealedText(m *data.Member) string {
	if m.Sealed == 0 {
		return ""
	}
	return v.t.Paint(style.Dim, "sealed "+strconv.FormatUint(m.Sealed, 10))
}

func memberDetail(m *data.Member, w int) string {
	pos := "–"
	if m.Position >= 0 {
		pos = component.Grouped(uint64(m.Position))
	}
	session := "session " + m.Session
	return component.Fit(w, session+"  pos "+pos+"  weight "+strconv.Itoa(m.Weight), session+"  pos "+pos, "pos "+pos)
}

func (v view) longestNode() int {
	n := 0
	for i := range v.s.Nodes {
		n = max(n, component.Width(v.s.Nodes[i].ID))
	}
	return n
}

// lagPane is how far each follower is behind, and how long a commit takes.
func (v view) lagPane(w, h int) []string {
	box := component.Box{Title: v.title("replication lag") + v.t.Paint(style.Dim, " 60s"), Focus: v.focused(paneLag), Pad: v.tall}
	inner := box.Inner(w)
	var followers []*data.Node
	for i := range v.s.Nodes {
		if n := &v.s.Nodes[i]; n.ID != v.s.Leader {
			followers = append(followers, n)
		}
	}
	tail := v.commitLines(inner, h-2 > len(followers)+1)
	room := max(0, h-2-len(tail))
	each := 1
	if n := len(followers); n > 0 {
		each = max(1, min(4, room/n))
	}
	var lines []string
	for _, n := range followers {
		if len(lines)+each > room {
			break
		}
		lines = append(lines, v.lagRows(n, inner, each)...)
	}
	if len(followers) == 0 {
		lines = append(lines, v.t.Paint(style.Dim, "no followers"))
	}
	for len(lines) < room {
		lines = append(lines, "")
	}
	return box.Render(v.t, append(lines, tail...), w, h)
}

// lagRows draws one follower: name, chart, bytes, seconds and the trend.
func (v view) lagRows(n *data.Node, w, rows int) []string {
	name := component.Pad(n.ID, max(2, min(10, v.longestNode())))
	recent := lastOf(n.Lag, sparkSpan)
	arrow := [3]string{v.t.Glyphs.DownArrow, v.t.Glyphs.Flat, v.t.Glyphs.Up}[component.Trend(recent)+1]
	figures := component.PadLeft(component.Bytes(n.LagBytes), 8) + component.PadLeft(component.Seconds(n.LagSeconds), 6) + " " + arrow
	role := style.Follow
	switch {
	case math.IsNaN(n.LagBytes):
		figures, role = v.t.Paint(style.Warn, component.PadLeft(v.noLag(n), 16)), style.Dim
	case n.State != data.StateInSync:
		role = style.Warn
	}
	chart := w - component.Width(name) - component.Width(figures) - 2
	if chart < 4 {
		return []string{component.Spread(name, figures, w)}
	}
	lines := component.Chart(v.t, recent, chart, rows)
	out := make([]string, rows)
	top := maxOf(recent)
	for i := range lines {
		left, right := component.Pad("", component.Width(name)), ""
		if i == 0 && rows > 1 && top > 0 {
			right = v.t.Paint(style.Dim, "max "+component.Bytes(top))
		}
		if i == rows-1 {
			left, right = name, figures
		}
		out[i] = left + " " + v.t.Paint(role, lines[i]) + " " + right
	}
	return out
}

func maxOf(values []float64) float64 {
	top := 0.0
	for _, x := range values {
		if x > top { // false for NaN
			top = x
		}
	}
	return top
}

// noLag says why there is no figure.
func (v view) noLag(n *data.Node) string {
	switch n.State {
	case data.StateDown:
		return "down"
	case data.StatePaused:
		return "paused"
	case data.StateUnknown:
		return "no answer"
	}
	return "not attached"
}

func (v view) commitLines(w int, both bool) []string {
	l := v.s.LeaderNode()
	if l == nil || l.Fresh != data.Fresh {
		return []string{v.t.Paint(style.Warn, "nothing commits: no leader answers")}
	}
	c := l.Status.Counters
	left := fmt.Sprintf("commit p50 %.1f ms  p99 %.1f ms", c.CommitP50, c.CommitP99)
	if q := l.Status.Quorum; l.State == data.StateNoQuorum || !q.OK {
		left = v.t.Paint(style.Bad, "producers wait: no quorum for "+component.Span(time.Duration(c.NoQuorumMS)*time.Millisecond))
	}
	lines := []string{component.FitSpread(w, [2]string{left, l.Status.Sync}, [2]string{left, ""})}
	if both {
		in := rate(l.InRate)
		lines = append(lines, component.Spread("in  "+v.spark(v.s.InRate, w-5-component.Width(in), style.Good), in, w))
	}
	return lines
}
