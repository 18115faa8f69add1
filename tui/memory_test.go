package tui

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/adminapi"
	"baton/tui/data"
	"baton/tui/style"
	"baton/tui/tuitest"
)

// A console remembers two minutes, and less of what is heavy: events that are
// in an array of their own count, those in a shared one do not.
func TestRememberedTimeIsBounded(t *testing.T) {
	shared := make([]adminapi.Event, 2000)
	for _, c := range []struct {
		name   string
		queues int
		own    bool // events
		want   int
	}{
		{"light", 2, false, historyMax},
		{"many queues", 1000, false, historyRows / 1001},
		{"very many queues", 20_000, false, historyLeast},
		{"bursts of late events", 2, true, historyRows / 2003},
	} {
		t.Run(c.name, func(t *testing.T) {
			first := tuitest.Healthy()
			m := screen(t, setup(style.New(style.Mono, false, false), first), first, 80, 24)
			queues := make([]data.QueueRow, c.queues)
			for i := range 2 * historyMax {
				s := *first
				s.At = first.At.Add(time.Duration(i) * 250 * time.Millisecond)
				s.Queues = queues
				s.Events, s.EventsAll = shared, 5000
				if c.own {
					s.Events, s.EventsAll = slices.Clone(shared), uint64(5000+i)
				}
				m.remember(&s)
			}
			require.InDelta(t, c.want, len(m.history), 2, fmt.Sprint(m.historyRows))
			rows := 0
			for _, h := range m.history {
				rows += h.rows
			}
			require.Equal(t, rows, m.historyRows)
		})
	}
}
