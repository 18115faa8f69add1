package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"baton/demo/failover"
	"baton/node/adminapi"
	"baton/node/supervisor"
)

// member is one node.
type member struct {
	name               string
	admin, stomp, repl string
	proc               *supervisor.Process
	api                *adminapi.Client
	zk                 []*supervisor.Proxy // one per ZooKeeper server
	clients            *supervisor.Proxy   // nil unless Config.ClientProxies

	mu     sync.Mutex // guards the rest
	last   NodeStatus
	stream context.CancelFunc // ends the event stream of a process that ended
	seen   uint64             // sequence of the last event of this process
	drill  drill              // what its disk drill reads
}

// link names a direction of dialling between two nodes.
type link struct{ from, to string }

// Cluster is a running cluster. The caller closes it.
type Cluster struct {
	cfg     Config
	dir     string
	temp    bool // dir is removed at the end
	zk      zooKeeper
	members []*member
	links   map[link]*supervisor.Proxy
	log     eventLog
	tracker failover.Tracker

	ctx    context.Context // its lifecycle
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu  sync.Mutex // guards the rest
	cut map[string]bool
}

// Launch starts everything and returns when a leader serves and all others
// follow it in sync. After an error nothing is left running.
func Launch(ctx context.Context, cfg Config) (*Cluster, error) {
	c, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	if err := c.bringUp(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) bringUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.StartTimeout)
	defer cancel()
	if err := c.Run(ctx); err != nil {
		return err
	}
	err := c.WaitHealthy(ctx)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w%s", err, c.lastWords())
	}
	return err
}

