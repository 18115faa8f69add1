package nodetest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node"
	"baton/node/adminapi"
	"baton/node/nodetest"
)

func TestAllRestartWithTheirDirectories(t *testing.T) {
	beyondShort(t)
	c := nodetest.Start(t, nodetest.Config{})
	orders := c.Traffic("orders")
	orders.Send(200)
	before := c.Status(c.Healthy())

	c.StopAll()
	c.StartNodes(c.IDs()...)
	c.Settled()
	after := c.Status(c.Leader())
	require.Greater(t, after.Epoch, before.Epoch, "a leader never resumes its epoch")
	require.Equal(t, before.ClusterID, after.ClusterID)
	orders.Send(50)
	orders.ExactlyOnce()
}

func TestIndexIsDerivedFromTheLog(t *testing.T) {
	beyondShort(t)
	c := nodetest.Start(t, nodetest.Config{})
	orders, done := c.Traffic("orders"), c.Traffic("done")
	orders.Send(100)
	done.Send(30)
	done.Drain()
	c.Settled()

	c.StopAll()
	for _, id := range c.IDs() {
		c.Remove(id, "index")
	}
	c.StartNodes(c.IDs()...)
	c.Settled()
	for _, id := range c.IDs() {
		c.AwaitEvent(id, adminapi.KindRecovered, func(e nodetest.Event) bool { return contains(e.Text, "the index was rebuilt") })
		require.EqualValues(t, 100, c.Queue(id, "orders").Depth, id)
		require.EqualValues(t, 30, c.Queue(id, "done").Enqueued, id)
		require.EqualValues(t, 0, c.Queue(id, "done").Depth, "%s: what was acknowledged stays so", id)
	}
	orders.ExactlyOnce()
}

func TestThirdNodeJoinsLater(t *testing.T) {
	beyondShort(t)
	c := nodetest.New(t, nodetest.Config{})
	c.StartNodes("n1", "n2")
	leader := c.Healthy()
	require.Equal(t, 2, c.Status(leader).Quorum.Have)
	orders := c.Traffic("orders")
	orders.Send(100)

	c.StartNodes("n3")
	require.Equal(t, leader, c.Healthy(), "who comes does not move leadership")
	c.Settled()
	require.EqualValues(t, 100, c.Queue("n3", "orders").Depth)
	require.Equal(t, 3, c.Status(leader).Quorum.Have)

	c.Stop(c.Followers(leader)[0]) // the quorum needs n3 now
	orders.Send(20)
	c.Stop(leader)
	c.StartNodes(leader)
	c.Healthy()
	orders.ExactlyOnce()
}

func TestWipedFollowerLearnsAndCountsAgain(t *testing.T) {
	beyondShort(t)
	c := nodetest.Start(t, nodetest.Config{})
	leader := c.Healthy()
	orders := c.Traffic("orders")
	orders.Send(100)
	wiped, other := c.Followers(leader)[0], c.Followers(leader)[1]
	old := c.Status(wiped).Incarnation

	c.Stop(wiped)
	c.Wipe(wiped)
	c.StartNodes(wiped)
	require.Equal(t, leader, c.Healthy())
	fresh := c.Status(wiped).Incarnation
	require.NotEqual(t, old, fresh)
	registered := c.AwaitEvent(leader, adminapi.KindRegistered, func(e nodetest.Event) bool { return e.Fields["incarnation"] == fresh })
	require.Equal(t, wiped, registered.Fields["member"])
	c.Settled()
	require.EqualValues(t, 100, c.Queue(wiped, "orders").Depth)

	c.Stop(other) // now the quorum needs the new disk
	orders.Send(50)
	c.Stop(leader)
	c.StartNodes(other)
	require.Equal(t, wiped, c.Healthy(), "only the new disk holds the last messages")
	orders.ExactlyOnce()
}

func TestThoseWhoDoNotBelongAreRefused(t *testing.T) {
	beyondShort(t)
	c := nodetest.Start(t, nodetest.Config{})
	refused := func(id string) adminapi.Status {
		c.AwaitEvent(id, adminapi.KindRefused, nil)
		var s adminapi.Status
		c.Until(id+" is refused", func() string {
			if s = c.Status(id); s.Role != adminapi.RoleRefused {
				return "it is " + s.Role
			}
			return ""
		})
		return s
	}
	healthyWithout := func(id string) {
		c.Stop(id)
		c.Healthy()
		c.Traffic("after-" + id).Send(1)
	}

	t.Run("a stranger", func(t *testing.T) {
		id := c.Add()
		c.StartNodes(id)
		require.Equal(t, "n4 is a stranger: the cluster has its 3 members (n1, n2, n3)", refused(id).Reason)
		healthyWithout(id)
	})
	t.Run("a member with another number of replicas", func(t *testing.T) {
		id := c.Followers(c.Healthy())[0]
		c.Stop(id)
		cfg := c.NodeConfig(id)
		cfg.Replicas = 5
		c.StartAs(id, cfg)
		require.Equal(t, id+" is configured for 5 replicas, the cluster for 3: start it with --replicas 3", refused(id).Reason)
		healthyWithout(id)
		c.StartNodes(id)
		c.Settled()
	})
	t.Run("a directory of another cluster", func(t *testing.T) {
		id := c.Followers(c.Healthy())[0]
		c.Stop(id)
		other := nodetest.New(t, nodetest.Config{Nodes: 1, Edit: func(cfg *node.Config) { cfg.ID = id }})
		other.StartNodes("n1")
		other.Leader()
		other.Stop("n1")
		cfg := c.NodeConfig(id)
		cfg.DataDir = other.NodeConfig("n1").DataDir
		c.StartAs(id, cfg)
		require.Contains(t, refused(id).Reason, "use another --zk-path or another --data-dir")
		healthyWithout(id)
		c.StartNodes(id)
		c.Settled()
	})
	t.Run("a directory of another node", func(t *testing.T) {
		id := c.Followers(c.Healthy())[0]
		c.Stop(id)
		cfg := c.NodeConfig(id)
		cfg.ID = "n7"
		_, err := node.Start(cfg)
		require.ErrorContains(t, err, id)
		require.ErrorContains(t, err, cfg.DataDir)
		c.StartNodes(id)
		c.Settled()
	})
}

