package cluster

import (
	"errors"
	"fmt"
	"time"

	"baton/node/supervisor"
)

// What a disturbed link does.
const (
	DelayAmount    = 200 * time.Millisecond
	ThrottleAmount = 64 << 10 // bytes per second, each way
)

// ErrNoClientProxy says that clients dial the nodes directly here.
var ErrNoClientProxy = errors.New("cluster: clients dial the nodes directly here; their links cannot be cut")

// ProxiesClients says whether the links of clients can be cut.
func (c *Cluster) ProxiesClients() bool { return c.cfg.ClientProxies && !c.cfg.Direct }

// CutClients makes the clients of a node hear nothing; the cluster does not notice.
func (c *Cluster) CutClients(name string) error {
	return c.onClients("cut-clients", name, func(p *supervisor.Proxy) { p.Cut(supervisor.CutSilent) })
}

// onClients does something to the links of a node's clients. Nobody is deposed
// by it, so it opens no failover.
func (c *Cluster) onClients(verb, name string, do func(*supervisor.Proxy)) error {
	m, err := c.member(name)
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	if m.clients == nil {
		return fmt.Errorf("%s %s: %w", verb, name, ErrNoClientProxy)
	}
	c.mend(verb+" "+name, Fault{Name: verb, Node: name})
	do(m.clients)
	return nil
}

// Delay makes the replication links of a node slow, both ways.
func (c *Cluster) Delay(name string) error {
	return c.disturb("delay", name, func(p *supervisor.Proxy) { p.Delay(DelayAmount) })
}

// Throttle makes the replication links of a node narrow, both ways.
func (c *Cluster) Throttle(name string) error {
	return c.disturb("throttle", name, func(p *supervisor.Proxy) { p.Throttle(ThrottleAmount) })
}

// DelayZooKeeper makes a node's links to ZooKeeper slow, both ways.
func (c *Cluster) DelayZooKeeper(name string) error {
	m, err := c.member(name)
	if err != nil {
		return fmt.Errorf("delay ZooKeeper for %s: %w", name, err)
	}
	if c.cfg.Direct {
		return fmt.Errorf("delay ZooKeeper for %s: %w", name, ErrDirect)
	}
	c.mend("delay-zookeeper "+name, Fault{Name: "delay-zookeeper", Node: name})
	for _, p := range m.zk {
		p.Delay(DelayAmount)
	}
	return nil
}

// DelayClients makes the links of a node's clients slow, both ways.
func (c *Cluster) DelayClients(name string) error {
	return c.onClients("delay-clients", name, func(p *supervisor.Proxy) { p.Delay(DelayAmount) })
}

// ThrottleClients makes the links of a node's clients narrow, both ways.
func (c *Cluster) ThrottleClients(name string) error {
	return c.onClients("throttle-clients", name, func(p *supervisor.Proxy) { p.Throttle(ThrottleAmount) })
}

func (c *Cluster) disturb(verb, name string, do func(*supervisor.Proxy)) error {
	if _, err := c.member(name); err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	c.mend(verb+" "+name, Fault{Name: verb, Node: name})
	for l, p := range c.links {
		if l.from == name || l.to == name {
			do(p)
		}
	}
	return nil
}

// ClientAddresses returns where the clients of this program dial: proxies in
// front of the nodes if Config.ClientProxies asked for them.
func (c *Cluster) ClientAddresses() []string {
	var out []string
	for _, m := range c.members {
		if m.clients != nil {
			out = append(out, m.clients.Addr())
		} else {
			out = append(out, m.stomp)
		}
	}
	return out
}
