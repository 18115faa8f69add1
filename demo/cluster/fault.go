package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"baton/node/supervisor"
)

// ErrFault says that a fault cannot be understood.
var ErrFault = errors.New("cluster: bad fault")

// Fault is one thing to break or mend, at a time after the start of the load.
type Fault struct {
	Name string // one of FaultNames, or kill, pause, ... with a node
	Node string // of NodeFaultNames; of ZooKeeperFaultNames a server's number, "leader", or "" for all; else ""
	At   time.Duration
}

// FaultNames are the faults that name no node.
func FaultNames() []string {
	return append([]string{"kill-leader", "kill-follower", "kill-all", "pause-leader", "resume", "restart", "cut-leader", "heal", "transfer", "blackout"},
		ZooKeeperFaultNames()...)
}

// NodeFaultNames are the faults that name a node: kill:n2.
func NodeFaultNames() []string {
	return []string{"kill", "pause", "stop", "start", "cut", "cut-zookeeper", "cut-clients", "delay", "throttle",
		"delay-zookeeper", "delay-clients", "throttle-clients", "fill-disk", "slow-disk", "power-loss", "wipe", "resume", "heal", "transfer"}
}

// OnClients says whether a fault needs the proxies in front of the clients.
func OnClients(name string) bool { return strings.HasSuffix(name, "-clients") }

// String is the form that ParseFaults reads.
func (f Fault) String() string {
	s := f.Name
	if f.Node != "" {
		s += ":" + f.Node
	}
	return s + "@" + f.At.String()
}

// faultsMax bounds one plan.
const faultsMax = 1000

// ParseFaults reads NAME@TIME[,NAME@TIME...], for example
// kill-leader@5s,restart@10s,kill:n2@12.5s, and returns it in the order of time.
func ParseFaults(s string) ([]Fault, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	parts := strings.Split(s, ",")
	if len(parts) > faultsMax {
		return nil, fmt.Errorf("%w: more than %d", ErrFault, faultsMax)
	}
	var out []Fault
	for _, p := range parts {
		f, err := parseFault(strings.TrimSpace(p))
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].At < out[j].At })
	return out, nil
}

func parseFault(s string) (Fault, error) {
	what, when, ok := strings.Cut(s, "@")
	if !ok {
		return Fault{}, fmt.Errorf("%w: %q lacks its time; write for example %s@5s", ErrFault, s, or(s, "kill-leader"))
	}
	at, err := time.ParseDuration(when)
	if err != nil || at < 0 {
		return Fault{}, fmt.Errorf("%w: %q is not a time after the start; write for example 5s or 1500ms", ErrFault, when)
	}
	name, node, named := strings.Cut(what, ":")
	takes := slices.Concat(NodeFaultNames(), ZooKeeperFaultNames())
	if named && slices.Contains(takes, name) && node != "" && !strings.ContainsAny(node, ":@, ") {
		return Fault{Name: name, Node: node, At: at}, nil
	}
	if !named && slices.Contains(FaultNames(), name) {
		return Fault{Name: name, At: at}, nil
	}
	return Fault{}, fmt.Errorf("%w: %q is unknown; known are %s, with a node %s:n2, and with a ZooKeeper server %s:2",
		ErrFault, what, strings.Join(FaultNames(), ", "), strings.Join(NodeFaultNames(), ":n2, "), strings.Join(ZooKeeperFaultNames(), ":2, "))
}

// CheckFault says early whether a fault can ever be injected here.
func (c Config) CheckFault(f Fault) error {
	n := c.Nodes
	if n == 0 {
		n = 3
	}
	if slices.Contains(ZooKeeperFaultNames(), f.Name) {
		return c.checkZooKeeperFault(f)
	}
	if f.Node == ZooKeeperName && len(c.ZooKeeper) > 0 {
		return fmt.Errorf("%w: %s: %w", ErrFault, f, ErrExternal)
	}
	if OnClients(f.Name) && !c.ClientProxies {
		return fmt.Errorf("%w: %s: %w", ErrFault, f, ErrNoClientProxy)
	}
	if f.Node == "" {
		return nil
	}
	for i := range n {
		if f.Node == fmt.Sprintf("n%d", i+1) {
			return nil
		}
	}
	ours := []string{ZooKeeperName}
	if c.Ensemble > 0 {
		ours = ours[:0]
		for _, number := range c.serverNumbers() {
			ours = append(ours, ZooKeeperName+number)
		}
	}
	if slices.Contains(ours, f.Node) && slices.Contains([]string{"kill", "pause", "stop", "start", "resume"}, f.Name) {
		return nil
	}
	return fmt.Errorf("%w: %s: %w; the nodes are n1 to n%d", ErrFault, f, ErrUnknownNode, n)
}

