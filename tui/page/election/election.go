// Package election is the screen of who leads and why: the member nodes in
// ZooKeeper as they are now, the rule that decided, what a missing leader waits
// for, the epochs so far, and the servers of the ensemble.
package election

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/page"
	"baton/tui/style"
)

// Page is the screen with its cursor.
type Page struct {
	cursor page.Cursor
	raw    bool // the member's JSON instead of the decision
}

// New returns the page.
func New() *Page { return &Page{} }

// Name implements page.Page.
func (p *Page) Name() string { return "election" }

// Crumb implements page.Page.
func (p *Page) Crumb() string { return "election" }

// Command implements page.Page.
func (p *Page) Command(c page.Command, f page.Frame) {
	switch c {
	case page.NextPane, page.PrevPane:
		p.raw = !p.raw
	case page.Left:
		p.cursor.Move(page.Up, len(rows(f.Snap)), 10)
	case page.Right:
		p.cursor.Move(page.Down, len(rows(f.Snap)), 10)
	default:
		p.cursor.Move(c, len(rows(f.Snap)), 10)
	}
}

// Press implements page.Presser.
func (p *Page) Press(id string, _ page.Frame) string {
	if id == "election.raw" {
		p.raw = !p.raw
	}
	return ""
}

// Click implements page.Page.
func (p *Page) Click(_, y int, f page.Frame) {
	if r := rows(f.Snap); y >= 2 && y-2 < len(r) {
		p.cursor.At = y - 2
	}
}

// Target implements page.Page.
func (p *Page) Target(s *data.Snapshot) string {
	if r := rows(s); len(r) > 0 {
		return r[min(p.cursor.At, len(r)-1)].node
	}
	return ""
}

// row is a member node, or a registered node that has none.
type row struct {
	node   string
	member *data.Member
}

func rows(s *data.Snapshot) []row {
	var out []row
	for i := range s.Tree.Members {
		out = append(out, row{s.Tree.Members[i].Node, &s.Tree.Members[i]})
	}
	for _, id := range s.Tree.Registered {
		if !slices.ContainsFunc(out, func(r row) bool { return r.node == id }) {
			out = append(out, row{node: id})
		}
	}
	return out
}

// Render implements page.Page.
func (p *Page) Render(f page.Frame) []string {
	if f.W <= 0 || f.H <= 0 {
		return nil
	}
	v := view{Page: p, Frame: f, t: f.Theme, s: f.Snap}
	all := rows(f.Snap)
	members := min(len(all)+4, max(5, f.H/3))
	if page.Small(f) {
		members = min(len(all)+4, f.H)
		return append(v.members(all, f.W, members), v.why(f.W, max(0, f.H-members))...)
	}
	rest := f.H - members
	middle := min(9, rest)
	if f.H >= 30 {
		middle = 12
	}
	left := f.W * 55 / 100
	out := v.members(all, f.W, members)
	out = append(out, component.Beside([]int{left, f.W - left}, v.why(left, middle), v.side(all, f.W-left, middle))...)
	bottom := rest - middle
	servers := min(f.W/2, 68)
	if bottom < 3 {
		return out
	}
	events := 0
	if bottom >= 15 {
		events = bottom / 2
		bottom -= events
	}
	out = append(out, component.Beside([]int{f.W - servers, servers}, v.epochs(f.W-servers, bottom), v.servers(servers, bottom))...)
	return append(out, v.events(f.W, events)...)
}

type view struct {
	*Page
	page.Frame
	t style.Theme
	s *data.Snapshot
}

func (v view) title(s string) string { return v.t.Paint(style.Strong, s) }

