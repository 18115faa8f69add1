package main_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"baton/demo/cluster/clustertest"
)

// lessons are those that a test takes: a few, or all of the book with
// BATON_LESSONS=all.
func lessons(t *testing.T) []string {
	if os.Getenv("BATON_LESSONS") != "all" {
		return []string{"failover", "sync-local", "power-mem"}
	}
	o := baton(t, "", "demo", "--list-lessons")
	require.Zero(t, o.code)
	var out []string
	for line := range strings.SplitSeq(strings.TrimSpace(o.stdout), "\n") {
		out = append(out, strings.Fields(line)[0])
	}
	require.GreaterOrEqual(t, len(out), 8)
	return out
}

// console is the command on a terminal that somebody types at and reads.
type console struct {
	t    *testing.T
	cmd  *exec.Cmd
	tty  *os.File
	done chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

func openConsole(t *testing.T, args ...string) *console {
	t.Helper()
	return openConsoleIn(t, t.TempDir(), args...)
}

// openConsoleIn has a directory for what outlives the console.
func openConsoleIn(t *testing.T, state string, args ...string) *console {
	t.Helper()
	c := &console{t: t, cmd: exec.Command(os.Getenv(builtAs), args...), done: make(chan struct{})}
	c.cmd.Env = append(cleanEnv(), "TERM=tmux-256color", "XDG_STATE_HOME="+state)
	tty, err := pty.StartWithSize(c.cmd, &pty.Winsize{Rows: 40, Cols: 140})
	require.NoError(t, err)
	c.tty = tty
	go func() { // ends when the program is gone
		defer close(c.done)
		buf := make([]byte, 32<<10)
		for {
			n, err := tty.Read(buf)
			c.mu.Lock()
			c.out.Write(buf[:n])
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.done
		tty.Close()
	})
	return c
}

// text is all that was ever drawn, without escapes.
func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ansi.Strip(c.out.String())
}

func (c *console) typed(keys string) {
	_, err := io.WriteString(c.tty, keys)
	require.NoError(c.t, err)
}

// until types keys again and again until a text was drawn.
func (c *console) until(text string, keys ...string) {
	c.t.Helper()
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(3 * patience)
	for i := 0; !strings.Contains(c.text(), text); i++ {
		select {
		case <-tick.C:
		case <-c.done:
			c.t.Fatalf("the console left before it drew %q; last:\n%s", text, tail(c.text()))
		case <-deadline:
			c.t.Fatalf("never drawn: %q; last:\n%s", text, tail(c.text()))
		}
		if len(keys) > 0 {
			c.typed(keys[i%len(keys)])
		}
	}
}

func tail(s string) string { return s[max(0, len(s)-6000):] }

// leaves waits for the end of the program.
func (c *console) leaves() int {
	<-c.done
	_ = c.cmd.Wait() // the code says it
	return c.cmd.ProcessState.ExitCode()
}

// TestLessonsByKeys takes lessons at the console as a learner does: guess, do,
// go on, and nothing else. What the live cluster has to show takes the time it takes.
func TestLessonsByKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("launches a cluster per lesson")
	}
	for _, name := range lessons(t) {
		t.Run(name, func(t *testing.T) {
			c := openConsole(t, "demo", "--lesson", name, "--base-port", strconv.Itoa(clustertest.FreeBase(t)))
			c.until("The lesson is done", "b", "\r", "")
			require.NotContains(t, c.text(), "The lesson did not hold")
			c.typed("qy")
			require.Zero(t, c.leaves(), tail(c.text()))
		})
	}
}

// TestLessonsHeadless takes them without a terminal; the outcome is for scripts.
func TestLessonsHeadless(t *testing.T) {
	if testing.Short() {
		t.Skip("launches a cluster per lesson")
	}
	for _, name := range lessons(t) {
		t.Run(name, func(t *testing.T) {
			o := baton(t, "", "demo", "--lesson", name, "--headless", "--json", "--base-port", strconv.Itoa(clustertest.FreeBase(t)))
			require.Zero(t, o.code, "%s\n%s", o.stdout, o.stderr)
			var got struct {
				Held  bool
				Steps []struct{ Checks []struct{ Held bool } }
			}
			require.NoError(t, json.Unmarshal([]byte(o.stdout), &got))
			require.True(t, got.Held)
			for _, s := range got.Steps {
				for _, ch := range s.Checks {
					require.True(t, ch.Held)
				}
			}
		})
	}
	t.Run("what does not go together", func(t *testing.T) {
		baton(t, "", "demo", "--lesson", "nonsense", "--headless").refused(t, 2, "nonsense", "failover")
		baton(t, "", "demo", "--lesson", "failover", "--headless", "--fault", "kill-leader@1s").refused(t, 2, "--fault does not go with --lesson")
	})
}

