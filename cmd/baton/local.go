package main

import (
	"context"
	"fmt"
	"sync"

	"baton/demo/cluster"
	"baton/demo/failover"
	"baton/demo/load"
	"baton/node/supervisor"
	"baton/tui/data"
)

// localCluster shows a launched cluster to the console.
type localCluster struct {
	c *cluster.Cluster

	mu   sync.Mutex
	load *load.Load
}

func (l *localCluster) startLoad(cfg load.Config) error {
	cfg.Addresses, cfg.OnReceipt = l.c.StompAddresses(), l.c.Tracker().Receipt
	ld, err := load.Start(cfg)
	if err != nil {
		return fmt.Errorf("start the load: %w", err)
	}
	l.mu.Lock()
	l.load = ld
	l.mu.Unlock()
	return nil
}

func (l *localCluster) running() *load.Load {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.load
}

func (l *localCluster) stopLoad() {
	if ld := l.running(); ld != nil {
		_ = ld.Close() // the cluster goes away with it
	}
}

// Processes implements data.Local.
func (l *localCluster) Processes() []data.Process {
	var out []data.Process
	for _, p := range l.c.Processes() {
		d := data.Process{Name: p.Name, Kind: p.Kind, State: string(p.State), PID: p.PID, Since: p.Since}
		if p.State == supervisor.StateIdle {
			d.State = data.ProcessStarting
		}
		if p.Exit != nil && p.State == supervisor.StateExited {
			d.Exit = p.Exit.String()
		}
		out = append(out, d)
	}
	return out
}

// Do implements data.Local.
func (l *localCluster) Do(ctx context.Context, action, node string) error {
	switch action {
	case data.ActionKill:
		return l.c.Kill(node)
	case data.ActionStop:
		return l.c.Stop(node)
	case data.ActionStart:
		return l.c.Start(node)
	case data.ActionRestart:
		if err := l.c.Stop(node); err != nil {
			return err
		}
		return l.c.Start(node)
	case data.ActionPause:
		return l.c.Pause(node)
	case data.ActionResume:
		return l.c.Resume(node)
	case data.ActionCut:
		return l.c.Cut(node)
	case data.ActionHeal:
		return l.c.Heal(node)
	case data.ActionTransfer:
		if leader, _ := l.c.Leader(ctx); leader == node {
			node = "" // away from the leader, to the best follower
		}
		return l.c.Transfer(ctx, node)
	}
	return fmt.Errorf("%w: %s", data.ErrUnsupported, action)
}

// Ledger implements data.Local. A message counts as lost only when the queue
// was drained, which does not happen while the load runs.
func (l *localCluster) Ledger() data.Ledger {
	ld := l.running()
	if ld == nil {
		return data.Ledger{}
	}
	s, r := ld.Summary(), ld.Rates()
	return data.Ledger{OK: true, Sent: s.Sent, Receipted: s.Receipted, Received: s.Received,
		Duplicates: s.Duplicates, OutOfOrder: s.OutOfOrder, InDoubt: s.InDoubt, Rate: r.Sent}
}

// Failovers implements data.Local.
func (l *localCluster) Failovers() []failover.Run { return l.c.Tracker().Runs() }
