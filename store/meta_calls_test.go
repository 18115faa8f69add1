package store_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store"
	"baton/store/vfs"
)

// TestMetaCallsInOrder: META is replaced as a whole, durably, before a promise
// is given.
func TestMetaCallsInOrder(t *testing.T) {
	var mu sync.Mutex
	var calls []string
	mem := vfs.NewMem()
	s := openStore(t, store.Config{Dir: "/data", FS: vfs.NewHook(mem, func(op vfs.Op) error {
		if op.Changes() && (strings.Contains(op.Name, "META") || op.Name == "/data") {
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, string(op.Kind)+" "+op.Name)
		}
		return nil
	})})
	mu.Lock()
	calls = nil
	mu.Unlock()
	require.NoError(t, s.Seal(7))
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []string{
		"create /data/META.tmp", "write /data/META.tmp", "sync /data/META.tmp", "rename /data/META", "syncdir /data",
	}, calls)
}
