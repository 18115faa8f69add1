package data

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Reach says what an action can be pointed at.
type Reach uint8

// What an action can be pointed at.
const (
	ReachAny     Reach = iota // nodes and ZooKeeper processes
	ReachNode                 // nodes only
	ReachCluster              // all nodes at once; its target is Everything
)

// Everything is the target of what is done to the whole cluster.
const Everything = "all"

// Verb is one thing that can be done to a cluster. The table of verbs is the
// only place that says so: keys, menu, help, palette, the read-only rule,
// questions, undo and the command line all come from it.
type Verb struct {
	Name   string // of the action, as Source.Do takes it
	Key    string
	Label  string
	Help   string
	Reach  Reach
	Asks   bool     // says what will happen and asks first
	Undo   string   // action that takes it back, "" if none
	Fault  string   // its name in --fault; "" if a script says it otherwise
	Remote []string // words of the command that does it to a cluster of somebody else; nil if none can
	Note   string   // what the rules say about it, beside who leads
}

// Amounts of disturbed links.
const (
	DelayAmount    = 200 * time.Millisecond
	ThrottleAmount = 64 << 10 // bytes per second
)

// Verbs is the table, in the order of the menu.
func Verbs() []Verb {
	return []Verb{
		{Name: ActionKill, Key: "k", Label: "kill", Help: "SIGKILL: no goodbye, its sockets close at once", Asks: true, Undo: ActionStart, Fault: "kill"},
		{Name: ActionStop, Key: "t", Label: "terminate", Help: "SIGTERM: a clean stop; a leader hands over first", Asks: true, Undo: ActionStart, Fault: "stop",
			Remote: []string{"baton", "shutdown", "TARGET"}},
		{Name: ActionStart, Key: "s", Label: "start", Help: "start a process that is down", Fault: "start"},
		{Name: ActionRestart, Key: "R", Label: "restart", Help: "clean stop, then start again", Asks: true}, // a plan says it with two faults
		{Name: ActionPause, Key: "p", Label: "pause", Help: "SIGSTOP: alive but silent, a zombie", Asks: true, Undo: ActionResume, Fault: "pause",
			Note: "When it continues it still thinks what it thought: the epoch fences it."},
		{Name: ActionResume, Key: "c", Label: "continue", Help: "SIGCONT: a paused process goes on", Fault: "resume"},
		{Name: ActionTransfer, Key: "T", Label: "transfer", Help: "hand leadership over, losing nothing", Reach: ReachNode, Asks: true, Fault: "transfer",
			Remote: []string{"baton", "transfer", "--to", "TARGET"}},
		{Name: ActionCut, Key: "n", Label: "cut network", Help: "from the other nodes and ZooKeeper; silence", Reach: ReachNode, Asks: true, Undo: ActionHeal, Fault: "cut"},
		{Name: ActionCutZK, Key: "z", Label: "cut zookeeper", Help: "from ZooKeeper alone; its session expires", Reach: ReachNode, Asks: true, Undo: ActionHeal, Fault: "cut-zookeeper",
			Note: "A leader that keeps its quorum of followers goes on; it cannot be replaced by itself."},
		{Name: ActionCutClients, Key: "o", Label: "cut clients", Help: "its clients hear nothing any more", Reach: ReachNode, Asks: true, Undo: ActionHeal, Fault: "cut-clients",
			Note: "The cluster does not notice: no node lost another, so nobody is replaced. Clients wait or look elsewhere."},
		{Name: ActionDelay, Key: "l", Label: "slow link", Help: "replication arrives 200 ms late", Reach: ReachNode, Asks: true, Undo: ActionHeal, Fault: "delay",
			Note: "A receipt waits for the fastest quorum: one slow follower of two costs nothing, a slow leader costs every receipt."},
		{Name: ActionThrottle, Key: "b", Label: "narrow link", Help: "replication at 64 KiB/s", Reach: ReachNode, Asks: true, Undo: ActionHeal, Fault: "throttle",
			Note: "A follower that cannot keep up falls out of sync; a leader behind it slows every producer."},
		{Name: ActionDelayZK, Key: "Z", Label: "slow zookeeper", Help: "ZooKeeper answers it 200 ms late", Reach: ReachNode, Asks: true, Undo: ActionHeal, Fault: "delay-zookeeper",
			Note: "No message asks ZooKeeper anything, so producers do not notice. An election in which this node has a part takes longer."},
		{Name: ActionDelayClients, Key: "O", Label: "slow clients", Help: "its clients are 200 ms away", Reach: ReachNode, Asks: true, Undo: ActionHeal, Fault: "delay-clients",
			Note: "The cluster does not notice. A producer that waits for each receipt gets two or three of them in a second; one that does not wait loses little."},
		{Name: ActionThrottleClients, Key: "N", Label: "narrow clients", Help: "each of its clients has 64 KiB/s", Reach: ReachNode, Asks: true, Undo: ActionHeal, Fault: "throttle-clients",
			Note: "The cluster does not notice. What producers send waits in their own sockets, and consumers get less than they could take."},
		{Name: ActionFillDisk, Key: "d", Label: "fill disk", Help: "its writes fail: no space is left", Reach: ReachNode, Asks: true, Undo: ActionHeal, Fault: "fill-disk",
			Note: "A leader that cannot write hands leadership over or waits for room; a follower falls behind. Nothing that was receipted is touched."},
		{Name: ActionSlowDisk, Key: "f", Label: "slow disk", Help: "every sync takes 200 ms longer", Reach: ReachNode, Asks: true, Undo: ActionHeal, Fault: "slow-disk",
			Note: "A receipt waits for the fastest quorum of disks: one slow disk of three costs little."},
		{Name: ActionPowerLoss, Key: "P", Label: "lose power", Help: "its machine goes off; unsynced writes are lost", Reach: ReachNode, Asks: true, Undo: ActionStart, Fault: "power-loss",
			Note: "What it wrote and did not sync is taken from its disk, as a machine finds it when the power is back."},
		{Name: ActionBlackout, Key: "B", Label: "blackout", Help: "all nodes lose their power at the same time", Reach: ReachCluster, Asks: true, Undo: ActionStartAll, Fault: "blackout"},
		{Name: ActionStartAll, Key: "A", Label: "start all", Help: "start every node that is down", Reach: ReachCluster, Fault: "restart"},
		{Name: ActionHeal, Key: "u", Label: "heal", Help: "end what was done to its links and its disk", Reach: ReachNode, Fault: "heal"},
		{Name: ActionWipe, Key: "w", Label: "wipe disk", Help: "SIGKILL, empty its data directory, start it", Reach: ReachNode, Asks: true, Fault: "wipe",
			Note: "It comes back as a learner without a vote until the leader has given it everything."},
	}
}

