package record_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/tui/data"
	"baton/tui/record"
	"baton/tui/tuitest"
)

// run is a story of n snapshots, 250 ms apart: healthy, then a failover.
func story(n int) []*data.Snapshot {
	var out []*data.Snapshot
	for i := range n {
		s := tuitest.Healthy()
		if i >= n/2 {
			s = tuitest.FailedOver()
		}
		s.At = tuitest.At().Add(time.Duration(i) * 250 * time.Millisecond)
		s.Ledger.Sent = uint64(1000 + i)
		s.Logs, s.LogsAll = nil, uint64(i+1)
		for j := max(0, i-5); j <= i; j++ {
			s.Logs = append(s.Logs, data.LogLine{Seq: uint64(j + 1), At: s.At, Source: "n1", Level: data.LevelInfo, Text: "line"})
		}
		s.Derive()
		out = append(out, s)
	}
	return out
}

func write(t *testing.T, path string, snaps []*data.Snapshot) {
	t.Helper()
	w, err := record.Create(record.Config{Path: path, Backlog: len(snaps), Header: record.Header{Cluster: "demo", At: snaps[0].At, Launched: true}})
	require.NoError(t, err)
	src := record.Tee{Live: script(snaps), To: w}
	require.NoError(t, src.Run(t.Context(), func(*data.Snapshot) {}))
	require.NoError(t, w.Close())
	require.NoError(t, w.Close(), "closing twice is no error")
}

// script publishes snapshots, as fast as it can.
type script []*data.Snapshot

func (s script) Run(_ context.Context, publish func(*data.Snapshot)) error {
	for _, snap := range s {
		publish(snap)
	}
	return nil
}
func (s script) Do(context.Context, string, string) error { return errors.New("no") }
func (s script) Can(string) (bool, string)                { return true, "" }

func TestWhatWasRecordedIsShown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "run.baton")
	snaps := story(120)
	write(t, path, snaps)
	r, err := record.Read(path)
	require.NoError(t, err)
	require.False(t, r.Torn)
	require.Equal(t, len(snaps), r.Len())
	for _, i := range []int{0, 3, 119, 7, 60, 59, 41, 118} { // forwards and backwards
		got, err := r.Snapshot(i)
		require.NoError(t, err)
		want := snaps[i]
		require.True(t, want.At.Equal(got.At), "frame %d", i)
		require.Equal(t, want.Ledger, got.Ledger)
		require.Equal(t, want.Leader, got.Leader)
		require.Equal(t, want.Health, got.Health)
		require.Equal(t, len(want.Failovers), len(got.Failovers))
		require.Len(t, got.Nodes, 3)
		for n := range got.Nodes {
			require.Equal(t, want.Nodes[n].State, got.Nodes[n].State)
			require.Equal(t, want.Nodes[n].Status.Positions, got.Nodes[n].Status.Positions)
		}
		require.Len(t, got.Logs, i+1, "every line up to then, once")
		require.NotEmpty(t, got.Nodes[1].Lag)
	}
	require.Equal(t, 6+6, len(r.Events()), "the six of each state, once")
}

func TestTornFileIsReadUpToThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.baton")
	write(t, path, story(90))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, whole[:len(whole)*2/3], 0o600))
	r, err := record.Read(path)
	require.NoError(t, err)
	require.True(t, r.Torn)
	require.Greater(t, r.Len(), 10)
	_, err = r.Last()
	require.NoError(t, err)
}

func TestStrangeFilesAreRefused(t *testing.T) {
	zipped := func(s string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := z.Write([]byte(s))
		require.NoError(t, err)
		require.NoError(t, z.Close())
		return b.Bytes()
	}
	header := `{"format":"baton recording","version":1,"cluster":"c","at":"2026-01-01T00:00:00Z"}` + "\n"
	for name, c := range map[string]struct {
		content []byte
		want    error
	}{
		"text":           {[]byte("hello"), record.ErrFormat},
		"empty":          {nil, record.ErrFormat},
		"other JSON":     {zipped(`{"a":1}` + "\n"), record.ErrFormat},
		"newer":          {zipped(`{"format":"baton recording","version":2}` + "\n"), record.ErrVersion},
		"no frame":       {zipped(header), record.ErrEmpty},
		"broken inside":  {zipped(header + `{"t":0,"key":true}` + "\nnonsense\n" + `{"t":1}` + "\n"), record.ErrFormat},
		"part of a part": {zipped(header + `{"t":0}` + "\n" + `{"t":1}` + "\n"), record.ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			require.NoError(t, os.WriteFile(path, c.content, 0o600))
			_, err := record.Read(path)
			require.ErrorIs(t, err, c.want)
		})
	}
}

