package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"baton/node/adminapi"
	"baton/node/supervisor"
)

// Process kinds.
const (
	KindOfNode      = "node"
	KindOfZooKeeper = "zookeeper"
)

// Process is one child as of now.
type Process struct {
	supervisor.Status
	Kind string
	Cut  bool   // from its peers and from ZooKeeper
	Mode string // of a real ZooKeeper server: leader, follower, standalone, no quorum; else ""
}

// OnPurpose says that the process is not expected to be there: somebody killed,
// stopped, paused or cut it and did not undo that.
func (p Process) OnPurpose() bool {
	return p.Cut || p.State == supervisor.StatePaused || p.State == supervisor.StateIdle ||
		p.State == supervisor.StateExited && p.Exit != nil && p.Exit.Requested
}

// Processes lists the children, ZooKeeper first.
func (c *Cluster) Processes() []Process {
	var out []Process
	for _, s := range c.zk.servers() {
		out = append(out, Process{Status: s.proc.Status(), Kind: KindOfZooKeeper, Mode: string(s.mode)})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		out = append(out, Process{Status: m.proc.Status(), Kind: KindOfNode, Cut: c.cut[m.name]})
	}
	return out
}

// Has says whether a process has that name.
func (c *Cluster) Has(name string) bool {
	_, err := c.find(name)
	return err == nil
}