// Open prepares a cluster and starts nothing but its proxies: a console can
// show it while Run brings it up.
func Open(cfg Config) (*Cluster, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := cfg.checkPorts(); err != nil {
		return nil, err
	}
	c := &Cluster{cfg: cfg, dir: cfg.DataDir, cut: map[string]bool{}, links: map[link]*supervisor.Proxy{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if c.dir == "" {
		c.dir, err = os.MkdirTemp("", "baton-demo-")
		c.temp = true
	} else {
		err = os.MkdirAll(c.dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	if err := c.build(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// build makes processes and proxies, all still idle.
func (c *Cluster) build() error {
	zk, err := c.openZooKeeper()
	if err != nil {
		return err
	}
	c.zk = zk
	for i := range c.cfg.Nodes {
		base := c.cfg.BasePort + 10*i
		c.members = append(c.members, &member{
			name: fmt.Sprintf("n%d", i+1), admin: loopback(base + 1), stomp: loopback(base + 3), repl: loopback(base + 9),
		})
	}
	for _, m := range c.members {
		if err := c.wire(m, zk.addresses); err != nil {
			return err
		}
	}
	for _, m := range c.members {
		p, err := c.process(m.name, c.nodeArgs(m), m)
		if err != nil {
			return err
		}
		m.proc = p
		m.api = &adminapi.Client{Address: m.admin, HTTP: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2}}}
		m.last = NodeStatus{Node: m.name}
	}
	return nil
}

// wire opens the proxies through which m dials.
func (c *Cluster) wire(m *member, zk []string) error {
	if c.cfg.Direct {
		return nil
	}
	for i, server := range zk {
		p, err := supervisor.NewProxy(supervisor.ProxyConfig{Name: fmt.Sprintf("%s->zookeeper%d", m.name, i+1), Target: server, Logger: c.cfg.Logger})
		if err != nil {
			return err
		}
		m.zk = append(m.zk, p)
	}
	if c.cfg.ClientProxies {
		p, err := supervisor.NewProxy(supervisor.ProxyConfig{Name: "clients->" + m.name, Target: m.stomp, Logger: c.cfg.Logger})
		if err != nil {
			return err
		}
		m.clients = p
	}
	for _, to := range c.members {
		if to == m {
			continue
		}
		p, err := supervisor.NewProxy(supervisor.ProxyConfig{Name: m.name + "->" + to.name, Target: to.repl, Logger: c.cfg.Logger})
		if err != nil {
			return err
		}
		c.links[link{m.name, to.name}] = p
	}
	return nil
}

func (c *Cluster) nodeArgs(m *member) []string {
	var zk, via []string
	for _, p := range m.zk {
		zk = append(zk, p.Addr())
	}
	if c.cfg.Direct {
		zk = c.zk.addresses
	}
	for _, to := range c.members {
		if p := c.links[link{m.name, to.name}]; p != nil {
			via = append(via, to.name+"="+p.Addr())
		}
	}
	args := []string{
		"node", "--id", m.name, "--data-dir", filepath.Join(c.dir, m.name),
		"--zk", strings.Join(zk, ","), "--zk-path", c.cfg.ZKPath,
		"--replicas", strconv.Itoa(c.cfg.Nodes), "--sync", c.cfg.Sync,
		"--listen-stomp", m.stomp, "--listen-repl", m.repl, "--listen-admin", m.admin,
		"--log-format", "json", "--parent-fd", strconv.Itoa(supervisor.ParentFD),
	}
	if !c.cfg.Direct {
		args = append(args, "--disk-drill", c.drillFile(m.name))
	}
	if len(via) > 0 {
		args = append(args, "--repl-via", strings.Join(via, ","))
	}
	if d := c.cfg.ElectionTimeout; d > 0 {
		args = append(args, "--election-timeout", d.String())
	}
	if d := c.cfg.ZKSessionTimeout; d > 0 {
		args = append(args, "--zk-session-timeout", d.String())
	}
	return append(args, c.cfg.NodeArgs...)
}

func (c *Cluster) process(name string, args []string, m *member) (*supervisor.Process, error) {
	return supervisor.New(supervisor.Config{
		Name: name, Path: c.cfg.Binary, Args: args, Env: c.cfg.Env, LogDir: c.dir,
		StopTimeout: c.cfg.StopTimeout, Logger: c.cfg.Logger,
		OnEvent: func(e supervisor.Event) { c.processChanged(m, e) },
	})
}

// processChanged notes a change of state, and ends the event stream of a
// process that is gone: the next one counts from 1 again.
func (c *Cluster) processChanged(m *member, e supervisor.Event) {
	text := fmt.Sprintf("%s is %s", e.Name, e.State)
	if e.State == supervisor.StateExited && e.Exit != nil {
		text = fmt.Sprintf("%s ended: %s", e.Name, e.Exit)
		if !e.Exit.Requested {
			text += " (nobody asked for it)"
		}
	}
	c.log.add(Entry{At: e.At, Source: e.Name, Kind: KindProcess, Text: text})
	if m == nil || e.State != supervisor.StateExited {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen = 0
	if m.stream != nil {
		m.stream()
	}
}

// Run starts ZooKeeper, waits until it serves, and starts the nodes.
func (c *Cluster) Run(ctx context.Context) error {
	if err := c.zk.start(ctx); err != nil {
		return err
	}
	for _, m := range c.members {
		if err := m.proc.Start(); err != nil {
			return err
		}
		c.wg.Add(2)
		go c.runStatus(m)
		go c.runEvents(m)
	}
	return nil
}

// Close stops everything in bounded time: nodes first, then ZooKeeper, then
// the proxies; a temporary data directory is removed.
func (c *Cluster) Close() error {
	c.cancel()
	var errs []error
	var mu sync.Mutex
	var stopping sync.WaitGroup
	for _, m := range c.members {
		if m.proc == nil {
			continue
		}
		stopping.Go(func() {
			if err := m.proc.Close(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	stopping.Wait()
	errs = append(errs, c.zk.close())
	for _, m := range c.members {
		for _, p := range m.zk {
			p.Close()
		}
		if m.clients != nil {
			m.clients.Close()
		}
		if m.api != nil {
			m.api.HTTP.CloseIdleConnections()
		}
	}
	for _, p := range c.links {
		p.Close()
	}
	c.wg.Wait()
	if c.temp {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
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
