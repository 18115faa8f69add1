package tui

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/stretchr/testify/require"

	"baton/tui/data"
	"baton/tui/shot"
	"baton/tui/style"
	"baton/tui/tuitest"
)

var update = flag.Bool("update", false, "write the golden frames anew")

// still is a source that never publishes; it records what it is asked to do.
type still struct {
	did []string
	err error
	no  string // action that is not supported
}

func (s *still) Run(ctx context.Context, _ func(*data.Snapshot)) error {
	<-ctx.Done()
	return ctx.Err()
}
func (s *still) Do(_ context.Context, action, node string) error {
	s.did = append(s.did, action+" "+node)
	return s.err
}
func (s *still) Can(action string) (bool, string) { return action != s.no, "not supported here" }

// screen is a model driven by hand.
func screen(t testing.TB, cfg Config, snap *data.Snapshot, w, h int, keys ...string) *Model {
	if cfg.Clipboard == nil {
		cfg.Clipboard = io.Discard
	}
	t.Helper()
	if cfg.Source == nil {
		cfg.Source = &still{}
	}
	m := NewModel(context.Background(), cfg)
	m.Update(tea.WindowSizeMsg{Width: w, Height: h})
	if snap != nil {
		m.Update(snapMsg{snap, time.Time{}})
	}
	press(m, keys...)
	return m
}

func press(m *Model, keys ...string) {
	for _, k := range keys {
		m.Update(keyMsg(k))
	}
}

// keyMsg makes the message for a key as bubbletea names it.
func keyMsg(k string) tea.KeyMsg {
	for typ := tea.KeyType(-60); typ < 128; typ++ {
		if msg := (tea.KeyMsg{Type: typ}); typ != tea.KeyRunes && msg.String() == k && k != " " {
			return msg
		}
	}
	if k == " " {
		return tea.KeyMsg{Type: tea.KeySpace, Runes: []rune(" ")}
	}
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(k)}
}

func plain() style.Theme { return style.New(style.Plain, false, false) }

func setup(th style.Theme, s *data.Snapshot) Config {
	return Config{Theme: th, Launched: s.Launched, ReadOnly: !s.Launched, Cluster: s.Cluster}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got+"\n"), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run with -update to write it")
	require.Equal(t, string(want), got+"\n", "frame %s differs; look at it, then run with -update", name)
}

func TestGolden(t *testing.T) {
	for _, st := range tuitest.States() {
		if slices.Contains([]string{"hostile", "story", "lesson", "disturbed", "replayed", "foreign", "ensemble"}, st.Name) {
			continue // these are for other screens
		}
		for _, size := range [][2]int{{80, 24}, {140, 40}} {
			name := fmt.Sprintf("overview-%s-%d", st.Name, size[0])
			t.Run(name, func(t *testing.T) {
				golden(t, name, screen(t, setup(plain(), st.Snap), st.Snap, size[0], size[1]).View())
			})
		}
	}
}

// TestGoldenScreens pins every other screen in the states that it is about.
func TestGoldenScreens(t *testing.T) {
	for _, c := range screens {
		for _, size := range [][2]int{{80, 24}, {140, 40}} {
			name := fmt.Sprintf("%s-%d", c.name, size[0])
			t.Run(name, func(t *testing.T) {
				snap := stateOf(t, c.state)
				golden(t, name, screen(t, setup(plain(), snap), snap, size[0], size[1], c.keys...).View())
			})
		}
	}
}

// screens are all screens but the overview.
var screens = []struct {
	name, state string
	keys        []string
}{
	{"election-healthy", "healthy", []string{"2"}},
	{"election-story", "story", []string{"2"}},
	{"election-failover", "failover", []string{"2"}},
	{"election-raw", "story", []string{"2", "down", "v"}},
	{"election-no-quorum", "no-quorum", []string{"2"}},
	{"election-zk-down", "zk-down", []string{"2"}},
	{"election-ensemble", "ensemble", []string{"2"}},
	{"actions-ensemble", "ensemble", []string{"x", "left", "k"}},
	{"election-activemq", "foreign", nil},
	{"overview-activemq", "foreign", []string{"1"}},
	{"overview-recording", "replayed", nil},
	{"replication-healthy", "healthy", []string{"3"}},
	{"replication-catching-up", "catching-up", []string{"3"}},
	{"replication-disturbed", "disturbed", []string{"3"}},
	{"logs-story", "story", []string{"4"}},
	{"logs-held", "story", []string{"4", "up", "w"}},
	{"logs-attached", "attached", []string{"4"}},
	{"failovers-none", "attached", []string{"5"}},
	{"failovers-story", "story", []string{"5"}},
	{"failovers-older", "story", []string{"5", "left"}},
	{"lesson", "lesson", []string{"7"}},
	{"queue-none", "healthy", []string{"6"}},
	{"palette", "healthy", []string{":", "k", "i", "l", "l"}},
	{"actions-forecast", "story", []string{"right", "x", "down", "down", "down", "down"}},
}

