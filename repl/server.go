package repl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"baton/repl/transport"
	"baton/repl/wire"
	"baton/store/record"
)

// handshakesMax bounds connections that have not proved themselves.
const handshakesMax = 64

// ServerConfig configures a Server.
type ServerConfig struct {
	Identity         func() Identity     // called for each connection
	Sealed           func() record.Epoch // highest epoch that the node promised; nil means 0
	Listener         net.Listener        // closed by Close
	HandshakeTimeout time.Duration       // default 2 s
	DeadAfter        time.Duration       // silence after which a follower is lost, default 1 s
	// Refused hears of every peer that was refused, or that refused this node,
	// except one that only took it for the leader. It must not block; may be
	// nil. A peer that goes on trying is told of again each time.
	Refused func(Refusal)
	Logger  *slog.Logger
}

func (c ServerConfig) withDefaults() ServerConfig {
	if c.HandshakeTimeout <= 0 {
		c.HandshakeTimeout = 2 * time.Second
	}
	if c.DeadAfter <= 0 {
		c.DeadAfter = time.Second
	}
	if c.Sealed == nil {
		c.Sealed = func() record.Epoch { return 0 }
	}
	c.Logger = loggerOr(c.Logger)
	return c
}

// Validate checks what has no default.
func (c ServerConfig) Validate() error {
	if c.Listener == nil || c.Identity == nil {
		return fmt.Errorf("%w: server needs a listener and an identity", ErrConfig)
	}
	return nil
}

// Refusal is a session that one side would not have.
type Refusal struct {
	Node   string // who the other side says it is, "" if it did not come to that
	Remote string // its address
	Code   wire.Code
	Text   string
	ByPeer bool // the other side refused; otherwise this one
}

// Server accepts replication connections as long as the node lives, and hands
// those that prove themselves to the leader, if this node is one.
type Server struct {
	cfg    ServerConfig
	ctx    context.Context
	cancel context.CancelFunc
	slots  chan struct{} // one per handshake under way
	wg     sync.WaitGroup
	mu     struct {
		sync.Mutex
		leader *Leader
		conns  map[net.Conn]struct{}
		closed bool
	}
}

// NewServer starts to accept on cfg.Listener, which it owns from then on.
func NewServer(cfg ServerConfig) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg.withDefaults(), slots: make(chan struct{}, handshakesMax)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.mu.conns = map[net.Conn]struct{}{}
	s.wg.Add(1)
	go s.runAccept()
	return s, nil
}

// SetLeader says who serves followers from now on; nil means that this node
// does not lead. Sessions of an earlier leader end with that leader's Stop.
func (s *Server) SetLeader(l *Leader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.leader = l
}

// Addr is the address that the server listens at.
func (s *Server) Addr() net.Addr { return s.cfg.Listener.Addr() }

// Close stops accepting, closes every connection and waits for their
// goroutines. It does not stop the leader.
func (s *Server) Close() error {
	s.mu.Lock()
	s.mu.closed = true
	for nc := range s.mu.conns {
		nc.Close()
	}
	s.mu.Unlock()
	s.cancel()
	err := s.cfg.Listener.Close()
	s.wg.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close replication listener: %w", err)
	}
	return nil
}

func (s *Server) runAccept() {
	defer s.wg.Done()
	var pause time.Duration
	for {
		nc, err := s.cfg.Listener.Accept()
		switch {
		case err == nil:
			pause = 0
			s.start(nc)
			continue
		case s.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		}
		// Out of file descriptors, or a connection that died in the queue.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.cfg.Logger.Warn("cannot accept a replication connection, trying again", keyError, err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
			return
		}
	}
}

// start runs the connection on a goroutine of its own, or closes it if too
// many others are still in their handshake.
func (s *Server) start(nc net.Conn) {
	select {
	case s.slots <- struct{}{}:
	default:
		s.cfg.Logger.Warn("replication connection dropped: too many handshakes at once", keyAddress, nc.RemoteAddr())
		nc.Close()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		nc.Close()
		<-s.slots
		return
	}
	s.mu.conns[nc] = struct{}{}
	s.wg.Add(1)
	go s.runConn(nc)
}

func (s *Server) runConn(nc net.Conn) {
	defer s.wg.Done()
	defer func() {
		nc.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.mu.conns, nc)
	}()
	remote := nc.RemoteAddr()
	conn, peer, attach, err := s.handshake(nc)
	<-s.slots
	if err != nil {
		s.cfg.Logger.Warn("replication connection not accepted", keyAddress, remote, keyPeer, peer.Node, keyError, err)
		s.refused(peer.Node, remote, err)
		return
	}
	l := s.leader()
	if l == nil {
		e := s.cfg.Sealed()
		r := conn.Refuse(e, wire.Refuse{Code: wire.CodeNotLeader, Epoch: e,
			Text: fmt.Sprintf("node %s does not lead; it has sealed epoch %d", s.cfg.Identity().Node, e)})
		s.cfg.Logger.Info("follower refused", keyAddress, remote, keyPeer, peer.Node, keyError, r)
		return
	}
	s.refused(peer.Node, remote, l.serve(conn, peer, attach))
}

// refused tells about a session that ended by a refusal.
func (s *Server) refused(node string, remote net.Addr, err error) {
	var r *transport.RefusedError
	if s.cfg.Refused == nil || !errors.As(err, &r) || r.Code == wire.CodeNotLeader {
		return
	}
	s.cfg.Refused(Refusal{Node: node, Remote: remote.String(), Code: r.Code, Text: r.Text, ByPeer: r.ByPeer})
}

func (s *Server) handshake(nc net.Conn) (*transport.Conn, transport.Peer, wire.Attach, error) {
	epoch := s.cfg.Sealed()
	if l := s.leader(); l != nil {
		epoch = l.cfg.Epoch
	}
	conn, peer, err := transport.Accept(nc, transport.Options{Identity: s.cfg.Identity(), Epoch: epoch,
		Handshake: s.cfg.HandshakeTimeout, Idle: s.cfg.DeadAfter})
	if err != nil {
		return nil, peer, wire.Attach{}, err
	}
	if l := s.leader(); l != nil {
		l.meet(peer)
	}
	_, body, err := conn.Next()
	if err != nil {
		return nil, peer, wire.Attach{}, fmt.Errorf("read attach: %w", err)
	}
	switch b := body.(type) {
	case wire.Attach:
		return conn, peer, b, nil
	case wire.Refuse:
		return nil, peer, wire.Attach{}, &transport.RefusedError{Refuse: b, ByPeer: true}
	}
	return nil, peer, wire.Attach{}, conn.Refuse(epoch, wire.Refuse{Code: wire.CodeProtocol,
		Text: fmt.Sprintf("a %s frame came where an attach frame belongs", body.Type())})
}

func (s *Server) leader() *Leader {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.leader
}
