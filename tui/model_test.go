package tui

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"baton/tui/data"
	"baton/tui/keymap"
	"baton/tui/style"
	"baton/tui/tuitest"
)

// fits checks what every frame must be: no more lines and cells than there are.
func fits(t *testing.T, what, view string, w, h int) {
	t.Helper()
	lines := strings.Split(view, "\n")
	if len(lines) > h {
		t.Fatalf("%s: %d lines on %d rows", what, len(lines), h)
	}
	for i, l := range lines {
		if n := ansi.StringWidth(l); n > w {
			t.Fatalf("%s: line %d is %d cells on %d columns: %q", what, i, n, w, l)
		}
	}
}

// TestSizes draws every state with every kind of dialog and focus at sizes from
// 1x1 to 300x100: a grid that begins somewhere else in each run, or all of them
// with BATON_SIZES=all.
func TestSizes(t *testing.T) {
	n := seed(t)
	all := os.Getenv("BATON_SIZES") == "all"
	variants := [][]string{nil, {"x"}, {"x", "k"}, {"?"}, {"q"}, {"/"}, {"2"}, {"3"}, {"4"}, {"5"}, {"6"}, {"7"}, {":"}, {"2", "v"}, {"4", "w"}}
	for i, st := range tuitest.States() {
		t.Run(st.Name, func(t *testing.T) {
			for v, keys := range variants {
				if v > 0 && !all && (n+uint64(v+i))%3 > 0 { // another third in each run
					continue
				}
				m := screen(t, setup(style.New(style.Level(v%3), false, v%2 == 1), st.Snap), st.Snap, 80, 24, keys...)
				stepW, stepH := 47, 23
				switch {
				case all:
					stepW, stepH = 1, 1
				case raceEnabled: // the race detector has nothing to find here
					stepW, stepH = 97, 41
				case v == 0:
					stepW, stepH = 19, 11
				}
				for w := 1 + int(n+uint64(v))%stepW; w <= 300; w += stepW {
					for h := 1 + int(n/100+uint64(w))%stepH; h <= 100; h += stepH {
						m.Update(tea.WindowSizeMsg{Width: w, Height: h})
						if v == 0 {
							press(m, "tab")
						}
						fits(t, fmt.Sprintf("%v %dx%d", keys, w, h), m.View(), w, h)
					}
				}
			}
		})
	}
}

// TestScrolledFarInAWindowWithoutRows: what was scrolled stays so when the window
// becomes too low to show any of it.
func TestScrolledFarInAWindowWithoutRows(t *testing.T) {
	for _, page := range []string{"2", "3", "4", "5", "7", "?"} {
		snap := stateOf(t, "story")
		m := screen(t, setup(plain(), snap), snap, 80, 24, page, "pgdown", "pgdown", "pgdown", "pgdown", "pgdown", "pgdown")
		for w := 1; w <= 120; w += 17 {
			for h := 1; h <= 12; h++ {
				m.Update(tea.WindowSizeMsg{Width: w, Height: h})
				fits(t, fmt.Sprintf("%s %dx%d", page, w, h), m.View(), w, h)
			}
		}
	}
}

func seed(t *testing.T) uint64 {
	n := uint64(time.Now().UnixNano())
	if s := os.Getenv("BATON_SEED"); s != "" {
		n, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("BATON_SEED=%d", n)
	return n
}

// TestRandomKeys presses everything in every order: nothing panics, every frame
// fits, and a read-only console never asks its source for anything.
func TestRandomKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 1))
	keys := []string{"esc", "enter", "y", "n", "é", "ctrl+c", "backspace", "日"}
	for _, a := range actions() {
		keys = append(keys, a.Keys...)
	}
	states := tuitest.States()
	src := &still{}
	m := screen(t, Config{Source: src, ReadOnly: true, Launched: true, Theme: plain()}, states[0].Snap, 80, 24)
	for i := range 1000 {
		switch r.IntN(6) {
		case 0:
			m.Update(snapMsg{states[r.IntN(len(states))].Snap, time.Time{}})
		case 1:
			m.Update(tea.WindowSizeMsg{Width: 1 + r.IntN(180), Height: 1 + r.IntN(50)})
		case 2:
			m.Update(tea.MouseMsg{X: r.IntN(200), Y: r.IntN(60), Button: tea.MouseButton(r.IntN(6)), Action: tea.MouseActionPress})
		default:
			press(m, keys[r.IntN(len(keys))])
		}
		fits(t, fmt.Sprint("step ", i), m.View(), m.w, m.h)
	}
	require.Empty(t, src.did)
	require.Zero(t, m.doing)
}

