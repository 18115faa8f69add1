package group_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/zkclient"
	"baton/zkclient/group"
	"baton/zkclient/internal/faultproxy"
)

func clusterOf(epoch uint64, leader string) group.ClusterData {
	c := group.ClusterData{
		ClusterID: "k", Replicas: 3, Epoch: epoch, Phase: group.PhaseSealing,
		Members: map[string]group.Registration{"n1": {Incarnation: "i1"}},
	}
	if leader != "" {
		c.Phase, c.Leader = group.PhaseElected, leader
	}
	return c
}

func hasCluster(c group.ClusterData) func(group.Snapshot) bool {
	return func(s group.Snapshot) bool { return s.Connected && s.Cluster != nil && s.Cluster.Equal(c) }
}

func testCluster(t *testing.T, addr string) {
	e := newEnv(t, addr)
	a, b := e.group(addr), e.group(addr)
	ctx := e.within()
	require.ErrorIs(t, a.WriteCluster(ctx, clusterOf(1, ""), 0), zkclient.ErrNoNode)
	require.NoError(t, a.CreateCluster(ctx, clusterOf(1, "")))
	require.ErrorIs(t, b.CreateCluster(ctx, clusterOf(1, "n2")), zkclient.ErrNodeExists)
	s := e.until(b, "cluster", hasCluster(clusterOf(1, "")))
	require.Zero(t, s.ClusterVersion)
	require.NoError(t, b.WriteCluster(ctx, clusterOf(1, "n1"), s.ClusterVersion))
	require.ErrorIs(t, a.WriteCluster(ctx, clusterOf(1, "n2"), s.ClusterVersion), zkclient.ErrVersion)
	require.ErrorIs(t, a.WriteCluster(ctx, clusterOf(1, "n2"), -1), zkclient.ErrVersion, "would be unconditional")
	s = e.until(a, "elected", hasCluster(clusterOf(1, "n1")))
	require.EqualValues(t, 1, s.ClusterVersion)

	// Of many who write for the same version exactly one succeeds.
	groups := []*group.Group{a, b, e.group(addr), e.group(addr)}
	for version := int32(1); version < 10; version++ {
		var won atomic.Int32
		var wg sync.WaitGroup
		for i, g := range groups {
			wg.Go(func() {
				switch err := g.WriteCluster(ctx, clusterOf(uint64(version)*10+uint64(i), ""), version); {
				case err == nil:
					won.Add(1)
				default:
					require.ErrorIs(t, err, zkclient.ErrVersion)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, won.Load())
	}

	// A snapshot is the reader's own.
	s = e.until(a, "last version", func(s group.Snapshot) bool { return s.ClusterVersion == 10 })
	s.Cluster.Members["n9"] = group.Registration{}
	require.NotContains(t, a.Snapshot().Cluster.Members, "n9")
	require.NoError(t, e.admin.Delete(ctx, e.path+"/cluster", zkclient.AnyVersion))
	e.until(a, "cluster removed", func(s group.Snapshot) bool { return s.Cluster == nil && s.ClusterVersion == -1 })
	require.NoError(t, b.CreateCluster(ctx, clusterOf(99, "")))
	e.until(a, "cluster again", hasCluster(clusterOf(99, "")))
}

func testLostCluster(t *testing.T, addr string) {
	e := newEnv(t, addr)
	require.NoError(t, e.admin.CreateAll(e.within(), e.path))
	p := e.proxy()
	a, b := e.group(p.Addr()), e.group(addr)
	ctx := e.within()
	lost := p.LoseReply(faultproxy.OpCreate)
	require.NoError(t, a.CreateCluster(ctx, clusterOf(1, "")), "the first attempt was executed: it is ours")
	<-lost
	for version := range int32(5) {
		lost = p.LoseReply(faultproxy.OpSet)
		require.NoError(t, a.WriteCluster(ctx, clusterOf(uint64(version)+2, ""), version))
		<-lost
		s := e.until(b, "written once", hasCluster(clusterOf(uint64(version)+2, "")))
		require.Equal(t, version+1, s.ClusterVersion)
	}
	// Lost, and somebody else's: a conflict all the same.
	lost = p.LoseReply(faultproxy.OpSet)
	require.ErrorIs(t, a.WriteCluster(ctx, clusterOf(50, ""), 3), zkclient.ErrVersion)
	<-lost

	// What is written once is not written again, nor on another connection.
	s := e.until(a, "all of it, on the connection of now", hasCluster(clusterOf(6, "")))
	require.ErrorIs(t, a.WriteClusterNow(ctx, clusterOf(60, ""), 5, s.Reads+1), zkclient.ErrDisconnected)
	lost = p.LoseReply(faultproxy.OpSet)
	require.ErrorIs(t, a.WriteClusterNow(ctx, clusterOf(60, ""), 5, s.Reads), zkclient.ErrDisconnected)
	<-lost
	e.until(b, "executed all the same", hasCluster(clusterOf(60, "")))
	require.ErrorIs(t, a.WriteClusterNow(ctx, clusterOf(61, ""), 6, s.Reads), zkclient.ErrDisconnected, "the view was of an earlier connection")
	s = e.until(a, "connected again", func(now group.Snapshot) bool { return now.Connected && now.Reads > s.Reads && now.ClusterVersion == 6 })
	require.NoError(t, a.WriteClusterNow(ctx, clusterOf(62, ""), 6, s.Reads))
}

func testWiped(t *testing.T, addr, wiped string) {
	e := newEnv(t, addr)
	p := e.proxy()
	a, b := e.group(p.Addr()), e.group(p.Addr())
	a.Join(data("a", 1))
	b.Join(data("b", 1))
	require.NoError(t, a.CreateCluster(e.within(), clusterOf(1, "a")))
	e.until(a, "both", holds(data("a", 1), data("b", 1)))
	e.until(b, "cluster", hasCluster(clusterOf(1, "a")))
	p.Target(wiped)
	p.Cut()
	for _, g := range []*group.Group{a, b} {
		s := e.until(g, "both in the empty tree", func(s group.Snapshot) bool {
			return holds(data("a", 1), data("b", 1))(s) && s.Cluster == nil && s.Self != ""
		})
		require.EqualValues(t, -1, s.ClusterVersion)
	}
	require.NoError(t, a.CreateCluster(e.within(), clusterOf(2, "b")))
	e.until(b, "new cluster node", hasCluster(clusterOf(2, "b")))
}

func testDisconnected(t *testing.T, addr string) {
	e := newEnv(t, addr)
	p := e.proxy()
	a, b := e.group(p.Addr()), e.group(addr)
	a.Join(data("a", 1))
	b.Join(data("b", 1))
	require.NoError(t, b.CreateCluster(e.within(), clusterOf(1, "")))
	e.until(a, "both", func(s group.Snapshot) bool {
		return holds(data("a", 1), data("b", 1))(s) && s.Cluster != nil && s.Self != ""
	})
	session := a.Snapshot().Members[0].Session
	p.Refuse()
	s := e.until(a, "disconnect", func(s group.Snapshot) bool { return !s.Connected })
	require.Len(t, s.Members, 2)
	require.NotNil(t, s.Cluster)
	b.Publish(data("b", 2))
	require.NoError(t, b.WriteCluster(e.within(), clusterOf(2, ""), 0))
	e.until(b, "own change", holds(data("a", 1), data("b", 2)))
	require.NoError(t, p.Heal())
	s = e.until(a, "what was missed", func(s group.Snapshot) bool { return s.Connected })
	require.True(t, holds(data("a", 1), data("b", 2))(s), "connected, but the view is old: %+v", s)
	require.True(t, hasCluster(clusterOf(2, ""))(s))
	require.Equal(t, session, s.Members[0].Session, "a disconnect is no expiry")
	require.NotEmpty(t, s.Self)
}

// The data of ActiveMQ's members as published in bug reports.
const (
	activemqMaster = `{"id":"localhost","container":null,"address":"tcp://192.168.101.69:46019","position":-1,"weight":1,"elected":"0000000000"}`
	activemqSlave  = `{"id":"localhost","container":null,"address":null,"position":-1,"weight":1,"elected":null}`
)

func testForeign(t *testing.T, addr string) {
	e := newEnv(t, addr)
	ctx := e.within()
	require.NoError(t, e.admin.CreateAll(ctx, e.path))
	for _, d := range []string{activemqMaster, activemqSlave, `not json`} {
		_, err := e.admin.Create(ctx, e.path+"/0", []byte(d), zkclient.Ephemeral|zkclient.Sequential)
		require.NoError(t, err)
	}
	for _, name := range []string{"lock", "0", "0abc", "10000000000"} {
		_, err := e.admin.Create(ctx, e.path+"/"+name, []byte(activemqSlave), zkclient.Persistent)
		require.NoError(t, err)
	}
	o := group.Observe(group.Config{Client: e.client(addr), Path: e.path})
	t.Cleanup(func() { o.Close() })
	s := e.until(o, "members", func(s group.Snapshot) bool { return s.Connected })
	require.Len(t, s.Members, 2)
	require.Equal(t, group.MemberData{ID: "localhost", Address: "tcp://192.168.101.69:46019", Position: -1, Weight: 1, Elected: "0000000000"}, s.Members[0].Data)
	require.Equal(t, group.MemberData{ID: "localhost", Position: -1, Weight: 1}, s.Members[1].Data)
	require.ErrorIs(t, s.Err, group.ErrMalformed)
	require.NoError(t, e.admin.Delete(ctx, e.path+"/00000000002", zkclient.AnyVersion))
	e.until(o, "error cleared", func(s group.Snapshot) bool { return s.Err == nil })

	_, err := e.admin.Create(ctx, e.path+"/cluster", []byte(`[]`), zkclient.Persistent)
	require.NoError(t, err)
	s = e.until(o, "malformed cluster node", func(s group.Snapshot) bool { return s.Err != nil })
	require.Nil(t, s.Cluster)
	_, err = e.admin.Set(ctx, e.path+"/cluster", []byte(`{"clusterId":"x","future":[1]}`), zkclient.AnyVersion)
	require.NoError(t, err)
	e.until(o, "cluster node", func(s group.Snapshot) bool { return s.Err == nil && s.Cluster != nil && s.Cluster.ClusterID == "x" })
}

func testStrangers(t *testing.T, addr string) {
	e := newEnv(t, addr)
	a := e.group(addr)
	other := group.New(group.Config{Client: e.client(addr), Path: e.path, GroupID: "misnamed"})
	t.Cleanup(func() { other.Close() })
	a.Join(data("a", 1))
	other.Join(data("b", 1))
	s := e.until(a, "stranger", func(s group.Snapshot) bool { return len(s.Strangers) == 1 && len(s.Members) == 1 })
	require.Equal(t, "a", s.Members[0].Data.Node)
	require.Equal(t, "misnamed", s.Strangers[0].Data.ID)
}
