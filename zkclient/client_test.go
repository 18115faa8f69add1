package zkclient_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/zkclient"
	"baton/zkclient/ensemble"
	"baton/zkclient/ensemble/porttest"
	"baton/zkclient/internal/faultproxy"
	"baton/zkclient/zktest"
)

const (
	waitMax = time.Minute // bounds every wait: the machine may be busy
	poll    = 5 * time.Millisecond

	// sessionTimeout is longer than a busy machine stalls: sessions expire where
	// a test is about that, with a timeout of its own.
	sessionTimeout = 10 * time.Second
)

// servers are the kinds of server that the tests run against.
var servers = map[string]func(testing.TB) string{"zookeeper": zktest.Real, "devserver": zktest.Dev, "ensemble": follower}

// follower is one server of a real ensemble, and not the one that leads.
func follower(t testing.TB) string {
	if testing.Short() {
		t.Skip("starts three Java processes")
	}
	for _, s := range zktest.Ensemble(t, 3).Servers() {
		if s.Mode() == ensemble.ModeFollower {
			return s.Address
		}
	}
	t.Fatal("no server follows")
	return ""
}

func TestClient(t *testing.T) {
	for kind, start := range servers {
		t.Run(kind, func(t *testing.T) {
			addr := start(t)
			t.Run("reads, writes and transactions", func(t *testing.T) { testOps(t, addr) })
			t.Run("errors are those of the package", func(t *testing.T) { testErrors(t, addr) })
			t.Run("watches fire on a change and on a cut", func(t *testing.T) { testWatch(t, addr) })
			t.Run("cut keeps the session", func(t *testing.T) { testCut(t, addr) })
			t.Run("black hole expires the session and a queued write is never sent", func(t *testing.T) { testExpiry(t, addr) })
			t.Run("hung server does not cost the session", func(t *testing.T) { testHungServer(t, addr) })
			t.Run("password", func(t *testing.T) { testPassword(t, addr) })
			t.Run("close ends the session and leaves no goroutine", func(t *testing.T) { testClose(t, addr) })
			t.Run("listener and subscription see the newest state", func(t *testing.T) { testStates(t, addr) })
			t.Run("a listener that blocks and watches that nobody reads hold up nothing", func(t *testing.T) { testBlocked(t, addr) })
			t.Run("an empty server is recovered from", func(t *testing.T) {
				if kind == "ensemble" { // whose wiped twin would be three more processes
					start = zktest.Real
				}
				testWiped(t, addr, start(t), kind)
			})
		})
	}
}

