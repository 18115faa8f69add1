package index

import (
	"fmt"
	"hash/maphash"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/record"
)

// TestFilter: it never denies what it was given and not told to drop, and
// rarely takes what it was not given for that.
func TestFilter(t *testing.T) {
	f := idFilter{seed: maphash.MakeSeed()}
	key := func(i int) []byte { return idKey("orders", fmt.Sprint("producer-1-", i)) }
	const n = 3*generationIDs + 100
	for i := range n {
		require.False(t, i == 0 && f.mayHave(key(i)), "an empty one has nothing")
		f.add(key(i), record.Position(100+i))
	}
	wrong := 0
	for i := range n {
		require.True(t, f.mayHave(key(i)), i)
		if f.mayHave(key(n + i)) {
			wrong++
		}
	}
	require.Less(t, wrong, n/50)
	require.Len(t, f.generations, 4)
	for _, below := range []int{0, generationIDs - 1, generationIDs, generationIDs + 1, 3 * generationIDs, n} {
		f.drop(record.Position(100 + below))
		for i := below; i < n; i += 7 {
			require.True(t, f.mayHave(key(i)), "%d after a drop below %d", i, below)
		}
	}
	require.Empty(t, f.generations, "what is forgotten costs nothing")
	f.add(key(1), 5)
	require.True(t, f.mayHave(key(1)))
}
