package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store"
	"baton/store/record"
	"baton/store/vfs"
)

// TestIndexOutwaitsAFullDisk: Apply waits for space and goes on, and what the
// index holds then is what the log says.
func TestIndexOutwaitsAFullDisk(t *testing.T) {
	mem := vfs.NewMem()
	faults := vfs.NewFaults(mem)
	cfg := store.Config{Dir: "/data", FS: faults}
	s := openStore(t, cfg)
	// The index holds 1 MiB back before it writes.
	many := func(n int) []record.Position {
		at := []record.Position{s.Log().Positions().Append}
		for i := range n {
			b := record.NewBatch(1 << 16)
			for range 2000 {
				enqueue(b, "q1", "m", nil)
			}
			end, err := s.Log().Append(1, at[i], b)
			require.NoError(t, err)
			at = append(at, end)
		}
		require.NoError(t, s.Log().WaitFlushed(t.Context(), at[n]))
		return at
	}
	at := many(60)
	require.NoError(t, s.Apply(at[20], nil))

	full := make(chan struct{}, 100)
	inIndex := func(op vfs.Op) bool {
		return strings.Contains(op.Name, "/index/") && (op.Kind == vfs.OpWrite || op.Kind == vfs.OpCreate) ||
			strings.Contains(op.Name, "probe") && op.Kind == vfs.OpWrite
	}
	faults.Set(vfs.Rule{Match: inIndex, Times: -1, Err: vfs.ErrFull, Short: 10, Before: func(vfs.Op) {
		select {
		case full <- struct{}{}:
		default:
		}
	}})
	done := make(chan error, 1)
	go func() { done <- s.Apply(at[60], nil) }()
	for range 3 { // the write, and some looks for space
		select {
		case <-full:
		case err := <-done:
			t.Fatalf("Apply ended on a full disk: %v", err)
		}
	}
	_, err := s.Index().Scan("q1", 0, 5)
	require.NoError(t, err, "what is there can be read")
	faults.Set()
	require.NoError(t, <-done)
	applied, _ := s.Applied()
	require.Equal(t, at[60], applied)
	require.Equal(t, rebuild(t, s, at[60]), dump(t, s))

	t.Run("close ends the wait", func(t *testing.T) {
		more := many(40)
		for len(full) > 0 {
			<-full
		}
		faults.Set(vfs.Rule{Match: inIndex, Times: -1, Err: vfs.ErrFull, Before: func(vfs.Op) {
			select {
			case full <- struct{}{}:
			default:
			}
		}})
		go func() { done <- s.Apply(more[40], nil) }()
		<-full
		s.Close() // the index cannot be closed well either
		require.ErrorIs(t, <-done, store.ErrClosed)
		faults.Set()
		s := openStore(t, cfg)
		require.NoError(t, s.Apply(more[40], nil))
		require.Equal(t, rebuild(t, s, more[40]), dump(t, s))
	})
}
