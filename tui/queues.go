package tui

import (
	"context"
	"fmt"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"baton/demo/trace"
	"baton/node/adminapi"
	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/keymap"
	"baton/tui/page"
	"baton/tui/page/queue"
	"baton/tui/style"
)

// Queues reads and changes the messages of queues. Every method may block
// until its context ends.
type Queues interface {
	Browse(ctx context.Context, queue string, b adminapi.Browse) (adminapi.Page, error)
	Publish(ctx context.Context, queue, text string) (id string, err error)
	Purge(ctx context.Context, queue string) (adminapi.Progress, error)
	MoveMessages(ctx context.Context, queue string, m adminapi.Move) (adminapi.Progress, error)
	// Trace sends a message through a queue of its own and follows it.
	Trace(ctx context.Context) (trace.Trace, error)
}

const pageQueue = "queue"

// browsedMsg is the answer to a browse.
type browsedMsg struct {
	queue string
	page  adminapi.Page
	err   error
}

// changedMsg says what became of a change of messages.
type changedMsg struct {
	text string
	err  error
}

func (m *Model) queuePage() *queue.Page {
	for _, p := range m.pages {
		if q, ok := p.(*queue.Page); ok {
			return q
		}
	}
	return nil
}

// queueActions are the keys of the queue's screen.
func queueActions() []action {
	open := func(v keymap.View) (bool, string) {
		switch {
		case !v.Queues:
			return false, "messages cannot be looked at from here"
		case v.Queue == "":
			return false, "no queue is open: choose one on screen 1"
		}
		return true, ""
	}
	return []action{
		{ID: "queue.open", Keys: []string{"enter"}, Label: "open queue", Help: "look into the queue under the cursor", Scope: "overview", Short: true,
			Enabled: func(v keymap.View) (bool, string) { return v.Queues, "messages cannot be looked at from here" }, Run: (*Model).openQueue},
		{ID: "queue.again", Keys: []string{"r", "enter"}, Label: "again", Help: "ask the leader again", Scope: pageQueue, Short: true, Enabled: open, Run: (*Model).browse},
		{ID: "queue.next", Keys: []string{"n"}, Label: "next part", Help: "the next messages", Scope: pageQueue, Short: true, Enabled: open, Run: func(m *Model) {
			if m.queuePage().Next() {
				m.browse()
			}
		}},
		{ID: "queue.back", Keys: []string{"b"}, Label: "part back", Help: "the messages before", Scope: pageQueue, Enabled: open, Run: func(m *Model) {
			if m.queuePage().Back() {
				m.browse()
			}
		}},
		{ID: "queue.form", Keys: []string{"v"}, Label: "form", Help: "bodies as JSON or text, plain text, or hexadecimal", Scope: pageQueue, Short: true, Run: pressed("queue.form")},
		{ID: "queue.publish", Keys: []string{"p"}, Label: "publish", Help: "put a text into the queue", Scope: pageQueue, Short: true, Mutates: true, Enabled: open, Run: (*Model).askPublish},
		{ID: "queue.move", Keys: []string{"M"}, Label: "move", Help: "move the message under the cursor, or all, to another queue; dead letters to where they came from", Scope: pageQueue, Mutates: true,
			Enabled: open, Run: (*Model).askMove},
		{ID: "trace", Keys: []string{"t"}, Label: "trace", Help: "send one message through a queue of its own and follow it: logs, commit, delivery, acknowledgement", Scope: pageQueue, Short: true, Mutates: true,
			Enabled: func(v keymap.View) (bool, string) { return v.Queues, "no message can be sent from here" }, Run: (*Model).trace},
		{ID: "queue.purge", Keys: []string{"P"}, Label: "purge", Help: "remove every message that no consumer has", Scope: pageQueue, Mutates: true, Enabled: open,
			Danger: purgeWarning, Run: func(m *Model) { m.purge(m.queuePage().Queue()) }},
	}
}

func purgeWarning(v keymap.View) []string {
	for i := range v.Snap.Queues {
		if q := &v.Snap.Queues[i]; q.Name == v.Queue {
			return []string{fmt.Sprintf("%s messages are in %s; %d are with consumers and stay.", component.Grouped(q.Depth), q.Name, q.Pending), "What is purged is gone for good."}
		}
	}
	return []string{"What is purged is gone for good."}
}

// openQueue shows the queue under the overview's cursor.
func (m *Model) openQueue() {
	s, ok := m.page().(interface {
		SelectedQueue(*data.Snapshot) string
	})
	if !ok {
		return
	}
	name := s.SelectedQueue(m.snap())
	if name == "" {
		m.say("choose a queue first", false)
		return
	}
	m.queuePage().Open(name)
	m.showName(pageQueue)
	m.browse()
}

// queueTimeout bounds one question about messages, and one change of them.
const queueTimeout = 30 * time.Second

// browse asks for the part that the page wants.
func (m *Model) browse() {
	q, p, parent := m.cfg.Queues, m.queuePage(), m.ctx
	name, want := p.Queue(), p.Want()
	m.cmds = append(m.cmds, func() tea.Msg {
		ctx, cancel := context.WithTimeout(parent, queueTimeout)
		defer cancel()
		got, err := q.Browse(ctx, name, want)
		return browsedMsg{name, got, err}
	})
}

func (m *Model) browsed(msg browsedMsg) {
	m.queuePage().Took(msg.queue, msg.page, msg.err, m.live.At)
}