// TestHostileText lets no control character of the outside through.
func TestHostileText(t *testing.T) {
	for _, st := range tuitest.States() {
		for _, size := range [][2]int{{80, 24}, {140, 40}, {46, 12}, {20, 4}} {
			view := screen(t, setup(plain(), st.Snap), st.Snap, size[0], size[1], "x").View()
			for _, r := range view {
				if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
					t.Fatalf("%s: %U reached the terminal", st.Name, r)
				}
			}
		}
	}
}

func TestASCIIThemeIsASCII(t *testing.T) {
	for _, st := range tuitest.States() {
		if st.Name == "hostile" {
			continue
		}
		for i := range st.Snap.Queues {
			if st.Snap.Queues[i].Name[0] > 127 {
				st.Snap.Queues[i].Name = "names keep their letters"
			}
		}
		for _, keys := range [][]string{nil, {"x"}, {"?"}, {"2"}, {"3"}, {"4"}, {"5"}, {"6"}, {"7"}, {":"}} {
			view := screen(t, setup(style.New(style.Plain, false, true), st.Snap), st.Snap, 140, 40, keys...).View()
			for _, r := range view {
				require.Less(t, r, rune(128), "%s %v: %q", st.Name, keys, r)
			}
		}
	}
}

func TestActionTable(t *testing.T) {
	table := actions()
	snap := stateOf(t, "healthy")
	ids := map[string]bool{}
	for _, a := range table {
		require.NotEmpty(t, a.Keys, a.ID)
		require.NotEmpty(t, a.Help, a.ID)
		require.NotEmpty(t, a.Label, a.ID)
		require.NotNil(t, a.Run, a.ID)
		require.False(t, ids[a.ID], "two actions named %s", a.ID)
		ids[a.ID] = true
		if a.Scope != keymap.Chaos && a.ID != "undo" && a.ID != "lesson.go" && a.Scope != pageQueue { // one takes back what the menu did, the others ask in their own words
			require.False(t, a.Mutates, "%s: one key outside the chaos menu must not change the cluster", a.ID)
		}
		for _, k := range a.Keys {
			require.Same(t, table.ByID(a.ID), table.Find(k, a.Scope), "key %q of %s is taken", k, a.ID)
			require.NotContains(t, []string{"ctrl+i", "ctrl+m", "ctrl+[", "ctrl+c"}, k)
		}
		if a.Mutates {
			for _, target := range snap.Targets() {
				ok, why := a.Allowed(keymap.View{Snap: snap, Target: target, ReadOnly: true, Can: (&still{}).Can})
				require.False(t, ok, "%s is allowed although read-only", a.ID)
				require.NotEmpty(t, why)
			}
		}
	}
	mutating := slices.DeleteFunc(slices.Clone(table), func(a action) bool { return !a.Mutates })
	require.Len(t, mutating, len(data.Verbs())+6, "a new action that changes the cluster needs its tests")
}

// patience bounds every wait: the machine may be busy.
const patience = time.Minute

// run gives a message to the model and performs the commands that follow by
// hand: it waits for actions, not for timers, and reports a wish to quit.
func run(t *testing.T, m *Model, msg tea.Msg) (quit bool) {
	t.Helper()
	m.Update(msg)
	results := make(chan tea.Msg, 16)
	for _, cmd := range m.cmds {
		if reflect.ValueOf(cmd).Pointer() == reflect.ValueOf(tea.Quit).Pointer() {
			quit = true
			continue
		}
		go func() { results <- cmd() }()
	}
	for deadline := time.After(patience); m.doing > 0; {
		select {
		case msg := <-results:
			if done, ok := msg.(doneMsg); ok {
				m.Update(done)
			}
		case <-deadline:
			t.Fatal("the action never ended")
		}
	}
	return quit
}

