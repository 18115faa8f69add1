package ensemble

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"baton/node/supervisor"
)

var (
	// ErrNotServing says that servers did not come to serve in time, or ended.
	ErrNotServing = errors.New("ensemble: ZooKeeper does not serve")
	// ErrNoServer says that there is no server of that number, or no leader.
	ErrNoServer = errors.New("ensemble: no such ZooKeeper server")
)

// Server is one server. Its process may be killed, paused, stopped and started
// at any time.
type Server struct {
	Number  int // from 1
	Name    string
	Address string // of clients, host:port
	Process *supervisor.Process

	mu   sync.Mutex
	mode Mode
	life int           // of the process that answered: its generation
	wake chan struct{} // holds one token: its process changed state
}

// Mode is what the server answered last, at most half a second ago; it is
// ModeUnknown while its process is not there or is paused.
func (s *Server) Mode() Mode {
	st := s.Process.Status()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !st.State.Alive() || st.State == supervisor.StatePaused || st.Generation != s.life {
		return ModeUnknown
	}
	return s.mode
}

// Ensemble is a set of servers that form one ZooKeeper. All methods may be
// called from any goroutine.
type Ensemble struct {
	cfg     Config
	servers []*Server
	ctx     context.Context // its lifecycle
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// Open prepares the servers and starts none. It fails with ErrConfig,
// ErrNotInstalled or ErrPortTaken. The caller closes it.
func Open(cfg Config) (*Ensemble, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if cfg.Installation.Java == "" {
		found, err := Find()
		if err != nil {
			return nil, err
		}
		cfg.Installation = found
	}
	if err := errors.Join(cfg.checkPorts(), cfg.checkDir()); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create directory of ZooKeeper: %w", err)
	}
	e := &Ensemble{cfg: cfg}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	for n := 1; n <= cfg.Servers; n++ {
		s, err := e.open(n)
		if err != nil {
			return nil, errors.Join(err, e.Close())
		}
		e.servers = append(e.servers, s)
		e.wg.Go(func() { e.runProbe(s) })
	}
	return e, nil
}