func (v view) members(all []row, w, h int) []string {
	tr := v.s.Tree
	phase := tr.Phase
	if phase == "" {
		phase = "no election yet"
	}
	title := v.title(orDash(tr.Path)) + v.t.Paint(style.Dim, fmt.Sprintf("  epoch %d, %s", tr.Epoch, phase))
	if tr.Foreign {
		title = v.title(orDash(tr.Path)) + v.t.Paint(style.WarnBadge, " an ActiveMQ store, read-only ")
	}
	if tr.Leader != "" {
		title += " " + v.t.Paint(style.Good, tr.Leader)
	}
	right := ""
	switch {
	case tr.Error != "":
		right = v.t.Paint(style.Bad, "as of "+tr.At.Format("15:04:05")+": "+component.Cut(tr.Error, 50, v.t.Glyphs.Ellipsis))
	case tr.Derived:
		right = v.t.Paint(style.Dim, "as the nodes tell it")
	}
	tb := component.Table{
		Columns: []component.Column{{Title: "ZNODE", Width: 11}, {Title: "NODE", Width: 6}, {Title: "STATE"}, {Title: "POSITION", Width: 13, Right: true},
			{Title: "EPOCH", Width: 5, Right: true}, {Title: "SEALED", Width: 6, Right: true}, {Title: "SUSPECTS", Width: 8, Right: true}, {Title: "SESSION", Width: 16},
			{Title: "WT", Width: 2, Right: true}},
		Cursor: min(v.cursor.At, len(all)-1), Focus: true, Dim: tr.Error != "",
	}
	for _, r := range all {
		tb.Rows = append(tb.Rows, v.memberRow(r))
	}
	if tr.Foreign { // there are no epochs
		tb.Columns = append([]component.Column{tb.Columns[0], {Title: "MEMBER", Width: 12}}, tb.Columns[2], tb.Columns[3], tb.Columns[7], tb.Columns[8])
		for i, r := range tb.Rows {
			tb.Rows[i] = append(append([]string{}, r[:4]...), r[7:]...)
		}
	}
	tb.Offset = component.Scroll(0, max(0, tb.Cursor), h-3, len(tb.Rows))
	if len(all) == 0 {
		return component.Box{Title: title, Right: right, Focus: true}.Render(v.t, []string{"", component.Center(v.t.Paint(style.Dim, "no member is registered"), w-2)}, w, h)
	}
	if tr.Foreign {
		return component.Box{Title: title, Right: right, Focus: true}.Render(v.t, tb.Render(v.t, w-2, h-2), w, h)
	}
	foot := v.t.Paint(style.Dim, fmt.Sprintf("quorum %d of %d   session timeout %.1f s", v.s.Quorum.Size, v.s.Quorum.Replicas, float64(tr.SessionMS)/1000))
	return component.Box{Title: title, Right: right, Footer: foot, Focus: true}.Render(v.t, tb.Render(v.t, w-2, h-2), w, h)
}

func (v view) memberRow(r row) []string {
	word := v.t.Paint(style.Bad, v.t.Glyphs.Down+" no session")
	if n := v.s.NodeByID(r.node); n != nil && r.member != nil {
		g, role := page.StateLook(v.t, n.State)
		text := n.State.Word()
		if d := n.State.Detail(); d != "" {
			text += " " + d
		}
		if n.ID == v.s.Tree.Leader {
			text += " " + v.t.Glyphs.Vote + " elected"
		}
		word = v.t.Paint(role, g+" "+text)
	} else if r.member != nil && v.s.Tree.Foreign {
		word = v.foreign(r.member)
	} else if r.member != nil {
		word = v.t.Paint(style.Warn, v.t.Glyphs.Unknown+" "+orDash(r.member.State))
	}
	if r.member == nil {
		return []string{v.t.Glyphs.Missing, r.node, word}
	}
	m := r.member
	position := v.t.Glyphs.Missing
	if m.Position >= 0 {
		position = component.Grouped(uint64(m.Position))
	}
	suspect := ""
	if m.Suspect > 0 {
		suspect = v.t.Paint(style.Warn, "epoch "+strconv.FormatUint(m.Suspect, 10))
	}
	return []string{"0" + m.Eid, m.Node, word, position, number(m.Epoch), number(m.Sealed), suspect, m.Session, strconv.Itoa(m.Weight)}
}

// foreign is what a member of an ActiveMQ store is: its master publishes an
// address, and the lowest number elects.
func (v view) foreign(m *data.Member) string {
	word := v.t.Paint(style.Follow, v.t.Glyphs.Follower+" slave")
	if m.Address != "" {
		word = v.t.Paint(style.Good, v.t.Glyphs.Leader+" master "+m.Address)
	}
	if m.Eid == v.s.Tree.Members[0].Eid {
		word += v.t.Paint(style.Accent, " "+v.t.Glyphs.Vote+" elector")
		if m.Elected != "" {
			word += v.t.Paint(style.Dim, ", chose 0"+m.Elected)
		}
	}
	return word
}

func number(n uint64) string {
	if n == 0 {
		return "–"
	}
	return strconv.FormatUint(n, 10)
}

