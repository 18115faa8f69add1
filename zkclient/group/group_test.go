package group_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/zkclient"
	"baton/zkclient/ensemble/porttest"
	"baton/zkclient/group"
	"baton/zkclient/internal/faultproxy"
	"baton/zkclient/zktest"
)

const (
	waitMax = time.Minute // bounds every wait: the machine may be busy
	poll    = 2 * time.Millisecond

	// Sessions expire where a test is about that, and then soon.
	sessionT = 30 * time.Second
	brief    = 1500 * time.Millisecond
)

// server starts a server of the kind under test.
type server func(testing.TB) string

func TestGroup(t *testing.T) {
	for kind, start := range map[string]server{"zookeeper": zktest.Real, "devserver": zktest.Dev, "ensemble": oneOfThree} {
		t.Run(kind, func(t *testing.T) {
			addr := start(t)
			for _, c := range behaviours {
				t.Run(c.name, func(t *testing.T) { c.run(t, addr) })
			}
			if kind == "ensemble" { // whose wiped twin would be three more processes
				return
			}
			t.Run("server with an empty tree is joined again", func(t *testing.T) { testWiped(t, addr, start(t)) })
		})
	}
}

// oneOfThree is a server of a real ensemble.
func oneOfThree(t testing.TB) string {
	if testing.Short() {
		t.Skip("starts three Java processes")
	}
	return zktest.Ensemble(t, 3).Addresses()[0]
}

var behaviours = []struct {
	name string
	run  func(*testing.T, string)
}{
	{"members see each other join, publish and leave", testMembers},
	{"a change reaches the others fast", testLatency},
	{"of many publications the newest stays", testNewestWins},
	{"expired session: one node comes back", testExpiry},
	{"lost reply of create: no duplicate", testLostCreate},
	{"lost reply of publish", testLostSet},
	{"node deleted by somebody comes back", testDeleted},
	{"node overwritten by somebody is written again", testOverwritten},
	{"publication while disconnected lands on the new node only", testPublishOffline},
	{"leftover of a killed process is removed", testLeftover},
	{"copied data directory does not fight", testTwin},
	{"cluster node is compare-and-set", testCluster},
	{"lost reply of cluster writes", testLostCluster},
	{"disconnected view keeps the last known", testDisconnected},
	{"observer reads ActiveMQ's members and ignores rubbish", testForeign},
	{"other group ids are set apart", testStrangers},
	{"leave while a creation is under way", testLeaveRace},
	{"close leaves no goroutine", testClose},
}

// env is one test's tree.
type env struct {
	*testing.T
	addr, path string
	admin      *zkclient.Client
}

func newEnv(t *testing.T, addr string) *env {
	e := &env{T: t, addr: addr, path: fmt.Sprintf("/t/%d/group", time.Now().UnixNano())}
	e.admin = e.client(addr)
	return e
}

func (e *env) client(addr string) *zkclient.Client { return e.clientFor(addr, sessionT) }

func (e *env) clientFor(addr string, session time.Duration) *zkclient.Client {
	c, err := zkclient.Connect(zkclient.Config{Servers: []string{addr}, SessionTimeout: session, RefusedLimit: 500 * time.Millisecond})
	require.NoError(e, err)
	e.Cleanup(func() { c.Close() })
	return c
}

func (e *env) proxy() *faultproxy.Proxy {
	p, err := faultproxy.Start(porttest.Address(e), e.addr)
	require.NoError(e, err)
	e.Cleanup(p.Close)
	return p
}

func (e *env) group(addr string) *group.Group { return e.groupFor(addr, sessionT) }

func (e *env) groupFor(addr string, session time.Duration) *group.Group {
	g := group.New(group.Config{Client: e.clientFor(addr, session), Path: e.path, GroupID: "c"})
	e.Cleanup(func() { g.Close() })
	return g
}

func (e *env) within() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), waitMax)
	e.Cleanup(cancel)
	return ctx
}

// until waits for a snapshot of which ok is true.
func (e *env) until(o interface {
	Updates() <-chan group.Snapshot
	Snapshot() group.Snapshot
}, what string, ok func(group.Snapshot) bool) group.Snapshot {
	e.Helper()
	if s := o.Snapshot(); ok(s) {
		return s
	}
	deadline := time.NewTimer(waitMax)
	defer deadline.Stop()
	for {
		select {
		case s := <-o.Updates():
			if ok(s) {
				return s
			}
		case <-deadline.C:
			e.Fatalf("no snapshot: %s; last %+v", what, o.Snapshot())
		}
	}
}

