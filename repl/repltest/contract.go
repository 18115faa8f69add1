package repltest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl"
	"baton/store/record"
)

// CheckLog checks what replication relies on in a log. open returns an empty
// log; it is called once for each property, and may register cleanups.
func CheckLog(t *testing.T, open func(t *testing.T) repl.Log) {
	t.Run("append, then read whole batches", func(t *testing.T) {
		l := open(t)
		end := fill(t, l, 1, 10, 100)
		written(t, l, end)
		all := read(t, l, 0, 1<<20)
		require.Len(t, all, int(end))
		first, err := record.Verify(all)
		require.NoError(t, err)
		require.Zero(t, first.Position)
		require.Len(t, read(t, l, 0, 1), int(first.Length), "at least one batch, however small the limit")
		require.Len(t, read(t, l, 0, int(first.Length)*2+1), int(first.Length)*2, "never part of a batch")
		require.Empty(t, read(t, l, end, 1<<20), "nothing at the end")
	})
	t.Run("a copy takes the same bytes", func(t *testing.T) {
		a, b := open(t), open(t)
		fill(t, a, 1, 3, 50)
		end := fill(t, a, 4, 3, 50)
		written(t, a, end)
		got, err := b.AppendRaw(read(t, a, 0, 1<<20))
		require.NoError(t, err)
		require.Equal(t, end, got)
		written(t, b, end)
		require.True(t, bytes.Equal(read(t, a, 0, 1<<20), read(t, b, 0, 1<<20)))
		require.Equal(t, a.EpochBoundaries(), b.EpochBoundaries())
		require.EqualValues(t, 4, b.Positions().Epoch)
	})
	t.Run("what does not continue the log is refused", func(t *testing.T) {
		a, b := open(t), open(t)
		end := fill(t, a, 1, 2, 50)
		written(t, a, end)
		all := read(t, a, 0, 1<<20)
		first, err := record.Verify(all)
		require.NoError(t, err)
		_, err = b.AppendRaw(bytes.Clone(all[first.Length:]))
		require.Error(t, err)
		require.Zero(t, b.Positions().Append)
	})
	t.Run("of batches with one that is not valid nothing is appended", func(t *testing.T) {
		a, b := open(t), open(t)
		written(t, a, fill(t, a, 1, 2, 50))
		all := bytes.Clone(read(t, a, 0, 1<<20))
		for name, bad := range map[string][]byte{"damaged": append(bytes.Clone(all[:len(all)-1]), ^all[len(all)-1]), "cut short": all[:len(all)-1]} {
			_, err := b.AppendRaw(bad)
			require.True(t, record.Invalid(err), "%s: %v", name, err)
			require.Zero(t, b.Positions().Append, name)
		}
	})
	t.Run("epoch boundaries and truncation", func(t *testing.T) {
		l := open(t)
		one := fill(t, l, 1, 2, 50)
		two := fill(t, l, 3, 2, 50)
		want := []record.EpochBoundary{{Epoch: 1, Start: 0}, {Epoch: 3, Start: one}}
		require.Equal(t, want, l.EpochBoundaries())
		written(t, l, two)
		require.NoError(t, l.TruncateTo(one))
		p := l.Positions()
		require.Equal(t, record.Positions{Append: one, Written: one, Flush: one, Epoch: 1}, p)
		require.Equal(t, want[:1], l.EpochBoundaries())
		end := fill(t, l, 5, 1, 50)
		require.Equal(t, []record.EpochBoundary{want[0], {Epoch: 5, Start: one}}, l.EpochBoundaries())
		written(t, l, end)
		require.NoError(t, l.TruncateTo(0))
		require.Equal(t, record.Positions{}, l.Positions())
		require.Empty(t, l.EpochBoundaries())
	})
	t.Run("the signal comes for writes and flushes", func(t *testing.T) {
		l := open(t)
		wrote, cancelWrote := l.Subscribe(record.MovesOfWritten)
		defer cancelWrote()
		flushed, cancelFlushed := l.Subscribe(record.MovesOfFlush)
		defer cancelFlushed()
		end := fill(t, l, 1, 1, 50)
		awaitSignal(t, l, wrote, func(p record.Positions) bool { return p.Written >= end })
		awaitSignal(t, l, flushed, func(p record.Positions) bool { return p.Flush >= end })
	})
}

// awaitSignal looks at the positions only when there was a signal.
func awaitSignal(t *testing.T, l repl.Log, signal <-chan struct{}, reached func(record.Positions) bool) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for !reached(l.Positions()) {
		select {
		case <-signal:
		case <-timeout:
			t.Fatalf("no signal; positions %+v", l.Positions())
		}
	}
}

func fill(t *testing.T, l repl.Log, epoch record.Epoch, n, size int) (end record.Position) {
	t.Helper()
	for i := range n {
		b := record.NewBatch(size + 64)
		b.Add(record.TypeEnqueue, record.Enqueue{Queue: "q",
			Message: record.Message{ID: fmt.Sprint(i), Body: make([]byte, size)}}.AppendTo)
		at, length := l.Positions().Append, b.Len()
		var err error
		end, err = l.Append(epoch, 0, b)
		require.NoError(t, err)
		require.Equal(t, at+record.Position(length), end)
	}
	return end
}

// written waits until the log has flushed up to end.
func written(t *testing.T, l repl.Log, end record.Position) {
	t.Helper()
	c, cancel := l.Subscribe(record.MovesOfFlush)
	defer cancel()
	awaitSignal(t, l, c, func(p record.Positions) bool { return p.Flush >= end })
	p := l.Positions()
	require.True(t, p.Start <= p.Flush && p.Flush <= p.Written && p.Written <= p.Append, "%+v", p)
}

func read(t *testing.T, l repl.Log, from record.Position, max int) []byte {
	t.Helper()
	b, err := l.ReadInto(nil, from, max)
	require.NoError(t, err)
	return b
}
