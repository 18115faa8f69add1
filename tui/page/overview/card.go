package overview

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/page"
	"baton/tui/style"
)

// card is one node in a frame.
func (v view) card(i, w, h int) []string {
	n := &v.s.Nodes[i]
	box := component.Box{Title: v.title(n.ID), Pad: v.tall, Focus: v.focused(paneNode) && v.node == i}
	if !box.Focus {
		switch _, role := page.StateLook(v.t, n.State); {
		case role == style.Bad:
			box.Alarm = style.Bad
		case n.State == data.StatePaused, n.State == data.StateUnknown:
			box.Alarm = style.Warn
		}
	}
	inner := box.Inner(w)
	var lines []string
	switch {
	case n.State == data.StateDown, n.State == data.StatePaused, n.State == data.StateUnknown:
		lines = v.silentCard(n, inner)
	case v.tall:
		lines = v.tallCard(n, inner)
	default:
		lines = v.shortCard(n, inner)
	}
	return box.Render(v.t, lines, w, h)
}

// heading is the glyph and word of the state, with what belongs to it.
func (v view) heading(n *data.Node, right string, w int) string {
	g, role := page.StateLook(v.t, n.State)
	left := v.t.Paint(role, g) + " " + v.t.Paint(style.Strong, v.t.Paint(role, n.State.Word()))
	detail := n.State.Detail()
	switch {
	case n.Zombie:
		detail = fmt.Sprintf("of old epoch %d", n.Status.Epoch)
	case n.State == data.StateSealed:
		detail = fmt.Sprintf("epoch %d", n.Status.Sealed)
	case n.State == data.StateElected:
		detail = v.t.Glyphs.Arrow + " taking over"
	}
	if n.State == data.StateUnknown && !n.SeenAt.IsZero() {
		detail = component.Span(v.s.At.Sub(n.SeenAt).Round(100 * time.Millisecond))
	}
	if detail != "" {
		left += " " + v.t.Paint(role, detail)
	}
	left += v.oldMark(n)
	return component.FitSpread(w, [2]string{left, v.t.Paint(style.Dim, right)}, [2]string{left, ""})
}

// oldMark says how old the figures of a card are, when they are.
func (v view) oldMark(n *data.Node) string {
	if n.Fresh != data.Stale || n.State == data.StateDown || n.State == data.StatePaused {
		return ""
	}
	return v.t.Paint(style.Warn, " stale "+component.Seconds(v.s.At.Sub(n.SeenAt).Seconds()))
}

func (v view) shortCard(n *data.Node, w int) []string {
	st := n.Status
	pid := "pid " + strconv.Itoa(pidOf(n))
	lines := []string{v.heading(n, uptime(n, v.s.At), w), v.placeLine(n, w)}
	switch {
	case n.State.Leads():
		lines = append(lines, component.FitSpread(w,
			[2]string{fmt.Sprintf("conn %d  subs %d", st.Clients.Connections, st.Clients.Subscriptions), pid},
			[2]string{fmt.Sprintf("conn %d", st.Clients.Connections), pid}))
	case n.State == data.StateCatchingUp || n.State == data.StateInSync || n.State == data.StateLagging:
		lines = append(lines, v.syncBar(n, w))
	default:
		lines = append(lines, v.whyLine(n, w))
	}
	return append(lines, v.loadLine(n, w))
}

func (v view) tallCard(n *data.Node, w int) []string {
	st := n.Status
	lines := []string{
		v.heading(n, component.Fit(20, uptime(n, v.s.At)+"  pid "+strconv.Itoa(pidOf(n)), "pid "+strconv.Itoa(pidOf(n))), w),
		v.placeLine(n, w),
	}
	switch {
	case n.State.Leads():
		lines = append(lines,
			component.Spread("in  "+v.spark(v.s.InRate, w-14, style.Good), rate(n.InRate), w),
			component.Spread("out "+v.spark(v.s.OutRate, w-14, style.Follow), rate(n.OutRate), w),
			component.FitSpread(w, [2]string{"stomp " + st.Addresses.Stomp, "repl " + st.Addresses.Repl}, [2]string{"stomp " + st.Addresses.Stomp, ""}),
			component.Spread(fmt.Sprintf("connections %d", st.Clients.Connections), fmt.Sprintf("subscriptions %d", st.Clients.Subscriptions), w))
	case n.State.Follows():
		lines = append(lines, v.syncBar(n, w), v.linkLine(n, w),
			component.Spread("lag "+v.spark(n.Lag, w-14, style.Warn), component.Bytes(n.LagBytes), w),
			v.whyLine(n, w))
	default:
		lines = append(lines, v.whyLine(n, w), v.linkLine(n, w), "", "")
	}
	return append(lines, v.loadLine(n, w))
}