func data(node string, position int64) group.MemberData {
	return group.MemberData{Node: node, Incarnation: "i-" + node, Position: position}
}

// holds tells whether exactly these nodes are members, at these positions.
func holds(want ...group.MemberData) func(group.Snapshot) bool {
	return func(s group.Snapshot) bool {
		if !s.Connected || len(s.Members) != len(want) {
			return false
		}
		for _, w := range want {
			w.ID = "c"
			if !slices.ContainsFunc(s.Members, func(m group.Member) bool { return m.Data == w }) {
				return false
			}
		}
		return true
	}
}

// nodes lists the member nodes that the server has.
func (e *env) nodes() []string {
	names, _, err := e.admin.Children(e.within(), e.path)
	require.NoError(e, err)
	return slices.DeleteFunc(names, func(n string) bool { _, _, ok := group.ParseName(n); return !ok })
}

func testMembers(t *testing.T, addr string) {
	e := newEnv(t, addr)
	a, b := e.group(addr), e.group(addr)
	watcher := group.Observe(group.Config{Client: e.client(addr), Path: e.path})
	t.Cleanup(func() { watcher.Close() })
	s := e.until(watcher, "connected without a path", func(s group.Snapshot) bool { return s.Connected })
	require.Empty(t, s.Members)
	require.Nil(t, s.Cluster)
	require.EqualValues(t, -1, s.ClusterVersion)

	a.Publish(data("a", 0)) // not joined yet: only remembered
	b.Join(data("b", 1))
	e.until(watcher, "b", holds(data("b", 1)))
	a.Join(data("a", 2))
	a.Join(data("a", 2))
	for _, o := range []*group.Observer{watcher, a.Observer, b.Observer} {
		e.until(o, "both", holds(data("a", 2), data("b", 1)))
	}
	s = e.until(a, "itself", func(s group.Snapshot) bool { return s.Self != "" })
	m, ok := s.Member(s.Self)
	require.True(t, ok)
	require.Equal(t, "a", m.Data.Node)
	require.Equal(t, "b", s.Members[0].Data.Node, "not sorted by sequence")
	require.Equal(t, fmt.Sprintf("%010d", m.Sequence), m.Eid)
	require.Empty(t, watcher.Snapshot().Self)

	require.NoError(t, b.Leave(e.within()))
	require.NoError(t, b.Leave(e.within()), "again")
	e.until(watcher, "b left", holds(data("a", 2)))
	b.Publish(data("b", 3))
	b.Join(data("b", 3))
	e.until(watcher, "b is back", holds(data("a", 2), data("b", 3)))
	require.NoError(t, watcher.Snapshot().Err)
}

// testLatency compares a publication, until the other has it, with what a plain
// read by the same connection costs: nobody waits for the next look.
func testLatency(t *testing.T, addr string) {
	e := newEnv(t, addr)
	a, b := e.group(addr), e.group(addr)
	a.Join(data("a", 0))
	b.Join(data("b", 0))
	e.until(b, "both", holds(data("a", 0), data("b", 0)))
	e.until(a, "both", holds(data("a", 0), data("b", 0)))
	var took, plain []time.Duration
	for i := range int64(41) {
		from, to, name, other := a, b, "a", data("b", i)
		start := time.Now()
		_, _, err := e.admin.Get(e.within(), e.path)
		require.NoError(t, err)
		_, err = e.admin.Set(e.within(), e.path, nil, zkclient.AnyVersion)
		require.NoError(t, err)
		plain = append(plain, time.Since(start))
		start = time.Now()
		from.Publish(data(name, i+1))
		e.until(to, "publication", holds(data(name, i+1), other))
		took = append(took, time.Since(start))
		b.Publish(data("b", i+1))
		e.until(a, "answer", holds(data("a", i+1), data("b", i+1)))
	}
	slices.Sort(took)
	slices.Sort(plain)
	middle := len(took) / 2
	t.Logf("publish to the other's update: min %v median %v max %v; a read and a write: median %v", took[0], took[middle], took[len(took)-1], plain[middle])
	require.Less(t, took[middle], 25*plain[middle]+20*time.Millisecond)
}

func testNewestWins(t *testing.T, addr string) {
	e := newEnv(t, addr)
	a, b := e.group(addr), e.group(addr)
	a.Join(data("a", 0))
	e.until(b, "a", holds(data("a", 0)))
	const last = 5000
	for i := int64(1); i <= last; i++ {
		a.Publish(data("a", i))
	}
	s := e.until(b, "newest", holds(data("a", last)))
	require.Less(t, s.Members[0].Version, int32(last/2), "publications were not merged")
	s = e.until(a, "newest", holds(data("a", last)))
	require.Len(t, s.Members, 1)
}

