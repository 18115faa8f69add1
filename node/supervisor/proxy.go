package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// CutMode says what a cut link does.
type CutMode int

// Modes of a cut.
const (
	// CutSilent: nothing passes and nothing is said, as if packets were dropped.
	// Existing connections go on after Heal; new ones are accepted by this
	// machine but hear nothing until then.
	CutSilent CutMode = iota
	// CutReset: existing connections are reset, new ones too as soon as they are accepted.
	CutReset
	// CutToTarget and CutToDialler are silent in one direction: what the other
	// side says still passes on connections that exist. New ones wait for Heal,
	// for a connection takes words of both.
	CutToTarget
	CutToDialler
)

// direction of bytes through a proxy.
type direction int

const (
	toTarget direction = iota
	toDialler
)

// holds says whether the mode keeps the direction's bytes back.
func (m CutMode) holds(d direction) bool {
	return !(m == CutToTarget && d == toDialler || m == CutToDialler && d == toTarget)
}

// ProxyConfig of a link.
type ProxyConfig struct {
	Name   string // for people: "n2->n1"
	Listen string // default 127.0.0.1:0
	Target string // where connections go; required
	Logger *slog.Logger

	DialTimeout    time.Duration // to the target; default 2 s
	ConnectionsMax int           // further ones are reset; default 256
}

// Proxy is one direction of dialling between two processes: it listens, dials
// the target for each connection and passes bytes both ways until it is told
// otherwise. If the target refuses, the accepted connection is reset at once.
type Proxy struct {
	cfg    ProxyConfig
	ln     net.Listener
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex // guards the rest
	conns  map[*link]struct{}
	cut    bool
	mode   CutMode
	turn   chan struct{} // closed and replaced when cut or mode changes
	delay  time.Duration
	rate   float64 // bytes per second per direction and connection, 0 = no limit
	passed uint64
}

// ProxyState is a proxy as of now.
type ProxyState struct {
	Name, Addr, Target string
	Cut                bool
	Delay              time.Duration
	Rate               float64
	Connections        int
	Bytes              uint64 // passed on so far, both ways
}

// NewProxy listens and passes connections on. The caller closes it.
func NewProxy(cfg ProxyConfig) (*Proxy, error) {
	if cfg.Target == "" {
		return nil, fmt.Errorf("supervisor: proxy %s has no target", cfg.Name)
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.DialTimeout <= 0 {
		cfg.DialTimeout = 2 * time.Second
	}
	if cfg.ConnectionsMax <= 0 {
		cfg.ConnectionsMax = 256
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("open proxy %s: %w", cfg.Name, err)
	}
	p := &Proxy{cfg: cfg, ln: ln, conns: map[*link]struct{}{}, turn: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Add(1)
	go p.runAccept()
	return p, nil
}

// Addr returns where the proxy listens.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// State returns the state of now.
func (p *Proxy) State() ProxyState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return ProxyState{
		Name: p.cfg.Name, Addr: p.Addr(), Target: p.cfg.Target, Cut: p.cut,
		Delay: p.delay, Rate: p.rate, Connections: len(p.conns), Bytes: p.passed,
	}
}

// Cut stops the link. A link already cut takes the new mode.
func (p *Proxy) Cut(mode CutMode) {
	p.mu.Lock()
	p.cut, p.mode = true, mode
	p.turned()
	var reset []*link
	if mode == CutReset {
		for l := range p.conns {
			reset = append(reset, l)
		}
	}
	p.mu.Unlock()
	for _, l := range reset {
		l.reset()
	}
}

// Heal ends a cut; delay and throttle stay as they are.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
	p.turned()
}

// turned lets those who wait look again. Call with mu held.
func (p *Proxy) turned() {
	close(p.turn)
	p.turn = make(chan struct{})
}

// Delay makes every byte arrive d later, each way; 0 ends it. Bytes already
// under way keep their time.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = max(0, d)
}

// Throttle bounds each connection to so many bytes per second each way; 0 ends it.
func (p *Proxy) Throttle(bytesPerSecond float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = max(0, bytesPerSecond)
}

// Close resets all connections and waits until their goroutines ended.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.ln.Close()
	p.mu.Lock()
	var all []*link
	for l := range p.conns {
		all = append(all, l)
	}
	p.mu.Unlock()
	for _, l := range all {
		l.reset()
	}
	p.wg.Wait()
	return err
}

func (p *Proxy) runAccept() {
	defer p.wg.Done()
	for {
		c, err := p.ln.Accept()
		if p.ctx.Err() != nil {
			if err == nil {
				resetConn(c)
			}
			return
		}
		if err != nil { // out of descriptors: others will be closed
			p.cfg.Logger.Warn("proxy cannot accept", "proxy", p.cfg.Name, "err", err)
			wait(p.ctx, 50*time.Millisecond)
			continue
		}
		p.admit(c)
	}
}

// admit starts a connection unless the link is reset or full.
func (p *Proxy) admit(c net.Conn) {
	l := &link{p: p, client: c}
	l.ctx, l.cancel = context.WithCancel(p.ctx)
	p.mu.Lock()
	refuse := p.cut && p.mode == CutReset || len(p.conns) >= p.cfg.ConnectionsMax || p.ctx.Err() != nil
	if !refuse {
		p.conns[l] = struct{}{}
		p.wg.Add(1)
	}
	p.mu.Unlock()
	if refuse {
		l.reset()
		return
	}
	go l.run()
}

// open waits until bytes may pass in all these directions; it is false if the
// connection ended first.
func (p *Proxy) open(ctx context.Context, ways ...direction) bool {
	for {
		p.mu.Lock()
		held, turn := false, p.turn
		for _, d := range ways {
			held = held || p.cut && p.mode.holds(d)
		}
		p.mu.Unlock()
		if !held {
			return ctx.Err() == nil
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return false
		}
	}
}

func (p *Proxy) speed() (time.Duration, float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delay, p.rate
}
