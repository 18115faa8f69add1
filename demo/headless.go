package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"baton/demo/cluster"
	"baton/demo/load"
)

// Config of a headless run.
type Config struct {
	Cluster cluster.Config
	Load    load.Config // Addresses and OnReceipt are filled in
	Faults  []cluster.Fault
	For     time.Duration // how long producers send; default 20 s

	DrainTimeout  time.Duration // default 30 s
	HealthTimeout time.Duration // after the drain; default 30 s
	Progress      func(string)  // a line per step and fault, from several goroutines; may be nil
	// Watch, if not nil, is called when cluster and load run. What it returns is
	// called before they stop.
	Watch  func(*cluster.Cluster, *load.Load) (stop func(), err error)
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.For <= 0 {
		c.For = 20 * time.Second
	}
	if c.DrainTimeout <= 0 {
		c.DrainTimeout = 30 * time.Second
	}
	if c.HealthTimeout <= 0 {
		c.HealthTimeout = 30 * time.Second
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Cluster.Logger == nil {
		c.Cluster.Logger = c.Logger
	}
	if c.Load.Logger == nil {
		c.Load.Logger = c.Logger
	}
	return c
}

// Validate reports what makes the plan impossible, before anything is started.
func (c Config) Validate() error {
	if err := c.Cluster.Validate(); err != nil {
		return err
	}
	if err := c.Load.Validate(); err != nil {
		return err
	}
	c = c.withDefaults()
	for _, f := range c.Faults {
		if f.At >= c.For {
			return fmt.Errorf("%w: %s comes after the end of the run (%v)", cluster.ErrFault, f, c.For)
		}
		if err := c.Cluster.CheckFault(f); err != nil {
			return err
		}
	}
	return nil
}

// Headless runs the plan and reports. The error says that the run could not be
// made; whether it went well is Report.Err. Cancelling ctx ends the run early:
// what was measured until then is drained, judged and reported, unless the
// cluster was not up yet.
func Headless(ctx context.Context, cfg Config) (Report, error) {
	if err := cfg.Validate(); err != nil {
		return Report{}, err
	}
	cfg = cfg.withDefaults()
	cfg.Progress("starting the cluster")
	began := time.Now()
	c, err := cluster.Launch(ctx, cfg.Cluster)
	if err != nil {
		return Report{}, err
	}
	r, err := run(ctx, cfg, c, time.Since(began))
	if cerr := c.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("stop the cluster: %w", cerr)
	}
	return r, err
}

func run(ctx context.Context, cfg Config, c *cluster.Cluster, startup time.Duration) (Report, error) {
	tracker := c.Tracker()
	lc := cfg.Load
	lc.Addresses, lc.OnReceipt = c.ClientAddresses(), tracker.Receipt
	l, err := load.Start(lc)
	if err != nil {
		return Report{}, err
	}
	defer l.Close()
	if cfg.Watch != nil {
		stop, err := cfg.Watch(c, l)
		if err != nil {
			return Report{}, fmt.Errorf("watch the run: %w", err)
		}
		defer stop()
	}
	began := time.Now()
	cfg.Progress(fmt.Sprintf("cluster is up after %v; sending for %v", startup.Round(time.Millisecond), cfg.For))
	r := Report{StartupMS: startup.Milliseconds()}
	r.Faults = play(ctx, cfg, c, began)
	if ctx.Err() != nil {
		r.Interrupted = true
		cfg.Progress("interrupted")
	}

	// From here on the judge works, even if the run was interrupted.
	ctx = context.WithoutCancel(ctx)
	cfg.Progress("draining")
	drain, cancel := context.WithTimeout(ctx, cfg.DrainTimeout)
	err = l.Drain(drain)
	cancel()
	r.Drained = err == nil
	if err != nil {
		r.Problems = append(r.Problems, err.Error())
	}
	r.ElapsedMS = time.Since(began).Milliseconds()
	cfg.Progress("waiting for the cluster to be healthy")
	settle(ctx, cfg, c, &r)
	r.count(l)
	r.failovers(tracker.Runs())
	r.nodes(c)
	return r, nil
}

// faultTimeout bounds one fault: a transfer waits for the leader's answer.
const faultTimeout = 15 * time.Second

// play waits for the end of the run and injects the faults on the way, each on
// time even if one before it takes long. One that cannot be injected is
// recorded with its reason, and the run goes on.
func play(ctx context.Context, cfg Config, c *cluster.Cluster, began time.Time) []FaultResult {
	results := make([]FaultResult, len(cfg.Faults))
	started := 0
	var injecting sync.WaitGroup
	for i, f := range cfg.Faults {
		if !until(ctx, began.Add(f.At)) {
			break
		}
		started++
		injecting.Go(func() { results[i] = inject(ctx, cfg, c, f, began) })
	}
	until(ctx, began.Add(cfg.For))
	injecting.Wait()
	return results[:started]
}

func inject(ctx context.Context, cfg Config, c *cluster.Cluster, f cluster.Fault, began time.Time) FaultResult {
	ctx, cancel := context.WithTimeout(ctx, faultTimeout)
	defer cancel()
	at := time.Since(began)
	res := FaultResult{Name: f.Name, Node: f.Node, PlannedMS: f.At.Milliseconds(), AtMS: at.Milliseconds()}
	node, err := c.Inject(ctx, f)
	if node != "" {
		res.Node = node
	}
	text := strings.TrimSpace(fmt.Sprintf("%v: %s %s", at.Round(time.Millisecond), f.Name, res.Node))
	if err != nil {
		res.Error = err.Error()
		text += ": " + res.Error
	}
	res.TookMS = (time.Since(began) - at).Milliseconds()
	cfg.Progress(text)
	return res
}

func until(ctx context.Context, at time.Time) bool {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// settle waits until the cluster is healthy and all its logs can be compared.
func settle(ctx context.Context, cfg Config, c *cluster.Cluster, r *Report) {
	ctx, cancel := context.WithTimeout(ctx, cfg.HealthTimeout)
	defer cancel()
	if err := c.WaitHealthy(ctx); err != nil {
		r.Problems = append(r.Problems, err.Error())
	} else {
		r.Healthy = true
	}
	for {
		chains := c.Chains(ctx)
		r.ChainsEqual = chains.Compared && chains.Equal
		switch {
		case !chains.Equal:
			r.Problems = append(r.Problems, "logs differ: "+chains.Detail)
			return
		case chains.Compared || !r.Healthy:
			return
		}
		if !until(ctx, time.Now().Add(50*time.Millisecond)) {
			r.Problems = append(r.Problems, "the nodes' logs share no position to compare")
			return
		}
	}
}

// ErrFailed says that a run broke a promise of the broker or could not be judged.
var ErrFailed = errors.New("demo: run failed")
