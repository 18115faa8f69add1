package nodetest_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node"
	"baton/node/adminapi"
	"baton/node/client"
	"baton/node/nodetest"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func TestWithoutQuorumProducersAreTold(t *testing.T) {
	beyondShort(t)
	const quorumTimeout = 500 * time.Millisecond
	c := nodetest.Start(t, nodetest.Config{Edit: func(cfg *node.Config) { cfg.QuorumTimeout = quorumTimeout }})
	leader := c.Healthy()
	epoch := c.Status(leader).Epoch
	orders := c.Traffic("orders")
	orders.Send(20)
	gone := c.Followers(leader)

	c.Stop(gone...)
	var s adminapi.Status
	c.Until("the leader says that it lacks a quorum", func() string {
		if s = c.Status(leader); s.State != adminapi.StateNoQuorum || s.Quorum.OK || s.Quorum.Have != 1 {
			return s.State
		}
		return ""
	})
	require.Equal(t, gone, s.Quorum.Missing)
	require.Equal(t, "too few followers: producers wait", s.Reason)
	c.AwaitEvent(leader, adminapi.KindNoQuorum, nil)

	cl := c.Client(nil)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), nodetest.Patience)
	defer cancel()
	began := time.Now()
	_, err := cl.Send(ctx, "/queue/other", "text/plain", []byte("x"), nil)
	require.ErrorIs(t, err, client.ErrRefused)
	require.ErrorIs(t, err, client.ErrInDoubt, "it is in the log of the leader")
	require.ErrorContains(t, err, "quorum")
	require.GreaterOrEqual(t, time.Since(began), quorumTimeout)

	c.StartNodes(gone[0])
	require.Equal(t, leader, c.Healthy(), "one follower is enough, and nobody else has to lead")
	require.Equal(t, epoch, c.Status(leader).Epoch)
	c.AwaitEvent(leader, adminapi.KindQuorumBack, nil)
	orders.Send(20)
	c.StartNodes(gone[1])
	c.Settled()
	orders.ExactlyOnce()
}

func TestZooKeeperAway(t *testing.T) {
	beyondShort(t)
	for name, volatile := range map[string]bool{"and back": false, "and back with nothing": true} {
		t.Run(name, func(t *testing.T) {
			c := nodetest.Start(t, nodetest.Config{VolatileZooKeeper: volatile})
			leader := c.Healthy()
			before := c.Status(leader)
			orders := c.Traffic("orders")
			stop := orders.Produce(2)
			orders.AwaitReceipts(20)

			c.StopZooKeeper()
			c.Until("every node notices", func() string {
				for _, id := range c.IDs() {
					if c.Status(id).ZooKeeper.Connected {
						return id + " does not"
					}
				}
				return ""
			})
			orders.AwaitReceipts(100)
			c.Until("the leader says so", func() string {
				if r := c.Status(leader).Reason; !contains(r, "no failover is possible") {
					return r
				}
				return ""
			})

			c.StartZooKeeper()
			for _, id := range c.IDs() {
				c.Until(id+" is registered again", func() string {
					if s := c.Status(id).ZooKeeper; !s.Connected || s.Eid == "" {
						return "it is not"
					}
					return ""
				})
			}
			orders.AwaitReceipts(20)
			require.Equal(t, leader, c.Healthy())
			require.Equal(t, before.Epoch, c.Status(leader).Epoch)
			require.Equal(t, before.ClusterID, c.Status(leader).ClusterID)
			require.Empty(t, c.Events(leader, adminapi.KindSteppedDown), "nobody is demoted")

			c.Stop(leader)
			require.NotEqual(t, leader, c.Healthy(), "failover works again")
			orders.AwaitReceipts(20)
			stop()
			c.StartNodes(leader)
			c.Settled()
			orders.ExactlyOnce()
		})
	}
}

func TestEverySyncPolicyServes(t *testing.T) {
	beyondShort(t)
	for _, policy := range []string{"local_mem", "local_disk", "remote_mem", "remote_disk", "quorum_mem", "local_disk,quorum_mem"} {
		t.Run(policy, func(t *testing.T) {
			c := nodetest.Start(t, nodetest.Config{Edit: func(cfg *node.Config) { cfg.Sync = policy }})
			leader := c.Healthy()
			orders := c.Traffic("orders")
			orders.Send(50)
			c.Settled()
			c.Stop(leader) // hands over: no policy loses a message by that
			orders.Send(50)
			orders.ExactlyOnce()
		})
	}
}

