package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"baton/demo/cluster"
	"baton/demo/failover"
	"baton/demo/ledger"
	"baton/demo/load"
	"baton/node/adminapi"
	"baton/node/supervisor"
	"baton/tui/data"
)

// localCluster shows a launched cluster to the console.
type localCluster struct {
	c     *cluster.Cluster
	begun time.Time // of the run, from which plans of faults count
	cli   data.CLI

	mu   sync.Mutex
	load *load.Load
	due  map[ledger.Key]uint64 // outstanding messages: received count by which each should have come
	at   time.Time             // when due was last looked after
}

// overdueAfter is how many messages must be received after all that stood
// before an outstanding one, before it is called lost. Queues are first in,
// first out and prefetch is bounded, so that is far more than can overtake it.
const overdueAfter = 2000

func (l *localCluster) startLoad(cfg load.Config) error {
	cfg.Addresses, cfg.OnReceipt = l.c.ClientAddresses(), l.c.Tracker().Receipt
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
		d := data.Process{Name: p.Name, Kind: p.Kind, State: string(p.State), PID: p.PID, Since: p.Since, Mode: p.Mode}
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

// Supports implements data.Supporter.
func (l *localCluster) Supports(action string) (bool, string) {
	if cluster.OnClients(action) && !l.c.ProxiesClients() {
		return false, cluster.ErrNoClientProxy.Error()
	}
	return true, ""
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
	case data.ActionPause:
		return l.c.Pause(node)
	case data.ActionResume:
		return l.c.Resume(node)
	case data.ActionCut:
		return l.c.Cut(node)
	case data.ActionCutZK:
		return l.c.CutZooKeeper(node)
	case data.ActionCutClients:
		return l.c.CutClients(node)
	case data.ActionDelay:
		return l.c.Delay(node)
	case data.ActionThrottle:
		return l.c.Throttle(node)
	case data.ActionDelayZK:
		return l.c.DelayZooKeeper(node)
	case data.ActionDelayClients:
		return l.c.DelayClients(node)
	case data.ActionThrottleClients:
		return l.c.ThrottleClients(node)
	case data.ActionFillDisk:
		return l.c.FillDisk(node)
	case data.ActionSlowDisk:
		return l.c.SlowDisk(node)
	case data.ActionWipe:
		return l.c.Wipe(node)
	case data.ActionPowerLoss:
		return l.c.PowerLoss(node)
	case data.ActionBlackout:
		return l.c.PowerLoss("")
	case data.ActionStartAll:
		return l.c.StartAll()
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

// Ledger implements data.Local.
func (l *localCluster) Ledger() data.Ledger {
	ld := l.running()
	if ld == nil {
		return data.Ledger{}
	}
	s, r := ld.Summary(), ld.Rates()
	return data.Ledger{OK: true, Sent: s.Sent, Receipted: s.Receipted, Received: s.Received, Lost: l.overdue(ld, s),
		Duplicates: s.Duplicates, OutOfOrder: s.OutOfOrder, InDoubt: s.InDoubt + s.Resent, Rate: r.Sent}
}

// overdue counts receipted messages that can no longer be on their way. What
// is outstanding while no leader serves is not lost: then nothing is received,
// and nothing becomes due.
func (l *localCluster) overdue(ld *load.Load, s ledger.Summary) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) >= time.Second {
		l.at = time.Now()
		due := map[ledger.Key]uint64{}
		for _, k := range ld.Missing(missingMax) {
			due[k] = s.Received + s.Outstanding + overdueAfter
			if known, ok := l.due[k]; ok {
				due[k] = known
			}
		}
		l.due = due
	}
	lost := uint64(0)
	for _, by := range l.due {
		if s.Received > by {
			lost++
		}
	}
	return lost
}

// missingMax bounds how many outstanding messages are watched.
const missingMax = 1000

// Failovers implements data.Local.
func (l *localCluster) Failovers() []failover.Run { return l.c.Tracker().Runs() }

// ProcessLogs implements data.Logger.
func (l *localCluster) ProcessLogs(name string, after uint64) ([]data.LogLine, uint64) {
	lines, dropped, err := l.c.Logs(name, after)
	if err != nil {
		return nil, 0
	}
	out := make([]data.LogLine, len(lines))
	for i, line := range lines {
		out[i] = data.LogLine{Seq: line.Seq, At: line.At, Text: line.Text}
	}
	return out, dropped
}

// Notes implements data.Noter: what was done to the cluster, with the command
// that does the same and the form in which a plan of faults would do it again.
func (l *localCluster) Notes(after uint64) ([]adminapi.Event, uint64) {
	entries, _ := l.c.Events(after)
	var out []adminapi.Event
	for _, e := range entries {
		after = e.Seq
		if e.Kind == cluster.KindFault {
			out = append(out, l.note(e))
		}
	}
	return out, after
}

func (l *localCluster) note(e cluster.Entry) adminapi.Event {
	f := e.Fault
	ev := adminapi.Event{At: e.At, Kind: data.KindConsole, Text: "you: " + e.Text, Seq: e.Seq, Fields: map[string]string{}}
	if l.c.Has(f.Node) {
		ev.Node = f.Node
	}
	v, ok := data.VerbByFault(f.Name)
	if whole := v.Reach == data.ReachCluster; ok && (whole || ev.Node != "") {
		ev.Fields[data.FieldCommand] = v.Command(l.cli, f.Node, "")
	}
	f.At = max(0, e.At.Sub(l.begun)).Round(100 * time.Millisecond)
	ev.Fields[data.FieldPlan] = "--fault " + f.String()
	return ev
}

// Links implements data.Linked.
func (l *localCluster) Links() []data.Link {
	var out []data.Link
	for _, p := range l.c.Links() {
		from, to, _ := strings.Cut(p.Name, "->")
		kind := data.LinkReplication
		switch {
		case from == "clients":
			kind = data.LinkClient
		case strings.HasPrefix(to, cluster.ZooKeeperName):
			kind = data.LinkZooKeeper
		}
		out = append(out, data.Link{Kind: kind, From: from, To: to, Cut: p.Cut, Delay: p.Delay, Rate: p.Rate, Connections: p.Connections, Bytes: p.Bytes})
	}
	return out
}
