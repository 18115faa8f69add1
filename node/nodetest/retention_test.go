package nodetest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node"
	"baton/node/adminapi"
	"baton/node/client"
	"baton/node/nodetest"
)

const segment = 16 << 10

// small makes logs of small segments that are looked at often.
func small(cfg *node.Config) {
	cfg.SegmentSize = segment
	cfg.RetentionInterval = 5 * time.Millisecond
	cfg.CompactBytes = 4 * segment
	cfg.DedupBytes = segment
}

// logBytes is how much log a node has.
func logBytes(s adminapi.Status) int64 { return int64(s.Positions.Append - s.Positions.Start) }

// fill sends messages of 2,000 bytes until so many bytes were written to the
// log.
func fill(t *testing.T, c *nodetest.Cluster, queue string, bytes int64) {
	t.Helper()
	cl := c.Client(nil)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), nodetest.Patience)
	defer cancel()
	leader := c.Leader()
	until := int64(c.Status(leader).Positions.Append) + bytes
	body := []byte(strings.Repeat("x", 2000))
	for int64(c.Status(leader).Positions.Append) < until {
		_, err := cl.Send(ctx, "/queue/"+queue, "text/plain", body, nil)
		require.NoError(t, err)
	}
}

// pass does the same while all of it is acknowledged.
func pass(t *testing.T, c *nodetest.Cluster, queue string, bytes int64) {
	t.Helper()
	cl := c.Client(nil)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), nodetest.Patience)
	defer cancel()
	_, err := cl.Subscribe(ctx, "/queue/"+queue, client.AckIndividual, 0, func(m *client.Message) { _ = m.AckStart(func(error) {}) })
	require.NoError(t, err)
	fill(t, c, queue, bytes)
	leader := c.Leader()
	c.Until("all is acknowledged", func() string {
		if d := c.Queue(leader, queue).Depth; d > 0 {
			return fmt.Sprintf("%d messages are left", d)
		}
		return ""
	})
}

// bounded waits until no running node has more log than max.
func bounded(c *nodetest.Cluster, max int64) {
	c.Until("the logs are short", func() string {
		for _, id := range c.Running() {
			if n := logBytes(c.Status(id)); n > max {
				return fmt.Sprintf("%s has %d bytes of log, %d expected at most: %+v", id, n, max, c.Status(id).Positions)
			}
		}
		return ""
	})
}

func TestLogIsShortened(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Edit: small})
	const deep = 40 * segment
	fill(t, c, "orders", deep)
	before := map[string]uint64{}
	c.Until("the data directories are as large as what is in them", func() string {
		for _, id := range c.IDs() {
			if before[id] = c.Status(id).Process.StoreBytes; before[id] < deep {
				return fmt.Sprintf("%s says %d bytes", id, before[id])
			}
		}
		return ""
	})
	pass(t, c, "orders", 2*segment)
	bounded(c, 4*segment) // a follower keeps two
	c.Until("the data directories are small again", func() string {
		for _, id := range c.IDs() {
			if n := c.Status(id).Process.StoreBytes; n > before[id]/3 {
				return fmt.Sprintf("%s says %d bytes, it was %d", id, n, before[id])
			}
		}
		return ""
	})
	for _, id := range c.IDs() {
		p := c.Status(id).Positions
		require.LessOrEqual(t, p.Start, p.Checkpoint, id)
		require.LessOrEqual(t, p.Checkpoint, p.Applied, id)
		c.AwaitEvent(id, adminapi.KindTrimmed, nil)
	}
	c.Settled()
}

// A queue that fills whole segments, and that nobody reads, is moved along as
// a few messages are, when it keeps more than a multiple of itself.
func TestDeepStuckQueueDoesNotPinTheLog(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Edit: small})
	const stuck = 4 * segment
	fill(t, c, "stuck", stuck)
	c.Settled() // a message is committed a moment before it is in the index
	n := c.Queue(c.Leader(), "stuck").Depth
	pass(t, c, "busy", 80*segment)
	bounded(c, 4*segment+5*stuck+3*segment)
	c.Settled()
	for _, id := range c.IDs() {
		require.Equal(t, n, c.Queue(id, "stuck").Depth, id)
	}
	pass(t, c, "stuck", segment)
	bounded(c, 8*segment) // 4 that are never emptied, 2 of followers, 2 in part
}

// One message that nobody takes stays, and the log stays short, while much
// passes by it; and it is still there after failovers and rebuilt indexes.
func TestStuckMessageDoesNotPinTheLog(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Edit: small})
	stuck := c.Traffic("stuck")
	stuck.Send(1)
	passed := int64(0)
	for range 4 {
		pass(t, c, "busy", 12*segment)
		passed += 12 * segment
		bounded(c, 8*segment) // 4 until it is moved, 2 of followers, 2 in part
	}
	require.EqualValues(t, 1, c.Queue(c.Leader(), "stuck").Depth)
	t.Logf("%d bytes passed", passed)

	t.Run("the leader fails", func(t *testing.T) {
		leader := c.Leader()
		c.Stop(leader)
		require.NotEqual(t, leader, c.Leader())
		pass(t, c, "busy", 2*segment)
		c.StartNodes(leader)
		c.Settled()
	})
	t.Run("an index is made from what is left", func(t *testing.T) {
		follower := c.Followers(c.Healthy())[0]
		c.Stop(follower)
		c.Remove(follower, "index")
		c.StartNodes(follower)
		leader := c.Healthy()
		c.Settled()
		require.NotZero(t, c.Status(follower).Positions.Start)
		for _, q := range []string{"stuck", "busy"} {
			of := c.Queue(leader, q) // once: it holds an age
			require.Equal(t, of, withoutConsumers(c.Queue(follower, q), of), q)
		}
		require.NoError(t, c.Transfer(leader, follower))
	})
	stuck.ExactlyOnce()
	pass(t, c, "busy", 8*segment)
	bounded(c, 8*segment)
	c.Settled()
}

// withoutConsumers takes over what a follower cannot know.
func withoutConsumers(follower, leader adminapi.Queue) adminapi.Queue {
	leader.Depth, leader.Bytes, leader.Enqueued, leader.Acked = follower.Depth, follower.Bytes, follower.Enqueued, follower.Acked
	return leader
}

// A member that is away finds what it lacks, within the bound; beyond it the
// log goes on being shortened and the member is told what to do.
func TestLeaderKeepsWhatAMemberLacks(t *testing.T) {
	t.Parallel()
	const retain = 20 * segment
	c := nodetest.Start(t, nodetest.Config{Edit: func(cfg *node.Config) {
		small(cfg)
		cfg.RetainBytes = retain
	}})
	away := c.Followers(c.Healthy())[0]
	pass(t, c, "q", 4*segment)
	bounded(c, 4*segment)
	c.Stop(away)
	pass(t, c, "q", 10*segment)
	require.Greater(t, logBytes(c.Status(c.Leader())), int64(9*segment), "kept for the one that is away")
	c.StartNodes(away)
	c.Settled()
	bounded(c, 4*segment)

	c.Stop(away)
	pass(t, c, "q", 30*segment)
	bounded(c, retain+4*segment)
	c.StartNodes(away)
	c.AwaitEvent(away, adminapi.KindSnapshotFinished, nil)
	c.Settled()
	bounded(c, retain+4*segment)
}