// TestNothingIsOverwritten: a recording never replaces a file.
func TestNothingIsOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.baton")
	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	_, err := record.Create(record.Config{Path: path})
	require.ErrorIs(t, err, os.ErrExist)
}

func TestFullFileEndsTheRecordingOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.baton")
	snaps := story(40)
	ended := make(chan error, 1)
	w, err := record.Create(record.Config{Path: path, BytesMax: 1, Header: record.Header{At: snaps[0].At}, OnEnd: func(err error) { ended <- err }})
	require.NoError(t, err)
	deadline := time.After(time.Minute)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		w.Take(snaps[i%len(snaps)])
		select {
		case err := <-ended:
			require.ErrorContains(t, err, "reached its size")
			require.NoError(t, w.Close())
			_, err = record.Read(path)
			require.NoError(t, err)
			return
		case <-deadline:
			t.Fatal("never full")
		case <-tick.C:
		}
	}
}

func TestPlayer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.baton")
	write(t, path, story(100))
	r, err := record.Read(path)
	require.NoError(t, err)
	p := record.NewPlayer(r)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan data.Player, 1000)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx, func(s *data.Snapshot) { got <- *s.Player }) }()
	wait := func(what string, ok func(data.Player) bool) {
		t.Helper()
		for deadline := time.After(time.Minute); ; {
			select {
			case s := <-got:
				if ok(s) {
					return
				}
			case <-deadline:
				t.Fatal("never: " + what)
			}
		}
	}
	wait("plays", func(s data.Player) bool { return s.Playing && s.Frame >= 1 })
	p.Step(5)
	wait("steps and holds", func(s data.Player) bool { return !s.Playing && s.Frame >= 6 })
	p.Seek(time.Hour)
	wait("the end", func(s data.Player) bool { return s.Frame == 99 })
	p.Event(-1)
	wait("the frame with the failover's events", func(s data.Player) bool { return s.Frame == 50 })
	p.Skip(-time.Second)
	wait("a second back", func(s data.Player) bool { return s.Frame == 46 })
	for range 10 {
		p.Faster(1)
	}
	p.Toggle()
	wait("plays to the end and holds", func(s data.Player) bool { return s.Frame == 99 && !s.Playing && s.Speed == 30 })
	p.Toggle()
	wait("begins anew", func(s data.Player) bool { return s.Frame < 99 && s.Playing })
	ok, why := p.Can(data.ActionKill)
	require.False(t, ok)
	require.NotEmpty(t, why)
	require.ErrorIs(t, p.Do(ctx, data.ActionKill, "n1"), data.ErrUnsupported)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// FuzzRead: whatever a file holds, reading it ends with a recording that can be
// shown or with an error.
func FuzzRead(f *testing.F) {
	header := `{"format":"baton recording","version":1,"cluster":"c","at":"2026-01-01T00:00:00Z"}` + "\n"
	f.Add(header + `{"t":0,"key":true,"parts":{"node/n1":{"ID":"n1"},"tree":{},"counts":{}}}` + "\n" + `{"t":5,"parts":{"node/n1":null}}` + "\n")
	f.Add(header + `{"t":0,"key":true,"parts":{"queues":[{"name":"q"}],"failovers":[{}],"lesson":{"Steps":[{}]}},"events":[{"node":"\u001b[2J"}]}` + "\n")
	f.Fuzz(func(t *testing.T, lines string) {
		if len(lines) > 64<<10 {
			return
		}
		path := filepath.Join(t.TempDir(), "f")
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.NoCompression) // which would take most of the time
		require.NoError(t, err)
		_, _ = z.Write([]byte(lines))
		require.NoError(t, z.Close())
		require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
		r, err := record.Read(path)
		if err != nil {
			return
		}
		for i := range min(r.Len(), 5) {
			if s, err := r.Snapshot(i); err == nil {
				require.NotNil(t, s)
				require.NotContains(t, s.Cluster, "\x1b")
			}
		}
	})
}
