package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/term"

	"baton/tui/data"
	"baton/tui/style"
)

// Errors of Run.
var (
	ErrNoTerminal = errors.New("tui: no terminal; use `baton status` or `baton demo --headless`")
	ErrConfig     = errors.New("tui: bad configuration")
	ErrStalled    = errors.New("tui: the terminal does not take output; left without restoring it")
	ErrCrashed    = errors.New("tui: internal error")
)

// SignalError says that a signal ended the console.
type SignalError struct{ Signal syscall.Signal }

// Error implements error.
func (e *SignalError) Error() string { return "tui: ended by " + e.Signal.String() }

// ExitCode maps what Run returned to the exit status of the process: 0 for
// none, 2 without a terminal, 129, 130 or 143 after SIGHUP, SIGINT or SIGTERM,
// else 1.
func ExitCode(err error) int {
	var sig *SignalError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &sig):
		return 128 + int(sig.Signal)
	case errors.Is(err, ErrNoTerminal):
		return 2
	}
	return 1
}

// CheckTerminal returns ErrNoTerminal unless both files are a terminal, so that
// a caller can say so before it starts anything.
func CheckTerminal(in, out *os.File) error {
	if !term.IsTerminal(in.Fd()) || !term.IsTerminal(out.Fd()) {
		return ErrNoTerminal
	}
	return nil
}

// Config of the console.
type Config struct {
	Source   Source
	Product  string // default "baton"
	Cluster  string
	Launched bool     // the nodes are ours and stop with the console: quit asks
	CLI      data.CLI // how another terminal acts on the cluster
	ReadOnly bool     // refuse every action that changes the cluster
	// ReadOnlyWhy is said instead of the usual reason.
	ReadOnlyWhy string
	Player      Player  // of the recording that Source shows, nil if it shows a cluster
	Queues      Queues  // reads and changes messages, nil if nobody can
	Lesson      Teacher // leads the lesson under way, nil if there is none
	ExportDir   string  // where reports and pictures are saved, "" is nowhere
	Remote      bool    // somebody else's terminal: no shell, no files
	Theme       style.Theme
	NoMouse     bool
	In, Out     *os.File  // default stdin and stdout; both must be a terminal, and two files
	Clipboard   io.Writer // takes the sequences that fill the terminal's clipboard; default Out

	ShowResult time.Duration // how long a finished failover stays in the middle row, default 8 s
	// Grace bounds how long Run waits for the terminal and the source when it
	// has to end; default 2 s.
	Grace  time.Duration
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Product == "" {
		c.Product = "baton"
	}
	if c.In == nil {
		c.In = os.Stdin
	}
	if c.Out == nil {
		c.Out = os.Stdout
	}
	if c.Clipboard == nil {
		c.Clipboard = c.Out
	}
	if c.ShowResult == 0 {
		c.ShowResult = 8 * time.Second
	}
	if c.Grace == 0 {
		c.Grace = 2 * time.Second
	}
	if c.Theme.Glyphs.Leader == "" {
		c.Theme = style.New(c.Theme.Level, c.Theme.Light, c.Theme.ASCII)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.CLI.Launched = c.Launched
	return c
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if c.Source == nil {
		return fmt.Errorf("%w: no source", ErrConfig)
	}
	return nil
}

// console is one run.
type console struct {
	cfg     Config
	program *tea.Program
	pump    *pump
	wg      sync.WaitGroup

	mu struct {
		sync.Mutex
		err error // first failure of a goroutine
	}
	failed chan struct{} // one signal when err is set
}

// Run shows the console until the user leaves, ctx ends or SIGINT, SIGTERM or
// SIGHUP arrives, and gives the terminal back as it was. It returns nil when
// the user left, ErrNoTerminal before touching anything when there is none,
// and a *SignalError after a signal. It does not wait for a terminal that takes
// no output: after Config.Grace it returns ErrStalled, so that the caller can
// stop what it launched.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	cfg = cfg.withDefaults()
	if err := CheckTerminal(cfg.In, cfg.Out); err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	saved, _ := term.GetState(cfg.In.Fd())
	c := &console{cfg: cfg, failed: make(chan struct{}, 1)}
	options := []tea.ProgramOption{
		tea.WithAltScreen(), tea.WithFPS(20), tea.WithoutSignalHandler(), tea.WithInput(cfg.In), tea.WithOutput(syncOut{cfg.Out, cfg.Out.Fd()}),
	}
	if !cfg.NoMouse {
		options = append(options, tea.WithMouseCellMotion())
	}
	c.program = tea.NewProgram(NewModel(ctx, cfg), options...)
	c.pump = newPump(c.program.Send)

	c.spawn(func() { c.pump.runSend(ctx) })
	c.spawn(func() {
		if err := cfg.Source.Run(ctx, c.pump.offer); err != nil && ctx.Err() == nil {
			c.fail(fmt.Errorf("collect data: %w", err))
		}
	})
	ended := make(chan error, 1)
	go func() { // the program; ended is its end
		_, err := c.program.Run()
		ended <- err
	}()
	err := c.wait(ctx, signals, ended)
	cancel()
	if errors.Is(err, ErrStalled) && saved != nil {
		_ = term.Restore(cfg.In.Fd(), saved) // the modes at least; the screen takes nothing
	}
	c.join()
	return err
}

// wait returns when the program has ended, for whatever reason.
func (c *console) wait(ctx context.Context, signals <-chan os.Signal, ended <-chan error) error {
	var cause error
	select {
	case err := <-ended:
		return c.reason(err)
	case s := <-signals:
		sig, _ := s.(syscall.Signal)
		cause = &SignalError{Signal: sig}
	case <-ctx.Done():
	case <-c.failed:
		cause = c.reason(nil)
	}
	go c.program.Quit() // blocks while the program is not reading messages
	select {
	case <-ended:
		return cause
	case <-time.After(c.cfg.Grace):
		if cause == nil {
			cause = ctx.Err()
		}
		return errors.Join(cause, ErrStalled)
	}
}

// reason tells the user's leaving from a failure of our own.
func (c *console) reason(err error) error {
	c.mu.Lock()
	own := c.mu.err
	c.mu.Unlock()
	switch {
	case own != nil:
		return own
	case errors.Is(err, tea.ErrProgramPanic):
		return fmt.Errorf("%w: %w", ErrCrashed, err)
	case err != nil:
		return fmt.Errorf("run console: %w", err)
	}
	return nil
}

// spawn starts a goroutine whose panic ends the program in order: otherwise
// the terminal would stay in raw mode on the alternate screen.
func (c *console) spawn(f func()) {
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		defer func() {
			if r := recover(); r != nil {
				c.cfg.Logger.Error("panic in console", "panic", r, "stack", string(debug.Stack()))
				c.fail(fmt.Errorf("%w: %v", ErrCrashed, r))
			}
		}()
		f()
	}()
}

func (c *console) fail(err error) {
	c.mu.Lock()
	first := c.mu.err == nil
	if first {
		c.mu.err = err
	}
	c.mu.Unlock()
	if first { // wait ends the program as after a signal: killing it would race with its reader
		c.failed <- struct{}{}
	}
}

// join waits for the goroutines, but not for ever.
func (c *console) join() {
	done := make(chan struct{})
	go func() { c.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(c.cfg.Grace):
		c.cfg.Logger.Warn("console left while its source was still running")
	}
}
