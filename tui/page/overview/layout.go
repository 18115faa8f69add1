package overview

import (
	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/page"
)

// Break points, of the whole terminal less status bar and key line.
const (
	fullWidth  = 132 // from here the failover pane stands beside the queues
	fullHeight = 34
	leastWidth = 80
	leastRows  = 22
	cardWidth  = 24 // a card needs this much, else nodes become a table
)

// layout says where each pane goes; all in cells of the page's own part.
type layout struct {
	w, h int
	wide bool // failover pane beside the queues
	tall bool // cards and middle row with more lines
	one  bool // too small: one pane at a time

	cards, middle, ledger, queues, events int // heights, frames included
	cardCols                              []int
	treeWidth, queueWidth                 int
	queueRows, eventRows                  int // lines inside
}

func layoutOf(f page.Frame) layout {
	l := layout{w: f.W, h: f.H}
	l.one = f.W < leastWidth || f.H < leastRows
	l.wide = f.W >= fullWidth
	l.tall = f.H >= fullHeight
	nodes := max(1, len(f.Snap.Nodes))
	l.cardCols = component.Split(f.W, nodes)
	if f.W/nodes < cardWidth {
		l.cardCols = nil // as a table
	}
	if l.one {
		l.queueRows, l.eventRows = max(0, f.H-4), max(0, f.H-3)
		return l
	}
	l.heights(f.Snap, nodes)
	l.treeWidth = max(38, f.W*46/100)
	if l.wide {
		l.treeWidth = f.W / 3
	}
	l.queueWidth = f.W
	if l.wide {
		l.queueWidth = f.W - 46
	}
	l.queueRows, l.eventRows = max(0, l.queues-3), max(0, l.events-2)
	return l
}

func (l *layout) heights(s *data.Snapshot, nodes int) {
	l.cards, l.middle = 6, 6
	if l.tall {
		l.cards, l.middle = 9, 11
	}
	if l.cardCols == nil {
		l.cards = min(nodes+3, l.h*2/5)
	}
	if s.Ledger.OK {
		l.ledger = 1
	}
	rest := l.h - l.cards - l.middle - l.ledger
	if !l.tall && rest > 13 { // a middle size: room for every member of the tree
		grow := min(rest-13, max(0, nodes+3-l.middle), 4)
		l.middle, rest = l.middle+grow, rest-grow
	}
	// Events get what the queues do not fill, but each has its least.
	want := len(s.Queues) + 3
	l.queues = max(4, min(want, rest*6/10))
	if l.wide && l.tall {
		l.queues = max(l.queues, 9)
	}
	l.queues = min(l.queues, rest-3)
	l.events = rest - l.queues
}

// rect is a pane on the screen, for the mouse.
type rect struct{ kind, node, x, y, w, h int }

func (l layout) rects(s *data.Snapshot) []rect {
	if l.one {
		return nil
	}
	var out []rect
	x := 0
	for i, w := range l.cardCols {
		out = append(out, rect{kind: paneNode, node: i, x: x, w: w, h: l.cards})
		x += w
	}
	for i := range s.Nodes {
		if l.cardCols == nil {
			out = append(out, rect{kind: paneNode, node: i, y: i + 2, w: l.w, h: 1})
		}
	}
	y := l.cards
	out = append(out, rect{kind: paneTree, y: y, w: l.treeWidth, h: l.middle},
		rect{kind: paneLag, x: l.treeWidth, y: y, w: l.w - l.treeWidth, h: l.middle})
	y += l.middle + l.ledger
	out = append(out, rect{kind: paneQueues, y: y, w: l.queueWidth, h: l.queues})
	y += l.queues
	return append(out, rect{kind: paneEvents, y: y, w: l.w, h: l.events})
}
