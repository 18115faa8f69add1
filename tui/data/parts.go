package data

import (
	"fmt"
	"time"

	"baton/demo/lesson"
)

// Levels of log lines.
const (
	LevelDebug = "DEBUG"
	LevelInfo  = "INFO"
	LevelWarn  = "WARN"
	LevelError = "ERROR"
)

// LogLine is one line that a process of a launched cluster wrote.
type LogLine struct {
	Seq    uint64 // of the merged log, rising
	At     time.Time
	Source string // node id, or the name of the ZooKeeper process
	Level  string // "" if the line does not tell
	Text   string
}

// Kinds of links.
const (
	LinkReplication = "replication"
	LinkZooKeeper   = "zookeeper"
	LinkClient      = "client"
)

// Link is one direction of dialling that a launched cluster can disturb.
type Link struct {
	Kind        string
	From, To    string // "clients" is the load generator
	Cut         bool
	Delay       time.Duration
	Rate        float64 // bytes per second, 0 is no limit
	Connections int
	Bytes       uint64 // passed on so far, both ways
}

// Disturbed says that the link is not as it should be.
func (l Link) Disturbed() bool { return l.Cut || l.Delay > 0 || l.Rate > 0 }

// Server is one ZooKeeper server as it describes itself.
type Server struct {
	Address     string
	At          time.Time // of the answer, zero if it never answered
	Error       string    // why the last question failed, "" if it did not
	Mode        string    // "leader", "follower", "standalone" or "observer"
	Version     string
	Connections int
	NodeCount   int
	Zxid        string
	Outstanding int
	LatencyMS   float64       // average that it reports
	Took        time.Duration // of our question
}

// Player is where a recording stands.
type Player struct {
	File    string
	At      time.Duration // since its beginning
	Length  time.Duration
	Frame   int // from 0
	Frames  int
	Playing bool
	Speed   float64
	Torn    bool // the file ends in the middle of a frame: its writer was killed
}

// Lesson is a lesson under way, with its steps and the facts of each.
type (
	Lesson      = lesson.View
	LessonStep  = lesson.StepView
	LessonCheck = lesson.CheckView
)

// Trouble says what is done to the link, "" if nothing.
func (l Link) Trouble() string {
	switch {
	case l.Cut:
		return "cut"
	case l.Delay > 0 && l.Rate > 0:
		return fmt.Sprintf("%v late, %.0f KiB/s", l.Delay, l.Rate/1024)
	case l.Delay > 0:
		return fmt.Sprintf("%v late", l.Delay)
	case l.Rate > 0:
		return fmt.Sprintf("%.0f KiB/s", l.Rate/1024)
	}
	return ""
}
