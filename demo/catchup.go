package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"baton/demo/cluster"
	"baton/demo/load"
	"baton/node/adminapi"
	"baton/node/client"
)

// CatchUpConfig is a plan in which one follower is killed, the log grows by
// Bytes, and the follower catches up beside producers at full speed.
type CatchUpConfig struct {
	Cluster cluster.Config
	Load    load.Config   // Addresses and Rate are filled in: producers wait for nothing but their receipts
	Bytes   int64         // what the follower lacks, default 2 GiB
	Measure time.Duration // of each rate to compare with, default 5 s
	Settle  time.Duration // bound of filling, and of catching up; default 2 min

	Progress func(string)
}

const (
	catchUpBytesMin = 16 << 20 // less is sent before anybody can look
	fillBody        = 256 << 10
	fillQueue       = "/queue/bench.fill"
	fillSenders     = 16
	fullRate        = 1e9 // messages per second that nobody reaches
)

func (c CatchUpConfig) withDefaults() CatchUpConfig {
	if c.Bytes == 0 {
		c.Bytes = 2 << 30
	}
	if c.Measure <= 0 {
		c.Measure = 5 * time.Second
	}
	if c.Settle <= 0 {
		c.Settle = 2 * time.Minute
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if c.Load.Producers == 0 {
		c.Load.Producers = 16
	}
	if c.Load.BodySize == 0 {
		c.Load.BodySize = 1024
	}
	c.Load.Rate = fullRate
	c.Cluster.Direct = true
	return c
}

// Validate says what makes the plan impossible.
func (c CatchUpConfig) Validate() error {
	c = c.withDefaults()
	if c.Bytes < catchUpBytesMin || c.Bytes > 1<<40 {
		return fmt.Errorf("demo: a follower that lacks %d bytes is no measure, want %d to %d", c.Bytes, int64(catchUpBytesMin), int64(1<<40))
	}
	if c.Cluster.Nodes != 0 && c.Cluster.Nodes < 3 {
		return errors.New("demo: catching up is measured with 3 nodes or more: the others have to be a quorum meanwhile")
	}
	return errors.Join(c.Cluster.Validate(), c.Load.Validate())
}

// CatchUpReport is the outcome of a CatchUpConfig. Rates of producers are
// receipts per second.
type CatchUpReport struct {
	Follower string  `json:"follower"`
	Bytes    uint64  `json:"bytes"`    // of log that it took in until it was in sync
	Behind   uint64  `json:"behind"`   // what it lacked when it was started again
	StartMS  float64 `json:"start_ms"` // from its start until it was attached
	Seconds  float64 `json:"seconds"`  // from then until it was in sync
	Rate     float64 `json:"bytes_per_second"`
	Samples  int     `json:"progress_samples"` // times that its progress was seen in the leader's status

	Before float64 `json:"producers_before"` // all in sync, before it was killed
	Away   float64 `json:"producers_away"`   // while it was away
	During float64 `json:"producers_during"` // while it caught up
	After  float64 `json:"producers_after"`  // all in sync again

	ToBefore float64 `json:"ratio_to_before"` // During / Before
	ToAway   float64 `json:"ratio_to_away"`   // During / Away

	Sent        uint64   `json:"sent"`
	Receipted   uint64   `json:"receipted"`
	Lost        uint64   `json:"lost"`
	ChainsEqual bool     `json:"chains_equal"`
	Problems    []string `json:"problems,omitempty"`
}

// Err is not nil if something was lost or is different on the nodes.
func (r CatchUpReport) Err() error {
	switch {
	case r.Lost > 0:
		return fmt.Errorf("%d receipted messages were lost", r.Lost)
	case len(r.Problems) > 0:
		return errors.New(strings.Join(r.Problems, "; "))
	case !r.ChainsEqual:
		return errors.New("the nodes do not hold the same log")
	}
	return nil
}

// Text renders the report for people.
func (r CatchUpReport) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s was %.0f MB behind and took in %.0f MB in %.1f s: %.0f MB/s\n", r.Follower, mega(float64(r.Behind)), mega(float64(r.Bytes)), r.Seconds, mega(r.Rate))
	fmt.Fprintf(&b, "producers, receipts per second: %.0f before, %.0f while it was away, %.0f while it caught up, %.0f after\n", r.Before, r.Away, r.During, r.After)
	fmt.Fprintf(&b, "that is %.0f %% of before, %.0f %% of while it was away\n", 100*r.ToBefore, 100*r.ToAway)
	fmt.Fprintf(&b, "sent %d, receipted %d, lost %d\n", r.Sent, r.Receipted, r.Lost)
	return b.String()
}

func mega(b float64) float64 { return b / 1e6 }

// BenchCatchUp launches a cluster and measures.
func BenchCatchUp(ctx context.Context, cfg CatchUpConfig) (CatchUpReport, error) {
	if err := cfg.Validate(); err != nil {
		return CatchUpReport{}, err
	}
	cfg = cfg.withDefaults()
	c, err := cluster.Launch(ctx, cfg.Cluster)
	if err != nil {
		return CatchUpReport{}, err
	}
	b := &catchUpBench{cfg: cfg, c: c}
	err = b.run(ctx)
	return b.r, errors.Join(err, c.Close())
}

type catchUpBench struct {
	cfg CatchUpConfig
	c   *cluster.Cluster
	l   *load.Load
	r   CatchUpReport
}