func (e *Ensemble) open(number int) (*Server, error) {
	if err := e.cfg.write(number); err != nil {
		return nil, err
	}
	s := &Server{Number: number, Name: serverName(number), wake: make(chan struct{}, 1),
		Address: loopback(PortsAt(e.cfg.BasePort, number).Client)}
	p, err := supervisor.New(supervisor.Config{
		Name: s.Name, Path: e.cfg.Installation.Java, Args: e.cfg.arguments(number), LogDir: e.cfg.Dir,
		StopTimeout: e.cfg.StopTimeout, Logger: e.cfg.Logger,
		OnEvent: func(ev supervisor.Event) {
			select {
			case s.wake <- struct{}{}:
			default:
			}
			if e.cfg.OnEvent != nil {
				e.cfg.OnEvent(ev)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	s.Process = p
	return s, nil
}

// Servers lists the servers by number.
func (e *Ensemble) Servers() []*Server { return append([]*Server(nil), e.servers...) }

// Dir is where the servers keep everything.
func (e *Ensemble) Dir() string { return e.cfg.Dir }

// Addresses are where clients connect, by number of the server.
func (e *Ensemble) Addresses() []string {
	var out []string
	for _, s := range e.servers {
		out = append(out, s.Address)
	}
	return out
}

// Leader asks the servers now and returns the one that leads, or that is alone.
func (e *Ensemble) Leader(ctx context.Context) (*Server, error) {
	for _, s := range e.servers {
		if s.Process.Status().State == supervisor.StatePaused {
			continue // it would only let the question time out
		}
		if m := ModeOf(ctx, s.Address); m == ModeLeader || m == ModeStandalone {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w: none leads", ErrNoServer)
}

// Start starts every server whose process is not there. It does not wait until
// they serve; see Await.
func (e *Ensemble) Start() error {
	var errs []error
	for _, s := range e.servers {
		if !s.Process.Status().State.Alive() {
			errs = append(errs, s.Process.Start())
		}
	}
	return errors.Join(errs...)
}

// Await waits until every server whose process is there and not paused serves.
// It fails with ErrNotServing when ctx ends first, when there is none, or when
// one ended that nobody stopped; the text has what that one said last.
func (e *Ensemble) Await(ctx context.Context) error {
	for {
		waiting, up := "", 0
		for _, s := range e.servers {
			switch st := s.Process.Status(); {
			case st.State == supervisor.StateExited && !st.Exit.Requested:
				return fmt.Errorf("%w: server %d ended by itself: %s%s", ErrNotServing, s.Number, st.Exit, lastWords(s.Process))
			case !st.State.Alive() || st.State == supervisor.StatePaused:
			case !s.Mode().Serves():
				waiting += fmt.Sprintf("; server %d at %s has no quorum or does not answer", s.Number, s.Address)
			default:
				up++
			}
		}
		if waiting == "" && up > 0 {
			return nil
		}
		if waiting == "" {
			waiting = "; none of its servers is running"
		}
		if !pause(ctx, 10*time.Millisecond) {
			return fmt.Errorf("%w: %s: %w", ErrNotServing, waiting[2:], context.Cause(ctx))
		}
	}
}

// Stop stops every server that is there in order, followers before their
// leader, so that none of them begins an election. Closing it later is still needed.
func (e *Ensemble) Stop() error {
	return e.inOrder(func(p *supervisor.Process) error {
		if err := p.Stop(); err != nil && !errors.Is(err, supervisor.ErrNotRunning) {
			return err
		}
		return nil
	})
}

// Close stops every server for good and waits for all goroutines.
func (e *Ensemble) Close() error {
	err := e.inOrder((*supervisor.Process).Close)
	e.cancel()
	e.wg.Wait()
	return err
}

// inOrder does something to all processes, first to the followers at once,
// then to the leader.
func (e *Ensemble) inOrder(do func(*supervisor.Process) error) error {
	var followers, rest []*supervisor.Process
	for _, s := range e.servers {
		if s.Mode() == ModeFollower {
			followers = append(followers, s.Process)
		} else {
			rest = append(rest, s.Process)
		}
	}
	errs := make([]error, len(e.servers))
	for i, some := range [][]*supervisor.Process{followers, rest} {
		var all sync.WaitGroup
		for j, p := range some {
			all.Go(func() { errs[i*len(followers)+j] = do(p) })
		}
		all.Wait()
	}
	return errors.Join(errs...)
}

// runProbe keeps the mode of a server, and tells its process when it serves.
func (e *Ensemble) runProbe(s *Server) {
	for e.ctx.Err() == nil {
		mode, every := ModeUnknown, time.Duration(0) // 0: until its process changes
		st := s.Process.Status()
		switch st.State {
		case supervisor.StateStarting:
			mode, every = ModeOf(e.ctx, s.Address), probeStarting
		case supervisor.StateRunning:
			mode, every = ModeOf(e.ctx, s.Address), probeRunning
		}
		if mode.Serves() {
			s.Process.Ready() // before anybody sees the mode
		}
		s.mu.Lock()
		s.mode, s.life = mode, st.Generation
		s.mu.Unlock()
		e.idle(s, every)
	}
}

func (e *Ensemble) idle(s *Server, every time.Duration) {
	var due <-chan time.Time
	if every > 0 {
		t := time.NewTimer(every)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-due:
	case <-s.wake:
	case <-e.ctx.Done():
	}
}

// lastWords quotes the end of a process's log for an error.
func lastWords(p *supervisor.Process) string {
	lines, _ := p.Logs(0)
	if len(lines) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("; it said last:")
	for _, l := range lines[max(0, len(lines)-5):] {
		b.WriteString("\n  " + l.Text)
	}
	return b.String()
}

// pause is false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
