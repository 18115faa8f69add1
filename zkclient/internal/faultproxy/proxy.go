// Package faultproxy is a TCP proxy for tests that sits between a client and a
// ZooKeeper server, knows the protocol's frames, and fails on request: it
// refuses, swallows everything, or loses the reply to one kind of request.
package faultproxy

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	frameMax = 16 << 20
)

// Opcodes of requests whose reply can be lost.
const (
	OpCreate int32 = 1
	OpDelete int32 = 2
	OpSet    int32 = 5
)

// Proxy forwards connections to one server.
type Proxy struct {
	target string
	addr   string
	wg     sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener  // nil while refusing
	pass     chan struct{} // closed while forwarding; open while black-holed
	links    map[*link]struct{}
	loseOp   int32 // opcode of the request whose reply to lose next, 0 = none
	lost     chan struct{}
	closed   bool
}

type link struct {
	client, server net.Conn
	mu             sync.Mutex
	awaited        int32 // xid whose reply is to be swallowed
	waiting        bool
}

// Start listens at an address, again and again: it should be the test's own.
func Start(listen, target string) (*Proxy, error) {
	p := &Proxy{target: target, links: make(map[*link]struct{}), pass: make(chan struct{})}
	close(p.pass)
	if err := p.listen(listen); err != nil {
		return nil, err
	}
	return p, nil
}

// Addr is where clients connect, host:port.
func (p *Proxy) Addr() string { return p.addr }

// Links counts the connections through the proxy.
func (p *Proxy) Links() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Target sends new connections to another server.
func (p *Proxy) Target(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = addr
}

// Refuse cuts all connections and refuses new ones until Heal.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	p.mu.Unlock()
	p.Cut()
}

// Cut breaks the connections there are; new ones are welcome.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

// BlackHole forwards nothing any more, on connections old and new, until Heal.
func (p *Proxy) BlackHole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.pass:
		p.pass = make(chan struct{})
	default:
	}
}

// Heal ends Refuse and BlackHole. What a black hole held is forwarded.
func (p *Proxy) Heal() error {
	p.mu.Lock()
	select {
	case <-p.pass:
	default:
		close(p.pass)
	}
	relisten := p.listener == nil && !p.closed
	p.mu.Unlock()
	if relisten {
		return p.listen(p.addr)
	}
	return nil
}

// LoseReply forwards the next request of this kind, waits until the server has
// answered it, and breaks the connection without passing the answer on. The
// channel is closed then.
func (p *Proxy) LoseReply(op int32) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loseOp, p.lost = op, make(chan struct{})
	return p.lost
}

// Close ends the proxy and waits for its goroutines.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Refuse()
	p.Heal() //nolint:errcheck // closed: nothing is listened on again
	p.wg.Wait()
}

func (p *Proxy) listen(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for fault proxy: %w", err)
	}
	p.mu.Lock()
	p.listener, p.addr = ln, ln.Addr().String()
	p.mu.Unlock()
	p.wg.Add(1)
	go p.runAccept(ln)
	return nil
}

func (p *Proxy) runAccept(ln net.Listener) {
	defer p.wg.Done()
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

func (p *Proxy) serve(c net.Conn) {
	l := &link{client: c}
	p.mu.Lock()
	target := p.target
	ok := p.listener != nil
	if ok {
		p.links[l] = struct{}{}
	}
	p.mu.Unlock()
	defer func() {
		l.close()
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	if !ok {
		return
	}
	s, err := net.DialTimeout("tcp", target, time.Second)
	if err != nil {
		return
	}
	l.mu.Lock()
	l.server = s
	l.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { p.requests(l); l.close() })
	wg.Go(func() { p.replies(l); l.close() })
	wg.Wait()
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.client.Close()
	if l.server != nil {
		l.server.Close()
	}
}

// open waits while the proxy is a black hole.
func (p *Proxy) open() {
	p.mu.Lock()
	pass := p.pass
	p.mu.Unlock()
	<-pass
}

func (p *Proxy) requests(l *link) {
	for first := true; ; first = false {
		frame, err := readFrame(l.client)
		if err != nil {
			return
		}
		p.open()
		if !first && len(frame) >= 12 {
			p.arm(l, frame)
		}
		if _, err := l.server.Write(frame); err != nil {
			return
		}
	}
}

// arm notes that the reply to this request is to be lost, if it is the kind.
func (p *Proxy) arm(l *link, frame []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if op := int32(binary.BigEndian.Uint32(frame[8:])); p.loseOp == 0 || op != p.loseOp {
		return
	}
	p.loseOp = 0
	l.mu.Lock()
	l.awaited, l.waiting = int32(binary.BigEndian.Uint32(frame[4:])), true
	l.mu.Unlock()
}

func (p *Proxy) replies(l *link) {
	for first := true; ; first = false {
		frame, err := readFrame(l.server)
		if err != nil {
			return
		}
		p.open()
		l.mu.Lock()
		lose := !first && l.waiting && int32(binary.BigEndian.Uint32(frame[4:])) == l.awaited
		l.mu.Unlock()
		if lose {
			p.mu.Lock()
			close(p.lost)
			p.mu.Unlock()
			return
		}
		if _, err := l.client.Write(frame); err != nil {
			return
		}
	}
}

// readFrame returns a frame with its length.
func readFrame(c net.Conn) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head)
	if n < 4 || n > frameMax {
		return nil, fmt.Errorf("frame of %d bytes", n)
	}
	frame := append(head, make([]byte, n)...)
	_, err := io.ReadFull(c, frame[4:])
	return frame, err
}
