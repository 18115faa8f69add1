package index_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
)

// TestWritesAreSeldom: messages that come and go at once are not written one by
// one, and of those that stay nearly all are written before a bound of log.
func TestWritesAreSeldom(t *testing.T) {
	mem := vfs.NewMem()
	count := vfs.NewFaults(mem)
	writes := 0
	count.Set(vfs.Rule{Match: func(op vfs.Op) bool {
		if op.Kind == vfs.OpWrite && strings.HasSuffix(op.Name, ".log") {
			writes++
		}
		return false
	}})
	ix := open(t, count)
	var l log
	const messages, each = 2000, 10_000
	for seq := record.Sequence(1); seq <= messages; seq++ {
		raw := l.add(1, func(b *record.Batch) {
			put(b, "q", strings.Repeat("x", each))
			if seq > 100 {
				ack(b, "q", seq-100)
			}
		})
		require.NoError(t, ix.Apply(raw, nil))
	}
	require.LessOrEqual(t, writes, 4)
	killed := open(t, mem.Kill())
	at, _ := killed.Applied()
	require.Greater(t, at, l.end-10<<20, "what has to be applied again")
	require.Less(t, at, l.end)
	require.NoError(t, killed.Apply(l.raw[at:], nil))
	require.Equal(t, dump(t, ix), dump(t, killed))
}

// TestReadersSeeNoHole: whoever reads a queue while it is written sees no
// message without all that are between it and the head.
func TestReadersSeeNoHole(t *testing.T) {
	ix := open(t, vfs.NewMem())
	var l log
	require.NoError(t, ix.Apply(l.add(1, func(b *record.Batch) { put(b, "q", "1") }), nil))
	done, stop := make(chan error, 1), make(chan struct{})
	go func() {
		for seen := 0; ; seen++ {
			entries, err := ix.Scan("q", 0, 1000)
			for i, e := range entries {
				if e.Seq != entries[0].Seq+record.Sequence(i) {
					err = fmt.Errorf("message %d comes after %d", e.Seq, entries[i-1].Seq)
				}
			}
			if err == nil && len(entries) == 0 {
				err = fmt.Errorf("the queue is empty")
			}
			select {
			case <-stop:
				done <- err
				return
			default:
			}
			if err != nil {
				done <- err
				<-stop
				return
			}
		}
	}()
	for seq, head := record.Sequence(2), record.Sequence(1); seq < 3000; seq++ {
		raw := l.add(1, func(b *record.Batch) {
			put(b, "q", fmt.Sprint(seq))
			for ; seq-head > 200; head++ {
				ack(b, "q", head)
			}
		})
		require.NoError(t, ix.Apply(raw, nil))
		if seq%7 == 0 {
			require.NoError(t, ix.Write())
		}
	}
	close(stop)
	require.NoError(t, <-done)
}

// TestReopen: an index that could not write is as it was when it can again, and
// what it had not written is not lost.
func TestReopen(t *testing.T) {
	mem := vfs.NewMem()
	faults := vfs.NewFaults(mem)
	ix := open(t, faults)
	var l log
	apply := func(fill func(b *record.Batch)) { require.NoError(t, ix.Apply(l.add(1, fill), nil)) }
	for i := range 300 {
		apply(func(b *record.Batch) { put(b, "q", fmt.Sprint(i)) })
	}
	require.NoError(t, ix.Write())
	apply(func(b *record.Batch) { ack(b, "q", 1, 2, 70, 300); put(b, "q", "more"); put(b, "other", "more") })
	want := dump(t, ix)
	faults.Set(vfs.Rule{Match: func(op vfs.Op) bool { return op.Kind == vfs.OpWrite }, Times: -1, Err: vfs.ErrFull, Short: 10})
	require.ErrorIs(t, ix.Write(), vfs.ErrFull)
	require.ErrorIs(t, ix.Write(), vfs.ErrFull, "it does not try again by itself")
	require.Equal(t, want, dump(t, ix), "what is there can be read")
	require.Error(t, ix.Reopen(), "the disk is still full")
	faults.Set()
	require.NoError(t, ix.Reopen())
	require.Equal(t, want, dump(t, ix))
	apply(func(b *record.Batch) { ack(b, "q", 301); put(b, "q", "again") })
	want = dump(t, ix)
	require.NoError(t, ix.Close())
	again, err := index.Open(mem, "/index")
	require.NoError(t, err)
	require.Equal(t, want, dump(t, again))
	require.NoError(t, again.Close())
}

// TestReopenAfterASyncThatFailed: a write of which only the sync failed is there
// when the index is opened again. It is made once more before anything changes,
// so that what it put is known, and deleted when it goes.
func TestReopenAfterASyncThatFailed(t *testing.T) {
	mem := vfs.NewMem()
	faults := vfs.NewFaults(mem)
	ix := open(t, faults)
	faults.Set(vfs.Rule{Match: func(op vfs.Op) bool { return op.Kind == vfs.OpSync && strings.HasSuffix(op.Name, ".log") }, Err: vfs.ErrFull})
	var l log
	body := strings.Repeat("x", 60<<10)
	failed := record.Sequence(0)
	for seq := record.Sequence(1); failed == 0; seq++ {
		require.Less(t, seq, record.Sequence(2000), "no write was synced")
		raw := l.add(1, func(b *record.Batch) { put(b, "q", body) })
		if err := ix.Apply(raw, nil); err != nil {
			require.ErrorIs(t, err, vfs.ErrFull)
			require.NoError(t, ix.Reopen())
			require.NoError(t, ix.Apply(raw, nil))
			failed = seq
		}
	}
	require.NoError(t, ix.Apply(l.add(1, func(b *record.Batch) {
		for seq := record.Sequence(1); seq <= failed; seq++ {
			ack(b, "q", seq)
		}
	}), nil))
	want := dump(t, ix)
	require.NoError(t, ix.Close())
	again, err := index.Open(mem, "/index")
	require.NoError(t, err)
	require.Equal(t, want, dump(t, again))
	require.NoError(t, again.Close())
}
