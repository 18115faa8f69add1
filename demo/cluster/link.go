package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// SyncDelay is how much longer every sync of a slow disk takes.
const SyncDelay = 200 * time.Millisecond

// drillFile is where a node reads how bad its disk is.
func (c *Cluster) drillFile(name string) string { return filepath.Join(c.dir, name+".drill") }

// FillDisk makes the disk of a node full: its writes fail.
func (c *Cluster) FillDisk(name string) error { return c.drill("fill-disk", name, `{"full":true}`) }

// SlowDisk makes every sync of a node slow.
func (c *Cluster) SlowDisk(name string) error {
	return c.drill("slow-disk", name, fmt.Sprintf(`{"sync_delay_ms":%d}`, SyncDelay.Milliseconds()))
}

func (c *Cluster) drill(verb, name, says string) error {
	if _, err := c.member(name); err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	c.mend(verb + " " + name) // whether a leader hands over because of it is its own choice
	file := c.drillFile(name)
	if err := os.WriteFile(file+".new", []byte(says), 0o600); err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	return nil
}

// mendDisk ends what FillDisk and SlowDisk did.
func (c *Cluster) mendDisk(name string) error {
	if err := os.Remove(c.drillFile(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("mend the disk of %s: %w", name, err)
	}
	return nil
}

// Wipe kills a node, empties its data directory and starts it again: the disk
// that was replaced.
func (c *Cluster) Wipe(name string) error {
	m, err := c.member(name)
	if err != nil {
		return fmt.Errorf("wipe %s: %w", name, err)
	}
	c.fault("wipe "+name, name)
	if err := m.proc.Kill(); err != nil && !errors.Is(err, supervisor.ErrNotRunning) {
		return fmt.Errorf("wipe %s: %w", name, err)
	}
	deadline := time.Now().Add(c.cfg.StopTimeout)
	for m.proc.Status().State.Alive() { // the kernel closes its files with it
		if time.Now().After(deadline) || !pause(c.ctx, time.Millisecond) {
			return fmt.Errorf("wipe %s: the killed process does not end", name)
		}
	}
	if err := os.RemoveAll(filepath.Join(c.dir, name)); err != nil {
		return fmt.Errorf("wipe %s: %w", name, err)
	}
	return m.proc.Start()
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
