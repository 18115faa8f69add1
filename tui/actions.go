package tui

import (
	tea "github.com/charmbracelet/bubbletea"

	"baton/tui/data"
	"baton/tui/keymap"
	"baton/tui/page"
)

type action = keymap.Action[*Model]

// actions is the table of everything a user can do. No action outside the
// chaos menu changes the cluster: no single key on a page can hurt.
func actions() keymap.Table[*Model] {
	t := keymap.Table[*Model]{
		{ID: "help", Keys: []string{"?"}, Label: "help", Help: "show or hide this help", Short: true, Run: func(m *Model) { m.open(&help{}) }},
		{ID: "quit", Keys: []string{"q"}, Label: "quit", Help: "leave; asks first when launched nodes would stop", Short: true, Run: (*Model).quit},
		{ID: "chaos", Keys: []string{"x"}, Label: "chaos", Help: "open the menu of faults and other actions on nodes", Short: true,
			Enabled: func(v keymap.View) (bool, string) {
				switch {
				case v.ReadOnly:
					return false, keymap.ReadOnlyWhy
				case v.Snap == nil || len(v.Snap.Targets()) == 0:
					return false, "no node is known yet"
				}
				return true, ""
			}, Run: (*Model).openChaos},
		{ID: "filter", Keys: []string{"/"}, Label: "filter", Help: "show only rows whose name contains a text", Short: true,
			Enabled: hasSnap, Run: (*Model).beginFilter},
		{ID: "sort", Keys: []string{"s"}, Label: "sort", Help: "order the rows by the next column", Short: true, Enabled: hasSnap,
			Run: func(m *Model) {
				if p, ok := m.page().(page.Sorter); ok {
					m.say("sorted by "+p.NextSort(), false)
				}
			}},
		{ID: "freeze", Keys: []string{" "}, Label: "freeze", Help: "hold the screen while the data goes on; again to go live", Short: true,
			Enabled: hasSnap, Run: (*Model).freeze},
		{ID: "pane.next", Keys: []string{"tab"}, Label: "next pane", Help: "focus the next pane", Short: true, Enabled: hasSnap, Run: move(page.NextPane)},
		{ID: "pane.prev", Keys: []string{"shift+tab"}, Label: "pane back", Help: "focus the previous pane", Enabled: hasSnap, Run: move(page.PrevPane)},
		{ID: "pane", Keys: []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}, Label: "pane", Help: "focus a pane by its number", Enabled: hasSnap,
			Run: func(m *Model) { m.page().Pane(int(m.pressed[0]-'0'), m.frame()) }},
		{ID: "mouse", Keys: []string{"m"}, Label: "mouse", Help: "turn the mouse on or off; off lets the terminal select text", Short: true, Run: (*Model).toggleMouse},
		{ID: "left", Keys: []string{"left", "h"}, Label: "left", Help: "previous node", Enabled: hasSnap, Run: move(page.Left)},
		{ID: "right", Keys: []string{"right", "l"}, Label: "right", Help: "next node", Enabled: hasSnap, Run: move(page.Right)},
		{ID: "up", Keys: []string{"up", "k"}, Label: "up", Help: "one row up", Enabled: hasSnap, Run: move(page.Up)},
		{ID: "down", Keys: []string{"down", "j"}, Label: "down", Help: "one row down", Enabled: hasSnap, Run: move(page.Down)},
		{ID: "pageup", Keys: []string{"pgup", "ctrl+u"}, Label: "page up", Help: "one page up", Enabled: hasSnap, Run: move(page.PageUp)},
		{ID: "pagedown", Keys: []string{"pgdown", "ctrl+d"}, Label: "page down", Help: "one page down", Enabled: hasSnap, Run: move(page.PageDown)},
		{ID: "top", Keys: []string{"home", "g"}, Label: "top", Help: "first row, oldest event", Enabled: hasSnap, Run: move(page.Top)},
		{ID: "bottom", Keys: []string{"end", "G"}, Label: "bottom", Help: "last row, newest event", Enabled: hasSnap, Run: move(page.Bottom)},
		{ID: "back", Keys: []string{"esc"}, Label: "back", Help: "close what is open; clear the filter; go live", Run: (*Model).back},
		{ID: "redraw", Keys: []string{"ctrl+l"}, Label: "redraw", Help: "draw the whole screen again", Run: func(m *Model) { m.cmds = append(m.cmds, tea.ClearScreen) }},
		{ID: "suspend", Keys: []string{"ctrl+z"}, Label: "suspend", Help: "back to the shell; fg returns (launched nodes go on)", Run: func(m *Model) { m.cmds = append(m.cmds, tea.Suspend) }},
	}
	return append(t, faults()...)
}

