package nodetest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"baton/node"
	"baton/node/supervisor"
	"baton/zkclient/devserver"
	"baton/zkclient/ensemble/porttest"
	"baton/zkclient/zktest"
)

// Patience bounds every wait of a test. It is long, for the machine may be
// busy; what has to be fast is measured where it is promised.
const Patience = time.Minute

// ElectionTimeout of the nodes, if a test does not choose another. It is longer
// than a busy machine stalls: a leader that is only slow must not be deposed in
// a test of something else. A leader that ends is noticed without it.
const ElectionTimeout = 5 * time.Second

// Config of a cluster under test. The zero value is three members.
type Config struct {
	Nodes     int      // default 3; node ids are n1, n2, ...
	ZooKeeper []string // use these servers; default is an embedded one
	// VolatileZooKeeper keeps the embedded server's tree in memory, so that
	// stopping it loses everything.
	VolatileZooKeeper bool
	// Links puts a proxy into each direction of replication, for Link.
	Links bool
	// Edit changes what a node is started with, at every start. May be nil.
	Edit func(*node.Config)
}

// Cluster is a cluster under test. Its methods fail the test that made it, so
// they are called from the test's goroutine.
type Cluster struct {
	t     testing.TB
	cfg   Config
	dir   string
	zk    *devserver.Server // nil when it is stopped, or not ours
	zkAt  string
	log   *recorder
	nodes map[string]*member
	links map[[2]string]*supervisor.Proxy // from whom to whom, of Config.Links

	basePort, ports int // the first port, and how many are in use
}

// member is a node over any number of its lives.
type member struct {
	id, dir, stomp string
	repl           string     // "" unless Config.Links
	node           *node.Node // nil while it is stopped
	ended          chan error // what Run returned
}

// New makes a cluster and starts its ZooKeeper, but no node.
func New(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	c := &Cluster{t: t, cfg: cfg, dir: t.TempDir(), log: &recorder{}, nodes: map[string]*member{}, basePort: porttest.Base(t, portsMax)}
	t.Cleanup(c.close)
	if len(cfg.ZooKeeper) == 0 {
		c.zkAt = address(c.port())
		c.StartZooKeeper()
	}
	for i := range cfg.Nodes {
		id := fmt.Sprintf("n%d", i+1)
		c.nodes[id] = &member{id: id, dir: filepath.Join(c.dir, id), stomp: address(c.port())}
	}
	if cfg.Links {
		c.link()
	}
	return c
}

// link makes a proxy for each node and each that it may dial.
func (c *Cluster) link() {
	for _, m := range c.nodes {
		m.repl = address(c.port())
	}
	c.links = map[[2]string]*supervisor.Proxy{}
	for _, from := range c.IDs() {
		for _, to := range c.IDs() {
			if from == to {
				continue
			}
			p, err := supervisor.NewProxy(supervisor.ProxyConfig{Name: from + "->" + to, Target: c.nodes[to].repl})
			if err != nil {
				c.t.Fatal(err)
			}
			c.links[[2]string{from, to}] = p
		}
	}
}

// Link is the proxy through which one node dials another that leads.
func (c *Cluster) Link(from, to string) *supervisor.Proxy {
	c.t.Helper()
	p := c.links[[2]string{from, to}]
	if p == nil {
		c.t.Fatalf("there is no link from %s to %s", from, to)
	}
	return p
}

// HealLinks ends all cuts.
func (c *Cluster) HealLinks() {
	for _, p := range c.links {
		p.Heal()
	}
}

// Start makes a cluster, starts all its nodes and waits until it is healthy.
func Start(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	c := New(t, cfg)
	c.StartNodes(c.IDs()...)
	c.Healthy()
	return c
}

// StartZooKeeper starts the embedded server, again at the same address.
func (c *Cluster) StartZooKeeper() {
	c.t.Helper()
	cfg := devserver.Config{Listen: c.zkAt, MinSessionTimeout: zktest.MinSessionTimeout, MaxSessionTimeout: zktest.MaxSessionTimeout}
	if !c.cfg.VolatileZooKeeper {
		cfg.DataDir = filepath.Join(c.dir, "zookeeper")
	}
	s, err := devserver.Start(cfg)
	if err != nil {
		c.t.Fatalf("start ZooKeeper: %v", err)
	}
	c.zk = s
}

// StopZooKeeper stops the embedded server.
func (c *Cluster) StopZooKeeper() {
	c.t.Helper()
	if err := c.zk.Close(); err != nil {
		c.t.Fatalf("stop ZooKeeper: %v", err)
	}
	c.zk = nil
}

