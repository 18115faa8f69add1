package snapshot_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/record"
	"baton/store/snapshot"
)

func manifest() snapshot.Manifest {
	return snapshot.Manifest{
		ClusterID: "c1", Start: 4096, End: 90000, Epoch: 5, StartChain: 7, Check: 80000, Chain: 8,
		SideSize: 33, SideSum: [32]byte{1, 31: 2},
		Boundaries: []record.EpochBoundary{{Epoch: 1, Start: 0}, {Epoch: 5, Start: 5000}},
	}
}

func TestManifest(t *testing.T) {
	whole := manifest().Encode()
	got, err := snapshot.Decode(whole)
	require.NoError(t, err)
	require.Equal(t, manifest(), got)
	for n := range whole {
		_, err := snapshot.Decode(whole[:n])
		require.ErrorIs(t, err, snapshot.ErrManifest, "cut at %d", n)
	}
	for bit := range len(whole) * 8 {
		b := append([]byte(nil), whole...)
		b[bit/8] ^= 1 << (bit % 8)
		_, err := snapshot.Decode(b)
		require.Error(t, err, "bit %d", bit)
	}
	newer := append([]byte(nil), whole...)
	newer[8] = 2
	_, err = snapshot.Decode(newer)
	require.ErrorIs(t, err, snapshot.ErrVersion)
	require.ErrorContains(t, err, "upgrade")
}

func TestManifestThatCannotBe(t *testing.T) {
	for name, change := range map[string]func(*snapshot.Manifest){
		"no log":                 func(m *snapshot.Manifest) { m.End = m.Start },
		"end before start":       func(m *snapshot.Manifest) { m.End = m.Start - 1 },
		"huge":                   func(m *snapshot.Manifest) { m.End = 1 << 63 },
		"check below":            func(m *snapshot.Manifest) { m.Check = 1 },
		"check above":            func(m *snapshot.Manifest) { m.Check = m.End + 1 },
		"side too large":         func(m *snapshot.Manifest) { m.SideSize = snapshot.MaxSideSize + 1 },
		"side negative":          func(m *snapshot.Manifest) { m.SideSize = -1 },
		"side at 0":              func(m *snapshot.Manifest) { m.Start = 0 },
		"no epochs":              func(m *snapshot.Manifest) { m.Boundaries = nil },
		"another last epoch":     func(m *snapshot.Manifest) { m.Epoch = 6 },
		"epochs out of order":    func(m *snapshot.Manifest) { m.Boundaries[0].Epoch = 5 },
		"positions out of order": func(m *snapshot.Manifest) { m.Boundaries[0].Start = 6000 },
		"epoch past the end":     func(m *snapshot.Manifest) { m.Boundaries[1].Start = m.End },
	} {
		m := manifest()
		change(&m)
		_, err := snapshot.Decode(m.Encode())
		require.ErrorIs(t, err, snapshot.ErrManifest, name)
	}
}

func TestManifestKeepsTheNewestEpochs(t *testing.T) {
	m := manifest()
	m.Boundaries = nil
	for e := range record.Epoch(snapshot.MaxBoundaries + 10) {
		m.Boundaries = append(m.Boundaries, record.EpochBoundary{Epoch: e + 1, Start: record.Position(e)})
		m.Epoch = e + 1
	}
	b := m.Encode()
	require.LessOrEqual(t, len(b), snapshot.MaxManifest)
	got, err := snapshot.Decode(b)
	require.NoError(t, err)
	require.Equal(t, m.Boundaries[10:], got.Boundaries)
}

// FuzzManifest: whatever is accepted is what Encode would have written.
func FuzzManifest(f *testing.F) {
	f.Add(manifest().Encode())
	small := manifest()
	small.Start, small.StartChain, small.SideSize, small.ClusterID = 0, 0, 0, ""
	f.Add(small.Encode())
	f.Add([]byte("BTNSNAP\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := snapshot.Decode(b)
		if err != nil {
			return
		}
		require.Equal(t, b, m.Encode())
	})
}
