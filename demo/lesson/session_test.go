package lesson_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo/cluster"
	"baton/demo/cluster/clustertest"
	"baton/demo/ledger"
	"baton/demo/lesson"
	"baton/demo/load"
)

func TestMain(m *testing.M) {
	if os.Getenv(clustertest.Env) != "" {
		os.Exit(clustertest.Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// stage is a world made of words; the test moves it.
type stage struct {
	facts lesson.Facts
	did   []string
	err   error
	rate  float64
}

func (s *stage) Facts(context.Context) lesson.Facts { return s.facts }
func (s *stage) Do(_ context.Context, verb, target string) error {
	s.did = append(s.did, verb+" "+target)
	return s.err
}
func (s *stage) SetRate(r float64) { s.rate = r }
func (s *stage) Hold(bool)         {}

// two is a lesson of two steps: the first waits for a leader, the second asks,
// has n1 killed and waits for another.
func two() lesson.Lesson {
	return lesson.Lesson{Name: "two", Steps: func() []lesson.Step {
		return []lesson.Step{
			{Title: "look", Checks: []lesson.Check{{Text: "somebody leads", Holds: func(s *lesson.Seen) bool { return s.Now.Leader != "" }}}},
			{
				Title: "kill", Ask: "what then?", Choices: []string{"nothing", "another"}, Right: func(*lesson.Seen) int { return 1 },
				Verb: "kill", Target: func(s *lesson.Seen) string { return s.Before.Leader }, Timeout: time.Minute,
				Checks:  []lesson.Check{{Text: "n1 is gone", Holds: func(s *lesson.Seen) bool { return s.Acted && s.Now.Leader == "" }}, {Text: "another leads", Holds: func(s *lesson.Seen) bool { return s.Acted && s.Now.Leader == "n2" }}},
				Never:   []lesson.Check{{Text: "something was lost", Holds: func(s *lesson.Seen) bool { return s.Now.Messages.Outstanding > 0 }}},
				Explain: func(*lesson.Seen) string { return "so it is" },
			},
		}
	}}
}

func TestALearnerGoesThroughALesson(t *testing.T) {
	w := &stage{facts: lesson.Facts{At: time.Now()}}
	s := lesson.NewSession(two(), w, false)
	look := func(leader string) lesson.StepView {
		w.facts.Leader, w.facts.At = leader, w.facts.At.Add(time.Second)
		s.Watch(t.Context())
		v := s.View()
		return v.Steps[min(v.Step, len(v.Steps)-1)]
	}
	require.False(t, look("").Ready)
	s.Next()
	require.Equal(t, 0, s.View().Step, "what was not shown is not passed")
	require.ErrorIs(t, s.Act(t.Context()), lesson.ErrNotNow)
	require.True(t, look("n1").Ready)
	s.Next()
	require.Equal(t, "kill n1", look("n1").Do)
	s.Guess(7)
	s.Guess(0)
	s.Guess(1)
	require.Equal(t, 0, look("n1").Guess, "the first prediction counts")
	require.NoError(t, s.Act(t.Context()))
	require.ErrorIs(t, s.Act(t.Context()), lesson.ErrNotNow, "once")
	require.Equal(t, []string{"kill n1"}, w.did)
	require.Equal(t, []bool{true, false}, held(look("")))
	last := look("n2")
	require.Equal(t, []bool{true, true}, held(last), "what was shown once stays shown")
	require.Equal(t, []any{1, "so it is", true}, []any{last.Right, last.Explain, last.Ready})
	require.False(t, s.Over(), "the learner reads")
	s.Next()
	require.True(t, s.Over())
	require.NoError(t, s.Err())
	<-s.Ended()
}

func held(v lesson.StepView) (out []bool) {
	for _, c := range v.Checks {
		out = append(out, c.OK)
	}
	return out
}

func TestALessonFails(t *testing.T) {
	for name, c := range map[string]struct {
		then func(*stage)
		says string
	}{
		"when what must not be is":     {func(w *stage) { w.facts.Messages = ledger.Summary{Outstanding: 1} }, "something was lost"},
		"when the cluster is too slow": {func(w *stage) { w.facts.At = w.facts.At.Add(2 * time.Minute) }, "not seen in time: n1 is gone"},
		"when the action fails":        {func(w *stage) { w.err = errors.New("no such process") }, "no such process"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &stage{facts: lesson.Facts{At: time.Now(), Leader: "n1"}}
			s := lesson.NewSession(two(), w, true)
			s.Watch(t.Context()) // the first step holds at once
			if w.err == nil {
				c.then(w)
			}
			if name == "when the action fails" {
				s.Watch(t.Context())
				require.ErrorContains(t, s.Err(), c.says)
				return
			}
			w.facts.Messages = ledger.Summary{}
			s.Watch(t.Context()) // acts
			c.then(w)
			s.Watch(t.Context())
			require.True(t, s.Over())
			require.ErrorIs(t, s.Err(), lesson.ErrNotHeld)
			require.ErrorContains(t, s.Err(), c.says)
		})
	}
}

func TestTheBookIsWhole(t *testing.T) {
	seen := map[string]bool{}
	require.GreaterOrEqual(t, len(lesson.Book()), 8)
	for _, l := range lesson.Book() {
		require.False(t, seen[l.Name])
		seen[l.Name] = true
		require.NotEmpty(t, l.About)
		for _, s := range l.Steps() {
			require.NotEmpty(t, s.Title)
			require.NotEmpty(t, s.Story)
			require.NotEmpty(t, s.Checks, "%s: a step that shows nothing teaches nothing", s.Title)
			require.Equal(t, s.Ask != "", len(s.Choices) >= 2, s.Title)
			require.Equal(t, s.Ask != "", s.Right != nil, s.Title)
		}
	}
	_, err := lesson.Find("nonsense")
	require.ErrorIs(t, err, lesson.ErrUnknown)
	require.ErrorContains(t, err, "failover")
}

// TestPlayOnAFakeCluster takes a whole lesson with processes that only play
// nodes: launching, load, facts, actions and the ledger are the real ones.
func TestPlayOnAFakeCluster(t *testing.T) {
	play := func(quirks string) lesson.Outcome {
		l, err := lesson.Find("failover")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		o, err := lesson.Play(ctx, l, lesson.Config{
			Cluster:  cluster.Config{Binary: os.Args[0], Env: []string{clustertest.Env + "=on," + quirks}, BasePort: clustertest.FreeBase(t), StopTimeout: 2 * time.Second},
			Load:     load.Config{Rate: 300},
			Progress: func(s string) { t.Log(s) },
		})
		require.NoError(t, err)
		t.Log("\n" + o.Text())
		return o
	}
	require.NoError(t, play("").Err())
}