func testExpiry(t *testing.T, addr string) {
	e := newEnv(t, addr)
	p := e.proxy()
	a, b := e.groupFor(p.Addr(), brief), e.group(addr)
	a.Join(data("a", 1))
	b.Join(data("b", 1))
	s := e.until(b, "both", holds(data("a", 1), data("b", 1)))
	e.until(a, "both", holds(data("a", 1), data("b", 1)))
	old := s.Members[slices.IndexFunc(s.Members, func(m group.Member) bool { return m.Data.Node == "a" })]
	p.BlackHole()
	e.until(a, "disconnect", func(s group.Snapshot) bool { return !s.Connected })
	e.until(b, "a expired", holds(data("b", 1)))
	require.NoError(t, p.Heal())
	s = e.until(b, "a is back", holds(data("a", 1), data("b", 1)))
	require.Greater(t, s.Members[1].Sequence, old.Sequence)
	require.NotEqual(t, old.Session, s.Members[1].Session)
	s = e.until(a, "a sees itself", func(s group.Snapshot) bool { return s.Connected && s.Self != "" && s.Self != old.Eid })
	require.Len(t, s.Members, 2)
	require.Len(t, e.nodes(), 2)
}

func testLostCreate(t *testing.T, addr string) {
	e := newEnv(t, addr)
	require.NoError(t, e.admin.CreateAll(e.within(), e.path)) // so that the first create is the member's
	p := e.proxy()
	a, b := e.group(p.Addr()), e.group(addr)
	for round := range int64(5) {
		lost := p.LoseReply(faultproxy.OpCreate)
		a.Join(data("a", round))
		<-lost
		s := e.until(a, "a sees itself", func(s group.Snapshot) bool { return s.Self != "" && holds(data("a", round))(s) })
		require.Len(t, s.Members, 1)
		e.until(b, "a", holds(data("a", round)))
		require.Len(t, e.nodes(), 1)
		_, stat, err := e.admin.Exists(e.within(), e.path)
		require.NoError(t, err)
		require.EqualValues(t, 2*round+1, stat.Cversion, "one creation and one deletion per round: a duplicate was there for a while")
		require.NoError(t, a.Leave(e.within()))
		require.Empty(t, e.nodes())
	}
}

func testLostSet(t *testing.T, addr string) {
	e := newEnv(t, addr)
	p := e.proxy()
	a, b := e.group(p.Addr()), e.group(addr)
	a.Join(data("a", 0))
	e.until(b, "a", holds(data("a", 0)))
	for round := int64(1); round <= 5; round++ {
		lost := p.LoseReply(faultproxy.OpSet)
		a.Publish(data("a", 10*round))
		<-lost
		a.Publish(data("a", 10*round+1))
		e.until(b, "publication after a lost reply", holds(data("a", 10*round+1)))
	}
	require.Len(t, e.nodes(), 1)
}

func testDeleted(t *testing.T, addr string) {
	e := newEnv(t, addr)
	a, b := e.group(addr), e.group(addr)
	a.Join(data("a", 1))
	for range 3 {
		s := e.until(b, "a", holds(data("a", 1)))
		require.NoError(t, e.admin.Delete(e.within(), e.path+"/0"+s.Members[0].Eid, zkclient.AnyVersion))
		old := s.Members[0].Sequence
		e.until(b, "a under a new name", func(s group.Snapshot) bool {
			return holds(data("a", 1))(s) && s.Members[0].Sequence > old
		})
	}
	require.Len(t, e.nodes(), 1)
	a.Publish(data("a", 2))
	e.until(b, "a", holds(data("a", 2)))
}

func testOverwritten(t *testing.T, addr string) {
	e := newEnv(t, addr)
	a, b := e.group(addr), e.group(addr)
	a.Join(data("a", 1))
	s := e.until(b, "a", holds(data("a", 1)))
	_, err := e.admin.Set(e.within(), e.path+"/0"+s.Members[0].Eid, []byte(`{"id":"c","node":"evil"}`), zkclient.AnyVersion)
	require.NoError(t, err)
	e.until(b, "a again", func(s group.Snapshot) bool { return holds(data("a", 1))(s) && s.Members[0].Version == 2 })
	a.Publish(data("a", 2))
	e.until(b, "a", holds(data("a", 2)))
}

