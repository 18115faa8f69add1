package lesson

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// View is a lesson under way, for a screen.
type View struct {
	Name, Title string
	Steps       []StepView
	Step        int // index of the one under way; len(Steps) when all are done
	Failed      string
}

// StepView is one step with what became of it.
type StepView struct {
	Title   string
	Story   string
	Ask     string
	Choices []string
	Right   int    // choice that the run proved right, -1 while it is not known
	Guess   int    // -1 while none was made
	Do      string // what is to be done now, "" if nothing
	Did     string // what was done
	Acted   bool
	Hint    string
	Checks  []CheckView
	Explain string // set when all checks held
	Ready   bool   // the learner may go on
}

// CheckView is one fact that the cluster has to show.
type CheckView struct {
	Text string
	OK   bool
}

// Session is one learner's way through a lesson. It is safe for concurrent use.
type Session struct {
	lesson Lesson
	world  World
	auto   bool // nobody leads it: it does and goes on by itself

	mu struct {
		sync.Mutex
		steps  []Step
		view   View
		seen   Seen
		opened bool
		acting bool
		ended  chan struct{} // closed when the lesson is done or has failed
		over   bool
	}
}

// NewSession begins a lesson; Run brings it to life. auto leads it without a
// learner: predictions are left out, actions done at once.
func NewSession(l Lesson, w World, auto bool) *Session {
	s := &Session{lesson: l, world: w, auto: auto}
	s.mu.steps = l.Steps()
	s.mu.view = View{Name: l.Name, Title: l.Title}
	s.mu.seen.Notes = map[string]string{}
	s.mu.ended = make(chan struct{})
	for _, st := range s.mu.steps {
		v := StepView{Title: st.Title, Story: st.Story, Ask: st.Ask, Choices: st.Choices, Right: -1, Guess: -1, Hint: st.Hint}
		for _, c := range st.Checks {
			v.Checks = append(v.Checks, CheckView{Text: c.Text})
		}
		s.mu.view.Steps = append(s.mu.view.Steps, v)
	}
	return s
}

// watchEvery is how often the facts are looked at.
const watchEvery = 50 * time.Millisecond

