// Package overview is the first screen: node cards, ZooKeeper's election tree,
// replication lag, queues, events, and, while a failover runs, its stopwatch.
package overview

import (
	"slices"
	"strings"

	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/page"
)

// Kinds of panes that can have the focus.
const (
	paneNode = iota
	paneTree
	paneLag
	paneQueues
	paneEvents
)

// Orders of the queue table.
const (
	sortDepth = iota
	sortName
	sortIn
	sortOut
	sortConsumers
	sorts
)

var sortNames = [sorts]string{"depth", "name", "in", "out", "consumers"}

// Page is the overview with its cursor, order and filter.
type Page struct {
	kind   int // focused pane
	node   int // index of the focused card
	sort   int
	filter string
	cursor int    // row of the queue table
	queue  string // its name: the cursor stays on the queue when rows move
	back   int    // events scrolled back from the newest
}

// New returns the overview with the first node focused.
func New() *Page { return &Page{} }

// Name implements page.Page.
func (p *Page) Name() string { return "overview" }

// Crumb implements page.Page.
func (p *Page) Crumb() string { return "" }

// Filter implements page.Filterer.
func (p *Page) Filter() string { return p.filter }

// SetFilter implements page.Filterer.
func (p *Page) SetFilter(s string) { p.filter, p.cursor, p.queue = s, 0, "" }

// NextSort implements page.Sorter.
func (p *Page) NextSort() string {
	p.sort = (p.sort + 1) % sorts
	return sortNames[p.sort]
}

// Target implements page.Page.
func (p *Page) Target(s *data.Snapshot) string {
	if p.kind == paneNode && p.node < len(s.Nodes) {
		return s.Nodes[p.node].ID
	}
	return ""
}

// SelectedQueue is the queue under the cursor, "" if there is none.
func (p *Page) SelectedQueue(s *data.Snapshot) string {
	rows := p.rows(s)
	if len(rows) == 0 {
		return ""
	}
	return rows[p.cursorIn(rows)].Name
}

// panes is the number of panes: a card per node and four others.
func panes(s *data.Snapshot) int { return len(s.Nodes) + 4 }

func (p *Page) number(s *data.Snapshot) int {
	if p.kind == paneNode {
		return min(p.node, max(0, len(s.Nodes)-1))
	}
	return len(s.Nodes) + p.kind - 1
}

func (p *Page) setNumber(n int, s *data.Snapshot) {
	n = (n%panes(s) + panes(s)) % panes(s)
	if n < len(s.Nodes) {
		p.kind, p.node = paneNode, n
		return
	}
	p.kind = n - len(s.Nodes) + 1
}

// Command implements page.Page.
func (p *Page) Command(c page.Command, f page.Frame) {
	switch c {
	case page.NextPane:
		p.setNumber(p.number(f.Snap)+1, f.Snap)
	case page.PrevPane:
		p.setNumber(p.number(f.Snap)-1, f.Snap)
	case page.Left, page.Right:
		p.sideways(c, f.Snap)
	default:
		if p.kind == paneEvents {
			p.moveEvents(c, f)
		} else {
			p.moveQueues(c, f)
		}
	}
}

func (p *Page) sideways(c page.Command, s *data.Snapshot) {
	step := 1
	if c == page.Left {
		step = -1
	}
	if n := len(s.Nodes); n > 0 {
		if p.kind == paneNode {
			p.node = ((p.node+step)%n + n) % n
		}
		p.kind = paneNode
	}
}

func (p *Page) moveEvents(c page.Command, f page.Frame) {
	step := max(1, layoutOf(f).eventRows-1)
	switch c {
	case page.Up:
		p.back++
	case page.Down:
		p.back--
	case page.PageUp:
		p.back += step
	case page.PageDown:
		p.back -= step
	case page.Top:
		p.back = len(f.Snap.Events)
	case page.Bottom:
		p.back = 0
	}
	p.back = max(0, min(p.back, len(f.Snap.Events)-1))
}

// moveQueues moves in the queue table and focuses it: on the other panes up
// and down have nothing else to do.
func (p *Page) moveQueues(c page.Command, f page.Frame) {
	rows := p.rows(f.Snap)
	p.kind = paneQueues
	if len(rows) == 0 {
		return
	}
	at, step := p.cursorIn(rows), max(1, layoutOf(f).queueRows-1)
	switch c {
	case page.Up:
		at--
	case page.Down:
		at++
	case page.PageUp:
		at -= step
	case page.PageDown:
		at += step
	case page.Top:
		at = 0
	case page.Bottom:
		at = len(rows) - 1
	}
	p.cursor = max(0, min(at, len(rows)-1))
	p.queue = rows[p.cursor].Name
}

// cursorIn finds the row that the cursor was put on, wherever it is now.
func (p *Page) cursorIn(rows []data.QueueRow) int {
	if p.queue != "" {
		if i := slices.IndexFunc(rows, func(r data.QueueRow) bool { return r.Name == p.queue }); i >= 0 {
			return i
		}
	}
	return max(0, min(p.cursor, len(rows)-1))
}

// rows are the queues that pass the filter, in the chosen order.
func (p *Page) rows(s *data.Snapshot) []data.QueueRow {
	want := strings.ToLower(p.filter)
	rows := make([]data.QueueRow, 0, len(s.Queues))
	for _, q := range s.Queues {
		if want == "" || strings.Contains(strings.ToLower(q.Name), want) {
			rows = append(rows, q)
		}
	}
	slices.SortStableFunc(rows, func(a, b data.QueueRow) int {
		if d := compareBy(p.sort, a, b); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return rows
}

func compareBy(order int, a, b data.QueueRow) int {
	switch order {
	case sortDepth:
		return descending(float64(a.Depth), float64(b.Depth))
	case sortIn:
		return descending(a.InRate, b.InRate)
	case sortOut:
		return descending(a.OutRate, b.OutRate)
	case sortConsumers:
		return descending(float64(a.Consumers), float64(b.Consumers))
	}
	return 0
}

func descending(a, b float64) int {
	switch {
	case a > b:
		return -1
	case a < b:
		return 1
	}
	return 0
}

// Click implements page.Page.
func (p *Page) Click(x, y int, f page.Frame) {
	for _, r := range layoutOf(f).rects(f.Snap) {
		if x < r.x || x >= r.x+r.w || y < r.y || y >= r.y+r.h {
			continue
		}
		p.kind = r.kind
		if r.kind == paneNode {
			p.node = r.node
		}
		rows := p.rows(f.Snap)
		if row := y - r.y - 2; r.kind == paneQueues && row >= 0 && row < r.h-3 {
			at := component.Scroll(0, p.cursorIn(rows), r.h-3, len(rows)) + row
			if at < len(rows) {
				p.cursor, p.queue = at, rows[at].Name
			}
		}
		return
	}
}
