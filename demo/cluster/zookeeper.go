package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"baton/node/supervisor"
	"baton/zkclient/ensemble"
)

// ZooKeeperName is the name of the embedded ZooKeeper among the processes. The
// servers of a real ensemble are called zookeeper1, zookeeper2, ...
const ZooKeeperName = "zookeeper"

// zooKeeper is what the nodes elect with: a server embedded in this program, a
// real ensemble, or servers that are not ours.
type zooKeeper struct {
	addresses []string
	embedded  *supervisor.Process // nil unless it is the embedded one
	real      *ensemble.Ensemble  // nil unless it is real and ours
}

func (c *Cluster) openZooKeeper() (zooKeeper, error) {
	switch {
	case len(c.cfg.ZooKeeper) > 0:
		return zooKeeper{addresses: c.cfg.ZooKeeper}, nil
	case c.cfg.Ensemble > 0:
		e, err := ensemble.Open(ensemble.Config{
			Servers: c.cfg.Ensemble, Dir: c.dir, BasePort: c.cfg.BasePort, StopTimeout: c.cfg.StopTimeout, Logger: c.cfg.Logger,
			OnEvent: func(e supervisor.Event) { c.processChanged(nil, e) },
		})
		if err != nil {
			return zooKeeper{}, err
		}
		return zooKeeper{addresses: e.Addresses(), real: e}, nil
	}
	address := loopback(c.cfg.BasePort)
	args := append([]string{"zk", "--listen", address, "--data-dir", filepath.Join(c.dir, "zk"),
		"--parent-fd", strconv.Itoa(supervisor.ParentFD)}, c.cfg.ZKArgs...)
	p, err := c.process(ZooKeeperName, args, nil)
	return zooKeeper{addresses: []string{address}, embedded: p}, err
}

// zkServer is one of our ZooKeeper servers.
type zkServer struct {
	name string
	proc *supervisor.Process
	mode ensemble.Mode
}

// servers lists our servers; none if ZooKeeper is external.
func (z *zooKeeper) servers() []zkServer {
	var out []zkServer
	if z.embedded != nil {
		out = append(out, zkServer{name: ZooKeeperName, proc: z.embedded})
	}
	if z.real != nil {
		for _, s := range z.real.Servers() {
			out = append(out, zkServer{s.Name, s.Process, s.Mode()})
		}
	}
	return out
}

// start starts every server that is not there and waits until they serve.
func (z *zooKeeper) start(ctx context.Context) error {
	for _, s := range z.servers() {
		if !s.proc.Status().State.Alive() {
			if err := s.proc.Start(); err != nil {
				return err
			}
		}
	}
	return z.await(ctx)
}

// await waits until the servers that should be there serve. Too few of them to
// be a quorum never would, and are not waited for.
func (z *zooKeeper) await(ctx context.Context) error {
	up, all := 0, z.servers()
	for _, s := range all {
		if st := s.proc.Status().State; st.Alive() && st != supervisor.StatePaused {
			up++
		}
	}
	switch {
	case up <= len(all)/2:
		return nil
	case z.real != nil:
		if err := z.real.Await(ctx); err != nil {
			return fmt.Errorf("%w: %w", ErrNotReady, err)
		}
		return nil
	}
	return z.awaitEmbedded(ctx)
}

func (z *zooKeeper) awaitEmbedded(ctx context.Context) error {
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", z.addresses[0])
		if err == nil {
			conn.Close()
			z.embedded.Ready()
			return nil
		}
		if s := z.embedded.Status(); s.State == supervisor.StateExited {
			return fmt.Errorf("%w: zookeeper ended at once: %s%s", ErrNotReady, s.Exit, tail(z.embedded))
		}
		if !pause(ctx, 2*time.Millisecond) {
			return fmt.Errorf("%w: zookeeper does not listen at %s: %w", ErrNotReady, z.addresses[0], err)
		}
	}
}

func (z *zooKeeper) close() error {
	var errs []error
	if z.embedded != nil {
		errs = append(errs, z.embedded.Close())
	}
	if z.real != nil {
		errs = append(errs, z.real.Close())
	}
	return errors.Join(errs...)
}

