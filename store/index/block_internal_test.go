package index

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store/record"
)

func randomPlaces(rng *rand.Rand) *places {
	s := &places{}
	for offset := range blockSize {
		if rng.IntN(3) == 0 {
			continue
		}
		p := place{at: record.Position(rng.Uint64() >> rng.IntN(64)), size: 1 + rng.Uint32()>>1>>rng.IntN(31), timestamp: int64(rng.Uint64())}
		if rng.IntN(5) == 0 {
			p.deadline, p.redeliveries = rng.Int64(), rng.Uint32N(3)
		}
		s.set(offset, p)
	}
	s.set(blockSize-1, place{at: 1<<64 - 1, size: 1<<32 - 1, timestamp: -1 << 63, redeliveries: 1<<32 - 1})
	return s
}

// TestBlockBytes: a block comes back as it was, and nothing but the whole of its
// bytes is accepted.
func TestBlockBytes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	got := randomPlaces(rng) // decode uses its memory again
	for range 100 {
		want := randomPlaces(rng)
		value := want.appendTo(nil)
		require.NoError(t, got.decode(value))
		require.Equal(t, want.present, got.present)
		require.Equal(t, want.appendEntries(nil, 7, 0), got.appendEntries(nil, 7, 0))
		for n := range value {
			require.ErrorIs(t, new(places).decode(value[:n]), ErrCorrupt, "cut to %d bytes", n)
		}
		require.ErrorIs(t, new(places).decode(append(value, 0)), ErrCorrupt)
	}
	require.ErrorIs(t, new(places).decode(make([]byte, 8)), ErrCorrupt, "an empty block is not written")
	_, err := decodeBlockKey(make([]byte, 16))
	require.ErrorIs(t, err, ErrCorrupt)
	id := blockID{1 << 60, 1<<58 - 1}
	back, err := decodeBlockKey(blockKey(id))
	require.NoError(t, err)
	require.Equal(t, id, back)
}

// FuzzDecodeBlock: whatever the bytes are, decode says that they are damaged or
// returns entries that are written and read again without a difference.
func FuzzDecodeBlock(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 0))
	f.Add(randomPlaces(rng).appendTo(nil))
	one := &places{}
	one.set(3, place{at: 100, size: 50, timestamp: 5})
	f.Add(one.appendTo(nil))
	f.Add(append(append(one.appendTo(nil)[:8], 8, 0, 0, 0, 0, 0, 0, 0), 200, 1, 100, 10, 1, 1))
	f.Fuzz(func(t *testing.T, value []byte) {
		var s, again places
		if err := s.decode(value); err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		require.NoError(t, again.decode(s.appendTo(nil)))
		require.Equal(t, s.appendEntries(nil, 0, 0), again.appendEntries(nil, 0, 0))
	})
}