func connect(t *testing.T, cfg zkclient.Config) *zkclient.Client {
	t.Helper()
	if cfg.SessionTimeout == 0 {
		cfg.SessionTimeout = sessionTimeout
	}
	c, err := zkclient.Connect(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func proxy(t *testing.T, addr string) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.Start(porttest.Address(t), addr)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// root makes a path of the test's own.
func root(t *testing.T, c *zkclient.Client) string {
	t.Helper()
	path := "/" + strings.NewReplacer("/", "_", " ", "_").Replace(t.Name()) + fmt.Sprint(time.Now().UnixNano())
	require.NoError(t, c.CreateAll(within(t, waitMax), path))
	return path
}

func connected(t *testing.T, c *zkclient.Client) zkclient.State {
	t.Helper()
	require.Eventually(t, func() bool { return c.State().Connected }, waitMax, poll)
	return c.State()
}

func testOps(t *testing.T, addr string) {
	c := connect(t, zkclient.Config{Servers: []string{addr}})
	ctx := within(t, waitMax)
	r := root(t, c)
	require.NoError(t, c.CreateAll(ctx, r+"/a/b/c"))
	require.NoError(t, c.CreateAll(ctx, r+"/a/b/c"), "again")

	path, err := c.Create(ctx, r+"/x", []byte("one"), zkclient.Persistent)
	require.NoError(t, err)
	require.Equal(t, r+"/x", path)
	stat, err := c.Set(ctx, path, []byte("two"), 0)
	require.NoError(t, err)
	require.EqualValues(t, 1, stat.Version)
	data, stat, err := c.Get(ctx, path)
	require.NoError(t, err)
	require.Equal(t, "two", string(data))
	require.EqualValues(t, 1, stat.Version)

	seq, err := c.Create(ctx, r+"/0", nil, zkclient.Ephemeral|zkclient.Sequential)
	require.NoError(t, err)
	require.Len(t, seq, len(r)+12)
	exists, stat, err := c.Exists(ctx, seq)
	require.NoError(t, err)
	require.True(t, exists)
	require.Equal(t, c.State().SessionID, stat.EphemeralOwner)

	names, _, err := c.Children(ctx, r)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"a", "x", seq[len(r)+1:]}, names)

	_, err = c.Multi(ctx, zkclient.CheckOp(r+"/x", 0), zkclient.DeleteOp(r+"/a/b/c", zkclient.AnyVersion))
	require.ErrorIs(t, err, zkclient.ErrVersion)
	exists, _, err = c.Exists(ctx, r+"/a/b/c")
	require.NoError(t, err)
	require.True(t, exists, "a failed transaction changed something")
	out, err := c.Multi(ctx, zkclient.CheckOp(r+"/x", 1), zkclient.SetOp(r+"/x", []byte("three"), 1),
		zkclient.DeleteOp(r+"/a/b/c", zkclient.AnyVersion), zkclient.CreateOp(r+"/y", nil, zkclient.Persistent))
	require.NoError(t, err)
	require.EqualValues(t, 2, out[1].Stat.Version)
	require.Equal(t, r+"/y", out[3].Path)
	require.NoError(t, c.Delete(ctx, r+"/y", 0))
}

func testErrors(t *testing.T, addr string) {
	c := connect(t, zkclient.Config{Servers: []string{addr}})
	ctx := within(t, waitMax)
	r := root(t, c)
	_, err := c.Create(ctx, r+"/x", nil, zkclient.Persistent)
	require.NoError(t, err)
	_, err = c.Create(ctx, r+"/x/y", nil, zkclient.Persistent)
	require.NoError(t, err)
	for _, row := range []struct {
		name string
		call func() error
		want error
	}{
		{"create again", func() error { _, err := c.Create(ctx, r+"/x", nil, 0); return err }, zkclient.ErrNodeExists},
		{"create without parent", func() error { _, err := c.Create(ctx, r+"/no/x", nil, 0); return err }, zkclient.ErrNoNode},
		{"read missing", func() error { _, _, err := c.Get(ctx, r+"/no"); return err }, zkclient.ErrNoNode},
		{"write other version", func() error { _, err := c.Set(ctx, r+"/x", nil, 7); return err }, zkclient.ErrVersion},
		{"delete other version", func() error { return c.Delete(ctx, r+"/x/y", 7) }, zkclient.ErrVersion},
		{"delete with children", func() error { return c.Delete(ctx, r+"/x", 0) }, zkclient.ErrNotEmpty},
		{"too large", func() error { _, err := c.Set(ctx, r+"/x", make([]byte, zkclient.DataMax+1), 0); return err }, zkclient.ErrTooLarge},
	} {
		err := row.call()
		require.ErrorIs(t, err, row.want, row.name)
		require.Contains(t, err.Error(), r, row.name)
	}
	_, _, err = c.Get(ctx, "no-slash")
	require.Error(t, err)
	require.NotErrorIs(t, err, zkclient.ErrDisconnected, "a bad path is no disconnect: nobody should retry it")
	data := make([]byte, zkclient.DataMax)
	_, err = c.Set(ctx, r+"/x", data, 0)
	require.NoError(t, err)
	got, _, err := c.Get(ctx, r+"/x")
	require.NoError(t, err)
	require.Len(t, got, len(data))
}