func TestOneReplicaAlone(t *testing.T) {
	beyondShort(t)
	c := nodetest.Start(t, nodetest.Config{Nodes: 1})
	s := c.Status("n1")
	require.Equal(t, []int{1, 1, 1}, []int{s.Quorum.Replicas, s.Quorum.Size, s.Quorum.Have})
	orders := c.Traffic("orders")
	orders.Send(50)
	c.Stop("n1")
	c.StartNodes("n1")
	c.Healthy()
	orders.Send(50)
	orders.ExactlyOnce()
}

func TestOneReplicaBecomesThreeAndOneAgain(t *testing.T) {
	beyondShort(t)
	replicas, path := 1, "/alone"
	c := nodetest.New(t, nodetest.Config{Edit: func(cfg *node.Config) { cfg.Replicas, cfg.ZKPath = replicas, path }})
	c.StartNodes("n1")
	c.Healthy()
	orders := c.Traffic("orders")
	orders.Send(50)
	c.StopAll()

	replicas, path = 3, "/three"
	c.StartNodes(c.IDs()...)
	require.Equal(t, "n1", c.Healthy(), "the one with the messages leads")
	orders.Send(50)
	c.Settled()
	require.EqualValues(t, 100, c.Queue("n3", "orders").Depth)
	c.StopAll()

	replicas, path = 1, "/again"
	c.StartNodes("n3")
	c.Healthy()
	orders.Send(50)
	orders.ExactlyOnce()
}

// An elected node that nobody can attach to has written a record of its epoch,
// so it has the newest log and would win every further election.
func TestUnreachableNodeDoesNotKeepWinning(t *testing.T) {
	beyondShort(t)
	nowhere := closedAddress(t)
	c := nodetest.New(t, nodetest.Config{Edit: func(cfg *node.Config) {
		cfg.ElectionTimeout = 500 * time.Millisecond
		if cfg.ID == "n3" {
			cfg.Weight = 9
			cfg.AdvertiseRepl = nowhere
		}
	}})
	c.StartNodes("n3", "n1")
	c.AwaitEvent("n3", adminapi.KindElected, nil)
	c.StartNodes("n2")
	require.NotEqual(t, "n3", c.Leader())
	orders := c.Traffic("orders")
	orders.Send(20)
	c.Settled() // n3 dials the others without trouble
	orders.ExactlyOnce()
}

func TestTakenClientPort(t *testing.T) {
	beyondShort(t)
	t.Run("another node leads", func(t *testing.T) {
		c := nodetest.New(t, nodetest.Config{Edit: func(cfg *node.Config) {
			if cfg.ID == "n3" {
				cfg.Weight = 9
			}
		}})
		c.StopZooKeeper() // nobody leads until the port is taken
		c.StartNodes(c.IDs()...)
		taken, err := net.Listen("tcp", c.Stomp("n3"))
		require.NoError(t, err)
		defer taken.Close()
		c.StartZooKeeper()
		require.NotEqual(t, "n3", c.Healthy())
		for _, e := range c.Events("n3", adminapi.KindResigned) {
			require.Contains(t, e.Text, "cannot serve clients: listen tcp "+c.Stomp("n3"))
		}
		c.Traffic("orders").Send(1)
	})
	t.Run("a node alone tries again", func(t *testing.T) {
		c := nodetest.New(t, nodetest.Config{Nodes: 1, Edit: func(cfg *node.Config) { cfg.ElectionTimeout = 400 * time.Millisecond }})
		c.StopZooKeeper()
		c.StartNodes("n1")
		taken, err := net.Listen("tcp", c.Stomp("n1"))
		require.NoError(t, err)
		defer taken.Close()
		c.StartZooKeeper()
		c.AwaitEvent("n1", adminapi.KindResigned, nil)
		c.Until("a few elections have failed", func() string {
			if n := len(c.Events("n1", adminapi.KindSealed)); n < 4 {
				return fmt.Sprintf("%d have", n)
			}
			return ""
		})
		began, sealed := time.Now(), len(c.Events("n1", adminapi.KindSealed))
		taken.Close()
		c.Leader()
		took, more := time.Since(began), len(c.Events("n1", adminapi.KindSealed))-sealed
		require.LessOrEqual(t, float64(more), took.Seconds()*10+2, "elections in %v: epochs must not race", took)
		c.Traffic("orders").Send(1)
	})
}

// closedAddress is one at which nobody listens.
func closedAddress(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	return ln.Addr().String()
}
