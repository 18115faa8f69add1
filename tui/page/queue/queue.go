// Package queue is the screen of one queue: its figures, the messages in it,
// and one of them in full, as text, JSON or hexadecimal, with where its record
// lies in the log and which nodes hold it. Browsing consumes nothing.
package queue

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"baton/node/adminapi"
	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/page"
	"baton/tui/style"
)

// Forms in which a body is shown.
const (
	formAuto = iota // JSON if it is, else text, else hexadecimal
	formText
	formHex
	forms
)

var formNames = [forms]string{"auto", "text", "hex"}

// Page is the screen with what was browsed last.
type Page struct {
	name   string
	page   adminapi.Page
	err    string
	asked  bool // an answer is on its way
	at     time.Time
	after  []string // where this part and those before it begin
	cursor page.Cursor
	form   int
	scroll int
}

// New returns the page of no queue yet.
func New() *Page { return &Page{} }

// Open shows another queue from its head.
func (p *Page) Open(name string) { *p = Page{name: name, form: p.form, after: []string{""}} }

// Queue is the queue that is shown, "" if none was opened.
func (p *Page) Queue() string { return p.name }

// Want is the part of the queue that is to be browsed now.
func (p *Page) Want() adminapi.Browse {
	p.asked = true
	b := adminapi.Browse{Limit: adminapi.BrowseLimit, Body: 8 << 10}
	if n := len(p.after); n > 0 {
		b.After = p.after[n-1]
	}
	return b
}

// Took is the answer to a browse of a queue.
func (p *Page) Took(queue string, got adminapi.Page, err error, at time.Time) {
	if queue != p.name {
		return // another was opened meanwhile
	}
	p.asked, p.at, p.err = false, at, ""
	if err != nil {
		p.err = data.Clean(err.Error())
		return
	}
	p.page = got
	p.cursor.At = max(0, min(p.cursor.At, len(got.Messages)-1))
}

// Next goes to the part after this one; false if this is the last.
func (p *Page) Next() bool {
	if p.page.Next == "" {
		return false
	}
	p.after = append(p.after, p.page.Next)
	p.cursor = page.Cursor{}
	return true
}

// Back goes to the part before this one; false if this is the first.
func (p *Page) Back() bool {
	if len(p.after) < 2 {
		return false
	}
	p.after = p.after[:len(p.after)-1]
	p.cursor = page.Cursor{}
	return true
}

// Selected is the message under the cursor.
func (p *Page) Selected() (adminapi.Message, bool) {
	if len(p.page.Messages) == 0 {
		return adminapi.Message{}, false
	}
	return p.page.Messages[max(0, min(p.cursor.At, len(p.page.Messages)-1))], true
}

// Copy implements page.Copier: the body as it is shown, as far as it is known.
func (p *Page) Copy(page.Frame) (what, text string) {
	m, ok := p.Selected()
	if !ok {
		return "", ""
	}
	what = "the body of " + m.ID
	if m.Cut {
		what = "the beginning of the body of " + m.ID
	}
	raw, form := bodyOf(m, p.form)
	if form == formHex {
		return what, hex.Dump(raw)
	}
	return what, string(raw)
}

// Name implements page.Page.
func (p *Page) Name() string { return "queue" }

// Crumb implements page.Page.
func (p *Page) Crumb() string { return "queue" }

// Target implements page.Page.
func (p *Page) Target(*data.Snapshot) string { return "" }

// Click implements page.Page.
func (p *Page) Click(int, int, page.Frame) {}

// Command implements page.Page: up and down choose a message, left and right
// scroll in it.
func (p *Page) Command(c page.Command, f page.Frame) {
	switch c {
	case page.Left, page.PrevPane:
		p.scroll = max(0, p.scroll-1)
	case page.Right, page.NextPane:
		p.scroll = min(p.scroll+1, 1000)
	default:
		p.cursor.Move(c, len(p.page.Messages), f.H/2)
		p.scroll = 0
	}
}

// Press implements page.Presser.
func (p *Page) Press(id string, _ page.Frame) string {
	if id == "queue.form" {
		p.form = (p.form + 1) % forms
		return "bodies as " + formNames[p.form]
	}
	return ""
}

