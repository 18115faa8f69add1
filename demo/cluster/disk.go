package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"baton/node/supervisor"
)

// SyncDelay is how much longer every sync of a slow disk takes.
const SyncDelay = 200 * time.Millisecond

// ErrNoDrill says that the disks are used directly here.
var ErrNoDrill = errors.New("cluster: the disks are used directly here; nothing can be done to them")

// drill is what a node reads of how bad its disk is.
type drill struct {
	Full        bool   `json:"full,omitempty"`
	SyncDelayMS int64  `json:"sync_delay_ms,omitempty"`
	PowerLoss   string `json:"power_loss,omitempty"`
}

func (c *Cluster) drillFile(name string) string { return filepath.Join(c.dir, name+".drill") }

// FillDisk makes the disk of a node full: its writes fail.
func (c *Cluster) FillDisk(name string) error {
	return c.onDisk("fill-disk", name, func(d *drill) { d.Full = true })
}

// SlowDisk makes every sync of a node slow.
func (c *Cluster) SlowDisk(name string) error {
	return c.onDisk("slow-disk", name, func(d *drill) { d.SyncDelayMS = SyncDelay.Milliseconds() })
}

// SlowDisks makes every sync of every node slow.
func (c *Cluster) SlowDisks() error {
	return c.each(func(m *member) error { return c.SlowDisk(m.name) })
}

func (c *Cluster) onDisk(verb, name string, change func(*drill)) error {
	m, err := c.member(name)
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	c.mend(verb+" "+name, Fault{Name: verb, Node: name}) // whether a leader hands over because of it is its own choice
	if err := c.setDrill(m, change); err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	return nil
}

// setDrill changes what a node reads. It looks every few milliseconds.
func (c *Cluster) setDrill(m *member, change func(*drill)) error {
	if c.cfg.Direct {
		return ErrNoDrill
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.drill)
	b, err := json.Marshal(m.drill)
	if err != nil {
		return err
	}
	file := c.drillFile(m.name)
	if err := os.WriteFile(file+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// mendDisk ends what FillDisk and SlowDisk did.
func (c *Cluster) mendDisk(m *member) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drill = drill{}
	if err := os.Remove(c.drillFile(m.name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("mend the disk of %s: %w", m.name, err)
	}
	return nil
}

// powerWait bounds how long a node may take to lose its power.
const powerWait = 3 * time.Second

// PowerLoss ends a node, or all that run if name is "", as a loss of power does:
// what they had not synced is gone from their disks. All lose it at nearly the
// same time.
func (c *Cluster) PowerLoss(name string) error {
	hit, err := c.powered(name)
	if err != nil {
		return fmt.Errorf("power-loss: %w", err)
	}
	cause, node, f := "power-loss "+name, name, Fault{Name: "power-loss", Node: name}
	if name == "" {
		cause, f = "blackout", Fault{Name: "blackout"}
		node, _ = c.tracker.Leader()
	}
	c.fault(cause, node, f)
	now := time.Now().Format(time.RFC3339Nano)
	errs := make([]error, len(hit))
	var all sync.WaitGroup
	for i, m := range hit {
		all.Go(func() {
			errs[i] = m.proc.Expect(powerWait, func() error { return c.setDrill(m, func(d *drill) { d.PowerLoss = now }) })
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// powered returns the members that can lose their power. One that is paused
// cannot: it could not take back what it wrote.
func (c *Cluster) powered(name string) ([]*member, error) {
	of := c.members
	if name != "" {
		m, err := c.member(name)
		if err != nil {
			return nil, err
		}
		of = []*member{m}
	}
	var hit []*member
	var paused []string
	for _, m := range of {
		switch s := m.proc.Status().State; {
		case s == supervisor.StatePaused:
			paused = append(paused, m.name)
		case s.Alive():
			hit = append(hit, m)
		}
	}
	switch {
	case c.cfg.Direct:
		return nil, ErrNoDrill
	case len(paused) > 0:
		return nil, fmt.Errorf("%s: paused; resume it first, a paused process cannot lose what it wrote", strings.Join(paused, ", "))
	case len(hit) == 0:
		return nil, fmt.Errorf("%s: %w", or(name, "all nodes"), supervisor.ErrNotRunning)
	}
	return hit, nil
}

// Wipe kills a node, empties its data directory and starts it again: the disk
// that was replaced.
func (c *Cluster) Wipe(name string) error {
	m, err := c.member(name)
	if err != nil {
		return fmt.Errorf("wipe %s: %w", name, err)
	}
	c.fault("wipe "+name, name, Fault{Name: "wipe", Node: name})
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