// why is the checklist: why this leader, or what everybody waits for.
func (v view) why(w, h int) []string {
	title, role := "why is there no leader?", style.Bad
	if v.s.Tree.Foreign {
		title, role = "is there a master?", style.Text
	} else if l := v.s.LeaderNode(); l != nil && l.State == data.StateLeader && l.Fresh == data.Fresh {
		title, role = "why is "+l.ID+" the leader?", style.Text
	} else if l != nil && l.State == data.StateNoQuorum {
		title = "why does " + l.ID + " not serve?"
	}
	lines := page.CheckLines(v.t, v.s.Checklist(), w-2)
	if extra := v.next(w - 2); len(lines)+len(extra) < h-2 {
		lines = append(append(lines, ""), extra...)
	}
	return component.Box{Title: v.title(title), Alarm: role}.Render(v.t, lines, w, h)
}

// next says who would lead if the leader died now.
func (v view) next(w int) []string {
	if v.s.LeaderNode() == nil {
		return nil
	}
	f := v.s.Forecast(data.ActionKill, v.s.Leader)
	var out []string
	for i, l := range page.Wrap("If "+v.s.Leader+" dies: "+f.Who, w-2) {
		if i == 3 {
			break
		}
		out = append(out, v.t.Paint(style.Dim, l))
	}
	return out
}

// side is the decision of the last election, or the selected member as ZooKeeper holds it.
func (v view) side(all []row, w, h int) []string {
	if v.raw {
		return v.json(all, w, h)
	}
	if v.s.Tree.Foreign {
		var lines []string
		for _, p := range []string{
			"The member with the lowest number is the elector.", "While nobody serves, every member publishes where its store ends; the elector writes the number of the highest into its own node.",
			"The chosen one publishes its address when it serves. A position of -1 says nothing: it is not published while somebody serves.",
			"There is no epoch: nothing tells a master that was replaced from one that was not."} {
			lines = append(lines, page.Wrap(p, w-3)...)
		}
		return component.Box{Title: v.title("how ActiveMQ elects"), Footer: v.t.Paint(style.Dim, "v raw znode")}.Render(v.t, lines, w, h)
	}
	epoch := v.s.Tree.Epoch
	ballots, rule := v.s.Ballots(epoch)
	title := v.title(fmt.Sprintf("decision for epoch %d", epoch))
	box := component.Box{Title: title, Footer: v.t.Paint(style.Dim, "v raw znode")}
	if len(ballots) == 0 {
		lines := []string{v.t.Paint(style.Dim, "it was made before this console looked.")}
		for _, l := range page.Wrap("The rule: among the members that promised the epoch, a quorum of them, the highest (epoch, position) wins, then the weight, then the lowest number.", w-3) {
			lines = append(lines, l)
		}
		return box.Render(v.t, lines, w, h)
	}
	tb := component.Table{Columns: []component.Column{{Title: "NODE", Width: 5}, {Title: "EPOCH", Width: 5, Right: true}, {Title: "LOG ENDS AT", Width: 13, Right: true}, {Title: ""}}, Cursor: -1}
	for _, b := range ballots {
		won := ""
		if b.Won {
			won = v.t.Paint(style.Good, v.t.Glyphs.Vote+" elected")
		}
		position := b.Position
		if n, err := strconv.ParseUint(position, 10, 64); err == nil {
			position = component.Grouped(n)
		}
		tb.Rows = append(tb.Rows, []string{b.Node, b.LastEpoch, position, won})
	}
	lines := tb.Render(v.t, w-2, len(ballots)+1)
	if rule != "" {
		lines = append(lines, "", " rule: "+v.t.Paint(style.Accent, rule))
	}
	for _, l := range page.Wrap("A quorum promised, so its longest log holds every committed record.", w-4) {
		lines = append(lines, v.t.Paint(style.Dim, " "+l))
	}
	return box.Render(v.t, lines, w, h)
}

func (v view) json(all []row, w, h int) []string {
	box := component.Box{Title: v.title("znode"), Footer: v.t.Paint(style.Dim, "v decision")}
	if len(all) == 0 || all[min(v.cursor.At, len(all)-1)].member == nil {
		return box.Render(v.t, []string{v.t.Paint(style.Dim, "this node has none: no session")}, w, h)
	}
	m := all[min(v.cursor.At, len(all)-1)].member
	box.Title = v.title("znode 0" + m.Eid)
	b, err := json.MarshalIndent(struct {
		Node     string `json:"node"`
		Position int64  `json:"position"`
		Weight   int    `json:"weight"`
		Elected  string `json:"elected"`
		Address  string `json:"address"`
		Epoch    uint64 `json:"epoch"`
		Sealed   uint64 `json:"sealed"`
		Suspect  uint64 `json:"suspect"`
		State    string `json:"state"`
		Clients  string `json:"clients"`
		Admin    string `json:"admin"`
	}{m.Node, m.Position, m.Weight, m.Elected, m.Address, m.Epoch, m.Sealed, m.Suspect, m.State, m.Clients, m.Admin}, "", " ")
	if err != nil {
		return box.Render(v.t, []string{err.Error()}, w, h)
	}
	return box.Render(v.t, strings.Split(string(b), "\n"), w, h)
}