// leaderServer is the name by which a fault means the server that leads then.
const leaderServer = "leader"

// ZooKeeperFaultNames are the faults of ZooKeeper: of all its servers, or of
// one of an ensemble by its number or as its leader: kill-zookeeper:2,
// kill-zookeeper:leader.
func ZooKeeperFaultNames() []string {
	return []string{"stop-zookeeper", "start-zookeeper", "kill-zookeeper", "pause-zookeeper", "resume-zookeeper"}
}

// checkZooKeeperFault says early whether there will be such a server.
func (c Config) checkZooKeeperFault(f Fault) error {
	switch {
	case len(c.ZooKeeper) > 0:
		return fmt.Errorf("%w: %s: %w", ErrFault, f, ErrExternal)
	case f.Node == "":
		return nil
	case c.Ensemble == 0:
		return fmt.Errorf("%w: %s: the embedded ZooKeeper is one server; use --zk ensemble", ErrFault, f)
	case f.Node == leaderServer && f.Name != "start-zookeeper" && f.Name != "resume-zookeeper":
		return nil
	case !slices.Contains(c.serverNumbers(), f.Node):
		return fmt.Errorf("%w: %s: %w; the servers are %s", ErrFault, f, ErrUnknownNode, strings.Join(c.serverNumbers(), ", "))
	}
	return nil
}

func (c Config) serverNumbers() []string {
	var out []string
	for n := 1; n <= c.Ensemble; n++ {
		out = append(out, strconv.Itoa(n))
	}
	return out
}

// injectZooKeeper does a fault of ZooKeeper and returns the server that it hit,
// or the name of the whole.
func (c *Cluster) injectZooKeeper(ctx context.Context, f Fault) (string, error) {
	if err := c.cfg.checkZooKeeperFault(f); err != nil {
		return ZooKeeperName, err
	}
	verb := strings.TrimSuffix(f.Name, "-zookeeper")
	if f.Node == "" {
		return ZooKeeperName, c.allZooKeeper(ctx, verb)
	}
	name := ZooKeeperName + f.Node
	if f.Node == leaderServer {
		s, err := c.waitZooKeeperLeader(ctx)
		if err != nil {
			return "", fmt.Errorf("%s: %w", f.Name, err)
		}
		name = s.Name
	}
	return name, c.onZooKeeper(verb, name)
}

// waitZooKeeperLeader waits for the servers' own election, as a fault on the
// leader waits for the nodes'.
func (c *Cluster) waitZooKeeperLeader(ctx context.Context) (*ensemble.Server, error) {
	ctx, cancel := context.WithTimeout(ctx, leaderWait)
	defer cancel()
	for {
		s, err := c.zk.real.Leader(ctx)
		if err == nil || !pause(ctx, 20*time.Millisecond) {
			return s, err
		}
	}
}

// allZooKeeper does something to all servers that it fits.
func (c *Cluster) allZooKeeper(ctx context.Context, verb string) error {
	if len(c.zk.servers()) == 1 { // with the words and errors of a process
		return c.onZooKeeper(verb, c.zk.servers()[0].name)
	}
	c.mend(verb+" every ZooKeeper server", Fault{Name: verb + "-zookeeper"})
	switch verb {
	case "start":
		return c.zk.start(ctx)
	case "stop":
		return c.zk.real.Stop()
	}
	var errs []error
	for _, s := range c.zk.servers() {
		st := s.proc.Status().State
		switch {
		case verb == "kill" && st.Alive():
			errs = append(errs, s.proc.Kill())
		case verb == "pause" && st.Alive() && st != supervisor.StatePaused:
			errs = append(errs, s.proc.Pause())
		case verb == "resume":
			errs = append(errs, resumePaused(s.proc))
		}
	}
	return errors.Join(errs...)
}

func (c *Cluster) onZooKeeper(verb, name string) error {
	switch verb {
	case "stop":
		return c.Stop(name)
	case "start":
		return c.Start(name)
	case "kill":
		return c.Kill(name)
	case "pause":
		return c.Pause(name)
	}
	return c.Resume(name)
}