// TestDisksOfADemoCanBeFilledAndSlowed: producers wait for room, go on, and
// nothing is lost.
func TestDisksOfADemoCanBeFilledAndSlowed(t *testing.T) {
	if testing.Short() {
		t.Skip("launches a cluster")
	}
	o := baton(t, "", "demo", "--headless", "--json", "--for", "6s", "--fault", "slow-disk:n2@500ms,heal:n2@1500ms,fill-disk:n1@2s,fill-disk:n2@2s,fill-disk:n3@2s,heal@4s",
		"--base-port", strconv.Itoa(clustertest.FreeBase(t)))
	require.Zero(t, o.code, o.stderr)
	var got struct {
		Lost       uint64  `json:"lost"`
		LongestGap float64 `json:"longest_gap_ms"`
	}
	require.NoError(t, json.Unmarshal([]byte(o.stdout), &got))
	require.Zero(t, got.Lost)
	require.Greater(t, got.LongestGap, 1000.0, "while all disks were full nobody heard success")
}

// TestPowerLoss: under quorum_disk what was receipted outlives the loss of power
// of one node, and of all at the same time, whatever was not synced.
func TestPowerLoss(t *testing.T) {
	if testing.Short() {
		t.Skip("launches a cluster")
	}
	o := baton(t, "", "demo", "--headless", "--json", "--for", "7s", "--fault", "power-loss:n2@1s,start:n2@2s,blackout@3500ms,restart@4s",
		"--base-port", strconv.Itoa(clustertest.FreeBase(t)))
	require.Zero(t, o.code, o.stderr)
	var got struct {
		Lost       uint64 `json:"lost"`
		Duplicates uint64 `json:"duplicates"`
		Receipted  uint64 `json:"receipted"`
	}
	require.NoError(t, json.Unmarshal([]byte(o.stdout), &got))
	require.Zero(t, got.Lost+got.Duplicates)
	require.NotZero(t, got.Receipted)
}

// TestARunIsRecordedReportedAndReplayed: what a headless run did is all in its file.
func TestARunIsRecordedReportedAndReplayed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run.baton")
	o := baton(t, "", "demo", "--headless", "--for", "4s", "--fault", "kill-leader@1s,restart@2s", "--record", file,
		"--base-port", strconv.Itoa(clustertest.FreeBase(t)))
	require.Zero(t, o.code, o.stderr)
	require.Contains(t, o.stderr, "baton report "+file)

	o = baton(t, "", "report", file, "--json")
	require.Zero(t, o.code, o.stderr)
	var got struct {
		Health    string
		Failovers []struct {
			Cause, Rule string
			Phases      []struct {
				Why  string
				AtMS *float64 `json:"at_ms"`
			}
			Candidates []any
		}
		Actions []struct{ Text, CLI, Fault string }
	}
	require.NoError(t, json.Unmarshal([]byte(o.stdout), &got))
	require.Equal(t, "healthy", got.Health)
	require.Len(t, got.Failovers, 1)
	f := got.Failovers[0]
	require.True(t, strings.HasPrefix(f.Cause, "kill n"), f.Cause)
	require.NotEmpty(t, f.Rule)
	require.GreaterOrEqual(t, len(f.Candidates), 2)
	require.Len(t, f.Phases, 5)
	for _, p := range f.Phases {
		require.NotNil(t, p.AtMS)
		require.NotEmpty(t, p.Why)
	}
	require.NotEmpty(t, got.Actions)
	require.Contains(t, got.Actions[0].CLI, "baton chaos kill n")
	require.Contains(t, got.Actions[0].Fault, "--fault kill:n")
	require.Contains(t, baton(t, "", "report", file, "--markdown").stdout, "| phase | took ms |")
	require.Contains(t, baton(t, "", "report", file).stdout, "Failover 1: kill n")
	require.Regexp(t, `(?m)^ *0s +\d+ +\d+ `, baton(t, "", "report", file, "--use").stdout, "goroutines and memory of the console at the start")

	c := openConsole(t, "replay", file)
	c.until("[recording]")
	c.until("why is n", "2") // the election screen
	c.until("1 of 1", "5")   // the failovers
	c.typed("x")
	c.until("this is a recording")
	c.typed("q")
	require.Zero(t, c.leaves())

	baton(t, "", "replay", filepath.Join(t.TempDir(), "none")).refused(t, 2, "no such file")
	baton(t, "", "report", os.Getenv(builtAs)).refused(t, 2, "not a recording")
}
