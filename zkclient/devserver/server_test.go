package devserver_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver"
	"baton/zkclient/devserver/wire"
)

func TestConfig(t *testing.T) {
	require.NoError(t, devserver.Config{}.Validate())
	bad := map[string]devserver.Config{
		"Listen":             {Listen: "nowhere"},
		"MinSessionTimeout":  {MinSessionTimeout: time.Hour},
		"MaxSessionTimeout":  {MaxSessionTimeout: 48 * time.Hour},
		"MaxConnections":     {MaxConnections: -1},
		"MaxQueuedBytes":     {MaxQueuedBytes: 10},
		"WriteTimeout":       {WriteTimeout: -1},
		"ReapInterval":       {ReapInterval: 1},
		"SnapshotBytes":      {SnapshotBytes: -1},
		"HandshakeTimeout -": {HandshakeTimeout: -1},
	}
	for field, cfg := range bad {
		err := cfg.Validate()
		require.ErrorIs(t, err, devserver.ErrConfig, field)
		require.ErrorContains(t, err, strings.Fields(field)[0])
		_, err = devserver.Start(cfg)
		require.ErrorIs(t, err, devserver.ErrConfig, field)
	}
}

func TestTakenPortIsNamed(t *testing.T) {
	first := start(t, devserver.Config{})
	_, err := devserver.Start(devserver.Config{Listen: first.Addr()})
	require.ErrorIs(t, err, devserver.ErrAddressInUse)
	require.ErrorContains(t, err, first.Addr())
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	s := start(t, devserver.Config{DataDir: t.TempDir()})
	var clients []*client
	for range 20 {
		clients = append(clients, connect(t, s.Addr(), time.Second))
	}
	dial(t, s.Addr()) // says nothing
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "twice")
	for _, c := range clients {
		c.ended()
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, patience, time.Millisecond, "goroutines end")
	require.Zero(t, s.Stats())
	select {
	case <-s.Done():
	default:
		require.Fail(t, "Done is open after Close")
	}
	again := start(t, devserver.Config{Listen: s.Addr()})
	require.Equal(t, s.Addr(), again.Addr())
}

func TestStats(t *testing.T) {
	s := start(t, devserver.Config{})
	c := connect(t, s.Addr(), 2*time.Second)
	c.must(wire.OpCreate, create("/a", []byte("x"), wire.ModeEphemeral))
	c.must(wire.OpGetData, path("/a", true))
	stats := s.Stats()
	require.Equal(t, 5, stats.Nodes)
	require.Equal(t, 1, stats.Ephemerals)
	require.Equal(t, 1, stats.Sessions)
	require.Equal(t, 1, stats.Connections)
	require.Equal(t, 1, stats.Watches)
	require.EqualValues(t, 3, stats.Received)
	c.net.Close()
	require.Eventually(t, func() bool { return s.Stats().SessionsExpired == 1 }, patience, time.Millisecond)
	require.Eventually(t, func() bool {
		stats := s.Stats()
		return stats.Ephemerals+stats.Sessions+stats.Connections+stats.Watches == 0
	}, patience, time.Millisecond)
}

func TestConnectionsAreBounded(t *testing.T) {
	s := start(t, devserver.Config{MaxConnections: 3})
	var clients []*client
	for range 3 {
		clients = append(clients, connect(t, s.Addr(), 10*time.Second))
	}
	dial(t, s.Addr()).ended()
	clients[0].must(wire.OpExists, path("/", false))
	clients[1].net.Close()
	require.Eventually(t, func() bool {
		c := dial(t, s.Addr())
		return c.attach(wire.ConnectRequest{TimeoutMillis: 1000, Password: make([]byte, 16)}) == nil
	}, patience, time.Millisecond, "a free place is taken again")
}

func TestSilentConnectionIsClosed(t *testing.T) {
	s := start(t, devserver.Config{HandshakeTimeout: 50 * time.Millisecond})
	c := dial(t, s.Addr())
	c.ended()
	half := dial(t, s.Addr())
	_, err := half.net.Write([]byte{0, 0, 0, 44, 0})
	require.NoError(t, err)
	half.ended()
}

func TestSlowReaderOfEventsIsCut(t *testing.T) {
	s := start(t, devserver.Config{MaxQueuedBytes: 2 << 20, WriteTimeout: time.Minute})
	name := "/" + strings.Repeat("n", 20000) // each event carries it
	slow, writer := connect(t, s.Addr(), time.Minute), connect(t, s.Addr(), time.Minute)
	require.NoError(t, slow.net.(*net.TCPConn).SetReadBuffer(4096))
	writer.must(wire.OpCreate, create(name, nil, 0))
	slow.must(wire.OpAddWatch, versioned(name, wire.WatchPersistent))
	require.Eventually(t, func() bool {
		writer.must(wire.OpSetData, setData(name, nil))
		return s.Stats().Connections == 1
	}, patience, time.Microsecond, "the reader is cut")
	writer.must(wire.OpExists, path(name, false))
}

func TestSlowReaderOfAnswersIsCut(t *testing.T) {
	s := start(t, devserver.Config{WriteTimeout: 100 * time.Millisecond})
	writer := connect(t, s.Addr(), time.Minute)
	writer.must(wire.OpCreate, create("/big", make([]byte, 1000000), 0))
	slow := connect(t, s.Addr(), time.Minute)
	require.NoError(t, slow.net.(*net.TCPConn).SetReadBuffer(4096))
	for range 2000 { // far more than it reads; the server must not keep all the answers
		if slow.send(wire.OpGetData, path("/big", false)) != nil {
			break
		}
	}
	require.Eventually(t, func() bool { return s.Stats().Connections == 1 }, patience, time.Millisecond)
	require.Less(t, s.Stats().Received, int64(200), "requests are not read while answers wait")
}

