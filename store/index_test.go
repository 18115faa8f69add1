package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store"
	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
)

// rebuild applies the log of a store to an empty index, batch by batch, and
// returns its dump.
func rebuild(t *testing.T, s *store.Store, to record.Position) string {
	ix, err := index.Open(vfs.NewMem(), "/index")
	require.NoError(t, err)
	defer ix.Close()
	for at, _ := ix.Applied(); at < to; at, _ = ix.Applied() {
		raw, err := s.Log().Read(at, 1)
		require.NoError(t, err)
		require.NoError(t, ix.Apply(raw, nil))
	}
	dump, err := ix.Dump()
	require.NoError(t, err)
	return dump
}
