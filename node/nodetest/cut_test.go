package nodetest_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node"
	"baton/node/adminapi"
	"baton/node/nodetest"
	"baton/node/supervisor"
)

// cuts are clusters in which the network between nodes can be cut while
// ZooKeeper stays in reach of all.
func cuts(t *testing.T) *nodetest.Cluster {
	return nodetest.Start(t, nodetest.Config{Links: true, Edit: func(cfg *node.Config) { cfg.ElectionTimeout = time.Second }})
}

// newLeader waits until another node than the old one serves with a quorum.
func newLeader(c *nodetest.Cluster, old string) (leader string) {
	c.Until("another node leads", func() string {
		if leader = c.Leader(); leader == old {
			return old + " still does"
		}
		return ""
	})
	return leader
}

func TestLeaderCutFromFollowersAlone(t *testing.T) {
	beyondShort(t)
	for name, mode := range map[string]supervisor.CutMode{
		"both ways":             supervisor.CutSilent,
		"it hears nobody":       supervisor.CutToTarget,
		"nobody hears it":       supervisor.CutToDialler,
		"connections are reset": supervisor.CutReset,
	} {
		t.Run(name, func(t *testing.T) {
			c := cuts(t)
			old := c.Healthy()
			epoch := c.Status(old).Epoch
			orders := c.Traffic("orders")
			stop := orders.Produce(2)
			orders.AwaitReceipts(20)
			for _, f := range c.Followers(old) {
				c.Link(f, old).Cut(mode)
				c.Link(old, f).Cut(mode)
			}
			leader := newLeader(c, old)
			c.AwaitEvent(old, adminapi.KindSteppedDown, nil)
			orders.AwaitReceipts(50)
			require.LessOrEqual(t, c.Status(leader).Epoch, epoch+2, "no flapping")
			settled := c.Status(leader).Epoch
			orders.AwaitReceipts(200) // it suspects, as nobody else does
			require.Equal(t, settled, c.Status(c.Leader()).Epoch, "no flapping while it is cut off")
			c.HealLinks()
			require.Equal(t, leader, c.Healthy(), "who comes back moves nothing")
			stop()
			c.Settled()
			orders.ExactlyOnce()
		})
	}
}

// With a ring each node reaches only some others. A leader that has a quorum
// goes on, whatever the one says that does not reach it.
func TestOneFollowerCutFromTheLeader(t *testing.T) {
	beyondShort(t)
	for name, mode := range map[string]supervisor.CutMode{
		"both ways":        supervisor.CutSilent,
		"it is not heard":  supervisor.CutToTarget,
		"it hears nothing": supervisor.CutToDialler,
	} {
		t.Run(name, func(t *testing.T) {
			c := cuts(t)
			leader := c.Healthy()
			epoch := c.Status(leader).Epoch
			cut := c.Followers(leader)[0]
			orders := c.Traffic("orders")
			stop := orders.Produce(2)
			orders.AwaitReceipts(20)
			c.Link(cut, leader).Cut(mode)
			c.Link(leader, cut).Cut(mode)
			c.AwaitEvent(cut, adminapi.KindSuspected, nil)
			orders.AwaitReceipts(300)
			require.Equal(t, leader, c.Leader())
			require.Equal(t, epoch, c.Status(leader).Epoch, "one of three moves nobody")
			c.HealLinks()
			require.Equal(t, leader, c.Healthy())
			stop()
			c.Settled()
			orders.ExactlyOnce()
		})
	}
}

// Links are cut one by one in any order and mended in another.
func TestLinksCutAndMendedInAnyOrder(t *testing.T) {
	beyondShort(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	c := cuts(t)
	orders := c.Traffic("orders")
	stop := orders.Produce(2)
	orders.AwaitReceipts(20)
	var pairs [][2]string
	for _, a := range c.IDs() {
		for _, b := range c.IDs() {
			if a != b {
				pairs = append(pairs, [2]string{a, b})
			}
		}
	}
	modes := []supervisor.CutMode{supervisor.CutSilent, supervisor.CutReset, supervisor.CutToTarget, supervisor.CutToDialler}
	for range 3 {
		rng.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
		for _, p := range pairs {
			c.Link(p[0], p[1]).Cut(modes[rng.IntN(len(modes))])
		}
		c.Until("nobody has a quorum", func() string {
			for _, id := range c.IDs() {
				if c.Status(id).Quorum.OK {
					return id + " has"
				}
			}
			return ""
		})
		rng.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
		for _, p := range pairs {
			c.Link(p[0], p[1]).Heal()
		}
		c.Healthy()
		orders.AwaitReceipts(20)
	}
	stop()
	c.Settled()
	orders.ExactlyOnce()
}