func TestKeys(t *testing.T) {
	cases := []struct {
		name, state string
		readOnly    bool
		attached    bool
		no          string
		keys        []string
		did         []string // what the source was asked to do
		quit        bool
		see, not    string
	}{
		{name: "x then k on the leader asks", state: "healthy", keys: []string{"x", "k"}, see: "kill n1?"},
		{name: "y kills", state: "healthy", keys: []string{"x", "k", "y"}, did: []string{"kill n1"}, see: "kill n1: done", not: "one key acts"},
		{name: "enter does not", state: "healthy", keys: []string{"x", "k", "enter"}, see: "one key acts"},
		{name: "esc does not", state: "healthy", keys: []string{"x", "k", "esc", "esc"}, not: "one key acts"},
		{name: "a follower dies after a question too", state: "healthy", keys: []string{"x", "right", "k"}, see: "n1 stays the leader"},
		{name: "and a yes", state: "healthy", keys: []string{"x", "right", "k", "y"}, did: []string{"kill n2"}, see: "U takes it back: start"},
		{name: "undo", state: "failed-over", keys: []string{"right", "x", "k", "y", "U"}, did: []string{"kill n2", "start n2"}},
		{name: "enter does what the cursor is on", state: "healthy", keys: []string{"x", "right", "down", "enter", "y"}, did: []string{"stop n2"}},
		{name: "the palette finds a page", state: "healthy", keys: []string{":", "r", "e", "p", "l", "enter"}, see: "positions of the log"},
		{name: "the palette finds an action and its target", state: "healthy", keys: []string{":", "p", "a", "u", "s", "e", " ", "n", "3", "enter", "y"}, did: []string{"pause n3"}},
		{name: "a number shows a screen", state: "healthy", keys: []string{"2"}, see: "why is n1 the leader?"},
		{name: "esc goes back to the overview", state: "healthy", keys: []string{"3", "esc"}, see: "replication lag"},
		{name: "a heal needs no question", state: "healthy", keys: []string{"x", "u"}, did: []string{"heal n1"}},
		{name: "the card with the focus is the target", state: "healthy", keys: []string{"right", "right", "x", "t", "y"}, did: []string{"stop n3"}},
		{name: "the last follower asks", state: "paused", keys: []string{"right", "x", "k"}, see: "Only 1 of 3 nodes remain"},
		{name: "zookeeper can be a target", state: "healthy", keys: []string{"x", "left", "k", "y"}, did: []string{"kill zookeeper"}},
		{name: "a running node cannot be started", state: "healthy", keys: []string{"x", "s"}, see: "start: n1 is running"},
		{name: "a dead one can", state: "failed-over", keys: []string{"x", "s"}, did: []string{"start n1"}},
		{name: "a paused one continues", state: "paused", keys: []string{"right", "right", "x", "c"}, did: []string{"resume n3"}},
		{name: "what the cluster cannot do says why", state: "healthy", no: "cut", keys: []string{"x", "n"}, see: "cut network: not supported here"},
		{name: "a blackout is of all, whatever the target", state: "healthy", keys: []string{"x", "right", "B"}, see: "blackout all?", not: "n2 is"},
		{name: "and is taken back", state: "healthy", keys: []string{"x", "right", "B", "y", "U"}, did: []string{"blackout all", "start-all all"}, see: "start-all: done"},
		{name: "the palette knows it without a target", state: "healthy", keys: []string{":", "b", "l", "a", "c", "k", "enter", "y"}, did: []string{"blackout all"}},
		{name: "transfer to a follower", state: "healthy", keys: []string{"x", "right", "T", "y"}, did: []string{"transfer n2"}},
		{name: "transfer to one that lags", state: "catching-up", keys: []string{"right", "right", "x", "T"}, see: "n3 is not in sync"},
		{name: "read only refuses the menu", state: "healthy", readOnly: true, keys: []string{"x", "k", "y", "x"}, see: "read only", not: "one key acts"},
		{name: "no key of the overview kills", state: "healthy", keys: []string{"k", "K", "t", "p", "R", "z", "T", "w", "o", "b", "n", "y"}},
		{name: "attached wants the name", state: "attached", attached: true, keys: []string{"x", "t", "y", "enter"}, see: "the name did not match"},
		{name: "attached with the name", state: "attached", attached: true, keys: []string{"x", "t", "n", "1", "enter"}, did: []string{"stop n1"}},
		{name: "q asks on a launched cluster", state: "healthy", keys: []string{"q"}, see: "4 launched processes stop"},
		{name: "q y leaves", state: "healthy", keys: []string{"q", "y"}, quit: true},
		{name: "q n stays", state: "healthy", keys: []string{"q", "n"}, not: "launched processes stop"},
		{name: "q leaves an attached one at once", state: "attached", attached: true, keys: []string{"q"}, quit: true},
		{name: "ctrl+c asks too", state: "healthy", keys: []string{"x", "ctrl+c"}, see: "4 launched processes stop"},
		{name: "ctrl+c twice always leaves", state: "healthy", keys: []string{"/", "ctrl+c", "ctrl+c"}, quit: true},
		{name: "filter", state: "healthy", keys: []string{"/", "p", "a", "y"}, see: `filter "pay"`, not: "orders"},
		{name: "filter is text, not keys", state: "healthy", keys: []string{"/", "q", "x"}, see: "no queue matches", not: "launched processes"},
		{name: "filter esc brings back", state: "healthy", keys: []string{"/", "p", "a", "y", "esc"}, see: "orders"},
		{name: "esc clears a kept filter", state: "healthy", keys: []string{"/", "p", "a", "y", "enter", "esc"}, see: "orders"},
		{name: "sort by name", state: "healthy", keys: []string{"s"}, see: "sort name"},
		{name: "help", state: "healthy", keys: []string{"?"}, see: "show or hide this help"},
		{name: "help closes", state: "healthy", keys: []string{"?", "?"}, not: "show or hide this help"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			src := &still{no: c.no}
			m := screen(t, Config{Source: src, Theme: plain(), ReadOnly: c.readOnly, Launched: !c.attached}, stateOf(t, c.state), 80, 24)
			quit := false
			for _, k := range c.keys {
				quit = run(t, m, keyMsg(k)) || quit
			}
			require.Equal(t, c.did, src.did)
			require.Equal(t, c.quit, quit)
			if c.see != "" {
				require.Contains(t, m.View(), c.see)
			}
			if c.not != "" {
				require.NotContains(t, m.View(), c.not)
			}
		})
	}
}

