package index_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
)

// TestColdBlocks: an index that remembers nothing of what it wrote, and so reads
// the blocks that it changes, comes to the same as one that has written nothing
// yet, whatever the order of acks is and whatever happens to messages of a block
// in the same batch.
func TestColdBlocks(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	queues := []string{"a", "b"}
	const depth = 3000

	var l log
	disk := vfs.NewMem()
	warm, cold := open(t, vfs.NewMem()), open(t, disk)
	var told, same story
	feed := func(raw []byte) {
		require.NoError(t, warm.Apply(raw, &told))
		require.NoError(t, cold.Apply(raw, &same))
	}
	for _, q := range queues {
		feed(l.add(1, func(b *record.Batch) {
			for range depth {
				put(b, q, string(make([]byte, rng.IntN(50))))
			}
		}))
	}
	at := map[string]map[record.Sequence]record.Position{}
	for _, q := range queues {
		at[q] = positions(t, warm, q)
	}
	for begin := record.Sequence(1); begin < depth; begin += 300 {
		require.NoError(t, cold.Close())
		var err error
		cold, err = index.Open(disk, "/index")
		require.NoError(t, err)
		last := cold
		t.Cleanup(func() { last.Close() })
		next := map[string]record.Sequence{"a": begin, "b": begin}
		feed(l.add(1, func(b *record.Batch) {
			for range 100 {
				q := queues[rng.IntN(2)]
				for range rng.IntN(10) {
					// Ahead of the acks, so also within a block that is changed.
					seq := next[q] + record.Sequence(rng.IntN(20))
					switch rng.IntN(40) {
					case 0:
						b.Add(record.TypeRedeliver, record.Redeliver{Queue: q, Messages: []record.Redelivered{{Sequence: seq, Count: 3}}}.AppendTo)
					case 1:
						if from, ok := at[q][seq]; ok {
							delete(at[q], seq)
							move(&l, b, q, seq, from)
						}
					case 2:
						ack(b, q, seq)
					}
					ack(b, q, next[q])
					next[q] += 1 + record.Sequence(rng.IntN(20)/19)
				}
			}
		}))
		require.True(t, slices.Equal(told.lines, same.lines), "what sinks are told differs from sequence %d on", begin)
		told.lines, same.lines = nil, nil
	}
	require.Equal(t, dump(t, warm), dump(t, cold))
}