func TestCopiedDirectoryIsRefused(t *testing.T) {
	beyondShort(t)
	start := func(t *testing.T, c *nodetest.Cluster) (leader, id, twin string) {
		leader = c.Healthy()
		id, twin = c.Followers(leader)[0], c.Add()
		c.Traffic("before").Send(20)
		c.Settled()
		c.CopyData(id, twin)
		cfg := c.NodeConfig(twin)
		cfg.ID = id
		c.StartAs(twin, cfg)
		return leader, id, twin
	}
	t.Run("while the first process lives", func(t *testing.T) {
		c := nodetest.Start(t, nodetest.Config{})
		leader, id, twin := start(t, c)
		refused := c.AwaitEvent(twin, adminapi.KindRefused, nil)
		require.Contains(t, refused.Text, "node id "+id+" is in use by another process (admin 127.0.0.1:")
		require.Equal(t, adminapi.RoleRefused, c.Status(twin).Role)
		told := c.AwaitEvent(id, adminapi.KindPeerRefused, nil)
		require.Contains(t, told.Text, "would join as "+id+" and was refused")
		c.Traffic("during").Send(20)
		require.Empty(t, c.Events(id, adminapi.KindLinkLost), "the twin took its link")
		c.Stop(twin)
		require.Equal(t, leader, c.Healthy())
		c.Settled()
	})
	t.Run("which it cannot reach", func(t *testing.T) {
		nowhere := closedAddress(t)
		c := nodetest.Start(t, nodetest.Config{Edit: func(cfg *node.Config) {
			if len(cfg.ID) == 2 && cfg.ID != "n4" {
				cfg.AdvertiseAdmin = nowhere
			}
		}})
		_, id, twin := start(t, c)
		err := c.Ended(id)
		require.ErrorContains(t, err, "has joined as "+id+" after this one, which therefore ends")
		orders := c.Traffic("orders")
		orders.Send(20)
		orders.ExactlyOnce()
		c.Stop(twin)
	})
}

func TestWrongTokenIsRefusedOnBothSides(t *testing.T) {
	beyondShort(t)
	setup := func(t *testing.T, weight int) *nodetest.Cluster {
		return nodetest.New(t, nodetest.Config{Edit: func(cfg *node.Config) {
			cfg.Token, cfg.ElectionTimeout = "right", 500*time.Millisecond
			if cfg.ID == "n3" {
				cfg.Token, cfg.Weight = "wrong", weight
			}
		}})
	}
	const refusal = "do not have the same cluster token: give both the same token file"
	served := func(t *testing.T, c *nodetest.Cluster) {
		leader := c.Leader()
		require.NotEqual(t, "n3", leader)
		orders := c.Traffic("orders")
		orders.Send(20)
		for _, f := range c.Status(leader).Followers {
			require.False(t, f.Node == "n3" && f.Connected, "the leader lets it in")
		}
		c.Stop("n3")
		cfg := c.NodeConfig("n3")
		cfg.Token = "right"
		c.StartAs("n3", cfg)
		c.Settled()
		orders.ExactlyOnce()
	}
	t.Run("as a follower", func(t *testing.T) {
		c := setup(t, 1)
		c.StartNodes("n1", "n2")
		c.Healthy()
		c.StartNodes("n3")
		heard := c.AwaitEvent("n3", adminapi.KindRefused, nil)
		require.Contains(t, heard.Text, refusal)
		require.Zero(t, c.Status("n3").Positions.Append, "nothing was given to it")
		told := c.AwaitEvent(c.Leader(), adminapi.KindPeerRefused, nil)
		require.Contains(t, told.Text, refusal, "on the leader's side too")
		require.Equal(t, "n3", told.Fields["peer"])
		served(t, c)
	})
	t.Run("as the one that is elected", func(t *testing.T) {
		c := setup(t, 9)
		c.StartNodes("n3", "n1")
		heard := c.AwaitEvent("n1", adminapi.KindRefused, nil)
		require.Contains(t, heard.Text, refusal)
		c.StartNodes("n2")
		c.AwaitEvent("n3", adminapi.KindResigned, func(e nodetest.Event) bool {
			return contains(e.Text, "the other members are there and do not attach to it")
		})
		served(t, c)
	})
}
