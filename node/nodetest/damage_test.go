package nodetest_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node"
	"baton/node/adminapi"
	"baton/node/nodetest"
)

// damage flips a bit in the middle of a node's oldest segment, whether the
// node runs or not.
func damage(t *testing.T, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "log", "*.log"))
	require.NoError(t, err)
	require.Greater(t, len(names), 2, "the oldest is sealed")
	f, err := os.OpenFile(names[0], os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, 8<<10)
	require.NoError(t, err)
	b[0] ^= 0x10
	_, err = f.WriteAt(b, 8<<10)
	require.NoError(t, err)
}

func smallSegments(c *node.Config) { c.SegmentSize = 16 << 10 }

func TestDamagedLeaderIsRepaired(t *testing.T) {
	c := nodetest.Start(t, nodetest.Config{Nodes: 5, Edit: smallSegments})
	leader := c.Healthy()
	orders := c.Traffic("orders")
	orders.Send(300)
	c.Settled()
	incarnation := c.Status(leader).Incarnation
	fresh := c.Followers(leader)[0]
	c.Stop(fresh)
	c.Wipe(fresh)
	damage(t, c.NodeConfig(leader).DataDir)
	c.StartNodes(fresh) // makes the leader read what is damaged

	c.AwaitEvent(leader, adminapi.KindDamaged, nil)
	c.AwaitEvent(leader, adminapi.KindSnapshotStarted, nil)
	e := c.AwaitEvent(leader, adminapi.KindSnapshotFinished, nil)
	require.Contains(t, e.Text, "installed the log of")
	require.NotEqual(t, leader, c.Healthy(), "the others served meanwhile")
	c.Settled()
	require.Equal(t, incarnation, c.Status(leader).Incarnation, "it is the same disk, and keeps its promises")
	for _, id := range c.IDs() {
		require.EqualValues(t, 300, c.Queue(id, "orders").Depth, id)
	}
	orders.Send(20)
	orders.ExactlyOnce()
}

// What nobody reads any more is damaged; the scrubber finds it on a follower and
// on the leader, which gives way.
func TestScrubberFindsDamage(t *testing.T) {
	beyondShort(t)
	for name, whose := range map[string]func(c *nodetest.Cluster, leader string) string{
		"on a follower": func(c *nodetest.Cluster, leader string) string { return c.Followers(leader)[0] },
		"on the leader": func(_ *nodetest.Cluster, leader string) string { return leader },
	} {
		t.Run(name, func(t *testing.T) {
			c := nodetest.Start(t, nodetest.Config{Edit: func(cfg *node.Config) {
				cfg.SegmentSize, cfg.ScrubRate, cfg.ScrubPause = 16<<10, 1<<30, 10*time.Millisecond
			}})
			leader := c.Healthy()
			orders := c.Traffic("orders")
			orders.Send(300)
			c.Settled()
			id := whose(c, leader)
			incarnation := c.Status(id).Incarnation
			damage(t, c.NodeConfig(id).DataDir)
			found := c.AwaitEvent(id, adminapi.KindDamaged, nil)
			require.Contains(t, found.Text, "asks the leader for a whole one")
			c.AwaitEvent(id, adminapi.KindSnapshotFinished, func(e nodetest.Event) bool { return contains(e.Text, "installed the log of") })
			c.Settled()
			if id == leader {
				c.AwaitEvent(id, adminapi.KindResigned, func(e nodetest.Event) bool { return contains(e.Text, "its log is damaged") })
			}
			require.Equal(t, incarnation, c.Status(id).Incarnation)
			orders.Send(20)
			orders.ExactlyOnce()
		})
	}
	t.Run("of a node alone", func(t *testing.T) {
		c := nodetest.Start(t, nodetest.Config{Nodes: 1, Edit: func(cfg *node.Config) {
			cfg.SegmentSize, cfg.ScrubRate, cfg.ScrubPause = 16<<10, 1<<30, 10*time.Millisecond
		}})
		orders := c.Traffic("orders")
		orders.Send(300)
		damage(t, c.NodeConfig("n1").DataDir)
		found := c.AwaitEvent("n1", adminapi.KindDamaged, nil)
		require.Contains(t, found.Text, "no other node has a copy")
		orders.Send(20) // what is sound is still served
	})
}

func TestNodeWithDamagedLogStartsAsNewDisk(t *testing.T) {
	c := nodetest.Start(t, nodetest.Config{Edit: smallSegments})
	leader := c.Healthy()
	orders := c.Traffic("orders")
	orders.Send(300)
	c.Settled()
	id := c.Followers(leader)[0]
	incarnation := c.Status(id).Incarnation
	c.Stop(id)
	damage(t, c.NodeConfig(id).DataDir)
	c.Remove(id, "index") // so that it reads the log at start
	cfg := c.NodeConfig(id)

	cfg.Replicas = 1
	_, err := node.Start(cfg)
	require.ErrorContains(t, err, "is damaged at position", "alone it refuses")
	require.ErrorContains(t, err, "expected")

	c.StartNodes(id)
	c.AwaitEvent(id, adminapi.KindDamaged, nil)
	c.Settled()
	require.NotEqual(t, incarnation, c.Status(id).Incarnation)
	names, err := filepath.Glob(filepath.Join(cfg.DataDir, "damaged-1", "*.log"))
	require.NoError(t, err)
	require.NotEmpty(t, names, "the damaged log is kept")
	orders.Send(20)
	orders.ExactlyOnce()
}