// silentCard is a node that says nothing now: what is known is told as past.
func (v view) silentCard(n *data.Node, w int) []string {
	st, p := n.Status, n.Process
	old := func(s string) string { return v.t.Paint(style.Dim, s) }
	ago := ""
	if p != nil {
		ago = component.Span(v.Now.Sub(p.Since).Truncate(10*time.Millisecond)) + " ago"
	}
	lines := []string{v.heading(n, ago, w)}
	switch {
	case p != nil:
		what := p.Exit
		if p.State == data.ProcessPaused {
			what = component.Fit(w, "stopped by SIGSTOP: alive but silent", "SIGSTOP: alive, silent", "silent")
		}
		lines = append(lines, component.Cut(what, w, v.t.Glyphs.Ellipsis))
	case n.Error != "":
		lines = append(lines, component.Cut(n.Error, w, v.t.Glyphs.Ellipsis))
	default:
		lines = append(lines, "not in ZooKeeper, no address")
	}
	if !n.SeenAt.IsZero() {
		lines = append(lines, old(component.FitSpread(w,
			[2]string{"last pos " + component.Grouped(st.Positions.Append), "epoch " + strconv.FormatUint(st.Epoch, 10)},
			[2]string{"last pos " + component.Grouped(st.Positions.Append), ""})))
	}
	if k := v.Hints.Chaos; k != "" && p != nil {
		verb := "start it again"
		if p.State == data.ProcessPaused {
			verb = "let it continue"
		}
		lines = append(lines, old(component.Fit(w, k+"  opens the menu to "+verb, k+"  "+verb)))
	} else if n.Member != nil {
		lines = append(lines, old(component.Fit(w, "its ZooKeeper session "+n.Member.Session+" is alive", "session "+n.Member.Session+" alive", "session alive")))
	}
	return lines
}

// placeLine is the position with the rate of a leader or the lag of a follower.
func (v view) placeLine(n *data.Node, w int) string {
	right := ""
	switch {
	case n.State.Leads():
		right = rate(n.InRate) + " in"
		if n.ByteRate >= 0 && w > 40 {
			right = "+" + component.Bytes(n.ByteRate) + "/s   " + right
		}
	case n.State.Follows():
		right = "lag " + lagText(n)
		if n.LagBytes > 0 {
			right = v.t.Paint(style.Warn, right)
		}
	case n.State == data.StateElected:
		right = v.t.Paint(style.Accent, "highest")
	}
	pos := v.position(n)
	return component.FitSpread(w, [2]string{"position " + pos, right}, [2]string{"pos " + pos, right}, [2]string{pos, right})
}

// position is the end of the node's log; a question mark says that it is old.
func (v view) position(n *data.Node) string {
	if n.SeenAt.IsZero() {
		return "–"
	}
	pos := component.Grouped(n.Status.Positions.Append)
	if n.Fresh != data.Fresh {
		return pos + "?"
	}
	return pos
}

// syncBar shows how much of the leader's log a follower has: the range of a
// catch-up, else all.
func (v view) syncBar(n *data.Node, w int) string {
	if f := n.Follower; f != nil && f.CatchUp != nil && f.CatchUp.To > f.CatchUp.From {
		c := f.CatchUp
		share := float64(c.Done-min(c.Done, c.From)) / float64(c.To-c.From)
		share = math.Min(1, share)
		text := fmt.Sprintf(" %2.0f%% ~%s", math.Floor(share*100), component.Seconds(c.ETASecs))
		if w > 40 && c.Rate > 0 {
			text += "  " + component.Bytes(c.Rate) + "/s"
		}
		return component.Bar(v.t, style.Warn, share, w-component.Width(text)) + text
	}
	share, text, role := 0.0, " –", style.Dim
	if l := v.s.LeaderNode(); l != nil && !math.IsNaN(n.LagBytes) {
		if end := float64(l.Status.Positions.Append); end > 0 {
			share = math.Max(0, 1-n.LagBytes/end)
		}
		text, role = fmt.Sprintf(" %2.0f%%", math.Floor(share*100)), style.Warn
		if n.State == data.StateInSync {
			share, text, role = 1, " 100%", style.Follow
		}
	}
	return component.Bar(v.t, role, share, w-component.Width(text)) + text
}

