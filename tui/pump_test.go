package tui

import (
	"context"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/stretchr/testify/require"

	"baton/tui/data"
)

// TestPumpNewestWins: while the program takes nothing, offers neither block nor
// pile up.
func TestPumpNewestWins(t *testing.T) {
	got, gate := make(chan uint64, 10), make(chan struct{})
	p := newPump(func(msg tea.Msg) {
		<-gate
		got <- msg.(snapMsg).snap.Seq
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { p.runSend(ctx); close(ended) }()

	p.offer(&data.Snapshot{Seq: 1})
	require.Eventually(t, func() bool { // 1 is on its way, stuck at the gate
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.mu.newest == nil
	}, patience, time.Millisecond)
	for i := range uint64(1000) {
		p.offer(&data.Snapshot{Seq: 2 + i})
	}
	close(gate)
	require.EqualValues(t, 1, <-got)
	require.EqualValues(t, 1001, <-got, "what lay between was dropped")
	require.Empty(t, got)
	cancel()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("runSend did not end")
	}
}
