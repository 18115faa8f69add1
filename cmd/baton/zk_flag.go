package main

import (
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"baton/demo/cluster"
)

// ensembleWord is the value of --zk that starts real servers.
const ensembleWord = "ensemble"

// zkFlag is --zk of the commands that start a cluster: host:port,... of servers
// that run already, "ensemble" for three real ones of the demo's own, or
// "ensemble:N" for another number of them.
type zkFlag struct{ cfg *cluster.Config }

func addZKFlag(fs *pflag.FlagSet, cfg *cluster.Config) {
	fs.Var(zkFlag{cfg}, "zk", `"ensemble" starts three real ZooKeeper servers (ensemble:1 one) if Debian's packages are installed; `+
		`host:port,... uses servers that run already; empty = the embedded one`)
}

func (f zkFlag) String() string {
	switch {
	case f.cfg == nil:
		return ""
	case f.cfg.Ensemble > 0:
		return ensembleWord + ":" + strconv.Itoa(f.cfg.Ensemble)
	}
	return strings.Join(f.cfg.ZooKeeper, ",")
}

func (f zkFlag) Type() string { return "ensemble|host:port,..." }

func (f zkFlag) Set(s string) error {
	f.cfg.ZooKeeper, f.cfg.Ensemble = nil, 0
	word, number, counted := strings.Cut(s, ":")
	if word != ensembleWord {
		return (*commaList)(&f.cfg.ZooKeeper).Set(s)
	}
	f.cfg.Ensemble = 3
	if !counted {
		return nil
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		return usageError("%q is no number of servers; write for example ensemble:1", number)
	}
	f.cfg.Ensemble = n
	return nil
}