// VerbByName finds a verb.
func VerbByName(name string) (Verb, bool) {
	all := Verbs()
	if i := slices.IndexFunc(all, func(v Verb) bool { return v.Name == name }); i >= 0 {
		return all[i], true
	}
	return Verb{}, false
}

// VerbByFault finds the verb that a fault of a plan does.
func VerbByFault(name string) (Verb, bool) {
	all := Verbs()
	if i := slices.IndexFunc(all, func(v Verb) bool { return v.Fault == name }); i >= 0 {
		return all[i], true
	}
	return Verb{}, false
}

// Aim is what the verb acts on when the menu points at a target.
func (v Verb) Aim(target string) string {
	if v.Reach == ReachCluster {
		return Everything
	}
	return target
}

// CLI is the command line by which a cluster can be acted on.
type CLI struct {
	Launched bool   // the demo's; else somebody else's, through the nodes' control verbs
	Flags    string // that find the cluster, "" if the defaults do
}

// Command is how another terminal does the same to a target, while leader leads
// ("" if nobody does). "" if there is none.
func (v Verb) Command(c CLI, target, leader string) string {
	words := v.Remote
	switch {
	case c.Launched && v.Reach == ReachCluster:
		words = []string{"baton", "chaos", v.Name}
	case c.Launched:
		words = []string{"baton", "chaos", v.Name, target}
	case words == nil:
		return ""
	case v.Name == ActionTransfer && target == leader:
		words = words[:2] // away from it, to whom it chooses
	}
	command := strings.ReplaceAll(strings.Join(words, " "), "TARGET", target)
	return strings.TrimSpace(command + " " + c.Flags)
}