// Run watches the cluster until the lesson is over or ctx ends.
func (s *Session) Run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for !s.Over() {
		s.Watch(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Watch looks at the cluster once.
func (s *Session) Watch(ctx context.Context) {
	facts := s.world.Facts(ctx)
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	act := s.look(facts)
	s.mu.Unlock()
	if act {
		_ = s.Act(ctx) // a failure is in the view
	}
}

// look checks the step under way against the facts and says whether its action
// is to be done now.
func (s *Session) look(facts Facts) (act bool) {
	m := &s.mu
	if m.over {
		return false
	}
	i := m.view.Step
	step, v := &m.steps[i], &m.view.Steps[i]
	m.seen.Now = facts
	if !m.opened {
		m.opened = true
		m.seen.Before, m.seen.Done, m.seen.Acted = facts, facts, false
	}
	if step.Verb != "" {
		v.Do = ""
		if !m.seen.Acted {
			v.Do = words(step.Verb)
			if step.Target != nil {
				v.Do += " " + step.Target(&m.seen)
			}
		}
	}
	for _, c := range step.Never {
		if m.seen.Acted && c.Holds(&m.seen) {
			s.fail("step " + fmt.Sprint(i+1) + ": " + c.Text)
			return false
		}
	}
	all := true
	for j, c := range step.Checks {
		if !v.Checks[j].OK && c.Holds(&m.seen) {
			v.Checks[j].OK = true
		}
		all = all && v.Checks[j].OK
	}
	switch {
	case all:
		s.shown(step, v)
	case s.auto && step.Verb != "" && !m.seen.Acted && !m.acting:
		return true
	case s.late(step):
		s.fail(fmt.Sprintf("step %d: not seen in time: %s", i+1, missing(*v)))
	}
	return false
}

// words are how people say what a lesson does that no node is named for.
func words(verb string) string {
	switch verb {
	case quiet:
		return "stop the producers"
	case holdConsumers:
		return "hold the consumers"
	case "start-all":
		return "start every node that is down"
	case slowAll:
		return "slow down every disk"
	case blackout:
		return "take the power from all nodes"
	case powerOn:
		return "heal the disks and start all nodes"
	case "stop-zookeeper":
		return "stop ZooKeeper"
	case "start-zookeeper":
		return "start ZooKeeper"
	}
	return verb
}

// late says that a step whose action is done, or that has none, waits too long.
// A learner may take any time to read.
func (s *Session) late(step *Step) bool {
	m := &s.mu
	if !s.auto && step.Verb == "" || step.Verb != "" && !m.seen.Acted {
		return false
	}
	limit := step.Timeout
	if limit == 0 {
		limit = 45 * time.Second
	}
	return m.seen.Now.At.Sub(m.seen.Done.At) > limit
}

func missing(v StepView) string {
	for _, c := range v.Checks {
		if !c.OK {
			return c.Text
		}
	}
	return ""
}

// shown is called when every check of a step held.
func (s *Session) shown(step *Step, v *StepView) {
	v.Ready, v.Do = true, ""
	if step.Explain != nil {
		v.Explain = step.Explain(&s.mu.seen)
	}
	if step.Right != nil {
		v.Right = step.Right(&s.mu.seen)
	}
	if s.auto {
		s.next()
	}
}

func (s *Session) next() {
	m := &s.mu
	m.view.Step++
	m.opened = false
	if m.view.Step == len(m.steps) {
		s.end()
	}
}

func (s *Session) fail(why string) {
	s.mu.view.Failed = why
	s.end()
}

func (s *Session) end() {
	s.mu.over = true
	close(s.mu.ended)
}

// Over says that the lesson is done or has failed.
func (s *Session) Over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.over
}

// Ended is closed when the lesson is done or has failed.
func (s *Session) Ended() <-chan struct{} { return s.mu.ended }

// Err is nil if everything held so far.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.view.Failed != "" {
		return fmt.Errorf("%w: %s: %s", ErrNotHeld, s.lesson.Name, s.mu.view.Failed)
	}
	return nil
}

// View is the lesson as it stands; it shares nothing with the session.
func (s *Session) View() *View {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.mu.view
	v.Steps = append([]StepView(nil), v.Steps...)
	for i := range v.Steps {
		v.Steps[i].Checks = append([]CheckView(nil), v.Steps[i].Checks...)
	}
	return &v
}

// Guess notes a prediction for the step under way. The first one counts.
func (s *Session) Guess(choice int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.over {
		return
	}
	if v := &s.mu.view.Steps[s.mu.view.Step]; v.Guess < 0 && choice >= 0 && choice < len(v.Choices) {
		v.Guess = choice
	}
}

// Act does what the step under way asks for; ErrNotNow if that is nothing. It
// may block until ctx ends.
func (s *Session) Act(ctx context.Context) error {
	s.mu.Lock()
	m := &s.mu
	if m.over || !m.opened || m.acting || m.seen.Acted || m.steps[m.view.Step].Verb == "" {
		s.mu.Unlock()
		return ErrNotNow
	}
	step, target := m.steps[m.view.Step], ""
	if step.Target != nil {
		target = step.Target(&m.seen)
	}
	m.acting = true
	m.seen.Done, m.seen.Acted = m.seen.Now, true
	m.seen.Done.At = time.Now()
	v := &m.view.Steps[m.view.Step]
	v.Acted, v.Did = true, strings.TrimSpace(words(step.Verb)+" "+target)
	s.mu.Unlock()
	err := s.world.Do(ctx, step.Verb, target)
	s.mu.Lock()
	defer s.mu.Unlock()
	m.acting = false
	if err != nil && !m.over {
		s.fail(fmt.Sprintf("%s %s: %v", step.Verb, target, err))
	}
	return err
}

// Next goes on to the next step if this one has shown all it had to.
func (s *Session) Next() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.over && s.mu.view.Steps[s.mu.view.Step].Ready {
		s.next()
	}
}
