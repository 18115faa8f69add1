package devserver_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver"
	"baton/zkclient/devserver/wire"
)

// childDir is the environment variable that makes this test binary a server
// that can be killed.
const childDir = "BATON_DEVSERVER_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		s, err := devserver.Start(devserver.Config{Listen: "127.0.0.1:0", DataDir: dir, SnapshotBytes: 20000})
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		fmt.Println("listening", s.Addr())
		<-s.Done()
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// startChild starts a server in a process of its own.
func startChild(t *testing.T, dir string) (addr string, process *os.Process, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	kill = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	addr, found := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	require.True(t, found, line)
	return addr, cmd.Process, kill
}

// TestKilledServerForgetsNothing kills the server with SIGKILL while clients
// write, several times. After each restart everything that was answered must be
// there, nothing twice, and the sessions must go on.
func TestKilledServerForgetsNothing(t *testing.T) {
	dir := t.TempDir()
	answered := map[string]string{} // path to data
	var lastZxid int64
	var holder *client
	for round := range 4 {
		addr, _, kill := startChild(t, dir)
		if holder == nil {
			holder = connect(t, addr, time.Minute)
			holder.must(wire.OpCreate, create("/mine", nil, wire.ModeEphemeral))
		} else {
			id := holder.session
			holder = reattach(t, addr, holder)
			require.Equal(t, id, holder.session, "the session goes on")
		}
		_, body := holder.must(wire.OpExists, path("/mine", false))
		require.Equal(t, holder.session, body.Stat().EphemeralOwner)
		zxid, _ := holder.must(wire.OpExists, path("/", false))
		require.Greater(t, zxid, lastZxid, "the zxid never goes back")
		lastZxid = zxid
		verify(t, holder, answered)

		writer := connect(t, addr, time.Minute)
		results := make(chan change, 10000)
		go write(writer, round, results)
		for range 150 + 100*round { // some answers, then the end, in the middle of a request
			c := <-results
			answered[c.name], lastZxid = c.name, c.zxid
		}
		kill()
		for c := range results { // answered before the end
			answered[c.name], lastZxid = c.name, c.zxid
		}
	}
	addr, _, _ := startChild(t, dir)
	holder = reattach(t, addr, holder)
	verify(t, holder, answered)
	t.Logf("%d answered changes in 4 lives", len(answered))
}

// change is one that was answered.
type change struct {
	name string
	zxid int64
}

// write creates nodes until the server is gone and reports those answered.
func write(c *client, round int, results chan<- change) {
	defer close(results)
	for i := 0; ; i++ {
		name := fmt.Sprintf("/r%d-%d", round, i)
		op, fill := wire.OpCreate, create(name, []byte(name), 0)
		if i%5 == 4 { // a transaction
			op, fill = wire.OpMulti, func(e *wire.Encoder) {
				e.MultiHeader(wire.MultiHeader{Op: wire.OpCreate, Err: -1})
				create(name, []byte("first"), 0)(e)
				e.MultiHeader(wire.MultiHeader{Op: wire.OpSetData, Err: -1})
				setData(name, []byte(name))(e)
				e.MultiHeader(wire.EndMulti)
			}
		}
		zxid, code, _, err := c.call(op, fill)
		if err != nil || code != wire.OK {
			return
		}
		results <- change{name, zxid}
	}
}

func verify(t *testing.T, c *client, answered map[string]string) {
	t.Helper()
	for name, data := range answered {
		_, body := c.must(wire.OpGetData, path(name, false))
		require.Equal(t, data, string(body.Buffer()), name)
	}
	_, body := c.must(wire.OpGetChildren2, path("/", false))
	children := body.Strings()
	stat := body.Stat()
	require.LessOrEqual(t, len(children), len(answered)+2+5, "at most one unanswered node per life, besides /zookeeper and /mine")
	require.Equal(t, len(children), int(stat.NumChildren))
	require.Equal(t, len(children)-2, int(stat.Cversion), "each was created once; /zookeeper is a child that was not")
}

// TestStoppedServerDoesNotExpireItsClients freezes the server for longer than a
// session's timeout. Its client has done nothing wrong.
func TestStoppedServerDoesNotExpireItsClients(t *testing.T) {
	addr, process, _ := startChild(t, t.TempDir())
	const timeout = 2 * time.Second // more than a busy machine stalls
	c := connect(t, addr, timeout)
	c.must(wire.OpCreate, create("/a", nil, wire.ModeEphemeral))
	require.NoError(t, process.Signal(syscall.SIGSTOP))
	<-time.After(timeout + timeout/4)
	require.NoError(t, process.Signal(syscall.SIGCONT))
	require.Equal(t, wire.OK, c.code(wire.OpExists, path("/a", false)))
	observer := connect(t, addr, time.Minute)
	observer.must(wire.OpExists, path("/a", true))
	_, err := wire.ReadFrame(observer.net) // from now on its silence counts
	require.NoError(t, err)
}

