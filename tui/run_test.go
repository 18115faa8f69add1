package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/term"
	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"baton/tui/data"
	"baton/tui/style"
	"baton/tui/tuitest"
)

// terminal is a pty with somebody who reads it.
type terminal struct {
	control, tty, screen *os.File // screen is the tty once more: stdin and stdout are two files
	mu                   sync.Mutex
	out                  bytes.Buffer
}

func openTerminal(t *testing.T, reading bool) *terminal {
	control, tty, err := pty.Open()
	require.NoError(t, err)
	require.NoError(t, pty.Setsize(control, &pty.Winsize{Rows: 24, Cols: 80}))
	screen, err := os.OpenFile(tty.Name(), os.O_RDWR, 0)
	require.NoError(t, err)
	tm := &terminal{control: control, tty: tty, screen: screen}
	if reading {
		go func() { // ends when the pty is closed
			buf := make([]byte, 4096)
			for {
				n, err := control.Read(buf)
				tm.mu.Lock()
				tm.out.Write(buf[:n])
				tm.mu.Unlock()
				if err != nil {
					return
				}
			}
		}()
	}
	t.Cleanup(func() {
		control.Close()
		if reading { // else a program that was left behind still holds the others
			tty.Close()
			screen.Close()
		}
	})
	return tm
}

func (tm *terminal) saw(s string) bool {
	tm.mu.Lock()
	defer tm.mu.Unlock()
	return bytes.Contains(tm.out.Bytes(), []byte(s))
}

// scripted publishes one snapshot and waits.
type scripted struct {
	still
	panics  bool
	started chan struct{}
}

func (s *scripted) Run(ctx context.Context, publish func(*data.Snapshot)) error {
	snap := tuitest.Attached()
	snap.Derive()
	publish(snap)
	close(s.started)
	if s.panics {
		panic("source broke")
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestRun(t *testing.T) {
	cases := []struct {
		name string
		end  func(t *testing.T, tm *terminal, cancel func())
		want error
		code int
		make func(*scripted)
	}{
		{name: "the user leaves", end: func(t *testing.T, tm *terminal, _ func()) {
			_, err := tm.control.WriteString("q")
			require.NoError(t, err)
		}},
		{name: "the context ends", end: func(_ *testing.T, _ *terminal, cancel func()) { cancel() }},
		{name: "SIGTERM", end: signalSelf(syscall.SIGTERM), want: &SignalError{syscall.SIGTERM}, code: 143},
		{name: "SIGHUP", end: signalSelf(syscall.SIGHUP), want: &SignalError{syscall.SIGHUP}, code: 129},
		{name: "SIGINT", end: signalSelf(syscall.SIGINT), want: &SignalError{syscall.SIGINT}, code: 130},
		{name: "the source panics", make: func(s *scripted) { s.panics = true }, want: ErrCrashed, code: 1,
			end: func(*testing.T, *terminal, func()) {}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tm := openTerminal(t, true)
			before, err := term.GetState(tm.tty.Fd())
			require.NoError(t, err)
			src := &scripted{started: make(chan struct{})}
			if c.make != nil {
				c.make(src)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				ended <- Run(ctx, Config{Source: src, In: tm.tty, Out: tm.screen, Theme: style.New(style.Colour, false, false)})
			}()
			<-src.started
			if !src.panics {
				require.Eventually(t, func() bool { return tm.saw("prod-eu") }, patience, 5*time.Millisecond)
				require.True(t, tm.saw("\x1b[?2026h"), "frames are marked")
			}
			c.end(t, tm, cancel)
			err = <-ended
			require.Equal(t, c.code, ExitCode(err), "%v", err)
			var sig *SignalError
			if errors.As(c.want, &sig) {
				require.Equal(t, c.want, err)
			} else if c.want != nil {
				require.ErrorIs(t, err, c.want)
			} else {
				require.NoError(t, err)
			}
			after, err := term.GetState(tm.tty.Fd())
			require.NoError(t, err)
			require.Equal(t, before, after, "the terminal's modes are back")
			if !src.panics { // that may come before the screen was taken
				require.Eventually(t, func() bool { return tm.saw("\x1b[?1049l") && tm.saw("\x1b[?25h") }, patience, time.Millisecond, "screen and cursor are back")
			}
		})
	}
}

func signalSelf(s syscall.Signal) func(*testing.T, *terminal, func()) {
	return func(t *testing.T, _ *terminal, _ func()) { require.NoError(t, syscall.Kill(os.Getpid(), s)) }
}

// TestStalledTerminal: nobody reads the terminal, yet Run ends.
func TestStalledTerminal(t *testing.T) {
	tm := openTerminal(t, false)
	src := &flood{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{Source: src, In: tm.tty, Out: tm.screen, Grace: 200 * time.Millisecond, Theme: style.New(style.Colour, false, false)})
	}()
	require.Eventually(t, func() bool { return src.count() > 100 }, patience, time.Millisecond)
	cancel()
	select {
	case err := <-ended:
		if err != nil { // the kernel's buffer may have held all frames
			require.ErrorIs(t, err, ErrStalled)
		}
	case <-time.After(patience):
		t.Fatal("Run hangs on a terminal that takes nothing")
	}
}

// flood publishes a different screen every few milliseconds.
type flood struct {
	still
	mu sync.Mutex
	n  int
}

func (f *flood) count() int { f.mu.Lock(); defer f.mu.Unlock(); return f.n }

func (f *flood) Run(ctx context.Context, publish func(*data.Snapshot)) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		f.mu.Lock()
		f.n++
		n := f.n
		f.mu.Unlock()
		states := tuitest.States()
		s := states[n%4].Snap
		s.Cluster = fmt.Sprint(n)
		publish(s)
	}
}

func TestRunNeedsATerminal(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	err = Run(t.Context(), Config{Source: &still{}, In: r, Out: w})
	require.ErrorIs(t, err, ErrNoTerminal)
	require.Equal(t, 2, ExitCode(err))
	require.ErrorIs(t, Run(t.Context(), Config{}), ErrConfig)
}
