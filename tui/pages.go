package tui

import (
	"baton/tui/page"
	"baton/tui/page/election"
	"baton/tui/page/failovers"
	"baton/tui/page/lesson"
	"baton/tui/page/logs"
	"baton/tui/page/overview"
	"baton/tui/page/queue"
	"baton/tui/page/replication"
)

const pageLesson = "lesson"

// pageNames are the screens in the order of their number keys.
var pageNames = []string{"overview", "election", "replication", "logs", "failovers", pageQueue, pageLesson}

// pageHelp says what each screen is for.
var pageHelp = map[string]string{
	"overview":    "nodes, ZooKeeper, lag, queues, events; the stopwatch of a failover",
	"election":    "the member nodes, why this leader or why none, epochs, ZooKeeper servers",
	"replication": "positions, lag and its trend, catch-up, quorum, equal logs",
	"logs":        "what all processes say, merged by time",
	"failovers":   "every failover in phases, with reasons; compare and export",
	pageQueue:     "one queue and its messages; enter on screen 1 opens it",
	pageLesson:    "the lesson under way",
}

// newPages makes every screen, in the order of pageNames.
func newPages() []page.Page {
	return []page.Page{overview.New(), election.New(), replication.New(), logs.New(), failovers.New(), queue.New(), lesson.New()}
}

func (m *Model) show(i int) {
	m.shown, m.landed = i, true
	m.input = nil
}

// showName shows a screen by its name.
func (m *Model) showName(name string) {
	for i, n := range pageNames {
		if n == name {
			m.show(i)
		}
	}
}
