package ensemble

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"baton/node/supervisor"
)

var (
	// ErrConfig says that a Config makes no sense; the text says which field.
	ErrConfig = errors.New("ensemble: bad configuration")
	// ErrPortTaken says that another program listens on a server's port.
	ErrPortTaken = errors.New("ensemble: port is taken")
)

// serversMax is the largest ensemble: an odd number, one digit.
const serversMax = 7

// Config of an ensemble. Dir and BasePort are required.
type Config struct {
	// Servers is 1 (a server alone), 3, 5 or 7. Default 3.
	Servers int
	// Dir holds a directory and a log file per server. It is made if needed, and
	// opening it again goes on with the trees and sessions in it.
	Dir string
	// BasePort is the client port of server 1; see PortsAt.
	BasePort int
	// Installation is started; default what Find finds.
	Installation Installation
	// Properties are added as Java system properties, "name=value".
	Properties []string
	// StopTimeout bounds the orderly stop of one server, then it is killed.
	// Default 3 s.
	StopTimeout time.Duration
	// OnEvent hears every change of state of a server's process, in order for
	// each server. It must not block. It may be nil.
	OnEvent func(supervisor.Event)
	Logger  *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Servers == 0 {
		c.Servers = 3
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = 3 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports the first field that makes no sense, after defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.Servers < 1 || c.Servers > serversMax || c.Servers%2 == 0:
		return fmt.Errorf("%w: %d servers: want 1, 3, 5 or %d, as an even number survives no more failures than one less", ErrConfig, c.Servers, serversMax)
	case c.Dir == "":
		return fmt.Errorf("%w: no directory", ErrConfig)
	case c.BasePort < 1 || c.BasePort+portStep*c.Servers > 65535:
		return fmt.Errorf("%w: base port %d: want 1 to %d", ErrConfig, c.BasePort, 65535-portStep*c.Servers)
	case c.StopTimeout < 0:
		return fmt.Errorf("%w: stop timeout %v", ErrConfig, c.StopTimeout)
	}
	return nil
}

// portStep is the distance of two servers' ports, and of two nodes' of a demo.
const portStep = 10

// Ports of one server.
type Ports struct {
	Client   int // for clients and four-letter words
	Peer     int // followers connect to the leader's
	Election int
}

// PortsAt returns the ports of server number (from 1) of an ensemble at base B:
// with k = number-1 clients at B+10k, peers at B+10k+7, elections at B+10k+8.
// They leave room for the nodes of a demo at the same base. A server alone has
// its client port only.
func PortsAt(base, number int) Ports {
	first := base + portStep*(number-1)
	return Ports{Client: first, Peer: first + 7, Election: first + 8}
}

// Port is one port and what it is for.
type Port struct {
	Number int
	Use    string
}

// PortsOf lists the ports that an ensemble of so many servers takes.
func PortsOf(base, servers int) []Port {
	var out []Port
	for n := 1; n <= servers; n++ {
		p := PortsAt(base, n)
		out = append(out, Port{p.Client, fmt.Sprintf("clients of ZooKeeper server %d", n)})
		if servers > 1 {
			out = append(out, Port{p.Peer, fmt.Sprintf("peers of ZooKeeper server %d", n)},
				Port{p.Election, fmt.Sprintf("elections of ZooKeeper server %d", n)})
		}
	}
	return out
}

// checkPorts names the first port that is taken. ZooKeeper itself would end, or
// for a peer port go on without ever finding a quorum.
func (c Config) checkPorts() error {
	for _, p := range PortsOf(c.BasePort, c.Servers) {
		ln, err := net.Listen("tcp", loopback(p.Number))
		if err != nil {
			return fmt.Errorf("%w: %d (%s): stop the program that listens there or choose another base port: %w", ErrPortTaken, p.Number, p.Use, err)
		}
		ln.Close()
	}
	return nil
}