// Plan is how a plan of faults does the same to a launched cluster, so long
// after its start.
func (v Verb) Plan(target string, since time.Duration) string {
	at := since.Round(100 * time.Millisecond).String()
	switch {
	case v.Name == ActionRestart:
		return fmt.Sprintf("--fault stop:%s@%s,start:%s@%s", target, at, target, (since + time.Second).Round(100*time.Millisecond))
	case v.Reach == ReachCluster:
		return fmt.Sprintf("--fault %s@%s", v.Fault, at)
	}
	return fmt.Sprintf("--fault %s:%s@%s", v.Fault, target, at)
}

// Fits says whether the verb can be done to a target as it is now, and if not why.
func (v Verb) Fits(s *Snapshot, target string) (bool, string) {
	if v.Reach == ReachCluster {
		return v.fitsAll(s)
	}
	n, p := s.NodeByID(target), s.ProcessByName(target)
	if n == nil && v.Reach == ReachNode {
		return false, "only a node can be the target"
	}
	state := ProcessRunning
	switch {
	case p != nil:
		state = p.State
	case n != nil && n.State == StateDown:
		state = ProcessExited
	}
	switch v.Name {
	case ActionResume:
		return state == ProcessPaused, target + " is not paused"
	case ActionStart:
		return state == ProcessExited, target + " is running"
	case ActionHeal:
		return true, ""
	case ActionTransfer:
		return canTransfer(s, n, target)
	case ActionStop, ActionPause, ActionRestart, ActionPowerLoss:
		if state == ProcessPaused {
			return false, target + " is paused: continue it first"
		}
	}
	return state != ProcessExited, target + " is down"
}

// fitsAll says whether what is done to all nodes fits them.
func (v Verb) fitsAll(s *Snapshot) (bool, string) {
	down, paused := 0, ""
	for i := range s.Nodes {
		switch s.Nodes[i].State {
		case StateDown:
			down++
		case StatePaused:
			paused = s.Nodes[i].ID
		}
	}
	switch {
	case v.Name == ActionStartAll:
		return down > 0, "no node is down"
	case paused != "":
		return false, paused + " is paused: continue it first"
	}
	return down < len(s.Nodes), "all nodes are down"
}

func canTransfer(s *Snapshot, n *Node, target string) (bool, string) {
	switch {
	case s.Leader == "":
		return false, "no leader to hand over"
	case n.ID == s.Leader && s.Quorum.Have < 2:
		return false, "no follower is in sync"
	case n.ID == s.Leader || n.State == StateInSync:
		return true, ""
	}
	return false, target + " is not in sync"
}

// Warning is what is said before a verb is done: what is at stake, what is
// expected to happen, and for how long.
func (v Verb) Warning(s *Snapshot, target string) []string {
	if !v.Asks {
		return nil
	}
	if v.Reach == ReachCluster {
		return s.allAtRisk()
	}
	f := s.Forecast(v.Name, target)
	out := s.Risk(v.Name, target)
	if s.NodeByID(target) == nil {
		return out
	}
	if len(out) == 0 && silences(v.Name) {
		out = append(out, f.QuorumText+".")
	}
	if f.Who != "" {
		out = append(out, "Then "+f.Who+".")
	}
	if f.StallText != "" {
		out = append(out, upper(f.StallText)+".")
	}
	if v.Note != "" {
		out = append(out, v.Note)
	}
	if v.Name == ActionPowerLoss {
		out = append(out, s.onPowerLoss(1))
	}
	return out
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
