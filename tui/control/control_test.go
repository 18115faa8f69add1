package control_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/tui/control"
	"baton/tui/data"
	"baton/tui/tuitest"
)

// fake is a healthy cluster that n1 leads.
type fake struct {
	mu   sync.Mutex
	did  []string
	err  error
	hang bool
}

func (f *fake) Snapshot() *data.Snapshot {
	s := tuitest.Healthy()
	s.Derive()
	return s
}

func (f *fake) Do(ctx context.Context, action, target string) error {
	f.mu.Lock()
	f.did = append(f.did, action+" "+target)
	err, hang := f.err, f.hang
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (f *fake) Can(action string) (bool, string) { return action != data.ActionWipe, "not here" }

func listen(t *testing.T, f *fake) (*control.Server, control.Client) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "demo.sock")
	s, err := control.Listen(path, f, slog.New(slog.NewTextHandler(io.Discard, nil)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, control.Client{Path: path}
}

func TestVerbsFromAnotherTerminal(t *testing.T) {
	f := &fake{}
	_, c := listen(t, f)
	for _, r := range []struct {
		verb, target, did string
		err               error
		says              string
	}{
		{"kill", "n2", "kill n2", nil, ""},
		{"kill", "leader", "kill n1", nil, ""},
		{"pause", "follower", "pause n2", nil, ""},
		{"kill", "zookeeper", "kill zookeeper", nil, ""},
		{"blackout", "", "blackout all", nil, ""},
		{"blackout", "all", "blackout all", nil, ""},
		{"blackout", "n1", "", control.ErrVerb, "takes no target"},
		{"explode", "n2", "", control.ErrVerb, "there are kill, stop"},
		{"kill", "n9", "", control.ErrVerb, "there are leader, follower, n1, n2, n3, zookeeper"},
		{"kill", "", "", control.ErrVerb, "no target"},
		{"cut", "zookeeper", "", control.ErrNotNow, "only a node"},
		{"start", "n1", "", control.ErrNotNow, "n1 is running"},
		{"start-all", "", "", control.ErrNotNow, "no node is down"},
		{"wipe", "n1", "", control.ErrNotNow, "not here"},
	} {
		f.did = nil
		a, err := c.Do(t.Context(), control.Request{Verb: r.verb, Target: r.target})
		if r.err != nil {
			require.ErrorIs(t, err, r.err, "%s %s", r.verb, r.target)
			require.ErrorContains(t, err, r.says)
			require.Empty(t, f.did)
			continue
		}
		require.NoError(t, err, "%s %s", r.verb, r.target)
		require.True(t, a.Done)
		require.Equal(t, []string{r.did}, f.did)
		require.NotEmpty(t, a.Forecast)
	}
	s, err := c.State(t.Context())
	require.NoError(t, err)
	require.Equal(t, control.State{Cluster: "demo", Health: "HEALTHY", Leader: "n1", Targets: []string{"n1", "n2", "n3", "zookeeper"}}, s)
}

func TestDryRunDoesNothing(t *testing.T) {
	f := &fake{}
	_, c := listen(t, f)
	a, err := c.Do(t.Context(), control.Request{Verb: "kill", Target: "n1", DryRun: true})
	require.NoError(t, err)
	require.False(t, a.Done)
	require.Equal(t, "start", a.Undo)
	require.Contains(t, strings.Join(a.Forecast, " "), "n1 is the LEADER")
	require.Empty(t, f.did)
}

func TestFailuresAreTold(t *testing.T) {
	f := &fake{err: errors.New("the process does not end")}
	_, c := listen(t, f)
	_, err := c.Do(t.Context(), control.Request{Verb: "kill", Target: "n1"})
	require.EqualError(t, err, "the process does not end")
}

// Only the owner may open the socket; one that was left behind is replaced, one
// in use is not, and none is left at the end.
func TestSocket(t *testing.T) {
	f := &fake{}
	s, c := listen(t, f)
	info, err := os.Stat(s.Path())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	info, err = os.Stat(filepath.Dir(s.Path()))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	_, err = control.Listen(s.Path(), f, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "somebody listens")
	require.NoError(t, s.Close())
	_, err = os.Stat(s.Path())
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = c.State(t.Context())
	require.ErrorIs(t, err, control.ErrNoCluster)

	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.Path()})
	require.NoError(t, err)
	ln.SetUnlinkOnClose(false)
	require.NoError(t, ln.Close()) // a console that was killed
	_, err = c.State(t.Context())
	require.ErrorIs(t, err, control.ErrNoCluster)
	again, err := control.Listen(s.Path(), f, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	_, err = c.State(t.Context())
	require.NoError(t, err)
	require.NoError(t, again.Close())

	_, err = control.Listen(filepath.Join(t.TempDir(), strings.Repeat("x", 120)), f, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "longer than")
}

// Close does not wait for an action that hangs.
func TestCloseEndsWhatHangs(t *testing.T) {
	f := &fake{hang: true}
	s, c := listen(t, f)
	done := make(chan error, 1)
	go func() {
		_, err := c.Do(context.Background(), control.Request{Verb: "kill", Target: "n1"})
		done <- err
	}()
	require.Eventually(t, func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.did) == 1 }, 10*time.Second, time.Millisecond)
	require.NoError(t, s.Close())
	require.Error(t, <-done)
}
