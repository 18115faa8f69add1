// Package page defines what a screen of the console is: state of its own,
// commands that move in it, and a drawing function from a Frame to lines.
// Screens know neither bubbletea nor each other.
package page

import (
	"time"

	"baton/tui/data"
	"baton/tui/style"
)

// Frame is all that a screen may look at when it draws.
type Frame struct {
	Snap  *data.Snapshot
	Theme style.Theme
	W, H  int       // cells for the screen's own part
	Now   time.Time // clock of the stopwatch, at or after Snap.At
	// ShowResult is how long a finished failover stays in the middle row.
	ShowResult time.Duration
	Hints      Hints // keys to name in borders, "" where there is no such action
}

// Hints are keys of actions that screens mention, taken from the action table.
type Hints struct{ Filter, Sort, Chaos string }

// Command is a movement that every screen understands in its own way.
type Command uint8

// Commands.
const (
	Up Command = iota
	Down
	PageUp
	PageDown
	Top
	Bottom
	Left
	Right
	NextPane
	PrevPane
)

// Page is one screen. Its methods are called from one goroutine.
type Page interface {
	Name() string                   // scope of its actions in the table, unique
	Crumb() string                  // words for the status bar, "" on the overview
	Render(f Frame) []string        // at most f.H lines; a pure function of f and the page's state
	Command(c Command, f Frame)     // move
	Click(x, y int, f Frame)        // focus or select what lies there
	Target(s *data.Snapshot) string // the node under the cursor, "" if none
}

// Filterer is a page that has rows to filter.
type Filterer interface {
	Filter() string
	SetFilter(string)
}

// Presser is a page with keys of its own. Press does what the action of that
// name in the table means and returns a line to show, "" for none.
type Presser interface {
	Press(id string, f Frame) string
}

// Copier is a page on which something can be selected that is worth copying.
type Copier interface {
	// Copy says what is selected and gives it as plain text, "" if nothing is.
	Copy(f Frame) (what, text string)
}

// Sorter is a page whose rows can be ordered in several ways.
type Sorter interface{ NextSort() string }
