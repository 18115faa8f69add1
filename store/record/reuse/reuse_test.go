package reuse_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store/record"
	"baton/store/record/reuse"
)

// A batch in used memory is the same as one in new memory.
func TestUsedMemoryLeavesNoTrace(t *testing.T) {
	body := func(s string) func([]byte) []byte {
		return func(b []byte) []byte { return append(b, s...) }
	}
	seal := func(b *record.Batch) string {
		b.Add(record.TypeEnqueue, body("short"))
		return string(b.Seal(3, 64, 32, time.UnixMicro(7), b.Prepare()))
	}
	want := seal(record.NewBatch(10))
	for range 100 {
		b := reuse.NewBatch(100)
		b.Add(record.TypeEnqueue, body("something that is longer than what comes next"))
		b.Seal(1, 1, 1, time.UnixMicro(1), b.Prepare())
		reuse.Recycle(b)
		require.Zero(t, b.Len())
		require.Equal(t, want, seal(reuse.NewBatch(10)))
	}
	big := reuse.NewBatch(1 << 20)
	require.Equal(t, want, seal(big))
}
