package report_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/demo/failover"
	"baton/tui/report"
	"baton/tui/tuitest"
)

func TestReportOfAStory(t *testing.T) {
	s := tuitest.Story()
	s.Derive()
	r := report.Of(s, s.Events, s.Events[0].At)
	require.Equal(t, "degraded", r.Health)
	require.Len(t, r.Failovers, 2)
	f := r.Failovers[1]
	require.Equal(t, []any{"kill n1", "n1", "n2", 93.0, 71.0}, []any{f.Cause, f.LeaderBefore, f.LeaderAfter, *f.TotalMS, *f.RedundantMS})
	sum := 0.0
	for _, p := range f.Phases {
		require.NotEmpty(t, p.Why)
		sum += *p.TookMS
	}
	require.InDelta(t, *f.TotalMS, sum, 0.5, "the phases are the whole")
	require.Equal(t, []report.Ballot{{Node: "n2", Position: "1048210", LastEpoch: "7", Won: true}, {Node: "n3", Position: "1048208", LastEpoch: "7"}}, f.Candidates)
	require.Contains(t, f.Phases[0].Why, "n2 was the first to say so")
	require.Contains(t, f.Phases[1].Why, "n2 at 1 048 210")
	require.Equal(t, []report.Action{{At: s.Events[1].At, Text: "kill n1", Twin: "baton chaos kill n1", Plan: "--fault kill:n1@14m0s"}}, r.Actions)
	require.Equal(t, report.Compared{Action: "kill", Runs: 2, BestMS: 93, MedianMS: 96, WorstMS: 96}, r.Compared[0])
	require.Empty(t, r.Problems)

	text, md := r.Text(), r.Markdown()
	for _, want := range []string{"Failover 2: kill n1, n1 to n2, epoch 7 to 8, 93.0 ms", "receipted 418203", "--fault kill:n1@14m0s"} {
		require.Contains(t, text, want)
	}
	require.Contains(t, md, "| suspected | +12.0 | 12.0 |")
	b, err := json.Marshal(r)
	require.NoError(t, err)
	require.Contains(t, string(b), `"first receipt"`)
}

func TestLossAndAnUnfinishedFailoverAreProblems(t *testing.T) {
	s := tuitest.Story()
	s.Ledger.Lost, s.Ledger.Duplicates = 2, 1
	s.Failovers = append(s.Failovers, failover.Run{ID: 3, Cause: "pause n2", Fault: s.At.Add(-60e9), LeaderBefore: "n2", EpochBefore: 8},
		failover.Run{ID: 4, Cause: "suspected", Fault: s.At.Add(-50e9), Alarm: true})
	s.Derive()
	r := report.Of(s, s.Events, s.At)
	require.Len(t, r.Failovers, 3, "a false alarm is no failover")
	require.Nil(t, r.Failovers[2].TotalMS)
	require.Equal(t, []string{"2 receipted messages are lost", "1 message came twice", "failover 3 (pause n2) never came to a first receipt"}, r.Problems)
	require.Contains(t, r.Text(), "! 2 receipted messages are lost")
}

// TestMarkdownKeepsTextOfTheOutside: a node cannot write a table row of its own.
func TestMarkdownKeepsTextOfTheOutside(t *testing.T) {
	s := tuitest.Story()
	s.Failovers[1].Cause = "kill n1 | <b> | `x`\n| a | b |"
	s.Derive()
	md := report.Of(s, s.Events, s.At).Markdown()
	require.NotContains(t, md, "<b>")
	for _, line := range strings.Split(md, "\n") {
		require.False(t, strings.HasPrefix(line, "| a |"), line)
	}
}
