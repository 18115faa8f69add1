// Package lesson teaches failover on a cluster that really runs. A lesson is a
// list of steps; each tells its story, asks for a prediction, has something
// done to the cluster, and goes on when the cluster itself shows what was to be
// shown: nothing is staged, and a lesson whose cluster behaves otherwise fails.
// The same lesson runs in the console, led by a learner, and without a
// terminal, led by itself: there it is a test of the broker.
//
// Threads: a Session has one, runWatch, which ends with its context.
package lesson

import (
	"context"
	"errors"
	"time"

	"baton/demo/cluster"
	"baton/demo/failover"
	"baton/demo/ledger"
	"baton/demo/load"
	"baton/node/adminapi"
)

// Errors of lessons.
var (
	ErrUnknown = errors.New("lesson: there is no lesson of that name")
	ErrNotHeld = errors.New("lesson: the cluster did not show what the lesson says")
	ErrNotNow  = errors.New("lesson: nothing is to be done now")
)

// Lesson is one lesson. Its steps are made anew for each session, so that they
// may remember what they saw.
type Lesson struct {
	Name  string
	Title string
	About string // one sentence for the list
	// Setup changes what the cluster and its load are started with; may be nil.
	Setup func(*cluster.Config, *load.Config)
	Steps func() []Step
}

// Step is one step of a lesson.
type Step struct {
	Title string
	Story string
	Hint  string

	Ask     string // the prediction; "" asks for none
	Choices []string
	// Right is the choice that the measured run proved right.
	Right func(*Seen) int

	Verb   string             // what is done: a name of World.Do; "" is nothing
	Target func(*Seen) string // to whom; nil is nobody in particular
	Checks []Check
	// Never must not become true while the step is under way.
	Never   []Check
	Explain func(*Seen) string // said when all checks held
	Timeout time.Duration      // for the checks once the action is done; default 45 s
}

// Check is one fact that the cluster has to show. It is asked again and again;
// once it held it counts as shown, for much of a failover is over in no time.
type Check struct {
	Text  string
	Holds func(*Seen) bool
}

// Node is one node as it is now.
type Node struct {
	ID      string
	Up      bool // its process runs and is not paused
	Paused  bool
	Cut     bool
	Answers bool
	Status  adminapi.Status // the last answer, maybe old
}

// Facts are all that is known of a cluster at one moment.
type Facts struct {
	At       time.Time
	Nodes    []Node
	Leader   string // serves in the highest epoch, "" if nobody does
	Epoch    uint64
	Healthy  bool // a leader serves, and all that nobody took away follow it in sync
	Full     bool // and nothing was taken away
	Runs     []failover.Run
	Messages ledger.Summary
	Events   []cluster.Entry // the newest, by sequence
	ZKDown   bool
}

// Node finds a node.
func (f *Facts) Node(id string) Node {
	for _, n := range f.Nodes {
		if n.ID == id {
			return n
		}
	}
	return Node{ID: id}
}

// Followers are the nodes that are up and do not lead.
func (f *Facts) Followers() []string {
	var out []string
	for _, n := range f.Nodes {
		if n.Up && n.ID != f.Leader {
			out = append(out, n.ID)
		}
	}
	return out
}

// World is what a lesson happens in.
type World interface {
	// Facts tells what is so now. It may ask the nodes, within ctx.
	Facts(ctx context.Context) Facts
	// Do does something to a node or process, within ctx.
	Do(ctx context.Context, verb, target string) error
	// SetRate changes how much is sent, in messages per second.
	SetRate(perSecond float64)
	// Hold makes the consumers stop, or go on.
	Hold(held bool)
}

// Seen is what the checks of a step look at: the cluster now, as it was when
// the step began and when its action was done, and what earlier steps noted.
type Seen struct {
	Now    Facts
	Before Facts // when the step was opened
	Done   Facts // when its action was done; Before until then
	Acted  bool
	Notes  map[string]string
}

// Since are the events after the step's action began.
func (s *Seen) Since() []cluster.Entry {
	from := s.Before.At
	if s.Acted {
		from = s.Done.At
	}
	for i, e := range s.Now.Events {
		if !e.At.Before(from.Add(-time.Second)) && e.Seq > lastSeq(s.Before) {
			return s.Now.Events[i:]
		}
	}
	return nil
}

func lastSeq(f Facts) uint64 {
	if len(f.Events) == 0 {
		return 0
	}
	return f.Events[len(f.Events)-1].Seq
}

// Event says whether a node told of something since the step began; "" is any node.
func (s *Seen) Event(kind, node string) bool {
	for _, e := range s.Since() {
		if e.Kind == kind && (node == "" || e.Source == node) {
			return true
		}
	}
	return false
}

// Run is the newest failover that began after the step was opened.
func (s *Seen) Run() (failover.Run, bool) {
	for i := len(s.Now.Runs) - 1; i >= 0; i-- {
		if r := s.Now.Runs[i]; !r.FalseAlarm() && r.Fault.After(s.Before.At) {
			return r, true
		}
	}
	return failover.Run{}, false
}

// Elapsed is how long ago the action was done, 0 before.
func (s *Seen) Elapsed() time.Duration {
	if !s.Acted {
		return 0
	}
	return s.Now.At.Sub(s.Done.At)
}
