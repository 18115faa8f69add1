package tui

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/tui/shot"
	"baton/tui/style"
)

// pictures are those that README shows, each drawn from a scripted state.
var pictures = []struct {
	name, title, state string
	w, h               int
	keys               []string
	queue              bool // needs messages
}{
	{name: "overview", title: "three nodes, one catching up", state: "catching-up", w: 140, h: 40},
	{name: "failover", title: "the stopwatch of a failover", state: "failover", w: 140, h: 40},
	{name: "election", title: "who leads, and why", state: "story", w: 120, h: 34, keys: []string{"2"}},
	{name: "replication", title: "positions, lag, catch-up", state: "catching-up", w: 120, h: 30, keys: []string{"3"}},
	{name: "logs", title: "all processes in one log", state: "story", w: 120, h: 18, keys: []string{"4"}},
	{name: "failovers", title: "the report of a failover", state: "story", w: 120, h: 34, keys: []string{"5"}},
	{name: "queue", title: "the messages of a queue", state: "healthy", w: 120, h: 28, keys: []string{"down", "enter"}, queue: true},
	{name: "lesson", title: "a lesson", state: "lesson", w: 120, h: 26, keys: []string{"7"}},
	{name: "actions", title: "what can be done, and what will happen", state: "catching-up", w: 100, h: 30, keys: []string{"x"}},
	{name: "palette", title: "any action by its name", state: "healthy", w: 100, h: 30, keys: []string{":", "k", "i", "l", "l"}},
}

// TestPictures holds the pictures of README to what the console draws. With
// -update it makes them anew: go test ./tui -run TestPictures -update
func TestPictures(t *testing.T) {
	for _, p := range pictures {
		t.Run(p.name, func(t *testing.T) {
			snap := stateOf(t, p.state)
			cfg := setup(style.New(style.Colour, false, false), snap)
			if p.queue {
				cfg.Queues = &shelf{}
			}
			m := screen(t, cfg, snap, p.w, p.h)
			settle(t, m, p.keys...)
			m.flash = flash{}
			svg := shot.SVG(m.View(), shot.Options{Title: "baton: " + p.title, Cols: p.w, Rows: p.h})
			path := filepath.Join("pictures", p.name+".svg")
			if *update {
				require.NoError(t, os.WriteFile(path, svg, 0o644))
				return
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.True(t, string(want) == string(svg), "%s shows what the console no longer draws: look at it, then run with -update", path)
		})
	}
}