func TestFailedActionStaysUntilAKey(t *testing.T) {
	m := screen(t, Config{Source: &still{err: errors.New("no such process\x1b[2J")}, Launched: true, Theme: plain()}, stateOf(t, "healthy"), 80, 24)
	for _, k := range []string{"x", "right", "k", "y"} {
		run(t, m, keyMsg(k))
	}
	require.Contains(t, m.View(), "no such process")
	m.Update(flashMsg{m.flash.until})
	require.Contains(t, m.View(), "no such process", "an error does not fade")
	press(m, "tab")
	require.NotContains(t, m.View(), "no such process")
}

func TestFlashFadesButNotANewerOne(t *testing.T) {
	m := screen(t, Config{Theme: plain()}, stateOf(t, "healthy"), 80, 24, "s")
	old := m.flash.until
	press(m, "s")
	m.Update(flashMsg{old})
	require.Contains(t, m.View(), "sorted by in")
	m.Update(flashMsg{m.flash.until})
	require.NotContains(t, m.View(), "sorted by in")
}

// TestConfirmAsksTheClusterAgain: between question and answer the leader moved.
func TestConfirmAsksTheClusterAgain(t *testing.T) {
	src := &still{}
	m := screen(t, Config{Source: src, Launched: true, Theme: plain()}, stateOf(t, "healthy"), 80, 24, "x", "k")
	m.Update(snapMsg{stateOf(t, "failed-over"), time.Time{}})
	run(t, m, keyMsg("y"))
	require.Empty(t, src.did)
	require.Contains(t, m.View(), "not done: n1 is down")
}

func TestFreezeHoldsTheScreen(t *testing.T) {
	m := screen(t, Config{Launched: true, Theme: plain()}, stateOf(t, "healthy"), 80, 24, " ")
	held := m.View()
	m.Update(snapMsg{stateOf(t, "failed-over"), time.Time{}})
	require.Contains(t, m.View(), "FROZEN +6")
	require.Contains(t, m.View(), "HEALTHY")
	require.Equal(t, strings.Split(held, "\n")[1:], strings.Split(m.View(), "\n")[1:])
	press(m, "x") // acting looks at the live cluster
	require.Contains(t, m.View(), "n1 DOWN")
	press(m, "esc", " ")
	require.NotContains(t, m.View(), "FROZEN")
	require.Contains(t, m.View(), "failover #2")
}

