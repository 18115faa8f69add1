package repl_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"baton/repl"
	"baton/repl/quorum"
)

// TestWhatAReceiptWaitsFor holds disks and operating systems of three replicas
// and says which of them each sync policy needs before a proposal is committed.
func TestWhatAReceiptWaitsFor(t *testing.T) {
	checkGoroutines(t)
	type held int
	const (
		free  held = iota // nothing is held
		flush             // written, but no flush returns
		write             // not even handed to the operating system
	)
	type replicas struct{ leader, b, c held }
	for policy, c := range map[string]struct{ enough, lacking []replicas }{
		"local_mem": {
			enough:  []replicas{{flush, write, write}},
			lacking: []replicas{{write, free, free}}},
		"local_disk": {
			enough:  []replicas{{free, write, write}},
			lacking: []replicas{{flush, free, free}}},
		"remote_mem": { // one follower of two, whatever the leader's disk does
			enough:  []replicas{{flush, flush, write}, {flush, write, flush}},
			lacking: []replicas{{free, write, write}}},
		"remote_disk": {
			enough:  []replicas{{flush, free, write}, {flush, write, free}},
			lacking: []replicas{{free, flush, flush}}},
		"quorum_mem": { // any two of three, the leader counts like another
			enough:  []replicas{{flush, flush, write}, {flush, write, flush}},
			lacking: []replicas{{flush, write, write}}},
		"quorum_disk": {
			enough:  []replicas{{free, free, write}, {free, write, free}, {flush, free, free}},
			lacking: []replicas{{free, flush, flush}, {flush, free, flush}, {flush, flush, flush}}},
		// A list asks for the union of what its members ask for, as in ActiveMQ.
		"local_disk,remote_mem": {
			enough:  []replicas{{free, flush, write}, {free, write, flush}},
			lacking: []replicas{{free, write, write}, {flush, free, free}}},
		"local_mem,local_disk": { // the stronger of the two
			enough:  []replicas{{free, write, write}},
			lacking: []replicas{{flush, free, free}}},
		"quorum_disk,local_disk": {
			enough:  []replicas{{free, free, write}},
			lacking: []replicas{{flush, free, free}, {free, flush, flush}}},
	} {
		t.Run(policy, func(t *testing.T) {
			p, err := quorum.Parse(policy)
			require.NoError(t, err)
			a, b, f := trio(t, func(c *repl.LeaderConfig) { c.Policy = p })
			nodes := []*node{a, b, f}
			hold := func(r replicas) {
				for i, h := range []held{r.leader, r.b, r.c} {
					nodes[i].log.HoldFlush(h != free)
					nodes[i].log.HoldWrites(h == write)
				}
			}
			release := func() {
				hold(replicas{})
				end := a.log.Positions().Append
				eventually(t, func() bool {
					s := a.leader.Status()
					return s.Commit == end && s.Followers[0].Flushed == end && s.Followers[1].Flushed == end
				}, "all have everything")
			}
			a.mustCommit("first")
			release()
			for _, r := range c.enough {
				hold(r)
				require.NoError(t, result(t, a.propose("x")), "with %+v", r)
				release()
			}
			for _, r := range c.lacking {
				hold(r)
				out := a.propose("y")
				end := a.log.Positions().Append
				// It has arrived wherever it can and the leader knows.
				at := func(h held, n *node, received, flushed bool) bool {
					p := n.log.Positions()
					return (h == write || p.Written == end && received) && (h != free || p.Flush == end && flushed)
				}
				pending(t, out, func() bool {
					s := a.leader.Status().Followers
					return at(r.leader, a, true, true) &&
						at(r.b, b, r.leader == write || s[0].Received == end, r.leader == write || s[0].Flushed == end) &&
						at(r.c, f, r.leader == write || s[1].Received == end, r.leader == write || s[1].Flushed == end) ||
						r.leader == write // what the leader has not written is not sent
				})
				hold(replicas{})
				require.NoError(t, result(t, out), "once nothing is held, after %+v", r)
				release()
			}
		})
	}
}
