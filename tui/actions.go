package tui

import (
	"strconv"

	tea "github.com/charmbracelet/bubbletea"

	"baton/tui/data"
	"baton/tui/keymap"
	"baton/tui/page"
)

type action = keymap.Action[*Model]

// actions is the table of everything a user can do. No action outside the
// menu of faults changes the cluster: no single key on a page can hurt.
func actions() keymap.Table[*Model] {
	t := keymap.Table[*Model]{
		{ID: "help", Keys: []string{"?"}, Label: "help", Help: "show or hide this help", Short: true, Run: func(m *Model) { m.open(&help{}) }},
		{ID: "quit", Keys: []string{"q"}, Label: "quit", Help: "leave; asks first when launched nodes would stop", Short: true, Run: (*Model).quit},
	}
	for i, name := range pageNames {
		t = append(t, action{ID: "page." + name, Keys: []string{strconv.Itoa(i + 1)}, Label: name, Help: pageHelp[name],
			Enabled: func(v keymap.View) (bool, string) {
				if name == pageLesson && (v.Snap == nil || v.Snap.Lesson == nil) {
					return false, "no lesson runs: start one with baton demo --lesson NAME"
				}
				return true, ""
			},
			Run: func(m *Model) { m.show(i) }})
	}
	t = append(t, keymap.Table[*Model]{
		{ID: "chaos", Keys: []string{"x"}, Label: "actions", Help: "open the menu of what can be done to nodes and links", Short: true,
			Enabled: func(v keymap.View) (bool, string) {
				switch {
				case v.ReadOnly:
					return false, v.Refusal()
				case v.Snap == nil || len(v.Snap.Targets()) == 0:
					return false, "no node is known yet"
				}
				return true, ""
			}, Run: (*Model).openChaos},
		{ID: "filter", Keys: []string{"/"}, Label: "filter", Help: "show only rows or lines that contain a text", Short: true,
			Enabled: hasSnap, Run: (*Model).beginFilter},
		{ID: "palette", Keys: []string{":"}, Label: "command", Help: "find any action by its name and do it", Short: true, Run: (*Model).openPalette},
		{ID: "sort", Keys: []string{"s"}, Label: "sort", Help: "order the rows by the next column", Scope: "overview", Short: true, Enabled: hasSnap,
			Run: func(m *Model) {
				if p, ok := m.page().(page.Sorter); ok {
					m.say("sorted by "+p.NextSort(), false)
				}
			}},
		{ID: "election.raw", Keys: []string{"v"}, Label: "raw", Help: "the selected member as ZooKeeper holds it, or the decision", Scope: "election", Short: true, Run: pressed("election.raw")},
		{ID: "logs.follow", Keys: []string{"f"}, Label: "follow", Help: "hold the lines, or follow them again", Scope: "logs", Short: true, Enabled: hasSnap, Run: pressed("logs.follow")},
		{ID: "logs.level", Keys: []string{"v"}, Label: "level", Help: "show lines from the next level up", Scope: "logs", Short: true, Enabled: hasSnap, Run: pressed("logs.level")},
		{ID: "logs.wrap", Keys: []string{"w"}, Label: "wrap", Help: "break long lines, or cut them", Scope: "logs", Short: true, Enabled: hasSnap, Run: pressed("logs.wrap")},
	}...)
	t = append(t, savingActions()...)
	t = append(t, keymap.Table[*Model]{
		{ID: "undo", Keys: []string{"U"}, Label: "undo", Help: "take the last action back: start what was killed, heal what was cut", Mutates: true,
			Enabled: canUndo, Run: (*Model).undoLast},
	}...)
	t = append(t, timeActions()...)
	t = append(t, lessonActions()...)
	t = append(t, queueActions()...)
	t = append(t, keymap.Table[*Model]{
		{ID: "pane.next", Keys: []string{"tab"}, Label: "next pane", Help: "focus the next pane", Short: true, Enabled: hasSnap, Run: move(page.NextPane)},
		{ID: "pane.prev", Keys: []string{"shift+tab"}, Label: "pane back", Help: "focus the previous pane", Enabled: hasSnap, Run: move(page.PrevPane)},
		{ID: "mouse", Keys: []string{"m"}, Label: "mouse", Help: "turn the mouse on or off; off lets the terminal select text", Short: true, Run: (*Model).toggleMouse},
		{ID: "left", Keys: []string{"left", "h"}, Label: "left", Help: "previous node", Enabled: hasSnap, Run: move(page.Left)},
		{ID: "right", Keys: []string{"right", "l"}, Label: "right", Help: "next node", Enabled: hasSnap, Run: move(page.Right)},
		{ID: "up", Keys: []string{"up", "k"}, Label: "up", Help: "one row up", Enabled: hasSnap, Run: move(page.Up)},
		{ID: "down", Keys: []string{"down", "j"}, Label: "down", Help: "one row down", Enabled: hasSnap, Run: move(page.Down)},
		{ID: "pageup", Keys: []string{"pgup", "ctrl+u"}, Label: "page up", Help: "one page up", Enabled: hasSnap, Run: move(page.PageUp)},
		{ID: "pagedown", Keys: []string{"pgdown", "ctrl+d"}, Label: "page down", Help: "one page down", Enabled: hasSnap, Run: move(page.PageDown)},
		{ID: "top", Keys: []string{"home", "g"}, Label: "top", Help: "first row, oldest event", Enabled: hasSnap, Run: move(page.Top)},
		{ID: "bottom", Keys: []string{"end", "G"}, Label: "bottom", Help: "last row, newest event", Enabled: hasSnap, Run: move(page.Bottom)},
		{ID: "back", Keys: []string{"esc"}, Label: "back", Help: "close what is open; clear the filter; go live; the overview", Run: (*Model).back},
		{ID: "redraw", Keys: []string{"ctrl+l"}, Label: "redraw", Help: "draw the whole screen again", Run: func(m *Model) { m.cmds = append(m.cmds, tea.ClearScreen) }},
		{ID: "suspend", Keys: []string{"ctrl+z"}, Label: "suspend", Help: "back to the shell; fg returns (launched nodes go on)", Run: (*Model).suspend},
	}...)
	return append(t, faults()...)
}

