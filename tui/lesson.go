package tui

import (
	"context"
	"errors"

	tea "github.com/charmbracelet/bubbletea"

	"baton/demo/lesson"
	"baton/tui/keymap"
)

// Teacher leads a lesson. Guess and Next return at once; Act may block until
// its context ends.
type Teacher interface {
	Guess(choice int)
	Act(ctx context.Context) error
	Next()
}

// taughtMsg says what became of a lesson's action.
type taughtMsg struct{ err error }

// choiceKeys are the letters of predictions.
var choiceKeys = []string{"a", "b", "c", "d"}

// lessonActions are the keys of the lesson's screen.
func lessonActions() []action {
	led := func(v keymap.View) (bool, string) {
		return v.Snap != nil && v.Snap.Lesson != nil && v.Taught, "no lesson is led from here"
	}
	out := []action{
		{ID: "lesson.go", Keys: []string{"enter"}, Label: "go on", Help: "do what the lesson asks for, or go on to its next step", Scope: pageLesson, Short: true, Mutates: true,
			Enabled: led, Run: (*Model).lessonGo},
		{ID: "lesson.hint", Keys: []string{"h"}, Label: "hint", Help: "show or hide the hint of this step", Scope: pageLesson, Short: true, Run: pressed("lesson.hint")},
	}
	for i, k := range choiceKeys {
		out = append(out, action{ID: "lesson.guess." + k, Keys: []string{k}, Label: "guess " + k, Help: "predict: choice " + k, Scope: pageLesson, Enabled: led,
			Run: func(m *Model) { m.cfg.Lesson.Guess(i) }})
	}
	return out
}

// lessonGo does the step's action when its prediction is made, or goes on when
// everything was shown.
func (m *Model) lessonGo() {
	l := m.live.Lesson
	if l.Step >= len(l.Steps) || l.Failed != "" {
		m.say("the lesson is over; the cluster goes on", false)
		return
	}
	step := l.Steps[l.Step]
	switch {
	case step.Ready:
		m.cfg.Lesson.Next()
		return
	case step.Ask != "" && step.Guess < 0:
		m.say("guess first: press the letter of what you expect", false)
		return
	case step.Do == "":
		m.say("wait until the cluster shows it", false)
		return
	}
	teacher, parent := m.cfg.Lesson, m.ctx
	m.cmds = append(m.cmds, func() tea.Msg {
		ctx, cancel := context.WithTimeout(parent, actionTimeout)
		defer cancel()
		return taughtMsg{teacher.Act(ctx)}
	})
}

func (m *Model) taught(msg taughtMsg) {
	if msg.err != nil && !errors.Is(msg.err, lesson.ErrNotNow) {
		m.say(msg.err.Error(), true)
	}
}
