package overview

import (
	"strconv"
	"strings"

	"baton/demo/failover"
	"baton/node/adminapi"
	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/style"
)

// eventsPane is the timeline, newest at the bottom.
func (v view) eventsPane(w, h int) []string {
	title := v.title("events")
	back := min(v.back, max(0, len(v.s.Events)-1))
	if back > 0 {
		title += v.t.Paint(style.Warn, "  "+strconv.Itoa(back)+" newer below")
	}
	box := component.Box{Title: title, Focus: v.focused(paneEvents), Footer: v.lastFailoverText(), Pad: v.tall}
	return box.Render(v.t, v.eventLines(box.Inner(w), h-2, back), w, h)
}

func (v view) eventLines(w, h, back int) []string {
	end := len(v.s.Events) - back
	begin := max(0, end-max(0, h))
	lines := make([]string, 0, max(0, h))
	names := 2
	for _, e := range v.s.Events[begin:max(begin, end)] {
		names = min(10, max(names, component.Width(e.Node)))
	}
	for _, e := range v.s.Events[begin:max(begin, end)] {
		lines = append(lines, v.eventLine(e, names, w))
	}
	if len(lines) == 0 {
		lines = append(lines, v.t.Paint(style.Dim, "nothing has happened yet"))
	}
	return lines
}

func (v view) eventLine(e adminapi.Event, names, w int) string {
	group, _, _ := strings.Cut(e.Kind, ".")
	role := eventRole(e.Kind)
	if e.Kind == data.KindConsole {
		group = "you"
	}
	text := strings.TrimPrefix(e.Text, "you: ")
	node := component.Pad(e.Node, names)
	return v.t.Paint(style.Dim, e.At.Format("15:04:05.000")) + " " + node + " " +
		v.t.Paint(role, component.Pad(group, 8)) + " " + component.Cut(text, max(0, w-24-component.Width(node)), v.t.Glyphs.Ellipsis)
}

func eventRole(kind string) style.Role {
	switch kind {
	case adminapi.KindFailed, adminapi.KindRefused, adminapi.KindNoQuorum, adminapi.KindZKExpired, adminapi.KindFenced:
		return style.Bad
	case adminapi.KindSuspected, adminapi.KindLinkLost, adminapi.KindDetached, adminapi.KindZKLost, adminapi.KindTruncated,
		adminapi.KindResigned, adminapi.KindSteppedDown, adminapi.KindStopping:
		return style.Warn
	case adminapi.KindServing, adminapi.KindFirstReceipt, adminapi.KindInSync, adminapi.KindQuorumBack:
		return style.Good
	case data.KindConsole:
		return style.Focus
	}
	if strings.HasPrefix(kind, "election.") {
		return style.Accent
	}
	return style.Follow
}

// lastFailoverText sums up the newest finished failover.
func (v view) lastFailoverText() string {
	for i := len(v.s.Failovers) - 1; i >= 0; i-- {
		if r := &v.s.Failovers[i]; r.Done() {
			return v.t.Paint(style.Dim, "last failover #"+strconv.Itoa(r.ID)+" ") + v.t.Paint(style.Strong, component.Span(total(r)))
		}
	}
	return ""
}

// total is the time from the fault to the first receipt.
func total(r *failover.Run) duration { return r.FirstReceipt.Sub(r.Fault) }
