package report_test

import (
	"encoding/json"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/adminapi"
	"baton/tui/data"
	"baton/tui/record"
	"baton/tui/report"
	"baton/tui/tuitest"
)

// A run of half an hour is recorded: n1 leaks 120 MiB an hour, n2 is down from
// the twentieth minute on, the console stays as it is.
func TestUseOfARun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.baton")
	w, err := record.Create(record.Config{Path: path, Backlog: 200, Header: record.Header{At: tuitest.At()}})
	require.NoError(t, err)
	for i := range 31 * 4 {
		s := tuitest.Healthy()
		at := time.Duration(i) * 15 * time.Second
		s.At = tuitest.At().Add(at)
		s.Self = data.Self{Goroutines: 60, HeapBytes: 10 << 20, TotalBytes: 40 << 20}
		for j := range s.Nodes {
			s.Nodes[j].Status.Process = adminapi.Process{Goroutines: 45 + j, RSSBytes: 30 << 20}
		}
		s.Nodes[0].Status.Process.RSSBytes += uint64(at.Minutes() * (2 << 20))
		if at >= 20*time.Minute {
			s.Nodes[1].Fresh = data.Unknown
		}
		w.Take(s)
	}
	require.NoError(t, w.Close())
	rec, err := record.Read(path)
	require.NoError(t, err)
	samples, err := rec.Use(time.Minute)
	require.NoError(t, err)
	u := report.OfUse(samples)
	require.Len(t, u.At, 31, "once a minute")
	by := map[string]report.Column{}
	for _, c := range u.Columns {
		by[c.Name] = c
	}
	require.Equal(t, 60.0, by["console goroutines"].Values[30])
	require.Zero(t, by["console MiB"].Growth)
	require.InDelta(t, 120, by["n1 MiB"].Growth, 0.1)
	require.Equal(t, 46.0, by["n2 goroutines"].Values[19])
	require.True(t, math.IsNaN(by["n2 goroutines"].Values[20]))
	require.Contains(t, u.Text(), "+120.0")
	b, err := json.Marshal(u)
	require.NoError(t, err)
	require.Contains(t, string(b), `"n2 MiB":null`)
}

// A short run, and one that was recorded before consoles looked at themselves,
// say nothing of growth.
func TestUseOfAShortRun(t *testing.T) {
	u := report.OfUse([]record.Use{{}, {At: time.Minute}})
	for _, c := range u.Columns {
		require.True(t, math.IsNaN(c.Growth), c.Name)
		require.True(t, math.IsNaN(c.Values[0]), c.Name)
	}
	require.Contains(t, u.Text(), "growth per hour")
}
