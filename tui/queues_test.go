package tui

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/stretchr/testify/require"

	"baton/demo/trace"
	"baton/node/adminapi"
)

// shelf is a queue made of words.
type shelf struct {
	did []string
	err error
}

func (s *shelf) Browse(_ context.Context, queue string, b adminapi.Browse) (adminapi.Page, error) {
	s.did = append(s.did, "browse "+queue+" after "+b.After)
	if s.err != nil {
		return adminapi.Page{}, s.err
	}
	at := time.Date(2026, 5, 14, 12, 40, 0, 0, time.UTC)
	bodies := []string{`{"order":88121,"sku":"A-17","qty":2,"customer":"東京-0042"}`, "plain words \x1b[2J that do not clear", "", "<b>not markup</b>"}
	p := adminapi.Page{Next: "4-1047009"}
	for i, body := range bodies {
		m := adminapi.Message{Ref: fmt.Sprintf("4-%d", 1_047_006+i), ID: fmt.Sprintf("n1-1-%d", i), Priority: 4, Sequence: uint64(1_047_006 + i), Position: uint64(1_040_000 + 100_000*i),
			Timestamp: at.Add(time.Duration(i) * time.Second).UnixMilli(), Persistent: true, Pending: i == 1, Redeliveries: uint32(i), Text: body, BodySize: len(body),
			Headers: []adminapi.Header{{Name: "content-type", Value: "application/json"}}}
		if body == "" {
			m.Body, m.BodySize, m.Cut = []byte{0, 1, 2, 0xff, 0x1b}, 401, true
		}
		p.Messages = append(p.Messages, m)
	}
	return p, nil
}
func (s *shelf) Publish(_ context.Context, queue, text string) (string, error) {
	s.did = append(s.did, "publish "+queue+" "+text)
	return "n1-1-9", s.err
}
func (s *shelf) Purge(_ context.Context, queue string) (adminapi.Progress, error) {
	s.did = append(s.did, "purge "+queue)
	return adminapi.Progress{Done: 1203, Kept: 1, Total: 1204, Why: "a consumer has it", Finished: true}, s.err
}
func (s *shelf) MoveMessages(_ context.Context, queue string, m adminapi.Move) (adminapi.Progress, error) {
	s.did = append(s.did, fmt.Sprintf("move %s %v all=%v to=%q", queue, m.Refs, m.All, m.To))
	return adminapi.Progress{Done: 1, Total: 1, Finished: true}, s.err
}

func (s *shelf) Trace(context.Context) (trace.Trace, error) {
	s.did = append(s.did, "trace")
	ms := time.Millisecond
	return trace.Trace{ID: "n1-1-12", Position: 1_048_210, Steps: []trace.Step{{What: "sent"}, {At: ms, What: "in the log", Node: "n1"}, {At: 2 * ms, What: "on disk", Node: "n2"},
		{At: 3 * ms, What: "receipted: the producer hears success"}, {At: -1, What: "on disk", Node: "n3"}, {At: 9 * ms, What: "delivered to the consumer"}}}, s.err
}

// settle performs the commands that follow a key, and those that follow them,
// until all answers of the shelf are in: the shelf takes no time, and timers
// are not waited for.
func settle(t *testing.T, m *Model, keys ...string) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		for _, k := range keys {
			m.Update(keyMsg(k))
			for cmds := m.cmds; len(cmds) > 0; {
				answers := make(chan tea.Msg, len(cmds))
				for _, c := range cmds {
					go func() { answers <- c() }()
				}
				synctest.Wait()
				cmds = nil
				for len(answers) > 0 {
					m.Update(<-answers)
					cmds = append(cmds, m.cmds...)
				}
			}
		}
		<-time.After(time.Hour) // for the timers to end
	})
}

func TestQueueScreen(t *testing.T) {
	open := func(sh *shelf, cfg Config) *Model {
		cfg.Queues, cfg.Theme, cfg.Launched = sh, plain(), true
		m := screen(t, cfg, stateOf(t, "healthy"), 80, 24)
		settle(t, m, "down", "enter")
		return m
	}
	t.Run("browse, read, turn the page", func(t *testing.T) {
		sh := &shelf{}
		m := open(sh, Config{})
		golden(t, "queue-json-80", m.View())
		settle(t, m, "down", "down")
		golden(t, "queue-binary-80", m.View())
		settle(t, m, "n", "b")
		require.Equal(t, []string{"browse orders after ", "browse orders after 4-1047009", "browse orders after "}, sh.did)
		m.Update(tea.WindowSizeMsg{Width: 140, Height: 40})
		golden(t, "queue-140", m.View())
	})
	t.Run("what changes asks first", func(t *testing.T) {
		sh := &shelf{}
		m := open(sh, Config{})
		settle(t, m, "P")
		require.Contains(t, m.View(), "gone for good")
		settle(t, m, "n")
		settle(t, m, "p", "h", "i", "esc", "M", "esc")
		require.Equal(t, []string{"browse orders after "}, sh.did)
		settle(t, m, "p", "h", "i", "enter", "M", "enter", "M", "*", "x", "enter", "P", "y")
		var changes []string
		for _, d := range sh.did {
			if d != "browse orders after " {
				changes = append(changes, d)
			}
		}
		require.Equal(t, []string{"publish orders hi", `move orders [4-1047006] all=false to=""`, `move orders [] all=true to="x"`, "purge orders"}, changes)
		require.Contains(t, m.View(), "purged 1203 of 1204 messages, 1 stay: a consumer has it")
	})
	t.Run("read-only looks and changes nothing", func(t *testing.T) {
		sh := &shelf{}
		m := open(sh, Config{ReadOnly: true})
		settle(t, m, "p", "x", "enter", "P", "y", "M", "enter", "t")
		for _, d := range sh.did {
			require.Contains(t, d, "browse orders")
		}
	})
	t.Run("a message is traced", func(t *testing.T) {
		sh := &shelf{}
		m := open(sh, Config{})
		settle(t, m, "t")
		require.Contains(t, sh.did, "trace")
		golden(t, "trace-80", m.View())
	})
	t.Run("an error is shown", func(t *testing.T) {
		m := open(&shelf{err: errors.New("node at 127.0.0.1:1 refused: needs a token")}, Config{})
		require.Contains(t, m.View(), "needs a token")
	})
	t.Run("nothing is asked without a way to ask", func(t *testing.T) {
		m := screen(t, Config{Theme: plain(), Launched: true}, stateOf(t, "healthy"), 80, 24, "down", "enter")
		require.Contains(t, m.View(), "messages cannot be looked at from here")
	})
}

// TestQueueSizes: the screen fits every window with messages of every kind.
func TestQueueSizes(t *testing.T) {
	m := screen(t, Config{Theme: plain(), Launched: true, Queues: &shelf{}}, stateOf(t, "healthy"), 80, 24)
	settle(t, m, "down", "enter")
	n := seed(t)
	for i := range 4 {
		settle(t, m, "down")
		for w := 1 + int(n+uint64(i))%13; w <= 300; w += 31 {
			for h := 1 + int(n/7)%11; h <= 100; h += 17 {
				m.Update(tea.WindowSizeMsg{Width: w, Height: h})
				fits(t, fmt.Sprintf("message %d %dx%d", i, w, h), m.View(), w, h)
			}
		}
	}
}