// TestPipelining sends many requests without reading; all are answered in
// order although only some may be in flight.
func TestPipelining(t *testing.T) {
	s := start(t, devserver.Config{})
	c := connect(t, s.Addr(), time.Minute)
	const count = 5000
	sent := make(chan error, 1)
	go func() {
		var all []byte
		for xid := int32(1); xid <= count; xid++ {
			var e wire.Encoder
			e.Int32(xid)
			e.Int32(int32(wire.OpCreate))
			create("/n", nil, wire.ModePersistentSequential)(&e)
			all = append(all, wire.Frame(e.Bytes())...)
		}
		_, err := c.net.Write(all)
		sent <- err
	}()
	for xid := int32(1); xid <= count; xid++ {
		packet, err := wire.ReadFrame(c.net)
		require.NoError(t, err)
		d := wire.NewDecoder(packet)
		require.Equal(t, xid, d.Int32())
		_, code := d.Int64(), d.Int32()
		require.Zero(t, code)
		require.Equal(t, fmt.Sprintf("/n%010d", xid-1), d.String())
	}
	require.NoError(t, <-sent)
}

// TestExpiryIsExact measures when a silent session ends, also while others
// keep the server busy.
func TestExpiryIsExact(t *testing.T) {
	s := start(t, devserver.Config{})
	t.Run("idle", func(t *testing.T) { testExpiry(t, s) })
	t.Run("busy", func(t *testing.T) {
		busy, done := connect(t, s.Addr(), time.Minute), make(chan struct{})
		go func() {
			defer close(done)
			for {
				if _, _, _, err := busy.call(wire.OpExists, path("/", false)); err != nil {
					return
				}
			}
		}()
		testExpiry(t, s)
		busy.net.Close()
		<-done
	})
}

// testExpiry lets sessions expire, never too early, until one does in time: a
// busy machine may be late now and then, a server that is late always is.
func testExpiry(t *testing.T, s *devserver.Server) {
	watcher := connect(t, s.Addr(), time.Minute)
	const timeout = time.Second
	fastest := patience
	for try := 0; try < 5 && fastest >= timeout+200*time.Millisecond; try++ {
		name := fmt.Sprintf("/%s-%d", filepath.Base(t.Name()), try)
		holder := connect(t, s.Addr(), timeout)
		holder.must(wire.OpCreate, create(name, nil, wire.ModeEphemeral))
		watcher.must(wire.OpExists, path(name, true))
		begin := time.Now()
		holder.must(wire.OpExists, path(name, false))
		_, err := wire.ReadFrame(watcher.net)
		took := time.Since(begin)
		require.NoError(t, err)
		require.GreaterOrEqual(t, took, timeout)
		holder.ended()
		fastest = min(fastest, took)
	}
	require.Less(t, fastest, timeout+200*time.Millisecond, "5 ms is usual")
}

func TestStorageFailureStopsTheServer(t *testing.T) {
	dir := t.TempDir()
	s := start(t, devserver.Config{DataDir: dir, SnapshotBytes: 1000})
	c := connect(t, s.Addr(), time.Minute)
	c.must(wire.OpCreate, create("/kept", nil, 0))
	require.NoError(t, os.RemoveAll(dir))
	_, _, _, err := c.call(wire.OpCreate, create("/lost", make([]byte, 2000), 0))
	require.Error(t, err, "a change that cannot be kept must not be answered")
	<-s.Done()
	require.ErrorIs(t, s.Close(), devserver.ErrStorage)
	require.ErrorIs(t, s.Err(), devserver.ErrStorage)
	require.ErrorContains(t, s.Err(), dir)
}

func TestDataDirInUseIsNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	start(t, devserver.Config{DataDir: dir})
	_, err := devserver.Start(devserver.Config{Listen: "127.0.0.1:0", DataDir: dir})
	require.ErrorContains(t, err, dir)
}

// FuzzConnection sends arbitrary bytes, raw and as packets of a session; the
// server must live on and serve another client.
func FuzzConnection(f *testing.F) {
	var e wire.Encoder
	e.Int32(1)
	e.Int32(int32(wire.OpCreate))
	create("/fuzz", []byte("x"), 0)(&e)
	f.Add(e.Bytes(), false)
	for _, op := range []int32{2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22, 100, 101, 103, 104, 105, 106, 107, -11} {
		var e wire.Encoder
		e.Int32(7)
		e.Int32(op)
		e.String("/")
		e.Int32(-1)
		f.Add(e.Bytes(), false)
	}
	f.Add([]byte("ruok"), true)
	f.Add([]byte("stat\xff\x00mntr"), true)
	f.Add(wire.Frame(wire.ConnectRequest{TimeoutMillis: 1, Password: make([]byte, 16)}.Encode()), true)
	s := start(f, devserver.Config{MinSessionTimeout: 10 * time.Millisecond})
	observer := connect(f, s.Addr(), time.Minute)
	require.NoError(f, observer.net.SetDeadline(time.Time{}))
	f.Fuzz(func(t *testing.T, input []byte, unframed bool) {
		nc, err := net.DialTimeout("tcp", s.Addr(), patience)
		require.NoError(t, err)
		defer nc.Close()
		if !unframed {
			c := &client{t: t, net: nc}
			require.NoError(t, c.attach(wire.ConnectRequest{TimeoutMillis: 10, Password: make([]byte, 16)}))
			input = wire.Frame(input)
		}
		nc.Write(input) // the server may have closed the connection
		nc.(*net.TCPConn).CloseWrite()
		_, err = io.Copy(io.Discard, nc)
		if nerr, ok := err.(net.Error); ok {
			require.False(t, nerr.Timeout())
		}
		observer.t = t
		observer.must(wire.OpExists, path("/", false))
	})
}