// Render implements page.Page.
func (p *Page) Render(f page.Frame) []string {
	if f.W <= 0 || f.H <= 0 {
		return nil
	}
	t := f.Theme
	if p.name == "" {
		return component.Box{Title: t.Paint(style.Strong, "queue"), Focus: true}.Render(t,
			[]string{"", "  Choose a queue on screen 1 and press enter."}, f.W, min(f.H, 5))
	}
	v := view{Page: p, Frame: f, t: t, s: f.Snap}
	head := v.figures(f.W, min(5, f.H))
	rest := f.H - len(head)
	if rest < 4 {
		return head
	}
	if f.W >= 110 {
		right := f.W * 2 / 5
		return append(head, component.Beside([]int{f.W - right, right}, v.messages(f.W-right, rest), v.message(right, rest))...)
	}
	list := max(4, rest/2)
	return append(append(head, v.messages(f.W, list)...), v.message(f.W, rest-list)...)
}

type view struct {
	*Page
	page.Frame
	t style.Theme
	s *data.Snapshot
}

// figures are what the leader counts.
func (v view) figures(w, h int) []string {
	box := component.Box{Title: v.t.Paint(style.Strong, v.name), Pad: true}
	if v.s.QueuesStale {
		box.Right = v.t.Paint(style.Warn, "old figures: no leader answers")
	}
	for i := range v.s.Queues {
		q := &v.s.Queues[i]
		if q.Name != v.name {
			continue
		}
		oldest := "–"
		if q.OldestMS > 0 {
			oldest = component.Span(time.Duration(q.OldestMS) * time.Millisecond)
		}
		return box.Render(v.t, []string{
			fmt.Sprintf("depth %s  %s   in %s/s   out %s/s   oldest %s   %s", component.Grouped(q.Depth), component.Spark(v.t, q.Trend, min(30, max(0, w-70))),
				component.Short(q.InRate), component.Short(q.OutRate), oldest, component.Bytes(float64(q.Bytes))),
			fmt.Sprintf("consumers %d   with them %d", q.Consumers, q.Pending),
			fmt.Sprintf("ever in %s   ever acknowledged %s", component.Grouped(q.Enqueued), component.Grouped(q.Acked)),
		}, w, h)
	}
	return box.Render(v.t, []string{v.t.Paint(style.Dim, "the leader tells of no queue of that name")}, w, h)
}

func (v view) messages(w, h int) []string {
	title := v.t.Paint(style.Strong, "messages") + v.t.Paint(style.Dim, fmt.Sprintf("  part %d, as of %s; browsing consumes nothing", len(v.after), v.at.Format("15:04:05")))
	if v.asked {
		title = v.t.Paint(style.Strong, "messages") + v.t.Paint(style.Warn, "  asking the leader"+v.t.Glyphs.Ellipsis)
	}
	box := component.Box{Title: title, Focus: true, Footer: v.t.Paint(style.Dim, "n next part  b back  r again")}
	switch {
	case v.err != "":
		return box.Render(v.t, append([]string{""}, page.Wrap(v.t.Glyphs.Down+" "+v.err, w-4)...), w, h)
	case len(v.page.Messages) == 0 && !v.asked:
		return box.Render(v.t, []string{"", v.t.Paint(style.Dim, "  the queue is empty")}, w, h)
	}
	tb := component.Table{
		Columns: []component.Column{{Title: "SEQUENCE", Width: 10, Right: true}, {Title: "SENT", Width: 12}, {Title: "BYTES", Width: 5, Right: true},
			{Title: "RD", Width: 2, Right: true}, {Title: "", Width: 4}, {Title: "BODY"}},
		Cursor: v.cursor.At, Focus: true,
	}
	for i := range v.page.Messages {
		m := &v.page.Messages[i]
		with := ""
		if m.Pending {
			with = "with"
		}
		tb.Rows = append(tb.Rows, []string{component.Grouped(m.Sequence), time.UnixMilli(m.Timestamp).In(v.s.At.Location()).Format("15:04:05.000"), component.Short(float64(m.BodySize)),
			fmt.Sprint(m.Redeliveries), with, preview(m)})
	}
	tb.Offset = component.Scroll(0, max(0, tb.Cursor), h-3, len(tb.Rows))
	return box.Render(v.t, tb.Render(v.t, w-2, h-2), w, h)
}

