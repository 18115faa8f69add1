// Package tui is the console: the one bubbletea model, the pump that brings
// snapshots to it, and Run, which owns the terminal from the first escape
// sequence to the last.
package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"baton/tui/data"
	"baton/tui/keymap"
	"baton/tui/page"
)

// Source brings snapshots and performs actions. data.Source is the real one.
type Source interface {
	// Run publishes until ctx ends, then returns after all it started has ended.
	Run(ctx context.Context, publish func(*data.Snapshot)) error
	// Do performs an action on a node, within ctx.
	Do(ctx context.Context, action, node string) error
	// Can says whether the cluster supports an action, and if not why. It must
	// not block.
	Can(action string) (ok bool, why string)
}

// Model is the console's state. Update changes it and does no I/O; View draws
// it and changes nothing.
type Model struct {
	cfg   Config
	table keymap.Table[*Model]
	pages []page.Page
	shown int // index into pages
	// landed: a screen was chosen, by the user or by what the cluster is about.
	landed bool

	w, h        int
	sized       bool
	live        *data.Snapshot // newest
	frozen      *data.Snapshot // what the screen is held at, nil when live
	history     []moment       // what a live console remembers, oldest first
	historyRows int            // of all of them
	received    time.Time      // when live arrived, by the clock of ticks
	now         time.Time      // of the stopwatch
	ticking     bool

	dialogs []dialog // the last one is on top and sees keys first
	input   *filterInput
	flash   flash
	target  string // of the chaos menu
	pressed string // the key that is being handled
	mouse   bool
	doing   int // actions under way
	undo    undoable
	ctx     context.Context
	cmds    []tea.Cmd // gathered during one Update
}

// flash is a line of its own for a while.
type flash struct {
	text  string
	bad   bool // stays until a key is pressed
	until int  // generation, so that an old timer does not clear a new text
}

// Messages to the model.
type (
	snapMsg struct {
		snap *data.Snapshot
		at   time.Time
	}
	tickMsg  struct{ at time.Time }
	flashMsg struct{ generation int }
	doneMsg  struct {
		action, node string
		took         time.Duration
		err          error
	}
)

// NewModel returns the model; it can be driven by hand in tests. Actions run
// under ctx.
func NewModel(ctx context.Context, cfg Config) *Model {
	cfg = cfg.withDefaults()
	return &Model{
		cfg: cfg, table: actions(), pages: newPages(), ctx: ctx, mouse: !cfg.NoMouse,
	}
}

// Init implements tea.Model.
func (m *Model) Init() tea.Cmd { return nil }

// Update implements tea.Model.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.cmds = nil
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.resize(msg.Width, msg.Height)
	case snapMsg:
		m.arrived(msg)
	case tickMsg:
		m.ticking = false
		if m.live != nil {
			m.now = m.live.At.Add(max(0, msg.at.Sub(m.received)))
		}
		m.tick()
	case flashMsg:
		if msg.generation == m.flash.until && !m.flash.bad {
			m.flash.text = ""
		}
	case doneMsg:
		m.done(msg)
	case savedMsg:
		m.saved(msg)
	case copiedMsg:
		m.copied(msg)
	case browsedMsg:
		m.browsed(msg)
	case changedMsg:
		m.changed(msg)
	case tracedMsg:
		m.traced(msg)
	case taughtMsg:
		m.taught(msg)
	case tea.KeyMsg:
		m.keys(msg)
	case tea.MouseMsg:
		m.click(msg)
	case tea.ResumeMsg:
		if m.mouse { // bubbletea brings back all but the mouse
			m.cmds = append(m.cmds, tea.EnableMouseCellMotion)
		}
	}
	return m, tea.Batch(m.cmds...)
}

// arrived takes a snapshot. A lesson, and a tree of ActiveMQ, bring up their
// own screen once.
func (m *Model) arrived(msg snapMsg) {
	m.live, m.received, m.now = msg.snap, msg.at, msg.snap.At
	m.remember(msg.snap)
	switch {
	case m.landed:
	case msg.snap.Lesson != nil:
		m.showName(pageLesson)
	case msg.snap.Tree.Foreign:
		m.showName("election")
	}
	m.tick()
}

// resize notes the size. A terminal that reports none is taken for 80x24.
func (m *Model) resize(w, h int) {
	if w <= 0 || h <= 0 {
		w, h = 80, 24
	}
	m.w, m.h, m.sized = w, h, true
}

// tickEvery is how often the stopwatch moves between snapshots.
const tickEvery = 100 * time.Millisecond

// tick arms the one timer, only while a stopwatch runs on a live screen.
func (m *Model) tick() {
	if m.ticking || m.live == nil || m.frozen != nil || m.live.Player != nil || m.live.FailoverNow() == nil {
		return
	}
	m.ticking = true
	m.cmds = append(m.cmds, tea.Tick(tickEvery, func(at time.Time) tea.Msg { return tickMsg{at} }))
}

// snap is what the screen shows.
func (m *Model) snap() *data.Snapshot {
	if m.frozen != nil {
		return m.frozen
	}
	return m.live
}

func (m *Model) page() page.Page { return m.pages[m.shown] }

// keyView is what actions decide by. Faults always look at the live cluster.
func (m *Model) keyView() keymap.View {
	return keymap.View{
		Snap: m.live, Page: m.page().Name(), Target: m.target,
		ReadOnly: m.cfg.ReadOnly, Launched: m.cfg.Launched, Can: m.cfg.Source.Can, Replay: m.cfg.Player != nil,
		Taught: m.cfg.Lesson != nil, Queues: m.cfg.Queues != nil, Queue: m.queuePage().Queue(), Undo: m.undo.action, Why: m.cfg.ReadOnlyWhy,
	}
}

