package index_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/record"
	"baton/store/vfs"
)

// TestSpansSurviveARestart: a segment in which nothing was live yet is still
// told apart after a restart, else what comes there later would seem to be
// live in the one before, which could then never be freed.
func TestSpansSurviveARestart(t *testing.T) {
	mem := vfs.NewMem()
	ix := open(t, mem)
	var l log
	apply := func(fill func(b *record.Batch)) { require.NoError(t, ix.Apply(l.add(1, fill), nil)) }
	apply(func(b *record.Batch) { put(b, "q", "one") })
	second := l.end
	ix.Divide()
	apply(func(b *record.Batch) { ack(b, "q", 1) })
	require.NoError(t, ix.Close())
	ix = open(t, mem)
	apply(func(b *record.Batch) { put(b, "q", "two") })
	oldest, live := ix.OldestLive()
	require.True(t, live)
	require.Equal(t, second, oldest)

	ix.Divide()
	third := l.end
	apply(func(b *record.Batch) { ack(b, "q", 2); put(b, "q", "three") })
	require.NoError(t, ix.ForgetBelow(third))
	dump(t, ix) // compares the counters
	oldest, _ = ix.OldestLive()
	require.Equal(t, third, oldest)
	require.NoError(t, ix.Close())
	dump(t, open(t, mem))
}
