package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"baton/demo/failover"
	"baton/node/adminapi"
	"baton/node/supervisor"
)

const (
	statusEvery   = 100 * time.Millisecond
	statusTimeout = 500 * time.Millisecond
	startEvery    = 10 * time.Millisecond // while a process starts
)

// NodeStatus is what a node said last, and what became of asking.
type NodeStatus struct {
	Node   string
	Status adminapi.Status // zero until it answered once
	At     time.Time       // of the answer
	Err    error           // of the last attempt, nil if it answered
}

// runStatus keeps the last status of a node.
func (c *Cluster) runStatus(m *member) {
	defer c.wg.Done()
	for c.ctx.Err() == nil {
		every := statusEvery
		switch m.proc.Status().State {
		case supervisor.StateStarting:
			every = startEvery
			c.ask(c.ctx, m)
		case supervisor.StateRunning:
			c.ask(c.ctx, m)
		}
		pause(c.ctx, every)
	}
}

// ask asks a node for its status now.
func (c *Cluster) ask(ctx context.Context, m *member) NodeStatus {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	s, err := m.api.Status(ctx)
	if err == nil {
		m.proc.Ready()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.last.Status, m.last.At = s, time.Now()
	}
	m.last.Err = err
	return m.last
}

// runEvents follows the events of a node over any number of its lives.
func (c *Cluster) runEvents(m *member) {
	defer c.wg.Done()
	for c.ctx.Err() == nil {
		if s := m.proc.Status().State; s == supervisor.StateStarting || s == supervisor.StateRunning {
			c.follow(m)
		}
		pause(c.ctx, startEvery)
	}
}

func (c *Cluster) follow(m *member) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	m.mu.Lock()
	m.stream = cancel
	after := m.seen
	m.mu.Unlock()
	gen := m.proc.Status().Generation
	// Its end needs no word: the node is gone, or comes back and is asked again.
	_ = m.api.Events(ctx, after, func(e adminapi.Event) {
		if ctx.Err() != nil || m.proc.Status().Generation != gen {
			cancel() // an old life's last words, or a new one that counts anew
			return
		}
		m.mu.Lock()
		m.seen = e.Seq
		m.mu.Unlock()
		c.tracker.Observe(e)
		c.log.add(Entry{At: e.At, Source: m.name, Kind: e.Kind, Text: e.Text, Event: &e})
	})
}

// Poll asks all nodes that run for their status now, and returns all statuses
// in the order of the nodes.
func (c *Cluster) Poll(ctx context.Context) []NodeStatus {
	var asking sync.WaitGroup
	for _, m := range c.members {
		if s := m.proc.Status().State; s == supervisor.StateStarting || s == supervisor.StateRunning {
			asking.Go(func() { c.ask(ctx, m) })
		}
	}
	asking.Wait()
	return c.Statuses()
}

// Statuses returns the last status of each node, in the order of the nodes.
func (c *Cluster) Statuses() []NodeStatus {
	out := make([]NodeStatus, 0, len(c.members))
	for _, m := range c.members {
		m.mu.Lock()
		out = append(out, m.last)
		m.mu.Unlock()
	}
	return out
}

// Events returns the merged log's entries with a sequence above after, oldest
// first, and a channel that is closed at the next entry.
func (c *Cluster) Events(after uint64) ([]Entry, <-chan struct{}) { return c.log.since(after) }

// Tracker returns what times the failovers; receipts are to be told to it.
func (c *Cluster) Tracker() *failover.Tracker { return &c.tracker }

// DataDir returns where nodes and logs are kept.
func (c *Cluster) DataDir() string { return c.dir }

// ZKPath returns the cluster's path in ZooKeeper.
func (c *Cluster) ZKPath() string { return c.cfg.ZKPath }

// ZooKeeper returns the servers' addresses, not the proxies'.
func (c *Cluster) ZooKeeper() []string { return append([]string(nil), c.zk.addresses...) }

// StompAddresses returns where the nodes serve clients when they lead.
func (c *Cluster) StompAddresses() []string {
	var out []string
	for _, m := range c.members {
		out = append(out, m.stomp)
	}
	return out
}

// NodeNames lists the nodes in their order.
func (c *Cluster) NodeNames() []string {
	var out []string
	for _, m := range c.members {
		out = append(out, m.name)
	}
	return out
}

// AdminAddresses returns the admin listeners by node.
func (c *Cluster) AdminAddresses() map[string]string {
	out := map[string]string{}
	for _, m := range c.members {
		out[m.name] = m.admin
	}
	return out
}

// WaitHealthy waits until the cluster is healthy. It gives up early if a node
// ended that nobody stopped.
func (c *Cluster) WaitHealthy(ctx context.Context) error {
	for {
		h := c.Health(ctx)
		if h.OK {
			return nil
		}
		for _, p := range c.Processes() {
			if p.State == supervisor.StateExited && p.Exit != nil && !p.Exit.Requested {
				proc, _ := c.find(p.Name)
				return fmt.Errorf("%w: %s ended by itself: %s%s", ErrNotReady, p.Name, p.Exit, tail(proc))
			}
		}
		if !pause(ctx, 10*time.Millisecond) {
			return fmt.Errorf("%w: %s", ErrNotReady, h.Problem)
		}
	}
}

// tail quotes the last lines of a process for an error.
func tail(p *supervisor.Process) string {
	lines, _ := p.Logs(0)
	if len(lines) == 0 {
		return ""
	}
	lines = lines[max(0, len(lines)-5):]
	var b strings.Builder
	b.WriteString("; it said last:")
	for _, l := range lines {
		b.WriteString("\n  " + l.Text)
	}
	return b.String()
}

// lastWords quotes every node, for a cluster that did not come up.
func (c *Cluster) lastWords() string {
	var b strings.Builder
	for _, m := range c.members {
		if t := tail(m.proc); t != "" {
			b.WriteString("\n" + m.name + strings.TrimPrefix(t, ";"))
		}
	}
	return b.String()
}