func TestRestartInOrder(t *testing.T) {
	dir := t.TempDir()
	s := start(t, devserver.Config{DataDir: dir})
	c := connect(t, s.Addr(), 5*time.Second)
	gone := connect(t, s.Addr(), 5*time.Second)
	gone.must(wire.OpCreate, create("/gone", nil, wire.ModeEphemeral))
	c.must(wire.OpCreate, create("/a", nil, 0))
	c.must(wire.OpCreate, create("/a/null", nil, wire.ModeEphemeral))
	c.must(wire.OpCreate, create("/a/empty", []byte{}, wire.ModeContainer))
	c.must(wire.OpSetACL, func(e *wire.Encoder) {
		e.String("/a/empty")
		e.ACLs([]wire.ACL{{Perms: 1, Scheme: "ip", ID: "127.0.0.1"}})
		e.Int32(-1)
	})
	c.must(wire.OpSetData, setData("/a", []byte("data")))
	for range 3 {
		c.must(wire.OpCreate, create("/a/s-", nil, wire.ModePersistentSequential))
	}
	c.must(wire.OpDelete, versioned("/a/s-0000000003", -1))
	gone.must(wire.OpCloseSession, nil)
	_, before := c.must(wire.OpGetData, path("/a", false))
	lastZxid, _ := c.must(wire.OpSync, func(e *wire.Encoder) { e.String("/") })
	require.NoError(t, s.Close())

	for life := range 3 {
		s = start(t, devserver.Config{DataDir: dir})
		c = reattach(t, s.Addr(), c)
		zxid, after := c.must(wire.OpGetData, path("/a", false))
		require.Greater(t, zxid, lastZxid)
		lastZxid = zxid
		require.Equal(t, before, after, "data and status, life %d", life)
		require.Equal(t, wire.NoNode, c.code(wire.OpExists, path("/gone", false)))
		_, null := c.must(wire.OpGetData, path("/a/null", false))
		require.Nil(t, null.Buffer())
		_, empty := c.must(wire.OpGetData, path("/a/empty", false))
		require.NotNil(t, empty.Buffer())
		require.Equal(t, wire.NoAuth, c.code(wire.OpSetData, setData("/a/empty", nil)))
		require.NoError(t, s.Close())
	}
	s = start(t, devserver.Config{DataDir: dir})
	c = reattach(t, s.Addr(), c)
	_, body := c.must(wire.OpCreate, create("/a/s-", nil, wire.ModePersistentSequential))
	require.Equal(t, "/a/s-0000000005", body.String(), "the sequence goes on")
	stranger := dial(t, s.Addr())
	require.NoError(t, stranger.attach(wire.ConnectRequest{TimeoutMillis: 5000, SessionID: gone.session, Password: gone.password}))
	require.Zero(t, stranger.session, "a closed session stays closed")
	fresh := connect(t, s.Addr(), time.Second)
	require.Greater(t, fresh.session, c.session)
}

// TestRestartGivesFullTimeouts keeps the server down for longer than a
// session's timeout; the session lives, for its timeout from the restart on.
func TestRestartGivesFullTimeouts(t *testing.T) {
	dir := t.TempDir()
	s := start(t, devserver.Config{DataDir: dir})
	const timeout = 1500 * time.Millisecond // more than a busy machine stalls
	c := connect(t, s.Addr(), timeout)
	c.must(wire.OpCreate, create("/a", nil, wire.ModeEphemeral))
	require.NoError(t, s.Close())
	<-time.After(timeout + timeout/4)
	begin := time.Now()
	s = start(t, devserver.Config{DataDir: dir})
	observer := connect(t, s.Addr(), time.Minute)
	require.Equal(t, wire.OK, observer.code(wire.OpExists, path("/a", true)))
	packet, err := wire.ReadFrame(observer.net)
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(begin), timeout)
	require.Equal(t, wire.XidNotification, wire.NewDecoder(packet).Int32())
	stranger := dial(t, s.Addr())
	require.NoError(t, stranger.attach(wire.ConnectRequest{TimeoutMillis: int32(timeout.Milliseconds()), SessionID: c.session, Password: c.password}))
	require.Zero(t, stranger.session)
}

// TestRestartInMemoryTellsExpired restarts without a data directory, at once
// and several times: an old client is told that its session has expired, and is
// not refused for having seen later changes.
func TestRestartInMemoryTellsExpired(t *testing.T) {
	s := start(t, devserver.Config{})
	c := connect(t, s.Addr(), time.Minute)
	for range 5 {
		zxid, _ := c.must(wire.OpCreate, create("/a", nil, wire.ModeEphemeral))
		require.NoError(t, s.Close())
		s = start(t, devserver.Config{})
		old := dial(t, s.Addr())
		require.NoError(t, old.attach(wire.ConnectRequest{LastZxidSeen: zxid, TimeoutMillis: 1000, SessionID: c.session, Password: c.password}))
		require.Zero(t, old.session)
		require.Zero(t, old.timeout)
		old.ended()
		c = connect(t, s.Addr(), time.Minute)
		require.Equal(t, wire.NoNode, c.code(wire.OpExists, path("/a", false)))
	}
}