// NodeConfig is what a node is started with.
func (c *Cluster) NodeConfig(id string) node.Config {
	m := c.member(id)
	cfg := node.Config{
		ID: id, DataDir: m.dir, Replicas: c.cfg.Nodes, ZK: c.cfg.ZooKeeper,
		ListenStomp: m.stomp, ListenRepl: "127.0.0.1:0", ListenAdmin: "127.0.0.1:0",
		ElectionTimeout: ElectionTimeout, Logger: slog.New(nodeHandler{rec: c.log, node: id}),
	}
	if m.repl != "" {
		cfg.ListenRepl, cfg.ReplVia = m.repl, map[string]string{}
		for pair, p := range c.links {
			if pair[0] == id {
				cfg.ReplVia[pair[1]] = p.Addr()
			}
		}
	}
	if len(cfg.ZK) == 0 {
		cfg.ZK = []string{c.zkAt}
	}
	if c.cfg.Edit != nil {
		c.cfg.Edit(&cfg)
	}
	return cfg
}

// StartNodes starts nodes and does not wait for them to find each other.
func (c *Cluster) StartNodes(ids ...string) {
	c.t.Helper()
	for _, id := range ids {
		c.StartAs(id, c.NodeConfig(id))
	}
}

// StartAs starts a node with another configuration than its own.
func (c *Cluster) StartAs(id string, cfg node.Config) {
	c.t.Helper()
	m := c.member(id)
	if m.node != nil {
		c.t.Fatalf("%s runs already", id)
	}
	n, err := node.Start(cfg)
	if err != nil {
		c.t.Fatalf("start %s: %v", id, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Run(context.Background()) }()
	m.node, m.ended = n, ended
}

// Stop stops nodes cleanly, one after the other.
func (c *Cluster) Stop(ids ...string) {
	c.t.Helper()
	for _, id := range ids {
		m := c.member(id)
		m.node.Shutdown()
		c.await(m)
	}
}

// StopAll stops every node that runs, all at once: nobody is left to take over.
func (c *Cluster) StopAll() {
	c.t.Helper()
	for _, m := range c.nodes {
		if m.node != nil {
			m.node.Shutdown()
		}
	}
	for _, m := range c.nodes {
		if m.node != nil {
			c.await(m)
		}
	}
}

func (c *Cluster) await(m *member) {
	c.t.Helper()
	select {
	case err := <-m.ended:
		if err != nil {
			c.t.Errorf("%s ended with an error: %v", m.id, err)
		}
	case <-time.After(Patience):
		c.t.Fatalf("%s did not stop", m.id)
	}
	m.node = nil
}

// Ended waits until a node has ended by itself, and returns with what error.
func (c *Cluster) Ended(id string) error {
	c.t.Helper()
	m := c.member(id)
	select {
	case err := <-m.ended:
		m.node = nil
		return err
	case <-time.After(Patience):
		c.t.Fatalf("%s did not end", id)
		return nil
	}
}

// CopyData gives a node that does not run a copy of another's data directory.
func (c *Cluster) CopyData(from, to string) {
	c.t.Helper()
	m := c.member(to)
	if m.node != nil {
		c.t.Fatalf("%s runs", to)
	}
	if err := os.CopyFS(m.dir, os.DirFS(c.member(from).dir)); err != nil {
		c.t.Fatal(err)
	}
}

// Wipe gives a stopped node a new disk.
func (c *Cluster) Wipe(id string) {
	c.t.Helper()
	c.Remove(id, "")
}

// Remove deletes a file or directory of a stopped node's data.
func (c *Cluster) Remove(id, path string) {
	c.t.Helper()
	m := c.member(id)
	if m.node != nil {
		c.t.Fatalf("%s runs", id)
	}
	if err := os.RemoveAll(filepath.Join(m.dir, path)); err != nil {
		c.t.Fatal(err)
	}
}

// close ends what still runs, and shows the log of a test that failed.
func (c *Cluster) close() {
	c.HealLinks()
	c.StopAll()
	for _, p := range c.links {
		p.Close()
	}
	if c.zk != nil {
		c.StopZooKeeper()
	}
	if c.t.Failed() {
		c.t.Logf("what the nodes logged:\n%s", c.log)
	}
}

func (c *Cluster) member(id string) *member {
	c.t.Helper()
	m := c.nodes[id]
	if m == nil {
		c.t.Fatalf("there is no node %s", id)
	}
	return m
}

// Add makes one more node, which StartNodes can start.
func (c *Cluster) Add() string {
	id := fmt.Sprintf("n%d", len(c.nodes)+1)
	c.nodes[id] = &member{id: id, dir: filepath.Join(c.dir, id), stomp: address(c.port())}
	return id
}

// portsMax is how many ports a cluster may use: STOMP and ZooKeeper listeners
// are opened later, or again, at an address that must be known before.
const portsMax = 40

func (c *Cluster) port() int {
	c.t.Helper()
	if c.ports == portsMax {
		c.t.Fatalf("a cluster under test has %d ports", portsMax)
	}
	c.ports++
	return c.basePort + c.ports - 1
}

func address(port int) string { return porttest.Loopback(port) }
