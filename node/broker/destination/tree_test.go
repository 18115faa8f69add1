package destination_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/broker/destination"
)

// Two trees, one of names and one of patterns, say the same as Matches for
// every pair, while values come and go.
func TestTreesAgreeWithMatches(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("BATON_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		require.NoError(t, err)
		seed = n
	}
	t.Logf("BATON_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	path := func(last string, levels ...string) string {
		var p []string
		for range 1 + r.IntN(4) {
			p = append(p, levels[r.IntN(len(levels))])
		}
		if last != "" && r.IntN(3) == 0 {
			p = append(p, last)
		}
		return strings.Join(p, ".")
	}
	var names, patterns destination.Tree[string]
	var allNames, allPatterns []string
	for range 3000 {
		switch n, p := path("", "a", "b", "c", ""), path(">", "a", "b", "*"); r.IntN(6) {
		case 0, 1:
			names.Add(n, n)
			allNames = append(allNames, n)
		case 2, 3:
			patterns.Add(p, p)
			allPatterns = append(allPatterns, p)
		case 4:
			i := slices.Index(allNames, n)
			require.Equal(t, i >= 0, names.Remove(n, n))
			if i >= 0 {
				allNames = slices.Delete(allNames, i, i+1)
			}
		case 5:
			i := slices.Index(allPatterns, p)
			require.Equal(t, i >= 0, patterns.Remove(p, p))
			if i >= 0 {
				allPatterns = slices.Delete(allPatterns, i, i+1)
			}
		}
		n, p := path("", "a", "b", "c", ""), path(">", "a", "b", "*")
		require.Equal(t, filter(allNames, func(n string) bool { return destination.Matches(p, n) }), slices.Sorted(names.Matching(p)), p)
		require.Equal(t, filter(allPatterns, func(p string) bool { return destination.Matches(p, n) }), slices.Sorted(patterns.StandingFor(n)), n)
	}
	require.Equal(t, len(allNames), names.Len())
	require.Equal(t, len(allPatterns), patterns.Len())
}

func filter(all []string, f func(string) bool) []string {
	var out []string
	for _, s := range all {
		if f(s) {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

// A search may be stopped at any value.
func TestSearchStops(t *testing.T) {
	var tree destination.Tree[int]
	for i := range 100 {
		tree.Add(fmt.Sprintf("a.%d.b", i), i)
		tree.Add("*.x.b", i)
	}
	for _, pattern := range []string{"a.*.b", ">", "a.>"} {
		n := 0
		for range tree.Matching(pattern) {
			if n++; n == 3 {
				break
			}
		}
		require.Equal(t, 3, n)
	}
	n := 0
	for range tree.StandingFor("y.x.b") {
		if n++; n == 3 {
			break
		}
	}
	require.Equal(t, 3, n)
}

func FuzzAppend(f *testing.F) {
	for _, s := range []string{"/queue/a", "/queue/a,/topic/b.>", "/temp-queue/x", "/queue/*.b", "/queue/\x00", ",,", "/queue/ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := destination.Append(nil, text)
		if err != nil {
			require.Empty(t, all)
			return
		}
		require.LessOrEqual(t, len(all), destination.PartsMax)
		for _, d := range all {
			// What was accepted is accepted again, and means the same.
			again, err := destination.Append(nil, d.String())
			require.NoError(t, err)
			require.Equal(t, []destination.Destination{d}, again)
			require.False(t, destination.Internal(d.Name))
			q, p := destination.SplitLane(destination.Lane(d.Name, 9))
			require.Equal(t, d.Name, q)
			require.Equal(t, uint8(9), p)
			require.True(t, destination.Matches(d.Name, d.Name), "a pattern stands for itself")
		}
	})
}

// BenchmarkTree compares a search for one of n names with n: the ratio of time
// to names falls.
func BenchmarkTree(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		var names destination.Tree[int]
		for i := range n {
			names.Add(fmt.Sprintf("orders.r%d.c%d", i%100, i), i)
		}
		b.Run(fmt.Sprint("one level of ", n), func(b *testing.B) {
			for b.Loop() {
				for range names.Matching("orders.*.c17") {
				}
			}
		})
		var patterns destination.Tree[int]
		for i := range n {
			patterns.Add(fmt.Sprintf("orders.*.c%d", i), i)
		}
		b.Run(fmt.Sprint("patterns of ", n), func(b *testing.B) {
			for b.Loop() {
				for range patterns.StandingFor("orders.r5.c17") {
				}
			}
		})
	}
}