func canUndo(v keymap.View) (bool, string) { return v.Undo != "", "nothing to take back" }

// savingActions take something out of the console.
func savingActions() []action {
	return []action{
		{ID: "export", Keys: []string{"E"}, Label: "export", Help: "write the report of this run: Markdown, JSON and a picture of the screen", Short: true, Enabled: hasSnap, Run: (*Model).export},
		{ID: "copy", Keys: []string{"y"}, Label: "copy", Help: "copy what is selected: a message, the last log line, the report on a failover, an action's command", Enabled: hasSnap, Run: (*Model).copySelected},
		{ID: "picture", Keys: []string{"ctrl+s"}, Label: "picture", Help: "save this screen as SVG and text", Enabled: hasSnap, Run: (*Model).picture},
	}
}

func move(c page.Command) func(*Model) {
	return func(m *Model) { m.page().Command(c, m.frame()) }
}

// pressed hands an action of a page to the page.
func pressed(id string) func(*Model) {
	return func(m *Model) {
		if p, ok := m.page().(page.Presser); ok {
			if text := p.Press(id, m.frame()); text != "" {
				m.say(text, false)
			}
		}
	}
}

func hasSnap(v keymap.View) (bool, string) { return v.Snap != nil, "nothing is known yet" }

// faults are the actions of the menu, one for each verb that the data layer knows.
func faults() []action {
	var out []action
	for _, v := range data.Verbs() {
		out = append(out, action{
			ID: "do." + v.Name, Keys: []string{v.Key}, Label: v.Label, Help: v.Help, Scope: keymap.Chaos, Mutates: true, Whole: v.Reach == data.ReachCluster,
			Enabled: possible(v),
			Danger:  func(k keymap.View) []string { return v.Warning(k.Snap, k.Target) },
			Run:     func(m *Model) { m.do(v.Name, v.Aim(m.target)) },
		})
	}
	return out
}

// possible says whether a verb can be done to the target now.
func possible(verb data.Verb) func(keymap.View) (bool, string) {
	return func(v keymap.View) (bool, string) {
		if v.Snap == nil || v.Target == "" && verb.Reach != data.ReachCluster {
			return false, "no target"
		}
		if v.Can != nil {
			if ok, why := v.Can(verb.Name); !ok {
				return false, why
			}
		}
		return verb.Fits(v.Snap, v.Target)
	}
}

func (m *Model) suspend() {
	if m.cfg.Remote {
		m.say("suspend: there is no shell behind this screen", false)
		return
	}
	m.cmds = append(m.cmds, tea.Suspend)
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
		m.goLive()
	}
}
