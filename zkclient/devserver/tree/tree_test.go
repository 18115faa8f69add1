package tree_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver/tree"
	"baton/zkclient/devserver/wire"
)

// picture is everything observable of a tree.
func picture(t *tree.Tree) map[string]string {
	all := map[string]string{"": fmt.Sprint(t.Len(), t.DataBytes(), t.NumEphemerals(), t.EphemeralOwners(), t.Removable(1<<60))}
	for path, n := range t.All {
		all[path] = fmt.Sprintf("%q %v %v %d %+v %v", n.Data, n.ACL, n.Owner, n.Creates, n.Stat(), n.Children())
	}
	for _, owner := range t.EphemeralOwners() {
		all[fmt.Sprint(owner)] = fmt.Sprint(t.Ephemerals(owner))
	}
	return all
}

func seed(t *testing.T) *rand.Rand {
	n := uint64(time.Now().UnixNano())
	if text := os.Getenv("BATON_SEED"); text != "" {
		var err error
		n, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("BATON_SEED=%d", n)
	return rand.New(rand.NewPCG(n, 0))
}

func randomChange(r *rand.Rand) tree.Change {
	path := ""
	for range 1 + r.IntN(3) {
		path += "/" + string(rune('a'+r.IntN(3)))
	}
	if r.IntN(4) == 0 { // a quota comes or goes
		quota := []string{"/a", "/a/zookeeper_limits", "/a/zookeeper_stats", "/a/b", "/a/b/zookeeper_limits", "/a/b/zookeeper_stats"}
		path = tree.Quota + quota[r.IntN(len(quota))]
	}
	owners := []tree.Owner{0, 0, 0, 7, 8, tree.Container, tree.TTLOwner(5)}
	return tree.Change{
		Kind: tree.Kind(1 + r.IntN(4)), Path: path, Data: make([]byte, r.IntN(5)), Owner: owners[r.IntN(len(owners))],
		ACL: []wire.ACL{{Perms: r.Int32N(32), Scheme: "world", ID: "anyone"}},
	}
}

// TestUndoAndReplay makes random changes in random transactions, half of which
// are undone. An undone one must leave no trace, and the rest, replayed on an
// empty tree or restored from a snapshot, must give the same tree.
func TestUndoAndReplay(t *testing.T) {
	r := seed(t)
	subject, replayed := tree.New(), tree.New()
	applied := 0
	for zxid := int64(1); zxid < 400; zxid++ {
		before := picture(subject)
		var undo []func()
		var made []tree.Change
		for range 1 + r.IntN(5) {
			c := randomChange(r)
			u, err := subject.Apply(c, zxid, 1000+zxid)
			if err != nil {
				require.ErrorIs(t, err, tree.ErrMisfit)
				continue
			}
			undo, made = append(undo, u), append(made, c)
		}
		if r.IntN(2) == 0 {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
			require.Equal(t, before, picture(subject))
			continue
		}
		for _, c := range made {
			_, err := replayed.Apply(c, zxid, 1000+zxid)
			require.NoError(t, err)
			applied++
		}
	}
	require.Greater(t, applied, 50)
	require.Equal(t, picture(subject), picture(replayed))
	restored := tree.New()
	for path, n := range subject.All {
		copied := &tree.Node{
			Data: n.Data, ACL: n.ACL, Owner: n.Owner, Czxid: n.Czxid, Mzxid: n.Mzxid, Pzxid: n.Pzxid,
			Ctime: n.Ctime, Mtime: n.Mtime, Version: n.Version, Aversion: n.Aversion, Creates: n.Creates,
		}
		require.NoError(t, restored.Restore(path, copied))
	}
	require.Equal(t, picture(subject), picture(restored))
}

// TestQuotaCountsWhatItsPathUses makes random changes below a quota and one
// below it and compares what is written down with a count from scratch.
func TestQuotaCountsWhatItsPathUses(t *testing.T) {
	r := seed(t)
	subject := tree.New()
	apply := func(kind tree.Kind, path, data string) {
		t.Helper()
		_, err := subject.Apply(tree.Change{Kind: kind, Path: path, Data: []byte(data)}, 1, 1)
		require.NoError(t, err)
	}
	apply(tree.Create, "/a", "xyz")
	apply(tree.Create, "/a/b", "x")
	for _, node := range []string{"/a", "/a/zookeeper_limits", "/a/zookeeper_stats", "/a/b", "/a/b/zookeeper_limits", "/a/b/zookeeper_stats"} {
		apply(tree.Create, tree.Quota+node, "count=0,bytes=0")
	}
	used := func(path string) string { return string(subject.Get(tree.Quota + path + "/zookeeper_stats").Data) }
	require.Equal(t, []string{"count=2,bytes=4", "count=1,bytes=1"}, []string{used("/a"), used("/a/b")}, "a new quota begins with what is there")
	version := subject.Get(tree.Quota + "/a/zookeeper_stats").Version
	for range 300 {
		c := randomChange(r)
		if c.Path == "/a" || c.Path == "/a/b" || tree.Reserved(c.Path) || strings.HasPrefix(c.Path, tree.Quota) {
			continue
		}
		undo, err := subject.Apply(c, 2, 2)
		if err == nil && r.IntN(3) == 0 {
			undo()
		}
		want := map[string][2]int{}
		for path, n := range subject.All {
			quota := ""
			switch {
			case path == "/a/b" || strings.HasPrefix(path, "/a/b/"):
				quota = "/a/b" // the nearest one alone
			case path == "/a" || strings.HasPrefix(path, "/a/"):
				quota = "/a"
			}
			want[quota] = [2]int{want[quota][0] + 1, want[quota][1] + len(n.Data)}
		}
		// The outer quota began with what is below the inner one, too.
		require.Equal(t, fmt.Sprintf("count=%d,bytes=%d", want["/a"][0]+1, want["/a"][1]+1), used("/a"))
		require.Equal(t, fmt.Sprintf("count=%d,bytes=%d", want["/a/b"][0], want["/a/b"][1]), used("/a/b"))
	}
	require.Equal(t, version, subject.Get(tree.Quota+"/a/zookeeper_stats").Version)
	apply(tree.Delete, tree.Quota+"/a/b/zookeeper_limits", "")
	before := used("/a/b")
	apply(tree.SetData, "/a/b", "much longer than before")
	require.Equal(t, before, used("/a/b"), "without limits there is no quota")
}

func TestRestoreRefusesWhatDoesNotFit(t *testing.T) {
	for _, path := range []string{"/a/b", "a", "/a/", ""} {
		require.ErrorIs(t, tree.New().Restore(path, &tree.Node{}), tree.ErrMisfit, path)
	}
	twice := tree.New()
	require.NoError(t, twice.Restore("/a", &tree.Node{}))
	require.ErrorIs(t, twice.Restore("/a", &tree.Node{}), tree.ErrMisfit)
}

func TestRemovable(t *testing.T) {
	subject := tree.New()
	apply := func(c tree.Change, now int64) {
		_, err := subject.Apply(c, 1, now)
		require.NoError(t, err)
	}
	apply(tree.Change{Kind: tree.Create, Path: "/box", Owner: tree.Container}, 100)
	apply(tree.Change{Kind: tree.Create, Path: "/timed", Owner: tree.TTLOwner(50)}, 100)
	require.Empty(t, subject.Removable(150), "an unused container stays, and so does a node within its time")
	require.Equal(t, []string{"/timed"}, subject.Removable(151))
	apply(tree.Change{Kind: tree.SetData, Path: "/timed"}, 140)
	require.Empty(t, subject.Removable(190), "a change of the data starts the time anew")
	apply(tree.Change{Kind: tree.Create, Path: "/timed/kid"}, 150)
	require.Empty(t, subject.Removable(1000), "a node with children stays")
	apply(tree.Change{Kind: tree.Create, Path: "/box/kid"}, 150)
	require.Empty(t, subject.Removable(1000))
	apply(tree.Change{Kind: tree.Delete, Path: "/box/kid"}, 150)
	require.Equal(t, []string{"/box"}, subject.Removable(1000))
}

func TestOwner(t *testing.T) {
	for _, millis := range []int64{1, 1000, tree.MaxTTL} {
		require.Equal(t, millis, tree.TTLOwner(millis).TTL())
		require.Zero(t, tree.TTLOwner(millis).Session())
	}
	require.Zero(t, tree.Container.Session())
	require.Zero(t, tree.Container.TTL())
	require.Equal(t, int64(1<<56|5), tree.Owner(1<<56|5).Session())
	require.Zero(t, tree.Owner(1<<56|5).TTL())
}

func FuzzValidPath(f *testing.F) {
	for _, path := range []string{"/", "", "/a", "/a/", "//", "/a/./b", "/..", "/\xff", "/é", "/😀"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if !tree.ValidPath(path) || path == tree.Root {
			return
		}
		parent, name := tree.Split(path)
		require.True(t, tree.ValidPath(parent))
		require.NotEmpty(t, name)
		require.True(t, tree.ValidPath("/"+name))
	})
}