// change does something to messages outside Update and looks again.
func (m *Model) change(do func(context.Context) (string, error)) {
	parent := m.ctx
	m.dialogs = nil
	m.say("asked the leader"+m.cfg.Theme.Glyphs.Ellipsis, false)
	m.cmds = append(m.cmds, func() tea.Msg {
		ctx, cancel := context.WithTimeout(parent, queueTimeout)
		defer cancel()
		text, err := do(ctx)
		return changedMsg{text, err}
	})
}

func (m *Model) changed(msg changedMsg) {
	if msg.err != nil {
		m.say(msg.err.Error(), true)
	} else {
		m.say(msg.text, false)
	}
	if m.cfg.Queues != nil && m.queuePage().Queue() != "" {
		m.browse()
	}
}

func (m *Model) purge(name string) {
	q := m.cfg.Queues
	m.change(func(ctx context.Context) (string, error) {
		p, err := q.Purge(ctx, name)
		return progressText("purged", p), err
	})
}

func progressText(verb string, p adminapi.Progress) string {
	text := fmt.Sprintf("%s %d of %d messages", verb, p.Done, p.Total)
	if p.Kept > 0 {
		text += fmt.Sprintf(", %d stay", p.Kept)
		if p.Why != "" {
			text += ": " + p.Why
		}
	}
	return text
}

// tracedMsg is a message's way.
type tracedMsg struct {
	trace trace.Trace
	err   error
}

// trace follows a message outside Update.
func (m *Model) trace() {
	q, parent := m.cfg.Queues, m.ctx
	m.say("a message is on its way"+m.cfg.Theme.Glyphs.Ellipsis, false)
	m.cmds = append(m.cmds, func() tea.Msg {
		ctx, cancel := context.WithTimeout(parent, queueTimeout)
		defer cancel()
		t, err := q.Trace(ctx)
		return tracedMsg{t, err}
	})
}

func (m *Model) traced(msg tracedMsg) {
	if msg.err != nil {
		m.say(msg.err.Error(), true)
		return
	}
	m.flash = flash{until: m.flash.until}
	m.open(&traced{msg.trace})
}

// traced shows a message's way; any key closes it.
type traced struct{ trace.Trace }

func (d *traced) key(m *Model, _ tea.KeyMsg) { m.close() }

func (d *traced) render(_ *Model, f page.Frame) []string {
	t, w := f.Theme, min(76, f.W)
	lines := []string{" " + d.ID + t.Paint(style.Dim, "   position "+component.Grouped(d.Position)+" of the log"), ""}
	for _, s := range d.Steps {
		at, role := t.Glyphs.Unknown+" not seen", style.Warn
		if s.At >= 0 {
			at, role = fmt.Sprintf("+%.1f ms", float64(s.At.Microseconds())/1000), style.Accent
		}
		node := ""
		if s.Node != "" {
			node = t.Paint(style.Strong, component.Pad(s.Node, 5))
		}
		lines = append(lines, t.Paint(role, component.PadLeft(at, 12))+"  "+component.Pad(node, 5)+" "+s.What)
	}
	box := component.Box{Title: t.Paint(style.Strong, "one message's way"), Focus: true, Footer: t.Paint(style.Dim, "as seen from here; any key closes")}
	return box.Render(t, lines, w, min(f.H, len(lines)+2))
}

// ask is a dialog with one line to type.
type ask struct {
	title, text string
	*input
	run func(m *Model, text string)
}

func (a *ask) key(m *Model, msg tea.KeyMsg) {
	switch msg.String() {
	case "esc":
		m.close()
	case "enter":
		m.close()
		a.run(m, a.input.text())
	default:
		a.input.key(msg)
	}
}

func (a *ask) render(_ *Model, f page.Frame) []string {
	t, w := f.Theme, min(70, f.W)
	lines := []string{""}
	for _, l := range page.Wrap(a.text, w-6) {
		lines = append(lines, "  "+l)
	}
	lines = append(lines, "", "  > "+a.input.render(t), "", "  "+t.Paint(style.Strong, "enter")+" do it    "+t.Paint(style.Strong, "esc")+" cancel")
	return component.Box{Title: t.Paint(style.Strong, a.title), Focus: true}.Render(t, lines, w, min(f.H, len(lines)+2))
}

// publishMax bounds a text that is typed.
const publishMax = 4096

func (m *Model) askPublish() {
	name, q := m.queuePage().Queue(), m.cfg.Queues
	m.open(&ask{title: "publish to " + name, text: "The text becomes the body of a durable message.", input: newInput("", publishMax), run: func(m *Model, text string) {
		if text == "" {
			m.say("nothing was published: the text is empty", false)
			return
		}
		m.change(func(ctx context.Context) (string, error) {
			id, err := q.Publish(ctx, name, text)
			return "committed: " + id, err
		})
	}})
}

func (m *Model) askMove() {
	name, q := m.queuePage().Queue(), m.cfg.Queues
	sel, ok := m.queuePage().Selected()
	if !ok {
		m.say("the queue shows no message to move", false)
		return
	}
	m.open(&ask{title: "move from " + name, text: "Where to, as in /queue/orders? Nothing means where a dead letter came from. Begin with * to move all that are there, not only " + sel.ID + ".",
		input: newInput("", nameMax*2), run: func(m *Model, text string) {
			mv := adminapi.Move{Refs: []string{sel.Ref}}
			if rest, all := strings.CutPrefix(text, "*"); all {
				mv, text = adminapi.Move{All: true}, rest
			}
			mv.To = strings.TrimSpace(text)
			m.change(func(ctx context.Context) (string, error) {
				p, err := q.MoveMessages(ctx, name, mv)
				return progressText("moved", p), err
			})
		}})
}
