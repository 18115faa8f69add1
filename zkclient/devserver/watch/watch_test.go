package watch_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver/watch"
	"baton/zkclient/devserver/wire"
)

// The wire tests of zktest compare events with the real ZooKeeper's; here is
// what they cannot see: several watchers, mixed modes and what is left behind.

type told []string

func (x *told) tell(w string, e watch.Event) {
	*x = append(*x, fmt.Sprintf("%s %d %s", w, e.Type, e.Path))
}

func (x *told) take() []string {
	taken := slices.Sorted(slices.Values(*x))
	*x = nil
	return taken
}

func TestModesOfOnePathDoNotDisturbEachOther(t *testing.T) {
	table, heard := watch.New[string](), told{}
	table.AddPersistent("/a", "w")
	table.AddData("/a", "w")
	table.AddRecursive("/a", "w")
	table.Changed("/a", heard.tell)
	require.Equal(t, []string{"w 3 /a"}, heard.take(), "one event for one watcher")
	table.Changed("/a", heard.tell)
	require.Equal(t, []string{"w 3 /a"}, heard.take(), "the one-shot watch took no other with it")
	removed, known := table.Remove("/a", "w", wire.WatchKindPersistent)
	require.True(t, removed && known)
	table.Created("/a/b", "/a", heard.tell)
	require.Equal(t, []string{"w 1 /a/b"}, heard.take(), "recursive watches get no child lists")
	removed, _ = table.Remove("/a", "w", wire.WatchKindPersistentRecursive)
	require.True(t, removed)
	require.Zero(t, table.Len())
	_, known = table.Remove("/a", "w", 99)
	require.False(t, known)
}

func TestDeletedTellsEachWatcherOnce(t *testing.T) {
	table, heard := watch.New[string](), told{}
	table.AddData("/a/b", "both")
	table.AddChild("/a/b", "both")
	table.AddChild("/a/b", "child")
	table.AddRecursive("/", "root")
	table.AddChild("/a", "parent")
	table.Deleted("/a/b", "/a", heard.tell)
	require.Equal(t, []string{"both 2 /a/b", "child 2 /a/b", "parent 4 /a", "root 2 /a/b"}, heard.take())
	table.Deleted("/a/b", "/a", heard.tell)
	require.Equal(t, []string{"root 2 /a/b"}, heard.take())
}

func TestNothingIsLeftOfADroppedWatcher(t *testing.T) {
	table, heard := watch.New[string](), told{}
	for _, w := range []string{"gone", "stays"} {
		table.AddData("/a", w)
		table.AddChild("/b", w)
		table.AddPersistent("/c", w)
		table.AddRecursive("/d", w)
	}
	require.Equal(t, 12, table.Len())
	require.Equal(t, 6, table.LenOf("gone"))
	require.Equal(t, 4, table.Paths())
	require.Equal(t, 2, table.Watchers())
	table.DropWatcher("gone")
	require.Zero(t, table.LenOf("gone"))
	require.Equal(t, 1, table.Watchers())
	table.Changed("/d/x/y", heard.tell)
	require.Equal(t, []string{"stays 3 /d/x/y"}, heard.take())
	table.DropWatcher("stays")
	require.Zero(t, table.Len()+table.Paths()+table.Watchers())
}
