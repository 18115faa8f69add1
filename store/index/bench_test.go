package index_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
)

// BenchmarkKeepUp applies messages that are enqueued and, some thousands
// later, acknowledged, in batches of several sizes: what a queue costs an
// index that keeps up.
func BenchmarkKeepUp(b *testing.B) {
	for _, size := range []int{1, 16, 1000} {
		for _, lag := range []int{1000, 200_000} {
			b.Run(fmt.Sprintf("batch=%d/lag=%d", size, lag), func(b *testing.B) {
				ix, err := index.Open(vfs.OS{}, b.TempDir())
				require.NoError(b, err)
				defer ix.Close()
				e := record.Enqueue{Queue: "q", Message: record.Message{ID: "m", Body: make([]byte, 1024)}}
				var end record.Position
				apply := func(fill func(*record.Batch)) {
					batch := record.NewBatch(2048 * size)
					fill(batch)
					raw := batch.Seal(1, end, end, time.UnixMicro(1), batch.Prepare())
					end += record.Position(len(raw))
					b.StartTimer()
					err := ix.Apply(raw, nil)
					b.StopTimer()
					require.NoError(b, err)
				}
				next, head := record.Sequence(1), record.Sequence(1)
				b.StopTimer()
				for n := 0; n < b.N; n += size {
					apply(func(batch *record.Batch) {
						for range size {
							batch.Add(record.TypeEnqueue, e.AppendTo)
						}
					})
					if next += record.Sequence(size); int(next-head) <= lag {
						continue
					}
					apply(func(batch *record.Batch) {
						a := record.Ack{Queue: "q"}
						for range size {
							a.Sequences = append(a.Sequences, head)
							head++
						}
						batch.Add(record.TypeAck, a.AppendTo)
					})
				}
			})
		}
	}
}

// BenchmarkIDs is what it costs on top to suppress duplicates: messages with
// and without ids, of which the newest 200,000 are remembered, in one run.
func BenchmarkIDs(b *testing.B) {
	const size, kept = 100, 200_000
	for _, ids := range []bool{false, true} {
		b.Run(fmt.Sprintf("ids=%v", ids), func(b *testing.B) {
			ix, err := index.Open(vfs.OS{}, b.TempDir())
			require.NoError(b, err)
			defer ix.Close()
			var end record.Position
			apply := func(batch *record.Batch) {
				raw := batch.Seal(1, end, end, time.UnixMicro(1), batch.Prepare())
				end += record.Position(len(raw))
				b.StartTimer()
				err := ix.Apply(raw, nil)
				b.StopTimer()
				require.NoError(b, err)
			}
			e := record.Enqueue{Queue: "q", Message: record.Message{ID: "m", Body: make([]byte, 100)}}
			ack := record.Ack{Queue: "q", Sequences: make([]record.Sequence, size)}
			b.StopTimer()
			for n := 0; n < b.N; n += size {
				batch := record.NewBatch(300 * size)
				for i := range size {
					if ids {
						e.Message.DedupID = fmt.Sprintf("producer-%d-%012d", i%16, n+i)
					}
					batch.Add(record.TypeEnqueue, e.AppendTo)
					ack.Sequences[i] = record.Sequence(n + i + 1)
				}
				batch.Add(record.TypeAck, ack.AppendTo)
				if n/size%40 == 39 {
					below, err := ix.Outside(index.IDWindow{Count: kept, Bytes: 1 << 60}, 4096)
					require.NoError(b, err)
					batch.Add(record.TypeForget, record.Forget{Below: below}.AppendTo)
				}
				apply(batch)
			}
		})
	}
}