func testWatch(t *testing.T, addr string) {
	p := proxy(t, addr)
	c := connect(t, zkclient.Config{Servers: []string{p.Addr()}})
	other := connect(t, zkclient.Config{Servers: []string{addr}})
	ctx := within(t, waitMax)
	r := root(t, other)
	arm := func() map[string]<-chan zkclient.Event {
		_, _, children, err := c.ChildrenW(ctx, r)
		require.NoError(t, err)
		exists, _, created, err := c.ExistsW(ctx, r+"/x")
		require.NoError(t, err)
		require.False(t, exists)
		_, _, data, err := c.GetW(ctx, r)
		require.NoError(t, err)
		return map[string]<-chan zkclient.Event{"children": children, "exists": created, "data": data}
	}
	fired := func(watches map[string]<-chan zkclient.Event) {
		t.Helper()
		for name, ch := range watches {
			select {
			case ev, ok := <-ch:
				require.True(t, ok, name)
				require.NoError(t, ev.Err, name)
			case <-ctx.Done():
				t.Fatalf("watch of %s did not fire", name)
			}
		}
	}
	session := connected(t, c).SessionID
	for range 3 {
		watches := arm()
		again := arm() // two who watch the same
		_, err := other.Create(ctx, r+"/x", nil, zkclient.Persistent)
		require.NoError(t, err)
		_, err = other.Set(ctx, r, []byte("new"), zkclient.AnyVersion)
		require.NoError(t, err)
		fired(watches)
		fired(again)
		require.NoError(t, other.Delete(ctx, r+"/x", zkclient.AnyVersion))
		watches = arm()
		s, err := c.Session(ctx)
		require.NoError(t, err)
		detached := s.Detached()
		p.Cut()
		fired(watches)
		<-detached
		require.Equal(t, session, connected(t, c).SessionID)
	}
	_, _, gone, err := c.GetW(ctx, r)
	require.NoError(t, err)
	require.NoError(t, other.Delete(ctx, r, zkclient.AnyVersion))
	fired(map[string]<-chan zkclient.Event{"deleted": gone})
	_, _, last, err := c.ExistsW(ctx, r)
	require.NoError(t, err)
	c.Close()
	<-last
}

func testCut(t *testing.T, addr string) {
	p := proxy(t, addr)
	c := connect(t, zkclient.Config{Servers: []string{p.Addr()}})
	before := connected(t, c)
	require.Equal(t, sessionTimeout, before.SessionTimeout)
	require.Equal(t, p.Addr(), before.Server)
	fastest := waitMax
	for range 5 {
		s, err := c.Session(within(t, waitMax))
		require.NoError(t, err)
		detached := s.Detached()
		start := time.Now()
		p.Cut()
		<-detached
		_, _, err = c.Exists(within(t, waitMax), "/")
		require.NoError(t, err)
		fastest = min(fastest, time.Since(start))
	}
	require.Less(t, fastest, 900*time.Millisecond, "the library's own pause is 1 s, each time")
	after := c.State()
	require.Equal(t, before.SessionID, after.SessionID)
	require.Zero(t, after.Expiries)
}

