package nodetest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/adminapi"
	"baton/node/nodetest"
)

func adminOf(c *nodetest.Cluster, id string) *adminapi.Client {
	return &adminapi.Client{Address: c.Status(id).Addresses.Admin}
}

func depths(t *testing.T, cl *adminapi.Client) map[string]uint64 {
	t.Helper()
	list, err := cl.Queues(context.Background())
	require.NoError(t, err)
	out := map[string]uint64{}
	for _, q := range list {
		out[q.Name] = q.Depth
	}
	return out
}

// What operators do with messages on the leader is replicated like all else,
// and is still true after a failover.
func TestOperatorsWork(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{})
	ctx, cancel := context.WithTimeout(context.Background(), nodetest.Patience)
	defer cancel()
	leader := c.Leader()
	cl := adminOf(c, leader)
	nine := uint8(9)
	for i := range 600 {
		m := adminapi.Publish{Text: fmt.Sprint(i), DedupID: fmt.Sprint(i / 2)}
		if i >= 590 {
			m.Priority, m.DedupID = &nine, ""
		}
		_, err := cl.Publish(ctx, "in/all", m)
		require.NoError(t, err)
	}
	require.Equal(t, map[string]uint64{"in/all": 305}, depths(t, cl), "each second one was a duplicate")
	page, err := cl.Browse(ctx, "in/all", adminapi.Browse{Limit: 12})
	require.NoError(t, err)
	require.Equal(t, []string{"590", "599", "0", "2"}, []string{page.Messages[0].Text, page.Messages[9].Text, page.Messages[10].Text, page.Messages[11].Text})
	p, err := cl.MoveMessages(ctx, "in/all", adminapi.Move{To: "out", Refs: []string{page.Messages[0].Ref, page.Messages[11].Ref}}, nil)
	require.NoError(t, err)
	require.EqualValues(t, 2, p.Done)
	require.ErrorContains(t, cl.DeleteQueue(ctx, "in/all"), "purge it first")
	p, err = cl.Purge(ctx, "in/all", nil)
	require.NoError(t, err)
	require.EqualValues(t, 303, p.Done)
	require.NoError(t, cl.DeleteQueue(ctx, "in/all"))
	require.Equal(t, map[string]uint64{"out": 2}, depths(t, cl))

	follower := c.Followers(leader)[0]
	_, err = adminOf(c, follower).Browse(ctx, "out", adminapi.Browse{})
	require.ErrorContains(t, err, leader+" does; ask it")
	c.Settled()
	c.Stop(leader)
	next := c.Leader()
	require.Equal(t, map[string]uint64{"out": 2}, depths(t, adminOf(c, next)))
	_, err = adminOf(c, next).Publish(ctx, "in/all", adminapi.Publish{Text: "again", DedupID: "7"})
	require.NoError(t, err)
	require.Zero(t, depths(t, adminOf(c, next))["in/all"], "the id is remembered by the next leader, too")
	page, err = adminOf(c, next).Browse(ctx, "out", adminapi.Browse{})
	require.NoError(t, err)
	require.Equal(t, []string{"590", "2"}, []string{page.Messages[0].Text, page.Messages[1].Text})
}

// Ids that suppress duplicates keep no more of the log than they may.
func TestIDsAreForgotten(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Edit: small})
	ctx, cancel := context.WithTimeout(context.Background(), nodetest.Patience)
	defer cancel()
	cl := adminOf(c, c.Leader())
	put := func(id string) uint64 {
		_, err := cl.Publish(ctx, "q", adminapi.Publish{Text: strings.Repeat("x", 1000), DedupID: id})
		require.NoError(t, err)
		return depths(t, cl)["q"]
	}
	require.EqualValues(t, 1, put("first"))
	require.EqualValues(t, 1, put("first"))
	for i := range 10 * segment / 1000 {
		put(fmt.Sprint(i))
	}
	_, err := cl.Purge(ctx, "q", nil)
	require.NoError(t, err)
	bounded(c, 6*segment) // 1 of ids, 2 of followers, 2 in part, and what is put meanwhile
	require.EqualValues(t, 1, put("first"), "it is forgotten")
	c.Settled()
}