func (c *Cluster) find(name string) (*supervisor.Process, error) {
	for _, s := range c.zk.servers() {
		if s.name == name {
			return s.proc, nil
		}
	}
	if name == ZooKeeperName && c.zk.real == nil {
		return nil, ErrExternal
	}
	for _, m := range c.members {
		if m.name == name {
			return m.proc, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknownNode, name)
}

// Logs returns the lines of a process with a sequence above after, and how many were dropped.
func (c *Cluster) Logs(name string, after uint64) (lines []supervisor.Line, dropped uint64, err error) {
	p, err := c.find(name)
	if err != nil {
		return nil, 0, err
	}
	lines, dropped = p.Logs(after)
	return lines, dropped, nil
}

// fault notes in log and tracker what is about to be done to a node.
func (c *Cluster) fault(cause, node string, f Fault) {
	now := time.Now()
	c.tracker.Fault(now, cause, node)
	c.log.add(Entry{At: now, Source: "demo", Kind: KindFault, Text: cause, Fault: f})
}

// mend notes what deposes nobody, and so opens no failover.
func (c *Cluster) mend(text string, f Fault) {
	c.log.add(Entry{At: time.Now(), Source: "demo", Kind: KindFault, Text: text, Fault: f})
}

func (c *Cluster) act(verb, name string, breaks bool, do func(*supervisor.Process) error) error {
	p, err := c.find(name)
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	if breaks {
		if !p.Status().State.Alive() {
			return fmt.Errorf("%s %s: %w", verb, name, supervisor.ErrNotRunning)
		}
		c.fault(verb+" "+name, name, Fault{Name: verb, Node: name})
	} else {
		c.mend(verb+" "+name, Fault{Name: verb, Node: name})
	}
	return do(p)
}

// Kill ends a process at once.
func (c *Cluster) Kill(name string) error {
	return c.act("kill", name, true, (*supervisor.Process).Kill)
}

// Stop asks a process to end, and kills it if it does not.
func (c *Cluster) Stop(name string) error {
	return c.act("stop", name, true, (*supervisor.Process).Stop)
}

// Pause freezes a process.
func (c *Cluster) Pause(name string) error {
	return c.act("pause", name, true, (*supervisor.Process).Pause)
}

// Resume lets a paused process go on.
func (c *Cluster) Resume(name string) error {
	return c.act("resume", name, false, (*supervisor.Process).Resume)
}

// Start starts a process that is not running.
func (c *Cluster) Start(name string) error {
	err := c.act("start", name, false, (*supervisor.Process).Start)
	if err == nil && strings.HasPrefix(name, ZooKeeperName) {
		ctx, cancel := context.WithTimeout(c.ctx, c.cfg.StartTimeout)
		defer cancel()
		return c.zk.await(ctx)
	}
	return err
}

// KillAll kills all nodes at once.
func (c *Cluster) KillAll() error {
	leader, _ := c.tracker.Leader()
	c.fault("kill all", leader, Fault{Name: "kill-all"})
	return c.each(func(m *member) error {
		if err := m.proc.Kill(); !errors.Is(err, supervisor.ErrNotRunning) {
			return err
		}
		return nil
	})
}

// StartAll starts every node that is down. It resumes none and heals nothing.
func (c *Cluster) StartAll() error {
	c.mend("start every node that is down", Fault{Name: "restart"})
	return c.each(func(m *member) error {
		if m.proc.Status().State.Alive() {
			return nil
		}
		return m.proc.Start()
	})
}

// ResumeAll lets every paused process go on.
func (c *Cluster) ResumeAll() error {
	c.mend("resume every paused process", Fault{Name: "resume"})
	errs := []error{c.each(func(m *member) error { return resumePaused(m.proc) })}
	for _, s := range c.zk.servers() {
		errs = append(errs, resumePaused(s.proc))
	}
	return errors.Join(errs...)
}

func resumePaused(p *supervisor.Process) error {
	if p.Status().State != supervisor.StatePaused {
		return nil
	}
	return p.Resume()
}

func (c *Cluster) each(do func(*member) error) error {
	errs := make([]error, len(c.members))
	var all sync.WaitGroup
	for i, m := range c.members {
		all.Go(func() { errs[i] = do(m) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Cut isolates a node from all peers, both ways, and from ZooKeeper. Nothing is
// refused or reset: it is silence, as from a dead switch.
func (c *Cluster) Cut(name string) error {
	m, err := c.member(name)
	if err != nil {
		return fmt.Errorf("cut %s: %w", name, err)
	}
	if c.cfg.Direct {
		return fmt.Errorf("cut %s: %w", name, ErrDirect)
	}
	c.fault("cut "+name, name, Fault{Name: "cut", Node: name})
	c.mu.Lock()
	c.cut[name] = true
	c.mu.Unlock()
	for _, p := range m.zk {
		p.Cut(supervisor.CutSilent)
	}
	for l, p := range c.links {
		if l.from == name || l.to == name {
			p.Cut(supervisor.CutSilent)
		}
	}
	return nil
}

// CutZooKeeper isolates a node from ZooKeeper alone.
func (c *Cluster) CutZooKeeper(name string) error {
	m, err := c.member(name)
	if err != nil {
		return fmt.Errorf("cut ZooKeeper from %s: %w", name, err)
	}
	if c.cfg.Direct {
		return fmt.Errorf("cut ZooKeeper from %s: %w", name, ErrDirect)
	}
	c.mend("cut-zookeeper "+name, Fault{Name: "cut-zookeeper", Node: name})
	for _, p := range m.zk {
		p.Cut(supervisor.CutSilent)
	}
	return nil
}

// Heal ends the cuts, delays and limits of one node's links and what was done to
// its disk, "" of all. A link
// to a peer that is still cut stays so.
func (c *Cluster) Heal(name string) error {
	if name != "" {
		if _, err := c.member(name); err != nil {
			return fmt.Errorf("heal %s: %w", name, err)
		}
		c.mend("heal "+name, Fault{Name: "heal", Node: name})
	} else {
		c.mend("heal everything", Fault{Name: "heal"})
	}
	c.mu.Lock()
	for n := range c.cut {
		if name == "" || n == name {
			delete(c.cut, n)
		}
	}
	still := map[string]bool{}
	for n := range c.cut {
		still[n] = true
	}
	c.mu.Unlock()
	for _, m := range c.members {
		if name == "" || m.name == name {
			m.healLinks()
		}
	}
	for l, p := range c.links {
		if !still[l.from] && !still[l.to] {
			p.Heal()
		}
		if name == "" || l.from == name || l.to == name {
			p.Delay(0)
			p.Throttle(0)
		}
	}
	var errs []error
	for _, m := range c.members {
		if name == "" || m.name == name {
			errs = append(errs, c.mendDisk(m))
		}
	}
	return errors.Join(errs...)
}

// healLinks ends what was done to the links to ZooKeeper and of the clients.
func (m *member) healLinks() {
	own := m.zk
	if m.clients != nil {
		own = append(slices.Clone(own), m.clients)
	}
	for _, p := range own {
		p.Heal()
		p.Delay(0)
		p.Throttle(0)
	}
}

// Links returns the state of every proxy: replication first, then ZooKeeper and clients.
func (c *Cluster) Links() []supervisor.ProxyState {
	var out []supervisor.ProxyState
	for _, from := range c.members {
		for _, to := range c.members {
			if p := c.links[link{from.name, to.name}]; p != nil {
				out = append(out, p.State())
			}
		}
	}
	for _, m := range c.members {
		for _, p := range m.zk {
			out = append(out, p.State())
		}
		if m.clients != nil {
			out = append(out, m.clients.State())
		}
	}
	return out
}

func (c *Cluster) member(name string) (*member, error) {
	for _, m := range c.members {
		if m.name == name {
			return m, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknownNode, name)
}

// Leader asks the nodes who leads. A node that claims it in an older epoch is a
// deposed one that does not know yet.
func (c *Cluster) Leader(ctx context.Context) (string, error) {
	name, epoch := "", uint64(0)
	for i, s := range c.Poll(ctx) {
		state := c.members[i].proc.Status().State
		if state != supervisor.StateRunning || s.Err != nil || c.isCut(s.Node) {
			continue
		}
		if s.Status.Role == adminapi.RoleLeader && s.Status.State == adminapi.StateServing && s.Status.Epoch >= epoch {
			name, epoch = s.Node, s.Status.Epoch
		}
	}
	if name == "" {
		return "", ErrNoLeader
	}
	return name, nil
}

func (c *Cluster) isCut(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut[name]
}

// Transfer asks the leader to hand over to a node; "" lets it choose.
func (c *Cluster) Transfer(ctx context.Context, to string) error {
	leader, err := c.Leader(ctx)
	if err != nil {
		return fmt.Errorf("transfer: %w", err)
	}
	m, err := c.member(leader)
	if err != nil {
		return err
	}
	if to != "" {
		if _, err := c.member(to); err != nil {
			return fmt.Errorf("transfer: %w", err)
		}
	}
	cause := "transfer from " + leader
	if to != "" {
		cause += " to " + to
	}
	c.fault(cause, leader, Fault{Name: "transfer", Node: to})
	return m.api.Transfer(ctx, to)
}
