package nodetest_test

import (
	"fmt"
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
	const size = 100 * segment
	c := nodetest.Start(t, nodetest.Config{Links: true, Edit: func(cfg *node.Config) {
		small(cfg)
		cfg.RetainBytes, cfg.CompactBytes = 8*segment, 1<<30
	}})
	leader := c.Healthy()
	away := c.Followers(leader)[0]
	pass(t, c, "q", 12*segment)
	bounded(c, 12*segment)
	c.Stop(away)
	c.Wipe(away)
	pass(t, c, "q", 12*segment)
	fill(t, c, "kept", size)
	link := c.Link(away, leader)
	link.Throttle(float64(size) / 2) // two seconds for all of it
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
	pass(t, c, "q", 12*segment) // of which a leader would retain no more than 8
	link.Throttle(0)
	link.Heal()
	c.StartNodes(away)
	c.AwaitEvent(away, adminapi.KindSnapshotFinished, nil)
	c.Settled()
	sent := link.State().Bytes - before
	whole := uint64(logBytes(c.Status(leader)))
	require.Less(t, sent, whole+whole/5, "the log of %d bytes was not sent twice, after %d", whole, done)
	require.Equal(t, leader, c.Leader())
}
