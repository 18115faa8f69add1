package main_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTrace follows a message through a real cluster.
func TestTrace(t *testing.T) {
	if testing.Short() {
		t.Skip("launches a cluster")
	}
	cl := launch(t, nil)
	o := baton(t, "", "trace", "--zk", strings.Join(cl.ZooKeeper(), ","), "--zk-path", cl.ZKPath())
	require.Zero(t, o.code, o.stderr)
	t.Log("\n" + o.stdout)
	before := -1
	for _, step := range []string{"sent", "committed: a quorum has it", "delivered to the consumer", "the acknowledgement is committed"} {
		i := strings.Index(o.stdout, step)
		require.Greater(t, i, before, "%s comes later:\n%s", step, o.stdout)
		before = i
	}
	require.Equal(t, 3, strings.Count(o.stdout, "on disk"))
	require.NotContains(t, o.stdout, "not seen")
	queues := baton(t, "", "status", "--zk", strings.Join(cl.ZooKeeper(), ","), "--zk-path", cl.ZKPath(), "--json")
	require.NotContains(t, queues.stdout, "baton.trace")
}
