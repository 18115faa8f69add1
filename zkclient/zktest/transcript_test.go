package zktest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver/wire"
)

// patience bounds every wait; it is far above what a loaded machine needs.
const patience = time.Minute

// transcript is what a script saw of a server, with all that differs between
// two runs of the same server replaced: zxids by their distance from the first
// one seen, session ids by their order of appearance, times by whether they
// make sense.
type transcript struct {
	t        *testing.T
	addr     string
	lines    []string
	base     int64
	sessions []int64
	started  time.Time
}

func newTranscript(t *testing.T, addr string) *transcript {
	return &transcript{t: t, addr: addr, started: time.Now()}
}

func (x *transcript) logf(format string, args ...any) {
	x.lines = append(x.lines, fmt.Sprintf(format, args...))
}

func (x *transcript) zxid(z int64) string {
	switch {
	case z == 0 || z == -1:
		return fmt.Sprint(z)
	case x.base == 0:
		x.base = z
	case z < x.base:
		return "older"
	}
	return fmt.Sprintf("z+%d", z-x.base)
}

func (x *transcript) session(id int64) string {
	if id == 0 {
		return "0"
	}
	i := slices.Index(x.sessions, id)
	if i < 0 {
		i = len(x.sessions)
		x.sessions = append(x.sessions, id)
	}
	return fmt.Sprintf("S%d", i+1)
}

func (x *transcript) time(millis int64) string {
	if at := time.UnixMilli(millis); at.Before(x.started.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
		return fmt.Sprint(millis)
	}
	return "now"
}

func (x *transcript) stat(s wire.Stat) string {
	return fmt.Sprintf("{c=%s m=%s p=%s ctime=%s mtime=%s sameTime=%v v=%d cv=%d av=%d owner=%s len=%d children=%d}",
		x.zxid(s.Czxid), x.zxid(s.Mzxid), x.zxid(s.Pzxid), x.time(s.Ctime), x.time(s.Mtime), s.Ctime == s.Mtime || s.Version > 0,
		s.Version, s.Cversion, s.Aversion, x.session(s.EphemeralOwner), s.DataLength, s.NumChildren)
}

func (x *transcript) zkStat(s *zk.Stat) string {
	if s == nil {
		return "no stat"
	}
	return x.stat(wire.Stat{
		Czxid: s.Czxid, Mzxid: s.Mzxid, Ctime: s.Ctime, Mtime: s.Mtime, Version: s.Version, Cversion: s.Cversion,
		Aversion: s.Aversion, EphemeralOwner: s.EphemeralOwner, DataLength: s.DataLength, NumChildren: s.NumChildren, Pzxid: s.Pzxid,
	})
}

// event waits for an event of a go-zookeeper watch.
func (x *transcript) event(name string, events <-chan zk.Event) {
	x.t.Helper()
	select {
	case e, ok := <-events:
		if !ok {
			x.logf("%s: closed", name)
			return
		}
		x.logf("%s: %v %s err=%v", name, e.Type, e.Path, e.Err)
	case <-time.After(patience):
		require.Fail(x.t, "no event", "%s after %v; so far:\n%s", name, patience, strings.Join(x.lines, "\n"))
	}
}

// quiet asserts that no event has come. It must follow an exchange on the same
// connection: events come before later answers.
func (x *transcript) quiet(name string, events <-chan zk.Event) {
	select {
	case e := <-events:
		x.logf("%s: unexpected %v %s", name, e.Type, e.Path)
	default:
		x.logf("%s: quiet", name)
	}
}

// connect opens a go-zookeeper session and waits for it.
func (x *transcript) connect(timeout time.Duration) *zk.Conn {
	conn, _ := x.connectTo(x.addr, timeout)
	return conn
}

func (x *transcript) connectTo(addr string, timeout time.Duration) (*zk.Conn, <-chan zk.Event) {
	x.t.Helper()
	states := make(chan zk.Event, 256)
	conn, _, err := zk.Connect([]string{addr}, timeout, zk.WithLogInfo(false), zk.WithLogger(quietLogger{}),
		zk.WithEventCallback(func(e zk.Event) {
			if e.Type == zk.EventSession {
				select {
				case states <- e:
				default:
				}
			}
		}))
	require.NoError(x.t, err)
	x.t.Cleanup(conn.Close)
	x.await(states, zk.StateHasSession)
	return conn, states
}

// await waits for a state of a go-zookeeper session.
func (x *transcript) await(states <-chan zk.Event, want zk.State) {
	x.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e := <-states:
			if e.State == want {
				return
			}
		case <-deadline:
			require.Fail(x.t, "no session state", "%v after %v", want, patience)
		}
	}
}

type quietLogger struct{}

func (quietLogger) Printf(string, ...any) {}

// result writes an error the way both servers should cause it.
func result(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, zk.ErrNodeExists):
		return "node exists"
	}
	return err.Error()
}