// checkDir refuses a directory that another number of servers has used: the
// new ones are empty and could outvote those that know the tree.
func (c Config) checkDir() error {
	known := 0
	for n := 1; n <= serversMax; n++ {
		if _, err := os.Stat(filepath.Join(c.Dir, serverName(n))); err == nil {
			known++
		}
	}
	if known != 0 && known != c.Servers {
		return fmt.Errorf("%w: %s holds %d ZooKeeper servers, not %d: choose another directory", ErrConfig, c.Dir, known, c.Servers)
	}
	return nil
}

func serverName(number int) string { return "zookeeper" + strconv.Itoa(number) }

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Times of a server. The limits are in ticks: a server has 20 s to load and to
// join, and a leader or follower that is silent for 2 s is given up.
const (
	tick              = 200 * time.Millisecond
	initLimit         = 100
	syncLimit         = 10
	minSessionTimeout = 200 * time.Millisecond
	maxSessionTimeout = 60 * time.Second // the default, 20 ticks, would be 4 s
)

// zooCfg is the configuration file of one server.
func (c Config) zooCfg(number int) string {
	dir := filepath.Join(c.Dir, serverName(number))
	var b strings.Builder
	put := func(key string, value any) { fmt.Fprintf(&b, "%s=%v\n", key, value) }
	put("tickTime", tick.Milliseconds())
	put("minSessionTimeout", minSessionTimeout.Milliseconds())
	put("maxSessionTimeout", maxSessionTimeout.Milliseconds())
	put("clientPort", PortsAt(c.BasePort, number).Client)
	put("clientPortAddress", "127.0.0.1")
	put("dataDir", filepath.Join(dir, "data"))
	put("dataLogDir", filepath.Join(dir, "log"))
	put("maxClientCnxns", 0) // all clients have one address here
	put("admin.enableServer", false)
	put("4lw.commands.whitelist", "*")
	put("autopurge.snapRetainCount", 3)
	put("autopurge.purgeInterval", 1) // hours
	if c.Servers == 1 {
		return b.String()
	}
	put("initLimit", initLimit)
	put("syncLimit", syncLimit)
	for n := 1; n <= c.Servers; n++ {
		p := PortsAt(c.BasePort, n)
		put("server."+strconv.Itoa(n), fmt.Sprintf("127.0.0.1:%d:%d", p.Peer, p.Election))
	}
	return b.String()
}

// arguments are the command line of one server, without the program.
func (c Config) arguments(number int) []string {
	args := []string{
		"-Xms32m", "-Xmx128m", "-XX:+UseSerialGC",
		// Code that runs a few times a minute stays interpreted by default, which
		// makes each of an election's writes several times slower.
		"-XX:TieredStopAtLevel=1", "-XX:Tier3InvocationThreshold=20", "-XX:Tier3MinInvocationThreshold=10",
		"-XX:Tier3CompileThreshold=40", "-XX:Tier3BackEdgeThreshold=1000",
		"-cp", strings.Join(c.Installation.ClassPath, string(os.PathListSeparator)),
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-Dzookeeper.preAllocSize=1024", // KiB of a new log file; the default is 64 MiB
		// A handful of clients needs no pools of threads that hand requests on.
		"-Dzookeeper.nio.numSelectorThreads=1", "-Dzookeeper.nio.numWorkerThreads=0", "-Dzookeeper.commitProcessor.numWorkerThreads=0",
	}
	for _, p := range c.Properties {
		args = append(args, "-D"+p)
	}
	return append(args, "org.apache.zookeeper.server.quorum.QuorumPeerMain", filepath.Join(c.Dir, serverName(number), "zoo.cfg"))
}

// write makes a server's directory and its files.
func (c Config) write(number int) error {
	dir := filepath.Join(c.Dir, serverName(number))
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		return fmt.Errorf("create directory of ZooKeeper server %d: %w", number, err)
	}
	for name, text := range map[string]string{
		"zoo.cfg":   c.zooCfg(number),
		"data/myid": strconv.Itoa(number) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write configuration of ZooKeeper server %d: %w", number, err)
		}
	}
	return nil
}