func (v view) linkLine(n *data.Node, w int) string {
	l := n.Status.Link
	switch {
	case l == nil:
		return v.t.Paint(style.Dim, "no link to a leader")
	case !l.Connected:
		return component.FitSpread(w, [2]string{v.t.Paint(style.Bad, "link to "+l.Leader+" down"), l.Error}, [2]string{v.t.Paint(style.Bad, "link to "+l.Leader+" down"), ""})
	}
	rtt := "heard " + component.Span(time.Duration(l.LastHeardMS)*time.Millisecond) + " ago"
	if n.Follower != nil {
		rtt = fmt.Sprintf("ack in %.1f ms", n.Follower.RTTMillis)
	}
	return component.Spread("link "+v.t.Glyphs.Left+" "+l.Leader+" "+v.t.Paint(style.Good, "ok"), rtt, w)
}

// whyLine is the node's own sentence, or what it waits for.
func (v view) whyLine(n *data.Node, w int) string {
	st := n.Status
	switch {
	case st.Reason != "":
		return v.t.Paint(style.Warn, component.Cut(st.Reason, w, v.t.Glyphs.Ellipsis))
	case n.Member != nil && n.Member.Suspect > 0:
		return v.t.Paint(style.Warn, fmt.Sprintf("suspects the leader of epoch %d", n.Member.Suspect))
	case n.State.Follows() && n.Follower != nil && !n.Follower.Voter:
		return v.t.Paint(style.Warn, component.Fit(w, "learner: counts in no quorum yet", "no vote yet"))
	case n.State.Follows() && n.Follower != nil:
		flushed := "on disk " + component.Grouped(n.Follower.Flushed)
		return component.FitSpread(w, [2]string{flushed, "sent " + component.Grouped(n.Follower.Next)}, [2]string{flushed, ""})
	case n.State == data.StateElected, n.State == data.StatePromoting:
		return v.t.Paint(style.Accent, component.Fit(w, "commits the first record of its epoch", "commits 1st record"))
	case n.State == data.StateElecting, n.State == data.StateSealed, n.State == data.StateWaiting:
		return v.t.Paint(style.Dim, component.Fit(w, "waits for a leader; its log is safe", "waits for a leader"))
	}
	return ""
}

func (v view) loadLine(n *data.Node, w int) string {
	pr := n.Status.Process
	if n.SeenAt.IsZero() {
		return ""
	}
	cpu, rss := "cpu "+percent(n.CPU), "rss "+component.BytesShort(float64(pr.RSSBytes))
	disk := ""
	if pr.DiskTotal > 0 {
		disk = fmt.Sprintf("disk %.0f%%", 100*(1-float64(pr.DiskFree)/float64(pr.DiskTotal)))
	}
	store := "store " + component.BytesShort(float64(pr.StoreBytes))
	line := component.Fit(w, cpu+"   "+rss+"   "+store+"   "+disk, cpu+"  "+rss+"  "+disk, cpu+" "+rss+" "+disk, cpu+"  "+rss, cpu)
	if n.Fresh != data.Fresh {
		return v.t.Paint(style.Dim, line)
	}
	return line
}

func (v view) spark(values []float64, w int, role style.Role) string {
	return v.t.Paint(role, component.SparkLow(v.t, lastOf(values, sparkSpan), max(0, w)))
}

// sparkSpan is a minute at 4 Hz.
const sparkSpan = 240

func lastOf(values []float64, n int) []float64 {
	if len(values) > n {
		return values[len(values)-n:]
	}
	return values
}

func uptime(n *data.Node, now time.Time) string {
	if n.Status.StartedAt.IsZero() {
		return ""
	}
	up := now.Sub(n.Status.StartedAt)
	if up < time.Minute {
		return "up " + component.Seconds(max(0, up.Truncate(time.Second).Seconds()))
	}
	return "up " + component.Span(up)
}

func pidOf(n *data.Node) int {
	if n.Process != nil && n.Process.PID > 0 {
		return n.Process.PID
	}
	return n.Status.PID
}

func lagText(n *data.Node) string {
	if n.State.Leads() {
		return ""
	}
	return component.Bytes(n.LagBytes)
}

func rate(v float64) string {
	if v < 0 || math.IsNaN(v) {
		return "–/s"
	}
	return component.Short(v) + "/s"
}

func percent(v float64) string {
	if v < 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f%%", v)
}
