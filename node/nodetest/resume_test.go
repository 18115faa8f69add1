package nodetest_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node"
	"baton/node/adminapi"
	"baton/node/nodetest"
	"baton/node/supervisor"
)

// TestSnapshotGoesOnWhereItWas cuts the link in the middle of a snapshot, and
// stops the node that takes it in, while the log goes on and could be shortened.
func TestSnapshotGoesOnWhereItWas(t *testing.T) {
	beyondShort(t)
	const size = 100 * segment // of the snapshot, and a little more
	c := nodetest.Start(t, nodetest.Config{Links: true, Edit: func(cfg *node.Config) {
		small(cfg)
		cfg.RetainBytes, cfg.CompactBytes = 60*segment, 1<<30
	}})
	leader := c.Healthy()
	away := c.Followers(leader)[0]
	c.Stop(away)
	c.Wipe(away)
	pass(t, c, "q", 80*segment) // more than is retained
	bounded(c, 64*segment)
	fill(t, c, "kept", 40*segment)
	link := c.Link(away, leader)
	link.Throttle(float64(size) / 5) // five seconds for all of it
	before := link.State().Bytes
	c.StartNodes(away)

	var done uint64
	c.Until("a third of the snapshot is there", func() string {
		for _, f := range c.Status(leader).Followers {
			if f.Node == away && f.CatchUp != nil {
				if done = f.CatchUp.Done - f.CatchUp.From; done > size/3 {
					return ""
				}
			}
		}
		return fmt.Sprintf("%d bytes are", done)
	})
	link.Cut(supervisor.CutReset)
	c.AwaitEvent(leader, adminapi.KindSnapshotFinished, func(e nodetest.Event) bool { return contains(e.Text, "will ask again") })
	c.Stop(away)
	pass(t, c, "kept", segment) // now all of it could go but 60 segments
	pass(t, c, "q", 8*segment)
	link.Throttle(0)
	link.Heal()
	c.StartNodes(away)
	c.AwaitEvent(away, adminapi.KindSnapshotFinished, nil)
	c.Settled()
	started := c.Events(away, adminapi.KindSnapshotStarted)
	require.Len(t, started, 2)
	number := func(e nodetest.Event, field string) uint64 {
		n, err := strconv.ParseUint(e.Fields[field], 10, 64)
		require.NoError(t, err)
		return n
	}
	first, second := started[0], started[1]
	require.Equal(t, first.Fields["start"], first.Fields["at"])
	require.Equal(t, first.Fields["start"], second.Fields["start"], "the leader kept it")
	require.GreaterOrEqual(t, number(second, "at"), number(first, "start")+done, "what was there is kept")
	whole := number(second, "end") - number(second, "start")
	require.Less(t, link.State().Bytes-before, whole+whole/5, "nothing was sent twice")
	require.Equal(t, leader, c.Leader())
}
