package zktest_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy is a TCP link to a server that a test can cut and heal.
type proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu struct {
		sync.Mutex
		refuse bool
		conns  map[net.Conn]struct{}
	}
}

func newProxy(t *testing.T, target string) *proxy {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, target: target}
	p.mu.conns = map[net.Conn]struct{}{}
	p.wg.Go(p.runAccept)
	t.Cleanup(func() {
		listener.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// cut closes all connections and refuses new ones.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.refuse = true
	for c := range p.mu.conns {
		c.Close()
	}
}

func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.refuse = false
}

func (p *proxy) runAccept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.runLink(client) })
	}
}

func (p *proxy) runLink(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	refuse := p.mu.refuse
	if !refuse {
		p.mu.conns[client], p.mu.conns[server] = struct{}{}, struct{}{}
	}
	p.mu.Unlock()
	if refuse {
		return
	}
	p.wg.Go(func() {
		io.Copy(server, client)
		server.Close()
	})
	io.Copy(client, server)
	p.mu.Lock()
	delete(p.mu.conns, client)
	delete(p.mu.conns, server)
	p.mu.Unlock()
}
