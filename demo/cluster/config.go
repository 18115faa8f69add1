package cluster

import (
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"baton/zkclient/ensemble"
)

var (
	// ErrPortTaken says that another program listens where the cluster should.
	ErrPortTaken = errors.New("cluster: port is taken")
	// ErrUnknownNode says that no process has that name.
	ErrUnknownNode = errors.New("cluster: no such process")
	// ErrExternal says that ZooKeeper is not ours to stop.
	ErrExternal = errors.New("cluster: ZooKeeper is external; stop and start it where it runs")
	// ErrDirect says that there is no proxy by which a link could be cut.
	ErrDirect = errors.New("cluster: the links are direct and cannot be cut")
	// ErrNoLeader says that nobody serves.
	ErrNoLeader = errors.New("cluster: no leader")
	// ErrNotReady says that the cluster did not come up, or back, in time.
	ErrNotReady = errors.New("cluster: not healthy in time")
)

// DefaultBasePort is the first port of the cluster; see Config.BasePort.
const DefaultBasePort = 61610

const nodesMax = 9

// Config of a cluster. The zero value is three nodes on the default ports.
type Config struct {
	Binary string   // that knows the subcommands node and zk; default this program
	Env    []string // added to the children's environment

	Nodes    int    // default 3
	Sync     string // sync policy; default quorum_disk
	BasePort int    // B: ZooKeeper at B (of a real ensemble see ensemble.PortsAt), node i at B+10(i-1)+1 (admin), +3 (STOMP), +9 (replication)
	DataDir  string // kept at the end; "" is a temporary one that is removed

	ZooKeeper []string // host:port of an external ensemble
	Ensemble  int      // servers of a real ZooKeeper to start; 0, without an external one, starts the embedded server
	ZKPath    string   // default /baton/demo, with an external ensemble a path of this run or data directory

	ElectionTimeout  time.Duration // 0 leaves the node's default
	ZKSessionTimeout time.Duration // 0 leaves the node's default
	ClientProxies    bool          // put a proxy in front of each node's STOMP listener, for ClientAddresses
	NodeArgs         []string      // added to every node's command line
	Direct           bool          // no proxies between the processes and no drill in front of the disks: for measurements; nothing can be cut or filled
	ZKArgs           []string      // added to the embedded server's command line

	StartTimeout time.Duration // of Launch; default 30 s
	StopTimeout  time.Duration // of one process, then it is killed; default 3 s
	Logger       *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.Binary == "" {
		exe, err := os.Executable()
		if err != nil {
			return c, fmt.Errorf("find this program: %w", err)
		}
		c.Binary = exe
	}
	if c.Nodes == 0 {
		c.Nodes = 3
	}
	if c.Sync == "" {
		c.Sync = "quorum_disk"
	}
	if c.BasePort == 0 {
		c.BasePort = DefaultBasePort
	}
	if c.StartTimeout <= 0 {
		c.StartTimeout = 30 * time.Second
	}
	if c.StopTimeout <= 0 {
		c.StopTimeout = 3 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ZKPath == "" {
		c.ZKPath = c.defaultZKPath()
	}
	return c, nil
}

// defaultZKPath keeps runs apart on an ensemble that outlives them: a kept data
// directory finds its own cluster again, a temporary one never an old one.
func (c Config) defaultZKPath() string {
	if len(c.ZooKeeper) == 0 {
		return "/baton/demo"
	}
	if c.DataDir == "" {
		return fmt.Sprintf("/baton/demo-%d-%d", time.Now().UnixMilli(), os.Getpid())
	}
	abs, err := filepath.Abs(c.DataDir)
	if err != nil {
		abs = c.DataDir
	}
	h := fnv.New32a()
	h.Write([]byte(abs))
	return fmt.Sprintf("/baton/demo-%08x", h.Sum32())
}

// Validate reports what makes the configuration unusable.
func (c Config) Validate() error {
	if c.Nodes < 0 || c.Nodes > nodesMax {
		return fmt.Errorf("cluster: %d nodes, want 1 to %d", c.Nodes, nodesMax)
	}
	if c.BasePort != 0 && (c.BasePort < 1 || c.BasePort+10*nodesMax > 65535) {
		return fmt.Errorf("cluster: base port %d, want 1 to %d", c.BasePort, 65535-10*nodesMax)
	}
	if c.Ensemble != 0 {
		if len(c.ZooKeeper) > 0 {
			return errors.New("cluster: ZooKeeper is either external or a real ensemble to start, not both")
		}
		if err := (ensemble.Config{Servers: c.Ensemble, Dir: "any", BasePort: max(c.BasePort, 1)}).Validate(); err != nil {
			return err
		}
	}
	for _, z := range c.ZooKeeper {
		if _, _, err := net.SplitHostPort(z); err != nil {
			return fmt.Errorf("cluster: ZooKeeper address %q is not host:port", z)
		}
	}
	if c.ZKPath != "" && (c.ZKPath[0] != '/' || len(c.ZKPath) > 1 && c.ZKPath[len(c.ZKPath)-1] == '/') {
		return fmt.Errorf("cluster: ZooKeeper path %q must begin and not end with a slash", c.ZKPath)
	}
	return nil
}

// port is one port of the cluster and what it is for.
type port struct {
	number int
	use    string
}

func (c Config) ports(base int) []port {
	var out []port
	switch {
	case c.Ensemble > 0:
		for _, p := range ensemble.PortsOf(base, c.Ensemble) {
			out = append(out, port{p.Number, p.Use})
		}
	case len(c.ZooKeeper) == 0:
		out = append(out, port{base, "ZooKeeper"})
	}
	for i := range c.Nodes {
		b := base + 10*i
		out = append(out, port{b + 1, fmt.Sprintf("admin of n%d", i+1)},
			port{b + 3, fmt.Sprintf("STOMP of n%d", i+1)}, port{b + 9, fmt.Sprintf("replication of n%d", i+1)})
	}
	return out
}

// checkPorts refuses to start on a taken port, and looks for a base that is free.
func (c Config) checkPorts() error {
	taken := firstTaken(c.ports(c.BasePort))
	if taken == nil {
		return nil
	}
	for base := c.BasePort + 100; base <= 65535-10*nodesMax && base < c.BasePort+5000; base += 100 {
		if firstTaken(c.ports(base)) == nil {
			return fmt.Errorf("%w: %d (%s); another cluster may be running; choose other ports with --base-port %d", ErrPortTaken, taken.number, taken.use, base)
		}
	}
	return fmt.Errorf("%w: %d (%s); choose other ports with --base-port", ErrPortTaken, taken.number, taken.use)
}

func firstTaken(ports []port) *port {
	for _, p := range ports {
		ln, err := net.Listen("tcp", loopback(p.number))
		if err != nil {
			return &p
		}
		ln.Close()
	}
	return nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
