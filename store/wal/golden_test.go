package wal_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/record"
	"baton/store/vfs"
	"baton/store/wal"
)

// trace notes the calls that change a disk. What the filler does to spares
// comes at any time and is left out, and so are its zeros.
type trace struct {
	mu    sync.Mutex
	lines []string
}

func (tr *trace) before(op vfs.Op) error {
	name := filepath.Base(op.Name)
	if !op.Changes() {
		return nil
	}
	if strings.HasPrefix(name, "spare-") {
		name = "spare" // also when it is a segment: the file was opened by that name
		if op.Kind == vfs.OpCreate || op.Kind == vfs.OpRemove {
			return nil
		}
	}
	filler := op.Length != 776 && op.Length != 16 && op.Length != 1024
	if op.Kind == vfs.OpWrite && filler && (op.Offset > 0 || name == "spare" && op.Length > 4096) && !strings.HasPrefix(name, "1-") {
		return nil
	}
	line := fmt.Sprintf("%s %s", op.Kind, name)
	if op.Kind == vfs.OpWrite {
		line += fmt.Sprintf(" at %d, %d bytes", op.Offset, op.Length)
	}
	if op.Kind == vfs.OpTruncate {
		line += fmt.Sprintf(" to %d", op.Length)
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.lines = append(tr.lines, line)
	return nil
}

func (tr *trace) mark(what string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.lines = append(tr.lines, "# "+what)
}

// TestCallsInOrder compares what the log does to its disk, and in which order,
// with a file: the order is what recovery relies on. BATON_GOLDEN=write writes
// the file anew.
func TestCallsInOrder(t *testing.T) {
	tr := &trace{}
	mem := vfs.NewMem()
	require.NoError(t, vfs.MkdirAll(mem, "/data"))
	tr.mark("create")
	l, _, err := wal.Open(wal.Config{Dir: "/data", FS: vfs.NewHook(mem, tr.before), SegmentSize: 8 << 10})
	require.NoError(t, err)
	add := func() record.Position {
		end, err := l.Append(1, 0, newBatch("m", 700))
		require.NoError(t, err)
		require.NoError(t, l.WaitFlushed(context.Background(), end))
		return end
	}
	tr.mark("append")
	first := add()
	for l.Positions().Append+776 <= 8<<10 {
		add()
	}
	tr.mark("roll")
	add()
	tr.mark("truncate to the first segment")
	require.NoError(t, l.TruncateTo(first))
	tr.mark("append")
	add()
	tr.mark("close")
	require.NoError(t, l.Close())

	// Spares are synced by the filler as well as by a roll; runs of one and the
	// same line become one, for appends that come one by one may share a sync.
	var lines []string
	for _, line := range tr.lines {
		if n := len(lines); n > 0 && lines[n-1] == line {
			continue
		}
		lines = append(lines, line)
	}
	got := strings.Join(withoutFillerSyncs(lines), "\n") + "\n"
	path := filepath.Join("testdata", "calls.txt")
	if os.Getenv("BATON_GOLDEN") == "write" {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o640))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// withoutFillerSyncs keeps only those syncs of a spare that come right after
// something was written to it.
func withoutFillerSyncs(lines []string) []string {
	var out []string
	for _, line := range lines {
		if line == "sync spare" && (len(out) == 0 || !strings.HasPrefix(out[len(out)-1], "write spare at")) {
			continue
		}
		out = append(out, line)
	}
	return out
}
