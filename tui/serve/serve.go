// Package serve shows the console over SSH to a workshop's audience: many
// viewers at once, each with a terminal size and a screen of its own, and none
// with any way to act. There is no shell, no command, no forwarding and no file
// behind the connection.
//
// Threads: runServe, and per viewer those of the SSH library; all end in Close.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/charmbracelet/ssh"
	"github.com/charmbracelet/wish"

	"baton/tui"
	"baton/tui/style"
)

// Errors of a Server.
var (
	ErrConfig = errors.New("serve: bad configuration")
)

// Config of a Server.
type Config struct {
	Listen  string // host:port
	KeyFile string // of the host key, made with mode 0600 if it is not there
	// AuthorizedKeys lets in only who holds one of the keys in this file; ""
	// lets in anybody, which is refused beyond loopback.
	AuthorizedKeys string
	Hub            *tui.Hub
	Console        tui.Config    // what viewers see: cluster, product; the rest is set per viewer
	ViewersMax     int           // default 100
	IdleTimeout    time.Duration // of a viewer that presses nothing; default 2 h
	Logger         *slog.Logger
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("%w: %q is not host:port: %w", ErrConfig, c.Listen, err)
	}
	ip := net.ParseIP(host)
	if loopback := host == "localhost" || ip != nil && ip.IsLoopback(); !loopback && c.AuthorizedKeys == "" {
		return fmt.Errorf("%w: %s can be reached from other machines: say who may look with a file of authorized keys, or listen on 127.0.0.1", ErrConfig, c.Listen)
	}
	if c.Hub == nil || c.KeyFile == "" {
		return fmt.Errorf("%w: no hub or no host key file", ErrConfig)
	}
	return nil
}

// Server serves viewers until it is closed.
type Server struct {
	cfg     Config
	ssh     *ssh.Server
	ln      net.Listener
	ctx     context.Context // its lifecycle
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	viewers atomic.Int64

	mu     sync.Mutex // guards the rest
	closed bool
}

// Start listens. The caller closes the server.
func Start(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.ViewersMax <= 0 {
		cfg.ViewersMax = 100
	}
	if cfg.IdleTimeout <= 0 {
		cfg.IdleTimeout = 2 * time.Hour
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(filepath.Dir(cfg.KeyFile), 0o700); err != nil {
		return nil, fmt.Errorf("make room for the host key: %w", err)
	}
	s := &Server{cfg: cfg}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	options := []ssh.Option{
		wish.WithHostKeyPath(cfg.KeyFile), wish.WithIdleTimeout(cfg.IdleTimeout),
		wish.WithMiddleware(func(ssh.Handler) ssh.Handler { return s.show }),
	}
	if cfg.AuthorizedKeys != "" {
		options = append(options, wish.WithAuthorizedKeys(cfg.AuthorizedKeys))
	}
	var err error
	if s.ssh, err = wish.NewServer(options...); err != nil {
		return nil, fmt.Errorf("start SSH server: %w", err)
	}
	if err := checkKey(cfg.KeyFile); err != nil {
		return nil, err
	}
	if s.ln, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("start SSH server: %w", err)
	}
	s.wg.Go(s.runServe)
	return s, nil
}

// checkKey refuses a host key that others can read: it is no secret then.
func checkKey(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read host key: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%w: host key %s can be read by others (mode %#o): run chmod 600 %s", ErrConfig, path, st.Mode().Perm(), path)
	}
	return nil
}

// Addr is where the server listens.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Viewers is how many look now.
func (s *Server) Viewers() int { return int(s.viewers.Load()) }

// Close ends all viewers and waits for them.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	err := errors.Join(s.ln.Close(), s.ssh.Close()) // the listener, too: the server may not have it yet
	s.wg.Wait()
	if errors.Is(err, ssh.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (s *Server) runServe() {
	if err := s.ssh.Serve(s.ln); err != nil && s.ctx.Err() == nil {
		s.cfg.Logger.Error("ssh server ended", "error", err)
	}
}

// enter counts a viewer in, unless the server is being closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.wg.Add(1)
	}
	return !s.closed
}

// show is one viewer, from the beginning to the end of its session.
func (s *Server) show(sess ssh.Session) {
	if !s.enter() {
		return
	}
	defer s.wg.Done()
	if n := s.viewers.Add(1); int(n) > s.cfg.ViewersMax {
		s.viewers.Add(-1)
		wish.Fatalln(sess, "too many are looking already")
		return
	}
	defer s.viewers.Add(-1)
	pty, windows, ok := sess.Pty()
	if !ok || len(sess.Command()) > 0 {
		wish.Fatalln(sess, "this is a screen to look at: connect with a terminal and without a command")
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	stop := context.AfterFunc(sess.Context(), cancel)
	defer stop()
	cfg := s.cfg.Console
	cfg.Source, cfg.ReadOnly, cfg.Launched, cfg.ExportDir, cfg.Lesson = s.cfg.Hub.Viewer(), true, false, "", nil
	cfg.ReadOnlyWhy = "this screen is for looking only"
	cfg.Theme = theme(sess.Environ(), pty.Term)
	if err := tui.RunRemote(ctx, cfg, endingReader{sess, cancel}, sess, sizes(ctx, pty.Window, windows)); err != nil {
		s.cfg.Logger.Warn("viewer ended", "remote", sess.RemoteAddr().String(), "error", err)
	}
}

// endingReader ends the viewer when nothing more can come from it: a line that
// dropped, or a client that closed its session but not its connection.
type endingReader struct {
	io.Reader
	end func()
}

// Read implements io.Reader.
func (r endingReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err != nil {
		r.end()
	}
	return n, err
}

// sizes passes the size of a terminal on, and every change of it.
func sizes(ctx context.Context, first ssh.Window, more <-chan ssh.Window) <-chan tui.Size {
	out := make(chan tui.Size, 1)
	out <- tui.Size{W: first.Width, H: first.Height}
	go func() { // ends with the viewer
		for {
			select {
			case <-ctx.Done():
				return
			case w, ok := <-more:
				if !ok {
					return
				}
				select {
				case out <- tui.Size{W: w.Width, H: w.Height}:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out
}

// theme is chosen from what the viewer's side says of itself.
func theme(env []string, term string) style.Theme {
	t, err := style.Detect(style.Options{}, func(key string) string {
		if key == "TERM" {
			return term
		}
		for _, e := range env {
			if v, ok := strings.CutPrefix(e, key+"="); ok {
				return v
			}
		}
		return ""
	})
	if err != nil { // no option was given that could be wrong
		return style.New(style.Mono, false, true)
	}
	return t
}
