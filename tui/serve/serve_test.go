package serve_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"baton/tui"
	"baton/tui/data"
	"baton/tui/serve"
	"baton/tui/tuitest"
)

// patience bounds every wait: the machine may be busy.
const patience = time.Minute

// acted is a source that would notice an action.
type acted struct {
	mu  sync.Mutex
	did []string
}

func (a *acted) Run(ctx context.Context, publish func(*data.Snapshot)) error {
	s := tuitest.Healthy()
	s.Derive()
	publish(s)
	<-ctx.Done()
	return ctx.Err()
}
func (a *acted) Do(_ context.Context, action, node string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.did = append(a.did, action+" "+node)
	return nil
}
func (a *acted) Can(string) (bool, string) { return true, "" }

func start(t *testing.T) (*serve.Server, *acted, string) {
	t.Helper()
	src, key := &acted{}, filepath.Join(t.TempDir(), "ssh", "host_key")
	hub := tui.NewHub(src)
	s, err := serve.Start(serve.Config{Listen: "127.0.0.1:0", KeyFile: key, Hub: hub, Console: tui.Config{Cluster: "demo"}, ViewersMax: 3})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- hub.Run(ctx, func(*data.Snapshot) {}) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		cancel()
		<-ended
	})
	return s, src, key
}

// viewer is somebody with a terminal of a size.
type viewer struct {
	t    *testing.T
	sess *gossh.Session
	in   io.Writer
	mu   sync.Mutex
	out  bytes.Buffer
	done chan error
}

func (v *viewer) Write(b []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.out.Write(b)
}

func (v *viewer) text() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return ansi.Strip(v.out.String())
}

func (v *viewer) sees(text string) {
	v.t.Helper()
	require.Eventually(v.t, func() bool { return strings.Contains(v.text(), text) }, patience, 10*time.Millisecond, "never drawn: %q", text)
}

func connect(t *testing.T, addr string) *gossh.Client {
	t.Helper()
	c, err := gossh.Dial("tcp", addr, &gossh.ClientConfig{User: "guest", HostKeyCallback: gossh.InsecureIgnoreHostKey(), Timeout: patience})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func view(t *testing.T, addr string, w, h int) *viewer {
	t.Helper()
	sess, err := connect(t, addr).NewSession()
	require.NoError(t, err)
	v := &viewer{t: t, sess: sess, done: make(chan error, 1)}
	v.in, err = sess.StdinPipe()
	require.NoError(t, err)
	sess.Stdout = v
	require.NoError(t, sess.RequestPty("xterm-256color", h, w, gossh.TerminalModes{}))
	require.NoError(t, sess.Shell())
	go func() { v.done <- sess.Wait() }()
	return v
}

func (v *viewer) press(keys string) {
	_, err := io.WriteString(v.in, keys)
	require.NoError(v.t, err)
}

func TestManyLookEachAtTheirOwn(t *testing.T) {
	s, src, key := start(t)
	st, err := os.Stat(key)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode().Perm())

	small, large := view(t, s.Addr(), 80, 24), view(t, s.Addr(), 140, 40)
	small.sees("HEALTHY")
	large.sees("zookeeper")
	require.Equal(t, 2, s.Viewers())
	large.press("2")
	large.sees("why is n1 the leader?")
	require.NotContains(t, small.text(), "why is n1 the leader?", "the other screen stays what it was")
	require.NoError(t, small.sess.WindowChange(30, 100))
	small.press("3")
	small.sees("positions of the log")

	small.press("x")
	small.sees("this screen is for looking only")
	small.press("ky:kill n1\ry\x1a") // the palette, suspend: nothing acts
	small.sees("there is no shell behind this screen")
	small.press("E\x13")
	small.sees("nothing can be saved from here")
	require.Empty(t, src.did)

	large.press("q")
	select {
	case <-large.done:
	case <-time.After(patience):
		t.Fatal("q does not end the session")
	}
	require.Eventually(t, func() bool { return s.Viewers() == 1 }, patience, time.Millisecond)
	small.sess.Close() // the line drops
	require.Eventually(t, func() bool { return s.Viewers() == 0 }, patience, time.Millisecond)
}

func TestNoCommandNoForwardingNoCrowd(t *testing.T) {
	s, _, _ := start(t)
	c := connect(t, s.Addr())
	sess, err := c.NewSession()
	require.NoError(t, err)
	out, err := sess.CombinedOutput("ls")
	require.Error(t, err)
	require.Contains(t, string(out), "a screen to look at")
	_, err = c.Dial("tcp", "127.0.0.1:22")
	require.Error(t, err, "no forwarding")
	_, err = c.Listen("tcp", "127.0.0.1:0")
	require.Error(t, err, "no forwarding back")
	for range 3 {
		view(t, s.Addr(), 80, 24).sees("HEALTHY")
	}
	fourth := view(t, s.Addr(), 80, 24)
	require.Error(t, <-fourth.done)
}

func TestTheKeyIsKeptAndMustBeSecret(t *testing.T) {
	key := filepath.Join(t.TempDir(), "host_key")
	cfg := serve.Config{Listen: "127.0.0.1:0", KeyFile: key, Hub: tui.NewHub(&acted{})}
	s, err := serve.Start(cfg)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	before, err := os.ReadFile(key)
	require.NoError(t, err)
	s, err = serve.Start(cfg)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	after, err := os.ReadFile(key)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.NoError(t, os.Chmod(key, 0o644))
	_, err = serve.Start(cfg)
	require.ErrorIs(t, err, serve.ErrConfig)
	require.ErrorContains(t, err, "chmod 600")
}

func TestConfigIsChecked(t *testing.T) {
	for _, listen := range []string{"", "2222", "0.0.0.0:2222", ":2222", "example.org:22"} {
		require.ErrorIs(t, serve.Config{Listen: listen, KeyFile: "k", Hub: tui.NewHub(&acted{})}.Validate(), serve.ErrConfig, listen)
	}
	require.NoError(t, serve.Config{Listen: "0.0.0.0:2222", KeyFile: "k", AuthorizedKeys: "f", Hub: tui.NewHub(&acted{})}.Validate())
}