// keys takes apart what arrived as one message: keys that were pressed quickly
// come as several runes. Pasted text is text, never keys.
func (m *Model) keys(msg tea.KeyMsg) {
	if msg.Type != tea.KeyRunes || len(msg.Runes) < 2 || m.input != nil {
		if !msg.Paste || m.input != nil {
			m.key(msg)
		}
		return
	}
	if msg.Paste {
		return
	}
	for i, r := range msg.Runes {
		if m.input != nil { // the keys before began a text: the rest belongs to it
			m.key(tea.KeyMsg{Type: tea.KeyRunes, Runes: msg.Runes[i:]})
			return
		}
		m.key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}, Alt: msg.Alt})
	}
}

// key gives a key to the input line, the top dialog, or the action table.
func (m *Model) key(msg tea.KeyMsg) {
	k := msg.String()
	m.pressed = k
	if m.flash.bad {
		m.flash = flash{until: m.flash.until}
	}
	if k == "ctrl+c" {
		m.interrupt()
		return
	}
	if m.input != nil {
		m.typed(msg)
		return
	}
	if n := len(m.dialogs); n > 0 {
		m.dialogs[n-1].key(m, msg)
		return
	}
	m.act(m.table.Find(k, m.page().Name(), keymap.Global))
}

// act runs an action if it is allowed, after asking if it is dangerous.
func (m *Model) act(a *keymap.Action[*Model]) {
	if a == nil {
		return
	}
	v := m.keyView()
	if ok, why := a.Allowed(v); !ok {
		m.say(a.Label+": "+why, false)
		return
	}
	if a.Danger != nil {
		if risk := a.Danger(v); len(risk) > 0 {
			subject := v.Target
			switch {
			case a.Scope == pageQueue:
				subject = v.Queue
			case a.Whole:
				subject = data.Everything
			}
			m.open(&confirm{title: a.Label + " " + subject, text: risk, action: a, target: v.Target, word: m.confirmWord(subject), typed: newInput("", nameMax)})
			return
		}
	}
	a.Run(m)
}

// confirmWord is what has to be typed: the node's name on somebody else's
// cluster, nothing but y on our own.
func (m *Model) confirmWord(target string) string {
	if m.cfg.Launched {
		return ""
	}
	return target
}

// say shows a line; an error stays until a key is pressed.
func (m *Model) say(text string, bad bool) {
	m.flash = flash{text: data.Clean(text), bad: bad, until: m.flash.until + 1}
	generation := m.flash.until
	if !bad {
		m.cmds = append(m.cmds, tea.Tick(6*time.Second, func(time.Time) tea.Msg { return flashMsg{generation} }))
	}
}

// actionTimeout bounds one action; a dying node may never answer.
const actionTimeout = 20 * time.Second

// do performs an action of the cluster outside Update.
func (m *Model) do(action, node string) {
	src, parent := m.cfg.Source, m.ctx
	m.doing++
	m.dialogs = nil // make room for what follows
	m.say(did(action, node)+m.cfg.Theme.Glyphs.Ellipsis, false)
	m.cmds = append(m.cmds, func() tea.Msg {
		begun := time.Now()
		ctx, cancel := context.WithTimeout(parent, actionTimeout)
		defer cancel()
		err := src.Do(ctx, action, node)
		return doneMsg{action, node, time.Since(begun), err}
	})
}

// did names what is done to a target; what is done to all needs no other name.
func did(action, target string) string {
	if target == data.Everything {
		return action
	}
	return action + " " + target
}

func (m *Model) done(msg doneMsg) {
	m.doing--
	if msg.err != nil {
		m.say(msg.err.Error(), true)
		return
	}
	text := did(msg.action, msg.node) + ": done in " + span(msg.took)
	m.undo = undoable{}
	if v, ok := data.VerbByName(msg.action); ok && v.Undo != "" {
		m.undo = undoable{v.Undo, msg.node}
		text += "   " + m.table.ByID("undo").Key() + " takes it back: " + v.Undo
	}
	m.say(text, false)
}

// interrupt is ctrl+c: the first asks like q, the next one leaves at once.
func (m *Model) interrupt() {
	if n := len(m.dialogs); n > 0 {
		if c, ok := m.dialogs[n-1].(*confirm); ok && c.quits {
			m.cmds = append(m.cmds, tea.Quit)
			return
		}
	}
	m.input = nil
	m.quit()
}

// quit asks first when the nodes would stop with the console.
func (m *Model) quit() {
	running := 0
	if m.live != nil {
		for _, p := range m.live.Processes {
			if p.State != data.ProcessExited {
				running++
			}
		}
	}
	if !m.cfg.Launched || running == 0 {
		m.cmds = append(m.cmds, tea.Quit)
		return
	}
	m.open(&confirm{title: "stop the cluster and quit", quits: true, text: quitText(running)})
}

func (m *Model) click(msg tea.MouseMsg) {
	if m.snap() == nil || len(m.dialogs) > 0 {
		return
	}
	f := m.frame()
	switch {
	case msg.Button == tea.MouseButtonWheelUp:
		m.page().Command(page.Up, f)
	case msg.Button == tea.MouseButtonWheelDown:
		m.page().Command(page.Down, f)
	case msg.Button == tea.MouseButtonLeft && msg.Action == tea.MouseActionPress:
		m.page().Click(msg.X, msg.Y-m.bodyTop(), f)
	}
}