// testExpiry has a write in the library's queue when the session dies: the
// library as it comes sends it in the next session.
func testExpiry(t *testing.T, addr string) {
	p := proxy(t, addr)
	other := connect(t, zkclient.Config{Servers: []string{addr}})
	c := connect(t, zkclient.Config{Servers: []string{p.Addr()}, SessionTimeout: 2 * time.Second})
	ctx := within(t, waitMax)
	r := root(t, other)
	node, err := c.Create(ctx, r+"/e", nil, zkclient.Ephemeral)
	require.NoError(t, err)
	first, err := c.Session(ctx)
	require.NoError(t, err)
	p.BlackHole()
	const writes = 40 // more than the library's queue takes
	errs := make(chan error, writes)
	for range writes {
		go func() { _, err := first.Set(ctx, r, []byte("old leader"), zkclient.AnyVersion); errs <- err }()
	}
	require.Eventually(t, func() bool { return !c.State().Connected }, waitMax, poll)
	queued := make(chan error, 1)
	go func() { _, err := first.Set(ctx, r, []byte("old leader"), zkclient.AnyVersion); queued <- err }()
	require.Eventually(t, func() bool {
		exists, _, err := other.Exists(ctx, node)
		return err == nil && !exists
	}, waitMax, poll, "ephemeral node outlives the session")
	// What the black hole swallowed must not come out of it: those bytes belong
	// to a connection that is gone.
	p.Cut()
	require.NoError(t, p.Heal())
	for range writes {
		require.Error(t, <-errs)
	}
	require.ErrorIs(t, <-queued, zkclient.ErrSessionExpired)
	<-first.Done()
	st := connected(t, c)
	require.EqualValues(t, 1, st.Expiries)
	require.EqualValues(t, 2, st.Sessions)
	require.NotEqual(t, first.ID(), st.SessionID)
	_, err = c.Create(ctx, r+"/barrier", nil, zkclient.Persistent) // in order behind whatever is queued
	require.NoError(t, err)
	data, stat, err := c.Get(ctx, r)
	require.NoError(t, err)
	require.Empty(t, data, "a write of the dead session was executed")
	require.Zero(t, stat.Version)
	_, err = first.Set(ctx, r, nil, zkclient.AnyVersion)
	require.ErrorIs(t, err, zkclient.ErrSessionExpired)
}

func testHungServer(t *testing.T, addr string) {
	a, b := proxy(t, addr), proxy(t, addr)
	const timeout = 6 * time.Second // a share of it is given to a server that does not answer
	c := connect(t, zkclient.Config{Servers: []string{a.Addr(), b.Addr()}, SessionTimeout: timeout})
	st := connected(t, c)
	current, hung := a, b
	if st.Server == b.Addr() {
		current, hung = b, a
	}
	hung.BlackHole()
	current.Cut() // the next server in turn is the hung one
	require.Eventually(t, func() bool { return !c.State().Connected }, waitMax, poll)
	after := connected(t, c)
	require.Equal(t, st.SessionID, after.SessionID)
	require.Zero(t, after.Expiries)

	fresh := connect(t, zkclient.Config{Servers: []string{a.Addr(), b.Addr()}, SessionTimeout: timeout})
	require.Equal(t, current.Addr(), connected(t, fresh).Server)
}

func testWiped(t *testing.T, addr, wiped, kind string) {
	p := proxy(t, addr)
	c := connect(t, zkclient.Config{Servers: []string{p.Addr()}, RefusedLimit: 500 * time.Millisecond})
	root(t, c) // the client has seen more than the fresh server ever did
	before := connected(t, c)
	s, err := c.Session(within(t, waitMax))
	require.NoError(t, err)
	p.Target(wiped)
	p.Cut()
	<-s.Done()
	_, _, err = s.Get(within(t, waitMax), "/")
	require.ErrorIs(t, err, zkclient.ErrSessionExpired)
	if kind != "devserver" { // the real one closes the connection for ever and never says expired
		require.ErrorIs(t, err, zkclient.ErrRefused)
	}
	after := connected(t, c)
	require.NotEqual(t, before.SessionID, after.SessionID)
	require.EqualValues(t, 1, after.Expiries)
	names, _, err := c.Children(within(t, waitMax), "/")
	require.NoError(t, err)
	require.Equal(t, []string{"zookeeper"}, names)
}

func testPassword(t *testing.T, addr string) {
	p := proxy(t, addr)
	owner := connect(t, zkclient.Config{Servers: []string{p.Addr()}, Password: "secret"})
	stranger := connect(t, zkclient.Config{Servers: []string{addr}})
	wrong := connect(t, zkclient.Config{Servers: []string{addr}, Password: "guess"})
	ctx := within(t, waitMax)
	r := root(t, owner)
	for name, c := range map[string]*zkclient.Client{"no password": stranger, "wrong password": wrong} {
		_, _, err := c.Get(ctx, r)
		require.ErrorIs(t, err, zkclient.ErrAuth, name)
		_, err = c.Create(ctx, r+"/x", nil, zkclient.Persistent)
		require.ErrorIs(t, err, zkclient.ErrAuth, name)
	}
	for range 3 { // each connection authenticates anew
		s, err := owner.Session(ctx)
		require.NoError(t, err)
		detached := s.Detached()
		p.Cut()
		<-detached
		_, err = owner.Set(ctx, r, []byte("mine"), zkclient.AnyVersion)
		require.NoError(t, err)
	}
	open, err := owner.WorldWritable(ctx, r)
	require.NoError(t, err)
	require.False(t, open)
	open, err = owner.WorldWritable(ctx, "/")
	require.NoError(t, err)
	require.True(t, open)
}

