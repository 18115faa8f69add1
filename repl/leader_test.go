package repl_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThreeNodesReplicate(t *testing.T) {
	checkGoroutines(t)
	a, b, c := trio(t)
	<-a.leader.Ready()
	for range 100 {
		a.mustCommit("hello")
	}
	sameLogs(t, a, b, c)
	require.Equal(t, a.log.Positions().Append, a.leader.Commit())
	eventually(t, func() bool { return b.follower.Status().LeaderCommit == a.leader.Commit() }, "follower knows the commit position")
}
