package zkclient

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

const (
	backoffBase    = 20 * time.Millisecond
	backoffJitter  = 30 * time.Millisecond
	backoffGrowth  = 20 // rounds through the server list until the pause has doubled
	backoffFactor  = 8  // largest growth of the pause
	steadyConn     = 500 * time.Millisecond
	handshakeFloor = 200 * time.Millisecond
	handshakeMax   = 15 * time.Second
)

// route chooses the next server and how long to wait before trying it. It
// lives as long as the client, so that a new session starts where the last one
// had an answer. The library's own choice sleeps 1 s after each round, which
// costs the session.
type route struct {
	servers []string

	mu struct {
		sync.Mutex
		next   int // index of the server to give out next
		tried  int // attempts since a connection that lasted
		lookup int // rotates through the addresses of one name
	}
}

func newRoute(servers []string) *route {
	r := &route{servers: servers}
	r.mu.next = rand.IntN(len(servers)) // spreads clients over the servers
	return r
}

// advance returns the next server.
func (r *route) advance() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.servers[r.mu.next]
	r.mu.next = (r.mu.next + 1) % len(r.servers)
	r.mu.tried++
	return s
}

// stay makes advance return the same server once more: it answered.
func (r *route) stay() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.next = (r.mu.next + len(r.servers) - 1) % len(r.servers)
}

// lasted tells how long a connection was good. One that breaks at once does
// not reset the back-off, or a server that cuts every client would be hammered.
func (r *route) lasted(d time.Duration) {
	if d < steadyConn {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.tried = 0
}

// pause is the wait before the attempt that advance has just counted: none
// while there is a server not yet tried, then a short one that grows slowly.
func (r *route) pause() time.Duration {
	r.mu.Lock()
	round := (r.mu.tried - 1) / len(r.servers)
	r.mu.Unlock()
	if round <= 0 {
		return 0
	}
	d := backoffBase + rand.N(backoffJitter)
	return d * time.Duration(min(1+round/backoffGrowth, backoffFactor))
}

// resolve gives one address of a server, another one each time.
func (r *route) resolve(ctx context.Context, server string) (string, error) {
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		return "", fmt.Errorf("resolve %s: %w", server, err)
	}
	hosts, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", fmt.Errorf("resolve %s: %w", server, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.lookup++
	return net.JoinHostPort(hosts[r.mu.lookup%len(hosts)], port), nil
}

// hosts is a route as the library wants it, for one session.
type hosts struct {
	*route
	s *Session
}

func (h hosts) Init([]string) error { return nil } // the route has the list
func (h hosts) Len() int            { return len(h.servers) }
func (h hosts) Connected()          {}

// Next is called with a lock of the library held, so the pause is taken in the
// dialer. Telling the library to start over makes it sleep, but is also the only
// place where it notices that it shall quit: so that is said of an ended session.
func (h hosts) Next() (server string, retryStart bool) {
	if h.s.ctx.Err() != nil {
		return h.servers[0], true
	}
	return h.advance(), false
}