func testClose(t *testing.T, addr string) {
	other := connect(t, zkclient.Config{Servers: []string{addr}})
	ctx := within(t, waitMax)
	r := root(t, other)
	before := runtime.NumGoroutine()
	refused := porttest.Address(t)
	hung := proxy(t, addr)
	hung.BlackHole()
	var clients []*zkclient.Client
	for _, server := range []string{addr, addr, refused, hung.Addr()} {
		c, err := zkclient.Connect(zkclient.Config{Servers: []string{server}, SessionTimeout: 30 * time.Second})
		require.NoError(t, err)
		clients = append(clients, c)
	}
	_, err := clients[0].Create(ctx, r+"/e", nil, zkclient.Ephemeral)
	require.NoError(t, err)
	pending := make(chan error, 1)
	go func() { _, _, err := clients[3].Get(ctx, r); pending <- err }()
	for _, c := range clients {
		start := time.Now()
		require.NoError(t, c.Close())
		require.NoError(t, c.Close(), "again")
		require.Less(t, time.Since(start), 20*time.Second, "Close waits for no session to expire")
		_, _, err := c.Get(ctx, r)
		require.ErrorIs(t, err, zkclient.ErrClosed)
	}
	require.ErrorIs(t, <-pending, zkclient.ErrClosed)
	closed := time.Now()
	require.Eventually(t, func() bool {
		exists, _, err := other.Exists(ctx, r+"/e")
		return err == nil && !exists
	}, waitMax, poll)
	require.Less(t, time.Since(closed), 20*time.Second, "the session of 30 s outlives Close")
	hung.Close()
	requireGoroutines(t, before)
}

func testStates(t *testing.T, addr string) {
	p := proxy(t, addr)
	var mu sync.Mutex
	var heard zkclient.State
	c := connect(t, zkclient.Config{Servers: []string{p.Addr()}, Listener: func(s zkclient.State) {
		mu.Lock()
		defer mu.Unlock()
		heard = s
	}})
	listener := func() zkclient.State { mu.Lock(); defer mu.Unlock(); return heard }
	require.Eventually(t, func() bool { return listener().Connected }, waitMax, poll)
	states, cancel := c.Subscribe()
	require.True(t, (<-states).Connected)
	p.Refuse()
	require.Eventually(t, func() bool { return !listener().Connected && listener().Err != nil }, waitMax, poll)
	deadline := within(t, waitMax)
	for connected := true; connected; {
		select {
		case s := <-states:
			connected = s.Connected
		case <-deadline.Done():
			t.Fatal("subscription missed the disconnect")
		}
	}
	cancel()
	require.NoError(t, p.Heal())
	require.Eventually(t, func() bool { return listener().Connected }, waitMax, poll)
}

// testBlocked has a caller that never returns from its Listener and one that
// reads no watch: the library's own goroutines must never wait for them.
func testBlocked(t *testing.T, addr string) {
	p := proxy(t, addr)
	release := make(chan struct{})
	c := connect(t, zkclient.Config{Servers: []string{p.Addr()}, Listener: func(zkclient.State) { <-release }})
	defer close(release)
	other := connect(t, zkclient.Config{Servers: []string{addr}})
	ctx := within(t, waitMax)
	r := root(t, c)
	before := connected(t, c)
	for range 5 { // each makes more session events than the library's channel holds
		for range 20 {
			_, _, _, err := c.GetW(ctx, r)
			require.NoError(t, err)
			_, err = other.Set(ctx, r, nil, zkclient.AnyVersion)
			require.NoError(t, err)
		}
		s, err := c.Session(ctx)
		require.NoError(t, err)
		detached := s.Detached()
		p.Cut()
		<-detached
		_, _, err = c.Get(ctx, r)
		require.NoError(t, err)
	}
	after := connected(t, c)
	require.Equal(t, before.SessionID, after.SessionID)
	require.Zero(t, after.Expiries)
}

