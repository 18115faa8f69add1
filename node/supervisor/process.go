package supervisor

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Config of a process.
type Config struct {
	Name    string   // for people, and of the log file; required
	Path    string   // of the program; required
	Args    []string // without the program's name
	Env     []string // added to the parent's
	LogDir  string   // gets NAME.log; "" keeps lines in memory only
	OnEvent func(Event)
	Logger  *slog.Logger

	StopTimeout time.Duration // from SIGTERM to SIGKILL; default 5 s
	LogLines    int           // kept in memory; default 2000
	LogLineMax  int           // bytes of one line; default 4096
	LogRate     int           // bytes per second, bursts of four seconds; default 1 MiB
	LogFileMax  int64         // bytes; default 64 MiB
}

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&c.LogLines, 2000)
	def(&c.LogLineMax, 4096)
	def(&c.LogRate, 1<<20)
	if c.StopTimeout <= 0 {
		c.StopTimeout = 5 * time.Second
	}
	if c.LogFileMax <= 0 {
		c.LogFileMax = 64 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports what makes the configuration unusable.
func (c Config) Validate() error {
	if c.Name == "" || c.Name != filepath.Base(c.Name) {
		return fmt.Errorf("supervisor: process name %q cannot name a file", c.Name)
	}
	if c.Path == "" {
		return fmt.Errorf("supervisor: process %s has no program", c.Name)
	}
	return nil
}

// killWait bounds how long a killed process may take to be reaped: longer only
// if it sits in uninterruptible disk sleep.
const killWait = 5 * time.Second

// Process is one child that can be started again and again. Its methods are
// safe for concurrent use; operations on one process happen one at a time.
type Process struct {
	cfg Config
	log *logRing
	op  chan struct{} // holds one token: the right to start or signal

	emitting sync.Mutex // keeps events in order; OnEvent runs under it

	mu     sync.Mutex // guards the rest
	status Status
	asked  bool          // the coming exit was requested
	exited chan struct{} // of the current run, closed when it was reaped
	closed bool
}

// New returns a process that is not started yet. The caller closes it.
func New(cfg Config) (*Process, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	p := &Process{cfg: cfg, op: make(chan struct{}, 1)}
	p.log = newLogRing(cfg.LogLines, cfg.LogLineMax, float64(cfg.LogRate), cfg.LogFileMax)
	p.status = Status{Name: cfg.Name, State: StateIdle, Since: time.Now()}
	if cfg.LogDir != "" {
		if err := p.log.open(filepath.Join(cfg.LogDir, cfg.Name+".log")); err != nil {
			return nil, fmt.Errorf("open log of %s: %w", cfg.Name, err)
		}
	}
	return p, nil
}

// Status returns the state of now.
func (p *Process) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// Logs returns the kept lines with a sequence above after, oldest first, and
// how many lines were dropped so far because the process wrote too fast.
func (p *Process) Logs(after uint64) (lines []Line, dropped uint64) { return p.log.since(after) }

// Start starts the program. It returns once the operating system has it.
func (p *Process) Start() error {
	p.op <- struct{}{}
	defer func() { <-p.op }()
	return p.start()
}

func (p *Process) start() error {
	p.mu.Lock()
	switch {
	case p.closed:
		p.mu.Unlock()
		return fmt.Errorf("start %s: %w", p.cfg.Name, ErrClosed)
	case p.status.State.Alive():
		p.mu.Unlock()
		return fmt.Errorf("start %s: %w", p.cfg.Name, ErrRunning)
	}
	p.asked = false
	p.exited = make(chan struct{})
	exited := p.exited
	p.mu.Unlock()

	started := make(chan error, 1)
	go p.runChild(started, exited)
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.cfg.Name, err)
	}
	return nil
}

// runChild starts the child and waits for it on one thread that it keeps: the
// kernel sends the parent-death signal when the starting thread ends, which
// the Go runtime may otherwise end at any time.
func (p *Process) runChild(started chan<- error, exited chan struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(exited)

	cmd := exec.Command(p.cfg.Path, p.cfg.Args...)
	cmd.Env = append(os.Environ(), p.cfg.Env...)
	cmd.SysProcAttr = childAttr()
	cmd.WaitDelay = time.Second // a grandchild may hold the outputs open
	out, errOut := &lineWriter{ring: p.log}, &lineWriter{ring: p.log}
	cmd.Stdout, cmd.Stderr = out, errOut
	r, w, err := os.Pipe()
	if err != nil {
		started <- err
		return
	}
	defer w.Close() // only now the child would see end of file
	cmd.ExtraFiles = []*os.File{r}
	err = cmd.Start()
	r.Close()
	if err != nil {
		p.change(func(s *Status) { s.State, s.Exit = StateExited, &Exit{Code: -1, At: time.Now(), Err: err.Error()} })
		started <- err
		return
	}
	p.change(func(s *Status) { s.State, s.PID, s.Generation = StateStarting, cmd.Process.Pid, s.Generation+1 })
	started <- nil

	err = cmd.Wait()
	for _, w := range []*lineWriter{out, errOut} {
		if len(w.buf) > 0 {
			w.flush()
		}
	}
	p.reaped(exitOf(cmd, err))
}

func (p *Process) reaped(e Exit) {
	p.mu.Lock()
	e.Requested = p.asked
	p.mu.Unlock()
	p.change(func(s *Status) { s.State, s.PID, s.Exit = StateExited, 0, &e })
	if e.Requested {
		p.cfg.Logger.Info("process ended", "process", p.cfg.Name, "how", e.String())
	} else {
		p.cfg.Logger.Warn("process ended by itself", "process", p.cfg.Name, "how", e.String())
	}
}

func exitOf(cmd *exec.Cmd, err error) Exit {
	e := Exit{Code: cmd.ProcessState.ExitCode(), At: time.Now()}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.Signal = ws.Signal()
	}
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) && !errors.Is(err, exec.ErrWaitDelay) && !errors.Is(err, io.ErrClosedPipe) {
		e.Err = err.Error()
	}
	return e
}

// change applies a change of state and tells the listener, in order.
func (p *Process) change(f func(*Status)) {
	p.emitting.Lock()
	defer p.emitting.Unlock()
	p.mu.Lock()
	f(&p.status)
	p.status.Since = time.Now()
	s := p.status
	p.mu.Unlock()
	if p.cfg.OnEvent != nil {
		p.cfg.OnEvent(Event{At: s.Since, Status: s})
	}
}

// changeAlive is change unless the process has ended meanwhile.
func (p *Process) changeAlive(from State, to State) {
	p.emitting.Lock()
	defer p.emitting.Unlock()
	p.mu.Lock()
	if !p.status.State.Alive() || from != "" && p.status.State != from {
		p.mu.Unlock()
		return
	}
	p.status.State, p.status.Since = to, time.Now()
	s := p.status
	p.mu.Unlock()
	if p.cfg.OnEvent != nil {
		p.cfg.OnEvent(Event{At: s.Since, Status: s})
	}
}

// Ready notes that the program answers: starting becomes running. It is the
// owner who can tell, and it is a no-op in every other state.
func (p *Process) Ready() { p.changeAlive(StateStarting, StateRunning) }
