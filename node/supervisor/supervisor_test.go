package supervisor_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/supervisor"
)

// patience bounds every wait: the machine may be busy.
const patience = time.Minute

// The test binary plays the child: BATON_TEST_CHILD says which one.
func TestMain(m *testing.M) {
	if role := os.Getenv("BATON_TEST_CHILD"); role != "" {
		os.Exit(child(role))
	}
	os.Exit(m.Run())
}

func child(role string) int {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	switch role {
	case "parent": // starts a child that only watches its pipe, then waits to be killed
		p, err := supervisor.New(supervisor.Config{Name: "grandchild", Path: os.Args[0], Env: []string{"BATON_TEST_CHILD=watch"}})
		if err == nil {
			err = p.Start()
		}
		fmt.Println("grandchild", p.Status().PID, err)
	case "watch":
		gone, err := supervisor.WatchParent(0)
		if err != nil {
			fmt.Println(err)
			return 9
		}
		fmt.Println("watching")
		<-gone
		return 7
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		term = nil
	case "fail":
		fmt.Println("cannot go on")
		return 3
	case "noisy":
		w := bufio.NewWriter(os.Stdout)
		for range 20000 {
			w.WriteString(strings.Repeat("x", 99) + "\n")
		}
		w.WriteString(strings.Repeat("y", 10000))
		w.Flush()
		return 0
	}
	fmt.Println("up", os.Getpid())
	<-term
	fmt.Println("bye")
	return 0
}

type recorder struct {
	mu     sync.Mutex
	states []supervisor.State
}

func (r *recorder) add(e supervisor.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.states = append(r.states, e.State)
}

func (r *recorder) all() []supervisor.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]supervisor.State(nil), r.states...)
}

func start(t *testing.T, role string, change func(*supervisor.Config)) (*supervisor.Process, *recorder) {
	t.Helper()
	r := &recorder{}
	cfg := supervisor.Config{
		Name: role, Path: os.Args[0], Env: []string{"BATON_TEST_CHILD=" + role},
		LogDir: t.TempDir(), OnEvent: r.add, StopTimeout: patience,
	}
	if change != nil {
		change(&cfg)
	}
	p, err := supervisor.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	require.NoError(t, p.Start())
	return p, r
}

func text(p *supervisor.Process) string {
	var b strings.Builder
	lines, _ := p.Logs(0)
	for _, l := range lines {
		b.WriteString(l.Text + "\n")
	}
	return b.String()
}

func says(t *testing.T, p *supervisor.Process, want string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(text(p), want) }, patience, 2*time.Millisecond, "log: %s", text(p))
}

func procState(t *testing.T, pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "gone"
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:1]
}

func TestProcess(t *testing.T) {
	t.Run("lives, stops when asked, starts again", func(t *testing.T) {
		p, r := start(t, "polite", nil)
		says(t, p, "up")
		p.Ready()
		require.ErrorIs(t, p.Start(), supervisor.ErrRunning)
		require.NoError(t, p.Stop())
		s := p.Status()
		require.Equal(t, supervisor.StateExited, s.State)
		require.Equal(t, supervisor.Exit{Code: 0, At: s.Exit.At, Requested: true}, *s.Exit)
		require.Zero(t, s.PID)
		says(t, p, "bye")
		require.ErrorIs(t, p.Stop(), supervisor.ErrNotRunning)
		require.NoError(t, p.Restart())
		require.Equal(t, 2, p.Status().Generation)
		require.Equal(t, []supervisor.State{"starting", "running", "exited", "starting"}, r.all())
	})
	t.Run("is killed", func(t *testing.T) {
		p, _ := start(t, "polite", nil)
		pid := p.Status().PID
		require.NoError(t, p.Kill())
		require.Equal(t, "gone", procState(t, pid), "reaped on return")
		require.Equal(t, syscall.SIGKILL, p.Status().Exit.Signal)
		require.Equal(t, -1, p.Status().Exit.Code)
		require.Equal(t, "signal killed", p.Status().Exit.String())
	})
	t.Run("is paused and resumed", func(t *testing.T) {
		p, r := start(t, "polite", nil)
		says(t, p, "up")
		require.ErrorIs(t, p.Resume(), supervisor.ErrNotPaused)
		require.NoError(t, p.Pause())
		pid := p.Status().PID
		require.Eventually(t, func() bool { return procState(t, pid) == "T" }, patience, time.Millisecond)
		require.NoError(t, p.Resume())
		require.Eventually(t, func() bool { return procState(t, pid) == "S" }, patience, time.Millisecond)
		require.Equal(t, []supervisor.State{"starting", "paused", "running"}, r.all())
		require.NoError(t, p.Pause())
		require.NoError(t, p.Stop(), "a paused process is continued to stop")
		require.Equal(t, 0, p.Status().Exit.Code)
	})
	t.Run("is killed when it does not stop", func(t *testing.T) {
		p, _ := start(t, "stubborn", func(c *supervisor.Config) { c.StopTimeout = 50 * time.Millisecond })
		says(t, p, "up")
		require.NoError(t, p.Stop())
		require.Equal(t, syscall.SIGKILL, p.Status().Exit.Signal)
	})
	t.Run("ends by itself", func(t *testing.T) {
		p, r := start(t, "fail", nil)
		require.Eventually(t, func() bool { return p.Status().State == supervisor.StateExited }, patience, time.Millisecond)
		require.Equal(t, 3, p.Status().Exit.Code)
		require.False(t, p.Status().Exit.Requested)
		says(t, p, "cannot go on")
		require.Equal(t, []supervisor.State{"starting", "exited"}, r.all())
		p.Ready()
		require.Equal(t, supervisor.StateExited, p.Status().State)
	})
	t.Run("does not exist", func(t *testing.T) {
		p, err := supervisor.New(supervisor.Config{Name: "x", Path: "/nowhere/at/all"})
		require.NoError(t, err)
		require.ErrorContains(t, p.Start(), "start x: ")
		require.Contains(t, p.Status().Exit.Err, "no such file")
		require.NoError(t, p.Close())
		require.NoError(t, p.Close())
		require.ErrorIs(t, p.Start(), supervisor.ErrClosed)
	})
	t.Run("closes while paused", func(t *testing.T) {
		p, _ := start(t, "stubborn", func(c *supervisor.Config) { c.StopTimeout = 20 * time.Millisecond })
		require.NoError(t, p.Pause())
		pid := p.Status().PID
		require.NoError(t, p.Close())
		require.Equal(t, "gone", procState(t, pid))
	})
}

