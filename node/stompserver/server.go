package stompserver

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"baton/node/stomp"
)

// Server serves clients on one listener for as long as one leadership lasts.
type Server struct {
	cfg     Config
	room    room
	outputs budget

	mu struct {
		sync.Mutex
		closed    bool
		conns     map[*conn]struct{}
		addresses map[string]int
	}
	wg     sync.WaitGroup // connections
	ended  chan struct{}  // closed by Close
	lastID atomic.Uint64

	receipts     atomic.Uint64
	errorsSent   atomic.Uint64
	refused      atomic.Uint64
	panics       atomic.Uint64
	firstReceipt sync.Once
}

// New returns a server; Serve makes it accept.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg.withDefaults(), ended: make(chan struct{})}
	s.room.max, s.outputs.max = s.cfg.BodyMemory, s.cfg.OutputMemory
	s.mu.conns = map[*conn]struct{}{}
	s.mu.addresses = map[string]int{}
	return s, nil
}

// Stats are counters of a server's life and what it holds now.
type Stats struct {
	Connections   int
	Receipts      uint64
	Errors        uint64 // ERROR frames sent
	Refused       uint64 // connections above a limit
	Panics        uint64 // connections ended by a fault of ours
	BodyBytes     int64  // of memory for large bodies that are being received
	BodyWaiting   int    // connections that wait for such memory
	OutputBytes   int64  // of Config.OutputMemory
	OutputWaiting int    // connections that have read all and wait for such memory
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	n := len(s.mu.conns)
	s.mu.Unlock()
	used, waiting := s.room.level()
	output, outputWaiting := s.outputs.level()
	return Stats{
		OutputBytes: output, OutputWaiting: outputWaiting,
		BodyBytes: used, BodyWaiting: waiting,
		Connections: n, Receipts: s.receipts.Load(), Errors: s.errorsSent.Load(),
		Refused: s.refused.Load(), Panics: s.panics.Load(),
	}
}

// Serve accepts connections until Close, then returns ErrClosed; a listener
// that fails for good ends it earlier with that error.
func (s *Server) Serve() error {
	pause := time.Duration(0)
	for {
		nc, err := s.cfg.Listener.Accept()
		if err == nil {
			pause = 0
			s.admit(nc)
			continue
		}
		select {
		case <-s.ended:
			return ErrClosed
		default:
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept client: %w", err)
		}
		// Out of file descriptors, or a client that was gone already.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.cfg.Logger.Warn("cannot accept client", "error", err, "retry_in", pause)
		t := time.NewTimer(pause)
		select {
		case <-s.ended:
			t.Stop()
			return ErrClosed
		case <-t.C:
		}
	}
}

// admit starts a connection, or turns it away if there are too many.
func (s *Server) admit(nc net.Conn) {
	host, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil {
		host = nc.RemoteAddr().String()
	}
	var refusal error
	if s.cfg.Admit != nil {
		refusal = s.cfg.Admit(nc)
	}
	c := newConn(s, nc, host)
	s.mu.Lock()
	full := len(s.mu.conns) >= s.cfg.MaxConnections ||
		s.cfg.MaxConnectionsPerAddress > 0 && s.mu.addresses[host] >= s.cfg.MaxConnectionsPerAddress
	closed := s.mu.closed
	if !full && !closed && refusal == nil {
		s.mu.conns[c] = struct{}{}
		s.mu.addresses[host]++
		s.wg.Add(1)
	}
	s.mu.Unlock()
	switch {
	case closed:
		nc.Close()
	case refusal != nil:
		s.refused.Add(1)
		turnAway(nc, refusal.Error())
	case full:
		s.refused.Add(1)
		turnAway(nc, "too many connections")
	default:
		go c.runConn()
	}
}

// turnAway tells a client why it cannot be served. A fresh socket takes these
// few bytes at once, so the accept loop is not held up. The deadline is never
// met but by a machine that stalls, and then the client is to be told as well.
func turnAway(nc net.Conn, why string) {
	nc.SetWriteDeadline(time.Now().Add(time.Second))
	nc.Write(appendError(nil, stomp.V10, why, ""))
	nc.Close()
}

// closing says that the server cuts its clients off itself.
func (s *Server) closing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.closed
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.conns, c)
	if s.mu.addresses[c.host]--; s.mu.addresses[c.host] == 0 {
		delete(s.mu.addresses, c.host)
	}
}

// Close is CutOff, and waits for the connections' goroutines.
func (s *Server) Close(reason string) {
	s.CutOff(reason)
	s.wg.Wait()
}

// CutOff stops accepting and closes all connections without an ERROR. What
// clients sent and saw no receipt for is in doubt. It does not wait: a
// connection may be held up in a proposal until the leader is stopped. The
// reason goes to the log. It may be called more than once.
func (s *Server) CutOff(reason string) {
	s.mu.Lock()
	first := !s.mu.closed
	s.mu.closed = true
	conns := make([]*conn, 0, len(s.mu.conns))
	for c := range s.mu.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	if first {
		close(s.ended)
		s.cfg.Listener.Close()
		s.cfg.Logger.Info("closed to clients", "reason", reason, "connections", len(conns))
	}
	for _, c := range conns {
		c.abort()
	}
}

func (s *Server) nextSession() string {
	return s.cfg.ServerName + "-" + strconv.FormatUint(s.lastID.Add(1), 10)
}