func (b *catchUpBench) run(ctx context.Context) error {
	lc := b.cfg.Load
	lc.Addresses = b.c.StompAddresses()
	var err error
	if b.l, err = load.Start(lc); err != nil {
		return err
	}
	defer b.l.Close()
	for _, step := range []func(context.Context) error{b.before, b.fall, b.catchUp, b.after} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// rate is how fast producers are, over a while.
func (b *catchUpBench) rate(ctx context.Context, what string) (float64, error) {
	m := b.begin()
	if !until(ctx, time.Now().Add(b.cfg.Measure)) {
		return 0, ctx.Err()
	}
	r := m.rate(b.l)
	b.cfg.Progress(fmt.Sprintf("producers %s: %.0f receipts/s", what, r))
	return r, nil
}

// mark is a moment from which a rate is measured.
type mark struct {
	at       time.Time
	receipts uint64
}

func (b *catchUpBench) begin() mark { return mark{time.Now(), b.l.Summary().Receipted} }

func (m mark) rate(l *load.Load) float64 {
	return float64(l.Summary().Receipted-m.receipts) / time.Since(m.at).Seconds()
}

func (b *catchUpBench) before(ctx context.Context) (err error) {
	if !until(ctx, time.Now().Add(time.Second)) { // connections are made, caches are warm
		return ctx.Err()
	}
	b.r.Before, err = b.rate(ctx, "with all in sync")
	return err
}

// fall kills the follower and lets the log grow.
func (b *catchUpBench) fall(ctx context.Context) (err error) {
	if b.r.Follower, err = b.c.Inject(ctx, cluster.Fault{Name: "kill-follower"}); err != nil {
		return err
	}
	if b.r.Away, err = b.rate(ctx, "with "+b.r.Follower+" away"); err != nil {
		return err
	}
	b.l.SetRate(0)
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Settle)
	defer cancel()
	b.cfg.Progress(fmt.Sprintf("letting the log grow by %d bytes", b.cfg.Bytes))
	err = b.fill(ctx)
	b.l.SetRate(fullRate)
	return err
}

// fill sends large messages that nobody receives.
func (b *catchUpBench) fill(ctx context.Context) error {
	body := make([]byte, fillBody)
	var left atomic.Int64
	left.Store((b.cfg.Bytes + fillBody - 1) / fillBody)
	var senders sync.WaitGroup
	errs := make([]error, fillSenders)
	for i := range fillSenders {
		cl, err := client.New(client.Config{Addresses: b.c.StompAddresses(), ReceiptTimeout: b.cfg.Settle})
		if err != nil {
			return err
		}
		senders.Go(func() {
			defer cl.Close()
			for left.Add(-1) >= 0 && errs[i] == nil {
				_, errs[i] = cl.Send(ctx, fillQueue, "application/octet-stream", body, nil)
			}
		})
	}
	senders.Wait()
	return errors.Join(errs...)
}

// view is the follower as its leader shows it, and the leader's end.
func (b *catchUpBench) view(ctx context.Context) (f adminapi.Follower, end uint64) {
	for _, s := range b.c.Poll(ctx) {
		if s.Err != nil || s.Status.Role != adminapi.RoleLeader {
			continue
		}
		for _, of := range s.Status.Followers {
			if of.Node == b.r.Follower {
				return of, s.Status.Positions.Append
			}
		}
	}
	return f, 0
}

func (b *catchUpBench) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Settle)
	defer cancel()
	lost, end := b.view(ctx) // the leader remembers how far it was
	from := lost.Flushed
	b.r.Behind = end - min(from, end)
	m := b.begin() // a follower that is in sync before anybody looks took this long at the most
	if err := b.c.Start(b.r.Follower); err != nil {
		return err
	}
	seen := false
	for {
		f, end := b.view(ctx)
		switch {
		case f.State == adminapi.StateInSync && f.Flushed >= from+b.r.Behind: // it may be called in sync for being late only
			b.r.Seconds = time.Since(m.at).Seconds()
			b.r.During = m.rate(b.l)
			b.r.Bytes = f.Flushed - from
			b.r.Rate = float64(b.r.Bytes) / b.r.Seconds
			b.r.ToBefore, b.r.ToAway = b.r.During/b.r.Before, b.r.During/b.r.Away
			b.cfg.Progress(fmt.Sprintf("caught up at %.0f MB/s, producers meanwhile: %.0f receipts/s", mega(b.r.Rate), b.r.During))
			return nil
		case f.CatchUp != nil && !seen:
			seen, b.r.StartMS = true, millis(time.Since(m.at))
			m, from = b.begin(), f.CatchUp.From
			b.r.Behind = end - from
		case f.CatchUp != nil:
			b.r.Samples++
			if b.r.Samples%20 == 0 {
				b.cfg.Progress(fmt.Sprintf("%.0f of %.0f MB, %.0f MB/s, %.0f s to go", mega(float64(f.CatchUp.Done-from)),
					mega(float64(f.CatchUp.To-from)), mega(f.CatchUp.Rate), f.CatchUp.ETASecs))
			}
		}
		if !until(ctx, time.Now().Add(50*time.Millisecond)) {
			return fmt.Errorf("%s did not catch up in time: it is %s, %d bytes behind", b.r.Follower, f.State, f.LagBytes)
		}
	}
}

func (b *catchUpBench) after(ctx context.Context) (err error) {
	if b.r.After, err = b.rate(ctx, "with all in sync again"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Settle)
	defer cancel()
	if err := b.l.Drain(ctx); err != nil {
		b.r.Problems = append(b.r.Problems, err.Error())
	}
	s := b.l.Summary()
	b.r.Sent, b.r.Receipted, b.r.Lost = s.Sent, s.Receipted, s.Outstanding
	for { // until the follower's index, too, has everything
		ch := b.c.Chains(ctx)
		if b.r.ChainsEqual = ch.Equal && ch.Compared; b.r.ChainsEqual {
			return nil
		}
		if !until(ctx, time.Now().Add(50*time.Millisecond)) {
			b.r.Problems = append(b.r.Problems, "the running hashes of the nodes could not be compared in time")
			return nil
		}
	}
}