func TestLogsAreBounded(t *testing.T) {
	dir := t.TempDir()
	p, _ := start(t, "noisy", func(c *supervisor.Config) {
		c.LogDir, c.LogLines, c.LogRate, c.LogFileMax, c.LogLineMax = dir, 50, 10_000, 20_000, 200
	})
	require.Eventually(t, func() bool { return p.Status().State == supervisor.StateExited }, patience, time.Millisecond)
	lines, dropped := p.Logs(0)
	require.Len(t, lines, 50)
	require.Greater(t, dropped, uint64(10_000), "2 MB at once against a burst of 40 kB")
	for i := 1; i < len(lines); i++ {
		require.Equal(t, lines[i-1].Seq+1, lines[i].Seq)
	}
	newer, _ := p.Logs(lines[40].Seq)
	require.Len(t, newer, 9)
	fi, err := os.Stat(dir + "/noisy.log")
	require.NoError(t, err)
	require.Equal(t, int64(20_000), fi.Size())
}

func TestLongLineIsCut(t *testing.T) {
	p, _ := start(t, "noisy", func(c *supervisor.Config) { c.LogRate, c.LogLineMax = 100<<20, 200 })
	says(t, p, strings.Repeat("y", 200)+" [cut]\n")
}

func TestChildDiesWithParent(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BATON_TEST_CHILD=parent")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var pid int
	var word string
	_, err = fmt.Fscan(out, &word, &pid)
	require.NoError(t, err)
	require.NotEqual(t, "gone", procState(t, pid))
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.Eventually(t, func() bool { s := procState(t, pid); return s == "gone" || s == "Z" }, patience, time.Millisecond)
}

func TestWatchParent(t *testing.T) {
	t.Run("end of file", func(t *testing.T) {
		// Started by hand, so that the pipe alone and no signal can end it.
		r, w, err := os.Pipe()
		require.NoError(t, err)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "BATON_TEST_CHILD=watch")
		cmd.ExtraFiles = []*os.File{r}
		require.NoError(t, cmd.Start())
		require.NoError(t, r.Close())
		require.NoError(t, w.Close())
		var ee *exec.ExitError
		require.ErrorAs(t, cmd.Wait(), &ee)
		require.Equal(t, 7, ee.ExitCode())
	})
	t.Run("no such descriptor", func(t *testing.T) {
		_, err := supervisor.WatchParent(987)
		require.ErrorContains(t, err, "descriptor 987")
	})
}

func TestConfig(t *testing.T) {
	for _, c := range []supervisor.Config{{}, {Name: "a/b", Path: "x"}, {Name: "a"}} {
		_, err := supervisor.New(c)
		require.Error(t, err)
	}
}