func TestStopwatchTicksBetweenSnapshots(t *testing.T) {
	m := NewModel(t.Context(), Config{Source: &still{}, Launched: true, Theme: plain()})
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	received := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	_, cmd := m.Update(snapMsg{stateOf(t, "failover"), received})
	require.NotNil(t, cmd, "the tick is armed")
	require.Contains(t, m.View(), "running 71 ms")
	_, again := m.Update(snapMsg{stateOf(t, "failover"), received})
	require.Nil(t, again, "only one tick at a time")
	_, cmd = m.Update(tickMsg{received.Add(300 * time.Millisecond)})
	require.NotNil(t, cmd)
	require.Contains(t, m.View(), "running 371 ms")
	m.Update(snapMsg{stateOf(t, "failed-over"), received})
	_, cmd = m.Update(tickMsg{received.Add(time.Second)})
	require.Nil(t, cmd, "no tick when nothing runs")
}

func TestResultLeavesTheMiddleRow(t *testing.T) {
	snap := tuitest.FailedOver()
	snap.Derive()
	m := screen(t, Config{Launched: true, Theme: plain()}, snap, 80, 24)
	require.Contains(t, m.View(), "done in 93 ms")
	later := tuitest.FailedOver()
	later.At = later.At.Add(20 * time.Second)
	later.Derive()
	m.Update(snapMsg{later, time.Time{}})
	require.NotContains(t, m.View(), "done in")
	require.Contains(t, m.View(), "last failover #2 93 ms")
	require.Contains(t, m.View(), "replication lag")
}

// TestBundledKeys: keys that arrive in one read come as one message.
func TestBundledKeys(t *testing.T) {
	src := &still{}
	m := screen(t, Config{Source: src, Launched: true, Theme: plain()}, stateOf(t, "healthy"), 80, 24)
	bundle := func(s string, paste bool) { run(t, m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(s), Paste: paste}) }
	bundle("jlllxty", false)
	require.Equal(t, []string{"stop n3"}, src.did)
	bundle("xky", true)
	require.Equal(t, []string{"stop n3"}, src.did, "a paste presses no keys")
	require.NotContains(t, m.View(), "one key acts")
	bundle("/pay", false)
	require.Contains(t, m.View(), `filter "pay"`)
	bundle("ments", true)
	require.Contains(t, m.View(), `filter "payments"`)
}

func TestMouse(t *testing.T) {
	m := screen(t, Config{Launched: true, Theme: plain()}, stateOf(t, "healthy"), 80, 24)
	click := func(x, y int) {
		m.Update(tea.MouseMsg{X: x, Y: y, Button: tea.MouseButtonLeft, Action: tea.MouseActionPress})
	}
	click(60, 3)
	require.Contains(t, m.View(), "═ n3 ▸")
	click(20, 17)
	require.Contains(t, m.View(), "▸ orders")
	m.Update(tea.MouseMsg{Button: tea.MouseButtonWheelDown, Action: tea.MouseActionPress})
	require.Contains(t, m.View(), "▸ payments")
}

func TestCursorStaysOnItsQueue(t *testing.T) {
	m := screen(t, Config{Theme: plain()}, stateOf(t, "healthy"), 80, 24, "down")
	require.Contains(t, m.View(), "▸ orders")
	moved := tuitest.Healthy()
	moved.Queues[4].Depth = 5_000_000 // payments passes everything
	moved.Derive()
	m.Update(snapMsg{moved, time.Time{}})
	require.Contains(t, m.View(), "▸ orders")
	none := tuitest.Healthy()
	none.Queues = nil
	none.Derive()
	m.Update(snapMsg{none, time.Time{}})
	require.Contains(t, m.View(), "no queues")
	m.Update(snapMsg{moved, time.Time{}})
	require.Contains(t, m.View(), "▸ orders", "the cursor survives a moment without rows")
}

func TestFirstFrames(t *testing.T) {
	m := NewModel(t.Context(), Config{Source: &still{}, Cluster: "demo", Theme: plain()})
	require.Contains(t, m.View(), "starting")
	m.Update(tea.WindowSizeMsg{})
	require.Contains(t, m.View(), "waiting for the first answer")
	require.Equal(t, 80, m.w, "a terminal without a size is taken for 80x24")
}
