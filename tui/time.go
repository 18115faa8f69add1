package tui

import (
	"fmt"
	"time"

	"baton/tui/component"
	"baton/tui/data"
	"baton/tui/keymap"
	"baton/tui/style"
)

// Player steps through the recording that a source shows.
type Player interface {
	Toggle()              // play or hold
	Step(frames int)      // and hold
	Event(step int)       // to the next or last frame that brought an event
	Skip(d time.Duration) // forwards or backwards
	Faster(step int)
}

// player steps through the recording that is shown, nil if the cluster is live
// or somebody else plays.
func (m *Model) player() Player { return m.cfg.Player }

// timeActions move in time: in a recording, or among the snapshots that a live
// console remembers.
func timeActions() []action {
	replay := func(v keymap.View) (bool, string) { return v.Replay, "only in a recording" }
	return []action{
		{ID: "freeze", Keys: []string{" "}, Label: "freeze", Help: "hold the screen while the data goes on, or play and hold a recording", Short: true,
			Enabled: hasSnap, Run: (*Model).freeze},
		{ID: "step.back", Keys: []string{"["}, Label: "back in time", Help: "one step back in time", Enabled: hasSnap, Run: func(m *Model) { m.step(-1) }},
		{ID: "step.on", Keys: []string{"]"}, Label: "on in time", Help: "one step on in time", Enabled: hasSnap, Run: func(m *Model) { m.step(1) }},
		{ID: "event.back", Keys: []string{"{"}, Label: "event back", Help: "back to where the last event came", Enabled: hasSnap, Run: func(m *Model) { m.event(-1) }},
		{ID: "event.on", Keys: []string{"}"}, Label: "event on", Help: "on to where the next event came", Enabled: hasSnap, Run: func(m *Model) { m.event(1) }},
		{ID: "live", Keys: []string{"L"}, Label: "live", Help: "back to now", Enabled: hasSnap, Run: (*Model).goLive},
		{ID: "skip.back", Keys: []string{"("}, Label: "10 s back", Help: "ten seconds back in a recording", Enabled: replay, Run: func(m *Model) { m.player().Skip(-10 * time.Second) }},
		{ID: "skip.on", Keys: []string{")"}, Label: "10 s on", Help: "ten seconds on in a recording", Enabled: replay, Run: func(m *Model) { m.player().Skip(10 * time.Second) }},
		{ID: "slower", Keys: []string{"-"}, Label: "slower", Help: "play a recording slower", Enabled: replay, Run: func(m *Model) { m.player().Faster(-1) }},
		{ID: "faster", Keys: []string{"+"}, Label: "faster", Help: "play a recording faster", Enabled: replay, Run: func(m *Model) { m.player().Faster(1) }},
	}
}

// Bounds of what a live console remembers: at four snapshots a second two
// minutes, less when snapshots are heavy: they hold very many queues, or bursts
// of events that came out of order.
const (
	historyMax   = 480
	historyLeast = 20
	historyRows  = 100_000 // of queues and events, in all snapshots together
	historyGap   = 100 * time.Millisecond
)

// moment is a snapshot that a live console remembers.
type moment struct {
	*data.Snapshot
	rows int // that it does not share with the one before
}

// remember keeps a live snapshot for stepping back to.
func (m *Model) remember(s *data.Snapshot) {
	if s.Player != nil {
		return
	}
	now := moment{s, len(s.Queues) + 1 + len(s.Events)}
	if n := len(m.history); n > 0 {
		last := m.history[n-1]
		if sharesEvents(last.Snapshot, s) {
			now.rows -= len(s.Events)
		}
		if s.At.Sub(last.At) < historyGap && s.EventsAll == last.EventsAll {
			m.historyRows -= last.rows
			now.rows = max(now.rows, last.rows)
			m.history = m.history[:n-1]
		}
	}
	m.history = append(m.history, now)
	m.historyRows += now.rows
	over := 0
	for n := len(m.history); n-over > historyMax || m.historyRows > historyRows && n-over > historyLeast; over++ {
		m.historyRows -= m.history[over].rows
	}
	clear(m.history[:over])
	m.history = m.history[over:]
}

// sharesEvents says that two snapshots, the older first, hold their events in one array.
func sharesEvents(a, b *data.Snapshot) bool {
	last := len(a.Events) - 1
	same := len(b.Events) - 1 - int(b.EventsAll-a.EventsAll)
	return b.EventsAll >= a.EventsAll && last >= 0 && same >= 0 && same < len(b.Events) && &a.Events[last] == &b.Events[same]
}

// at is where the screen stands in the history, its end when live.
func (m *Model) at() int {
	for i, s := range m.history {
		if s.Snapshot == m.frozen {
			return i
		}
	}
	if m.frozen != nil {
		return 0 // it fell out of the history
	}
	return len(m.history) - 1
}

func (m *Model) step(by int) {
	if p := m.player(); p != nil {
		p.Step(by)
		return
	}
	if len(m.history) == 0 {
		return
	}
	m.frozen = m.history[max(0, min(m.at()+by, len(m.history)-1))].Snapshot
}

func (m *Model) event(by int) {
	if p := m.player(); p != nil {
		p.Event(by)
		return
	}
	for i := m.at() + by; i > 0 && i < len(m.history); i += by {
		if m.history[i].EventsAll > m.history[i-1].EventsAll {
			m.frozen = m.history[i].Snapshot
			return
		}
	}
}

// freeze holds the screen, or lets it go.
func (m *Model) freeze() {
	if p := m.player(); p != nil {
		p.Toggle()
		return
	}
	if m.frozen != nil {
		m.goLive()
		return
	}
	m.frozen = m.live
}

func (m *Model) goLive() {
	m.frozen = nil
	m.tick()
}

// timeBadge says when what is shown was, if that is not now.
func (m *Model) timeBadge() string {
	t := m.cfg.Theme
	if m.live != nil && m.live.Player != nil {
		p := m.live.Player
		word := "held"
		if p.Playing {
			word = fmt.Sprintf("x%g", p.Speed)
		}
		return "  " + t.Paint(style.WarnBadge, fmt.Sprintf(" %s/%s %s ", component.Span(p.At), component.Span(p.Length), word)) + " "
	}
	if m.frozen == nil {
		return " "
	}
	text := fmt.Sprintf(" FROZEN +%d ", m.live.EventsAll-min(m.live.EventsAll, m.frozen.EventsAll))
	if ago := m.live.At.Sub(m.frozen.At); ago > time.Second {
		text = fmt.Sprintf(" %s ago +%d ", component.Span(ago), m.live.EventsAll-min(m.live.EventsAll, m.frozen.EventsAll))
	}
	return "  " + t.Paint(style.WarnBadge, text) + " "
}