func testPublishOffline(t *testing.T, addr string) {
	e := newEnv(t, addr)
	p := e.proxy()
	a, b := e.groupFor(p.Addr(), brief), e.group(addr)
	a.Join(data("a", 1))
	b.Join(data("b", 1))
	s := e.until(b, "both", holds(data("a", 1), data("b", 1)))
	versions := map[string]int32{}
	for _, m := range s.Members {
		versions[m.Eid] = m.Version
	}
	e.until(a, "both", holds(data("a", 1), data("b", 1)))
	p.BlackHole()
	a.Publish(data("a", 2)) // goes into the black hole
	e.until(a, "disconnect", func(s group.Snapshot) bool { return !s.Connected })
	a.Publish(data("a", 3))
	e.until(b, "a expired", holds(data("b", 1)))
	a.Publish(data("a", 4))
	require.NoError(t, p.Heal())
	s = e.until(b, "a with the newest", holds(data("a", 4), data("b", 1)))
	for _, m := range s.Members {
		if m.Data.Node == "b" {
			require.Equal(t, versions[m.Eid], m.Version, "the other's node was written")
		} else {
			require.Zero(t, m.Version, "the new node was created with old data")
		}
	}
	require.Len(t, e.nodes(), 2)
}

// testLeftover starts a second process on the data of one that was killed: its
// node is there until its session expires.
func testLeftover(t *testing.T, addr string) {
	e := newEnv(t, addr)
	p := e.proxy()
	killed, b := e.group(p.Addr()), e.group(addr)
	killed.Join(data("a", 1))
	b.Join(data("b", 1))
	s := e.until(b, "both", holds(data("a", 1), data("b", 1)))
	last := s.Members[1].Sequence
	p.Refuse()
	begun := time.Now()
	a := e.group(addr)
	a.Join(data("a", 2))
	s = e.until(b, "a once", holds(data("a", 2), data("b", 1)))
	require.Greater(t, s.Members[1].Sequence, last)
	require.Less(t, time.Since(begun), sessionT*2/3, "waited for the expiry")
}

// testTwin has two processes that both take themselves for the same member.
func testTwin(t *testing.T, addr string) {
	e := newEnv(t, addr)
	a, twin, b := e.group(addr), e.group(addr), e.group(addr)
	a.Join(data("a", 1))
	e.until(b, "a", holds(data("a", 1)))
	twin.Join(data("a", 2))
	// The newcomer removes what it takes for its own leftover, once.
	s := e.until(b, "both", func(s group.Snapshot) bool {
		return holds(data("a", 1), data("a", 2))(s) && s.Members[0].Data.Position == 2
	})
	first := []string{s.Members[0].Eid, s.Members[1].Eid}
	for i := range int64(10) { // they go on without touching each other
		a.Publish(data("a", 10+i))
		twin.Publish(data("a", 20+i))
		s = e.until(b, "both", holds(data("a", 10+i), data("a", 20+i)))
	}
	require.Equal(t, first, []string{s.Members[0].Eid, s.Members[1].Eid})
}

func testLeaveRace(t *testing.T, addr string) {
	e := newEnv(t, addr)
	a := e.group(addr)
	for i := range int64(50) {
		a.Join(data("a", i))
		require.NoError(t, a.Leave(e.within()))
		if names, _, err := e.admin.Children(e.within(), e.path); err == nil {
			require.Empty(t, names)
		}
	}
}

func testClose(t *testing.T, addr string) {
	e := newEnv(t, addr)
	p := e.proxy()
	clients := []*zkclient.Client{e.client(addr), e.client(p.Addr()), e.admin}
	for _, c := range clients {
		_, err := c.Session(e.within())
		require.NoError(t, err)
	}
	before := runtime.NumGoroutine()
	var groups []*group.Group
	for i, c := range clients[:2] {
		g := group.New(group.Config{Client: c, Path: e.path, GroupID: "c"})
		g.Join(data(fmt.Sprint(i), 1))
		groups = append(groups, g)
	}
	e.until(groups[0], "both", holds(data("0", 1), data("1", 1)))
	for i, g := range groups {
		if i == 1 {
			p.BlackHole()
			g.Publish(data("1", 2))
		}
		start := time.Now()
		require.NoError(t, g.Close())
		require.NoError(t, g.Close(), "again")
		require.Less(t, time.Since(start), sessionT*2/3, "Close waits for no session to expire")
	}
	require.NoError(t, p.Heal())
	deadline := time.NewTimer(waitMax)
	defer deadline.Stop()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for runtime.NumGoroutine() > before {
		select {
		case <-tick.C:
		case <-deadline.C:
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}
