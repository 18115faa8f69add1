package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"baton/demo/cluster"
	"baton/demo/failover"
	"baton/demo/load"
)

// BenchConfig is a plan of many failovers, one after the other.
type BenchConfig struct {
	Cluster cluster.Config
	Load    load.Config   // Addresses and OnReceipt are filled in
	Runs    int           // default 20
	Fault   string        // kill-leader (default), pause-leader, cut-leader or transfer
	Settle  time.Duration // bound of coming back to health between two runs; default 30 s

	Progress func(string)
}

// benchFaults are the faults that change the leader, and what undoes each.
var benchFaults = map[string]string{"kill-leader": "restart", "pause-leader": "resume", "cut-leader": "heal", "transfer": ""}

func (c BenchConfig) withDefaults() BenchConfig {
	if c.Runs == 0 {
		c.Runs = 20
	}
	if c.Fault == "" {
		c.Fault = "kill-leader"
	}
	if c.Settle <= 0 {
		c.Settle = 30 * time.Second
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}

// Validate says what makes the plan impossible.
func (c BenchConfig) Validate() error {
	c = c.withDefaults()
	if _, ok := benchFaults[c.Fault]; !ok {
		return fmt.Errorf("%w: %q is no failover to measure; use kill-leader, pause-leader, cut-leader or transfer", cluster.ErrFault, c.Fault)
	}
	if c.Runs < 1 || c.Runs > 10000 {
		return fmt.Errorf("demo: %d runs, want 1 to 10000", c.Runs)
	}
	if c.Load.Rate <= 0 {
		return errors.New("demo: a failover is measured to the next receipt, so the rate must be above 0")
	}
	return errors.Join(c.Cluster.Validate(), c.Load.Validate())
}

// Spread is the spread of one figure over the runs, in milliseconds.
type Spread struct {
	Min    float64 `json:"min_ms"`
	Median float64 `json:"median_ms"`
	Max    float64 `json:"max_ms"`
}

func spread(v []float64) Spread {
	slices.Sort(v)
	if len(v) == 0 {
		return Spread{}
	}
	return Spread{Min: v[0], Median: v[len(v)/2], Max: v[len(v)-1]}
}

// BenchReport is the outcome of a BenchConfig. Phases are since the fault; a
// transfer has no suspicion.
type BenchReport struct {
	Fault     string            `json:"fault"`
	Runs      int               `json:"runs"`
	Phases    map[string]Spread `json:"phases"`
	Failovers []Failover        `json:"failovers"`
	Sent      uint64            `json:"sent"`
	Receipted uint64            `json:"receipted"`
	Lost      uint64            `json:"lost"`
	Problems  []string          `json:"problems,omitempty"`
}

// Err is not nil if something was lost or a run could not be made.
func (r BenchReport) Err() error {
	if r.Lost > 0 {
		return fmt.Errorf("%d receipted messages were lost", r.Lost)
	}
	if len(r.Problems) > 0 {
		return errors.New(strings.Join(r.Problems, "; "))
	}
	return nil
}

// BenchFailover launches a cluster under load and makes its leader fail again
// and again, each time from a healthy cluster.
func BenchFailover(ctx context.Context, cfg BenchConfig) (BenchReport, error) {
	if err := cfg.Validate(); err != nil {
		return BenchReport{}, err
	}
	cfg = cfg.withDefaults()
	c, err := cluster.Launch(ctx, cfg.Cluster)
	if err != nil {
		return BenchReport{}, err
	}
	r, err := benchOn(ctx, cfg, c)
	return r, errors.Join(err, c.Close())
}

func benchOn(ctx context.Context, cfg BenchConfig, c *cluster.Cluster) (BenchReport, error) {
	r := BenchReport{Fault: cfg.Fault, Runs: cfg.Runs, Phases: map[string]Spread{}}
	lc := cfg.Load
	lc.Addresses, lc.OnReceipt = c.StompAddresses(), c.Tracker().Receipt
	l, err := load.Start(lc)
	if err != nil {
		return r, err
	}
	defer l.Close()
	figures := map[string][]float64{}
	for i := range cfg.Runs {
		run, err := benchOnce(ctx, cfg, c)
		if err != nil {
			r.Problems = append(r.Problems, fmt.Sprintf("run %d: %v", i+1, err))
			break
		}
		for _, p := range run.Phases() {
			if p.At >= 0 {
				figures[p.Name] = append(figures[p.Name], millis(p.At))
			}
		}
		cfg.Progress(fmt.Sprintf("run %d of %d: %s to %s in %.0f ms", i+1, cfg.Runs, run.LeaderBefore, run.LeaderAfter,
			millis(run.FirstReceipt.Sub(run.Fault))))
		r.Failovers = append(r.Failovers, failoverOf(run))
	}
	for name, v := range figures {
		r.Phases[name] = spread(v)
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.Settle)
	defer cancel()
	if err := l.Drain(drain); err != nil {
		r.Problems = append(r.Problems, err.Error())
	}
	s := l.Summary()
	r.Sent, r.Receipted, r.Lost = s.Sent, s.Receipted, s.Outstanding
	return r, nil
}

// benchOnce makes one failover from health to health.
func benchOnce(ctx context.Context, cfg BenchConfig, c *cluster.Cluster) (failover.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Settle)
	defer cancel()
	before := newest(c).ID
	if _, err := c.Inject(ctx, cluster.Fault{Name: cfg.Fault}); err != nil {
		return failover.Run{}, err
	}
	var run failover.Run
	for !run.Done() {
		if r := newest(c); r.ID > before {
			run = r
		}
		if !until(ctx, time.Now().Add(5*time.Millisecond)) {
			return run, errors.New("no producer heard success again in time")
		}
	}
	if undo := benchFaults[cfg.Fault]; undo != "" {
		if _, err := c.Inject(ctx, cluster.Fault{Name: undo}); err != nil {
			return run, err
		}
	}
	return run, c.WaitHealthy(ctx)
}

// newest is the last failover of a cluster, the zero value if there was none.
func newest(c *cluster.Cluster) failover.Run {
	runs := c.Tracker().Runs()
	if len(runs) == 0 {
		return failover.Run{}
	}
	return runs[len(runs)-1]
}

// Text renders the report for people.
func (r BenchReport) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d runs, milliseconds since the fault\n\n", r.Fault, len(r.Failovers))
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "phase\tmin\tmedian\tmax\t")
	for _, p := range (failover.Run{}).Phases() {
		if s, ok := r.Phases[p.Name]; ok {
			fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t\n", p.Name, s.Min, s.Median, s.Max)
		}
	}
	t.Flush()
	fmt.Fprintf(&b, "\nsent %d, receipted %d, lost %d\n", r.Sent, r.Receipted, r.Lost)
	return b.String()
}