// leaderWait bounds how long a fault on the leader waits for there to be one.
const leaderWait = 5 * time.Second

// Inject does what the fault says, now, and returns the node that it hit, if one.
func (c *Cluster) Inject(ctx context.Context, f Fault) (node string, err error) {
	onLeader := func(do func(string) error) (string, error) {
		leader, err := c.waitLeader(ctx)
		if err != nil {
			return "", fmt.Errorf("%s: %w", f.Name, err)
		}
		return leader, do(leader)
	}
	switch f.Name { // one line per name
	case "kill-leader":
		return onLeader(c.Kill)
	case "pause-leader":
		return onLeader(c.Pause)
	case "cut-leader":
		return onLeader(c.Cut)
	case "kill-follower":
		follower, err := c.anyFollower(ctx)
		if err != nil {
			return "", fmt.Errorf("%s: %w", f.Name, err)
		}
		return follower, c.Kill(follower)
	case "kill-all":
		return "", c.KillAll()
	case "restart":
		return "", c.StartAll()
	case "stop-zookeeper", "start-zookeeper", "kill-zookeeper", "pause-zookeeper", "resume-zookeeper":
		return c.injectZooKeeper(ctx, f)
	case "transfer":
		return f.Node, c.Transfer(ctx, f.Node)
	case "kill":
		return f.Node, c.Kill(f.Node)
	case "pause":
		return f.Node, c.Pause(f.Node)
	case "stop":
		return f.Node, c.Stop(f.Node)
	case "start":
		return f.Node, c.Start(f.Node)
	case "cut":
		return f.Node, c.Cut(f.Node)
	case "cut-zookeeper":
		return f.Node, c.CutZooKeeper(f.Node)
	case "cut-clients":
		return f.Node, c.CutClients(f.Node)
	case "delay":
		return f.Node, c.Delay(f.Node)
	case "throttle":
		return f.Node, c.Throttle(f.Node)
	case "delay-zookeeper":
		return f.Node, c.DelayZooKeeper(f.Node)
	case "delay-clients":
		return f.Node, c.DelayClients(f.Node)
	case "throttle-clients":
		return f.Node, c.ThrottleClients(f.Node)
	case "fill-disk":
		return f.Node, c.FillDisk(f.Node)
	case "slow-disk":
		return f.Node, c.SlowDisk(f.Node)
	case "power-loss":
		return f.Node, c.PowerLoss(f.Node)
	case "blackout":
		return "", c.PowerLoss("")
	case "wipe":
		return f.Node, c.Wipe(f.Node)
	case "heal":
		return f.Node, c.Heal(f.Node)
	case "resume":
		if f.Node == "" {
			return "", c.ResumeAll()
		}
		return f.Node, c.Resume(f.Node)
	}
	return "", fmt.Errorf("%w: %q is unknown; known are %s", ErrFault, f.Name, strings.Join(FaultNames(), ", "))
}

func (c *Cluster) waitLeader(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, leaderWait)
	defer cancel()
	for {
		leader, err := c.Leader(ctx)
		if err == nil {
			return leader, nil
		}
		if !pause(ctx, 20*time.Millisecond) {
			return "", err
		}
	}
}

// anyFollower returns the first node that runs and does not lead.
func (c *Cluster) anyFollower(ctx context.Context) (string, error) {
	leader, err := c.waitLeader(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range c.members {
		if m.name != leader && m.proc.Status().State == supervisor.StateRunning && !c.isCut(m.name) {
			return m.name, nil
		}
	}
	return "", errors.New("cluster: no follower is running")
}
