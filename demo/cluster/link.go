package cluster

import (
	"errors"
	"fmt"
	"time"

	"baton/node/supervisor"
)

// What a disturbed replication link does.
const (
	DelayAmount    = 200 * time.Millisecond
	ThrottleAmount = 64 << 10 // bytes per second, each way
)

// ErrNoClientProxy says that clients dial the nodes directly here.
var ErrNoClientProxy = errors.New("cluster: clients dial the nodes directly here; their links cannot be cut")

// CutClients makes the clients of a node hear nothing; the cluster does not notice.
func (c *Cluster) CutClients(name string) error {
	m, err := c.member(name)
	if err != nil {
		return fmt.Errorf("cut the clients of %s: %w", name, err)
	}
	if m.clients == nil {
		return fmt.Errorf("cut the clients of %s: %w", name, ErrNoClientProxy)
	}
	c.mend("cut-clients " + name) // nobody is deposed by this, so it opens no failover
	m.clients.Cut(supervisor.CutSilent)
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

func (c *Cluster) disturb(verb, name string, do func(*supervisor.Proxy)) error {
	if _, err := c.member(name); err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	c.mend(verb + " " + name)
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