// preview is the beginning of a body on one line.
func preview(m *adminapi.Message) string {
	if m.Text == "" && len(m.Body) > 0 {
		return fmt.Sprintf("<binary, %d bytes>", m.BodySize)
	}
	return component.Clean(m.Text)
}

func (v view) message(w, h int) []string {
	box := component.Box{Title: v.t.Paint(style.Strong, "message"), Footer: v.t.Paint(style.Dim, "v form  ←→ scroll")}
	m, ok := v.Selected()
	if !ok || h < 3 {
		return box.Render(v.t, nil, w, max(0, h))
	}
	box.Title = v.t.Paint(style.Strong, "message ") + component.Cut(m.ID, w-24, v.t.Glyphs.Ellipsis)
	lines := v.where(m)
	facts := fmt.Sprintf("priority %d", m.Priority)
	if !m.Persistent {
		facts += "   not durable"
	}
	if m.Expires > 0 {
		facts += "   expires " + time.UnixMilli(m.Expires).In(v.s.At.Location()).Format("15:04:05")
	}
	if m.Pending {
		facts += "   a consumer has it"
	}
	if m.Redeliveries > 0 {
		facts += fmt.Sprintf("   redelivered %d", m.Redeliveries)
	}
	lines = append(lines, facts)
	for _, hd := range m.Headers {
		lines = append(lines, v.t.Paint(style.Dim, hd.Name+": ")+hd.Value)
	}
	lines = append(lines, "")
	lines = append(lines, v.body(m, w-2)...)
	if m.Cut {
		lines = append(lines, v.t.Paint(style.Dim, fmt.Sprintf("%s it goes on: %d bytes in all", v.t.Glyphs.Ellipsis, m.BodySize)))
	}
	over := max(0, len(lines)-(h-2))
	return box.Render(v.t, lines[min(v.scroll, over):], w, h)
}

// where says how far the message's record has come: in which logs, and whether
// it is committed.
func (v view) where(m adminapi.Message) []string {
	out := v.t.Paint(style.Dim, "log position ") + component.Grouped(m.Position)
	if l := v.s.LeaderNode(); l != nil && l.Status.Positions.Commit > m.Position {
		out += v.t.Paint(style.Good, " committed")
	}
	at := out
	out = v.t.Paint(style.Dim, "on disk of  ")
	for i := range v.s.Nodes {
		n := &v.s.Nodes[i]
		flushed := n.Status.Positions.Flush
		if n.Follower != nil {
			flushed = n.Follower.Flushed
		}
		switch {
		case n.SeenAt.IsZero():
			out += " " + v.t.Paint(style.Warn, v.t.Glyphs.Unknown+n.ID)
		case flushed > m.Position:
			out += " " + v.t.Paint(style.Good, v.t.Glyphs.OK+n.ID)
		default:
			out += " " + v.t.Paint(style.Bad, v.t.Glyphs.Down+n.ID)
		}
	}
	return []string{at, out}
}

// bodyOf is a body, and the form it is shown in: the one that was chosen, or the
// one that suits it.
func bodyOf(m adminapi.Message, form int) ([]byte, int) {
	raw := m.Body
	if m.Text != "" {
		raw = []byte(m.Text)
	}
	var pretty bytes.Buffer
	if form == formAuto {
		form = formText
		switch {
		case json.Valid(raw) && json.Indent(&pretty, raw, "", "  ") == nil:
			raw = pretty.Bytes()
		case m.Text == "" && len(m.Body) > 0:
			form = formHex
		}
	}
	return raw, form
}

// body writes a body in the form that was chosen.
func (v view) body(m adminapi.Message, w int) []string {
	raw, form := bodyOf(m, v.form)
	var out []string
	if form == formHex {
		for _, l := range strings.Split(strings.TrimRight(hex.Dump(raw), "\n"), "\n") {
			out = append(out, component.Clean(l))
		}
		return out
	}
	for _, l := range strings.Split(string(raw), "\n") {
		l = component.Clean(l)
		for component.Width(l) > w && w > 8 {
			head := component.Cut(l, w, "")
			out, l = append(out, head), strings.TrimPrefix(l, head)
		}
		out = append(out, l)
	}
	return out
}
