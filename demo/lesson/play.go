package lesson

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"baton/demo/cluster"
	"baton/demo/load"
)

// Config of a lesson that nobody leads.
type Config struct {
	Cluster  cluster.Config
	Load     load.Config // Addresses and OnReceipt are filled in
	Progress func(string)
	// Watch, if not nil, is called when cluster and load run. What it returns is
	// called before they stop.
	Watch func(*cluster.Cluster, *load.Load, *Session) (stop func(), err error)
}

// Outcome is what became of a lesson.
type Outcome struct {
	Name   string        `json:"lesson"`
	Title  string        `json:"title"`
	Held   bool          `json:"held"`
	Failed string        `json:"failed,omitempty"`
	Steps  []StepOutcome `json:"steps"`
	TookMS int64         `json:"took_ms"`
}

// StepOutcome is what became of a step.
type StepOutcome struct {
	Title   string         `json:"title"`
	Did     string         `json:"did,omitempty"`
	Checks  []CheckOutcome `json:"checks"`
	Answer  string         `json:"answer,omitempty"` // the prediction that proved right
	Explain string         `json:"explanation,omitempty"`
}

// CheckOutcome is one fact and whether the cluster showed it.
type CheckOutcome struct {
	Text string `json:"text"`
	Held bool   `json:"held"`
}

// Err is nil if the cluster showed all of the lesson.
func (o Outcome) Err() error {
	if o.Held {
		return nil
	}
	return fmt.Errorf("%w: %s: %s", ErrNotHeld, o.Name, o.Failed)
}

// Text renders the outcome for people.
func (o Outcome) Text() string {
	var b strings.Builder
	verdict := "HELD"
	if !o.Held {
		verdict = "FAILED: " + o.Failed
	}
	fmt.Fprintf(&b, "%s: %s  %s\n", o.Name, o.Title, verdict)
	for i, s := range o.Steps {
		fmt.Fprintf(&b, "\n%d  %s", i+1, s.Title)
		if s.Did != "" {
			fmt.Fprintf(&b, "  (%s)", s.Did)
		}
		b.WriteString("\n")
		for _, c := range s.Checks {
			mark := "ok "
			if !c.Held {
				mark = "NOT"
			}
			fmt.Fprintf(&b, "   %s %s\n", mark, c.Text)
		}
		if s.Answer != "" {
			fmt.Fprintf(&b, "   the right prediction: %s\n", s.Answer)
		}
		if s.Explain != "" {
			fmt.Fprintf(&b, "   %s\n", s.Explain)
		}
	}
	return b.String()
}

// lessonRate is what is sent during a lesson, in messages per second.
const lessonRate = 300

// Prepare fills in what a lesson needs of cluster and load.
func (l Lesson) Prepare(c *cluster.Config, ld *load.Config) {
	if ld.Rate <= 0 {
		ld.Rate = lessonRate
	}
	if l.Setup != nil {
		l.Setup(c, ld)
	}
}

// Play launches a cluster and takes the lesson without a learner. The error
// says that it could not be taken; whether it held is Outcome.Err.
func Play(ctx context.Context, l Lesson, cfg Config) (Outcome, error) {
	l.Prepare(&cfg.Cluster, &cfg.Load)
	if err := errors.Join(cfg.Cluster.Validate(), cfg.Load.Validate()); err != nil {
		return Outcome{}, err
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	begun := time.Now()
	cfg.Progress("starting the cluster")
	c, err := cluster.Launch(ctx, cfg.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	o, err := play(ctx, l, cfg, c)
	o.TookMS = time.Since(begun).Milliseconds()
	return o, errors.Join(err, c.Close())
}

func play(ctx context.Context, l Lesson, cfg Config, c *cluster.Cluster) (Outcome, error) {
	lc := cfg.Load
	lc.Addresses, lc.OnReceipt = c.ClientAddresses(), c.Tracker().Receipt
	ld, err := load.Start(lc)
	if err != nil {
		return Outcome{}, err
	}
	defer ld.Close()
	s := NewSession(l, NewLive(c, func() *load.Load { return ld }), true)
	if cfg.Watch != nil {
		stop, err := cfg.Watch(c, ld, s)
		if err != nil {
			return Outcome{}, fmt.Errorf("watch the lesson: %w", err)
		}
		defer stop()
	}
	shown := -1
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for !s.Over() {
		if v := s.View(); v.Step != shown && v.Step < len(v.Steps) {
			shown = v.Step
			cfg.Progress(fmt.Sprintf("step %d of %d: %s", shown+1, len(v.Steps), v.Steps[shown].Title))
		}
		s.Watch(ctx)
		select {
		case <-ctx.Done():
			return outcome(l, s), ctx.Err()
		case <-tick.C:
		}
	}
	return outcome(l, s), nil
}

func outcome(l Lesson, s *Session) Outcome {
	v := s.View()
	o := Outcome{Name: l.Name, Title: l.Title, Failed: v.Failed, Held: v.Failed == "" && v.Step == len(v.Steps)}
	if !o.Held && o.Failed == "" {
		o.Failed = "interrupted"
	}
	for _, st := range v.Steps {
		so := StepOutcome{Title: st.Title, Did: st.Did, Explain: st.Explain, Checks: []CheckOutcome{}}
		for _, c := range st.Checks {
			so.Checks = append(so.Checks, CheckOutcome{c.Text, c.OK})
		}
		if st.Right >= 0 && st.Right < len(st.Choices) {
			so.Answer = st.Choices[st.Right]
		}
		o.Steps = append(o.Steps, so)
	}
	return o
}