func move(c page.Command) func(*Model) {
	return func(m *Model) { m.page().Command(c, m.frame()) }
}

func hasSnap(v keymap.View) (bool, string) { return v.Snap != nil, "nothing is known yet" }

// faults are the actions of the chaos menu.
func faults() []action {
	one := func(id, key, verb, label, help string) action {
		return action{
			ID: "chaos." + id, Keys: []string{key}, Label: label, Help: help, Scope: keymap.Chaos, Mutates: true,
			Enabled: possible(verb),
			Danger:  func(v keymap.View) []string { return v.Snap.Risk(verb, v.Target) },
			Run:     func(m *Model) { m.do(verb, m.target) },
		}
	}
	return []action{
		one("kill", "k", data.ActionKill, "kill", "SIGKILL: no goodbye, sockets close at once"),
		one("stop", "t", data.ActionStop, "terminate", "SIGTERM: a clean stop, it says goodbye"),
		one("pause", "p", data.ActionPause, "pause", "SIGSTOP: alive but silent, a zombie"),
		one("resume", "c", data.ActionResume, "continue", "SIGCONT: a paused process goes on"),
		one("start", "s", data.ActionStart, "start", "start a process that is down"),
		one("restart", "R", data.ActionRestart, "restart", "clean stop, then start again"),
		one("cut", "z", data.ActionCut, "cut links", "take its links to nodes and ZooKeeper away"),
		one("heal", "u", data.ActionHeal, "heal", "give it its links back"),
		one("transfer", "T", data.ActionTransfer, "transfer", "hand leadership over without losing a message"),
	}
}

// possible says whether a fault can be done to the target now.
func possible(verb string) func(keymap.View) (bool, string) {
	return func(v keymap.View) (bool, string) {
		if v.Snap == nil || v.Target == "" {
			return false, "no target"
		}
		if v.Can != nil {
			if ok, why := v.Can(verb); !ok {
				return false, why
			}
		}
		return fitsState(v.Snap, verb, v.Target)
	}
}

// fitsState is a flat table from what the target is to what can be done to it.
func fitsState(s *data.Snapshot, verb, target string) (bool, string) {
	n, p := s.NodeByID(target), s.ProcessByName(target)
	state := data.ProcessRunning
	switch {
	case p != nil:
		state = p.State
	case n != nil && n.State == data.StateDown:
		state = data.ProcessExited
	}
	switch verb {
	case data.ActionKill, data.ActionRestart:
		return state != data.ProcessExited, target + " is down"
	case data.ActionStop, data.ActionPause:
		if state == data.ProcessPaused {
			return false, target + " is paused: continue it first"
		}
		return state != data.ProcessExited, target + " is down"
	case data.ActionResume:
		return state == data.ProcessPaused, target + " is not paused"
	case data.ActionStart:
		return state == data.ProcessExited, target + " is running"
	case data.ActionCut, data.ActionHeal:
		if n == nil {
			return false, "only nodes have links to cut"
		}
		return state != data.ProcessExited, target + " is down"
	case data.ActionTransfer:
		return canTransfer(s, n, target)
	}
	return false, "not known"
}

func canTransfer(s *data.Snapshot, n *data.Node, target string) (bool, string) {
	switch {
	case n == nil:
		return false, "only a node can lead"
	case s.Leader == "":
		return false, "no leader to hand over"
	case n.ID == s.Leader && s.Quorum.Have < 2:
		return false, "no follower is in sync"
	case n.ID == s.Leader || n.State == data.StateInSync:
		return true, ""
	}
	return false, target + " is not in sync"
}

func (m *Model) toggleMouse() {
	m.mouse = !m.mouse
	if m.mouse {
		m.cmds = append(m.cmds, tea.EnableMouseCellMotion)
		m.say("mouse on; shift or option and drag selects text", false)
		return
	}
	m.cmds = append(m.cmds, tea.DisableMouse)
	m.say("mouse off; the terminal selects text", false)
}

func (m *Model) back() {
	if p, ok := m.page().(page.Filterer); ok && p.Filter() != "" {
		p.SetFilter("")
		return
	}
	if m.shown != 0 {
		m.shown = 0
		return
	}
	if m.frozen != nil {
		m.freeze()
	}
}
