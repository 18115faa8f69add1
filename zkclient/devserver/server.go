package devserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// Errors of a server.
var (
	// ErrAddressInUse says that another process listens on the address.
	ErrAddressInUse = errors.New("devserver: address is in use")
	// ErrStorage says that the data directory could not be written. The server
	// has stopped, since it can promise nothing any more.
	ErrStorage = errors.New("devserver: data directory failed")
)

// Server is a running server. All methods may be called from any goroutine.
type Server struct {
	cfg       Config
	listener  net.Listener
	processor *processor
	ctx       context.Context // ends when the server stops, for whatever reason
	cancel    context.CancelFunc
	wg        sync.WaitGroup

	mu struct { // guards what follows
		sync.Mutex
		conns  map[*conn]struct{}
		full   bool // the limit of connections is reached, and was logged
		failed error
	}
}

// Start recovers the state from the data directory, if there is one, and
// serves until Close. It fails with ErrConfig, ErrAddressInUse, or an error
// that names the file at fault.
func Start(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	listener, err := net.Listen("tcp", cfg.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: %s: stop the process that listens there or choose another address", ErrAddressInUse, cfg.Listen)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", cfg.Listen, err)
	}
	s := &Server{cfg: cfg, listener: listener}
	s.mu.conns = map[*conn]struct{}{}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if s.processor, err = newProcessor(cfg, listener.Addr(), time.Now()); err != nil {
		listener.Close()
		s.cancel()
		return nil, err
	}
	context.AfterFunc(s.ctx, s.disconnect)
	s.wg.Add(2)
	go s.runProcessor()
	go s.runAccept()
	cfg.Logger.Info("zookeeper development server listens", "address", s.Addr(), "data_dir", cfg.DataDir)
	return s, nil
}

// Addr returns the address listened on, host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Done is closed when the server has stopped serving: after Close, or after a
// failure of the data directory, which Err then returns.
func (s *Server) Done() <-chan struct{} { return s.ctx.Done() }

// Err returns the failure that stopped the server, an ErrStorage, or nil.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.failed
}

// Close stops serving, cuts all connections and closes the data directory. The
// sessions are not closed: with a data directory they go on after a restart.
// It returns the failure that stopped the server before, if any, and may be
// called more than once.
func (s *Server) Close() error {
	s.cancel()
	s.wg.Wait()
	return s.Err()
}

// disconnect ends what blocks in the network, once the server stops.
func (s *Server) disconnect() {
	s.listener.Close()
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.mu.conns))
	for c := range s.mu.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.cut()
	}
}

func (s *Server) runProcessor() {
	defer s.wg.Done()
	defer s.cancel()
	if err := s.processor.run(s.ctx); err != nil {
		s.mu.Lock()
		s.mu.failed = fmt.Errorf("%w: %s: %w", ErrStorage, s.cfg.DataDir, err)
		s.mu.Unlock()
		s.cfg.Logger.Error("zookeeper development server stops: the data directory failed", "data_dir", s.cfg.DataDir, "error", err)
	}
}

func (s *Server) runAccept() {
	defer s.wg.Done()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		nc, err := s.listener.Accept()
		if s.ctx.Err() != nil {
			if err == nil {
				nc.Close()
			}
			return
		}
		if err != nil { // out of file descriptors, mostly: connections will end
			s.cfg.Logger.Warn("accept connection", "error", err)
			pause.Reset(50 * time.Millisecond)
			select {
			case <-pause.C:
			case <-s.ctx.Done():
			}
			continue
		}
		s.admit(nc)
	}
}

// admit starts to serve a connection unless there are too many.
func (s *Server) admit(nc net.Conn) {
	c := newConn(s.cfg, nc)
	s.mu.Lock()
	full := len(s.mu.conns) >= s.cfg.MaxConnections
	logFull := full && !s.mu.full
	s.mu.full = full
	stopped := s.ctx.Err() != nil // else disconnect has not begun, and will find c
	if !full && !stopped {
		s.mu.conns[c] = struct{}{}
		s.wg.Add(1)
	}
	s.mu.Unlock()
	if logFull {
		s.cfg.Logger.Warn("connection refused: too many connections", "limit", s.cfg.MaxConnections, "client", nc.RemoteAddr())
	}
	if full || stopped {
		nc.Close()
		return
	}
	go s.runConn(c)
}

func (s *Server) runConn(c *conn) {
	defer s.wg.Done()
	c.serve(s.ctx, s.processor.tasks)
	s.mu.Lock()
	delete(s.mu.conns, c)
	s.mu.Unlock()
}