func (v view) epochs(w, h int) []string {
	tb := component.Table{Columns: []component.Column{{Title: "EPOCH", Width: 5, Right: true}, {Title: "LEADER", Width: 6}, {Title: "FROM", Width: 8}, {Title: "TO", Width: 8},
		{Title: "ENDED BY"}, {Title: "GAP", Width: 8, Right: true}}, Cursor: -1}
	for _, e := range v.s.Epochs() {
		to, gap := "now", ""
		if !e.To.IsZero() {
			to = e.To.Format("15:04:05")
		}
		if e.Gap >= 0 {
			gap = component.Span(e.Gap)
		}
		tb.Rows = append(tb.Rows, []string{strconv.FormatUint(e.Number, 10), e.Leader, e.From.Format("15:04:05"), to, e.EndedBy, gap})
	}
	lines := tb.Render(v.t, w-2, h-2)
	if len(tb.Rows) == 0 {
		lines = []string{v.t.Paint(style.Dim, "no election was seen yet")}
	}
	return component.Box{Title: v.title("epochs"), Footer: v.t.Paint(style.Dim, "[ ] step in time")}.Render(v.t, lines, w, h)
}

// events are those of ZooKeeper and elections.
func (v view) events(w, h int) []string {
	if h < 3 {
		return nil
	}
	var lines []string
	for _, e := range v.s.Events {
		if strings.HasPrefix(e.Kind, "zk.") || strings.HasPrefix(e.Kind, "election.") || e.Kind == data.KindConsole {
			lines = append(lines, v.t.Paint(style.Dim, e.At.Format("15:04:05.000"))+" "+component.Pad(e.Node, 9)+" "+component.Cut(e.Text, w-26, v.t.Glyphs.Ellipsis))
		}
	}
	return component.Box{Title: v.title("events") + v.t.Paint(style.Dim, "  of ZooKeeper, elections and yours")}.Render(v.t, lines[max(0, len(lines)-(h-2)):], w, h)
}

func (v view) servers(w, h int) []string {
	tb := component.Table{Columns: []component.Column{{Title: "SERVER"}, {Title: "MODE", Width: 12}, {Title: "CONN", Width: 4, Right: true}, {Title: "NODES", Width: 5, Right: true},
		{Title: "ANSWER", Width: 7, Right: true}}, Cursor: -1}
	host, title := "", v.title("zookeeper servers")
	if w < 60 { // their names would be cut where they differ
		host = sharedHost(v.s.Servers)
	}
	if host != "" {
		title += v.t.Paint(style.Dim, "  at "+host)
	}
	for _, z := range v.s.Servers {
		mode, role := v.t.Glyphs.Leader+" "+z.Mode, style.Good
		switch {
		case z.Error != "":
			mode, role = v.t.Glyphs.Down+" down", style.Bad
		case z.Mode == "follower":
			mode, role = v.t.Glyphs.Follower+" follower", style.Follow
		case z.At.IsZero():
			mode, role = v.t.Glyphs.Starting+" asked", style.Dim
		}
		cells := []string{strings.TrimPrefix(z.Address, host), v.t.Paint(role, mode), "", "", ""}
		if z.Error == "" && !z.At.IsZero() {
			cells[2], cells[3], cells[4] = strconv.Itoa(z.Connections), strconv.Itoa(z.NodeCount), component.Span(z.Took)
		}
		tb.Rows = append(tb.Rows, cells)
	}
	lines := tb.Render(v.t, w-2, h-2)
	if len(tb.Rows) == 0 {
		lines = []string{v.t.Paint(style.Dim, "their addresses are not known here")}
	}
	return component.Box{Title: title}.Render(v.t, lines, w, h)
}

// sharedHost is the host of all servers, "" if they have several, or one server
// alone.
func sharedHost(servers []data.Server) string {
	shared := ""
	for i, z := range servers {
		host, _, err := net.SplitHostPort(z.Address)
		if err != nil || i > 0 && host != shared {
			return ""
		}
		shared = host
	}
	if len(servers) < 2 || strings.Contains(shared, ":") {
		return ""
	}
	return shared
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