// scenes are screens that need keys.
var scenes = []struct {
	name, state string
	w, h        int
	level       style.Level
	ascii       bool
	readOnly    bool
	keys        []string
}{
	{name: "chaos-80", state: "healthy", w: 80, h: 24, keys: []string{"x"}},
	{name: "chaos-140", state: "failed-over", w: 140, h: 40, keys: []string{"right", "x"}},
	{name: "chaos-follower-80", state: "failed-over", w: 80, h: 24, keys: []string{"x"}},
	{name: "confirm-80", state: "healthy", w: 80, h: 24, keys: []string{"x", "k"}},
	{name: "quit-80", state: "healthy", w: 80, h: 24, keys: []string{"q"}},
	{name: "help-80", state: "healthy", w: 80, h: 24, keys: []string{"?"}},
	{name: "help-140", state: "healthy", w: 140, h: 40, keys: []string{"?"}},
	{name: "filter-80", state: "healthy", w: 80, h: 24, keys: []string{"/", "o", "r"}},
	{name: "queues-80", state: "healthy", w: 80, h: 24, keys: []string{"down", "down", "s"}},
	{name: "frozen-80", state: "healthy", w: 80, h: 24, keys: []string{" "}},
	{name: "attached-refused-80", state: "attached", w: 80, h: 24, readOnly: true, keys: []string{"x"}},
	{name: "small-46", state: "catching-up", w: 46, h: 12},
	{name: "small-failover-46", state: "failover", w: 46, h: 12},
	{name: "small-queues-60", state: "healthy", w: 60, h: 16, keys: []string{"tab", "tab", "tab", "tab", "tab"}},
	{name: "tiny-24", state: "healthy", w: 24, h: 3},
	{name: "middle-100", state: "catching-up", w: 100, h: 30},
	{name: "wide-200", state: "catching-up", w: 200, h: 60},
	{name: "ascii-80", state: "catching-up", w: 80, h: 24, ascii: true},
	{name: "ascii-failover-140", state: "failover", w: 140, h: 40, ascii: true},
	{name: "mono-80", state: "failed-over", w: 80, h: 24, level: style.Mono},
	{name: "colour-80", state: "failover", w: 80, h: 24, level: style.Colour},
	{name: "colour-140", state: "catching-up", w: 140, h: 40, level: style.Colour},
}

func stateOf(t testing.TB, name string) *data.Snapshot {
	t.Helper()
	for _, s := range tuitest.States() {
		if s.Name == name {
			return s.Snap
		}
	}
	t.Fatalf("no scripted state %q", name)
	return nil
}

func TestGoldenScenes(t *testing.T) {
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			snap := stateOf(t, sc.state)
			cfg := setup(style.New(sc.level, false, sc.ascii), snap)
			cfg.ReadOnly = sc.readOnly
			golden(t, sc.name, screen(t, cfg, snap, sc.w, sc.h, sc.keys...).View())
		})
	}
}

// TestShots writes pictures of the states: SHOTS=dir go test -run TestShots
func TestShots(t *testing.T) {
	dir := os.Getenv("SHOTS")
	if dir == "" {
		t.Skip("SHOTS is not set")
	}
	require.NoError(t, os.MkdirAll(dir, 0o755))
	write := func(name string, m *Model, w, h int) {
		view := m.View()
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".ansi"), []byte(view), 0o644))
		svg := shot.SVG(view, shot.Options{Title: "baton: " + strings.ReplaceAll(name, "-", " "), Cols: w, Rows: h})
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".svg"), svg, 0o644))
	}
	colour := style.New(style.Colour, false, false)
	for _, st := range tuitest.States() {
		for _, size := range [][2]int{{80, 24}, {140, 40}} {
			write(fmt.Sprintf("%s-%d", st.Name, size[0]), screen(t, setup(colour, st.Snap), st.Snap, size[0], size[1]), size[0], size[1])
		}
	}
	for _, c := range screens {
		for _, size := range [][2]int{{80, 24}, {140, 40}} {
			snap := stateOf(t, c.state)
			write(fmt.Sprintf("%s-%d", c.name, size[0]), screen(t, setup(colour, snap), snap, size[0], size[1], c.keys...), size[0], size[1])
		}
	}
	for _, sc := range scenes {
		snap := stateOf(t, sc.state)
		cfg := setup(style.New(style.Colour, false, sc.ascii), snap)
		cfg.ReadOnly = sc.readOnly
		write("scene-"+sc.name, screen(t, cfg, snap, sc.w, sc.h, sc.keys...), sc.w, sc.h)
	}
}