// TestRolledBackServer puts a real server back to an older copy of its data
// while a client is attached, as a restored backup does. The server then refuses
// the client, which has seen later changes, for ever and without saying that its
// session is over.
func TestRolledBackServer(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Java process twice")
	}
	e := zktest.Ensemble(t, 1)
	server, data := e.Servers()[0], e.Dir()
	writer := connect(t, zkclient.Config{Servers: e.Addresses()})
	ctx := within(t, 3*waitMax)
	_, err := writer.Create(ctx, "/kept", nil, zkclient.Persistent)
	require.NoError(t, err)
	require.NoError(t, server.Process.Stop())
	backup := t.TempDir()
	require.NoError(t, os.CopyFS(backup, os.DirFS(data)))
	require.NoError(t, server.Process.Start())
	require.NoError(t, e.Await(ctx))

	c := connect(t, zkclient.Config{Servers: e.Addresses(), SessionTimeout: 30 * time.Second, RefusedLimit: 500 * time.Millisecond})
	_, err = c.Create(ctx, "/lost", nil, zkclient.Persistent)
	require.NoError(t, err)
	s, err := c.Session(ctx)
	require.NoError(t, err)
	require.NoError(t, server.Process.Kill())
	require.NoError(t, os.RemoveAll(data))
	require.NoError(t, os.CopyFS(data, os.DirFS(backup)))
	require.NoError(t, server.Process.Start())
	require.NoError(t, e.Await(ctx))
	select {
	case <-s.Done():
	case <-ctx.Done():
		t.Fatal("the client waits for ever")
	}
	_, _, err = s.Get(ctx, "/kept")
	require.ErrorIs(t, err, zkclient.ErrRefused)
	exists, _, err := c.Exists(ctx, "/lost")
	require.NoError(t, err)
	require.False(t, exists)
	require.EqualValues(t, 1, c.State().Expiries)
}

func TestNoZooKeeper(t *testing.T) {
	addr := porttest.Address(t)
	c := connect(t, zkclient.Config{Servers: []string{addr}})
	require.Eventually(t, func() bool { return c.State().Err != nil }, waitMax, poll)
	_, _, err := c.Get(within(t, 100*time.Millisecond), "/x")
	require.ErrorIs(t, err, zkclient.ErrDisconnected)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Contains(t, err.Error(), "ZooKeeper at "+addr+" does not answer")
	require.Contains(t, err.Error(), "refused")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = c.Session(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestConfig(t *testing.T) {
	for name, cfg := range map[string]zkclient.Config{
		"no server":        {},
		"bad address":      {Servers: []string{"a:b:c"}},
		"no host":          {Servers: []string{":2181"}},
		"timeout short":    {Servers: []string{"a"}, SessionTimeout: time.Millisecond},
		"timeout long":     {Servers: []string{"a"}, SessionTimeout: time.Hour},
		"negative timeout": {Servers: []string{"a"}, SessionTimeout: -1},
		"user":             {Servers: []string{"a"}, User: "a:b"},
	} {
		_, err := zkclient.Connect(cfg)
		require.Error(t, err, name)
		require.False(t, errors.Is(err, zkclient.ErrDisconnected), name)
	}
	require.NoError(t, zkclient.Config{Servers: []string{"a", "b:1", "[::1]:2181"}}.Validate())
}

// requireGoroutines waits until no more goroutines run than before, and shows
// them if they stay.
func requireGoroutines(t *testing.T, before int) {
	t.Helper()
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
