// Package trace follows one message through a cluster: from the moment it is
// sent, through the log of each node, to its delivery and its acknowledgement.
// It asks nobody for anything that an operator could not ask: the message goes
// through a queue of its own by the broker's own client, and what the nodes
// hold is read from their statuses, again and again. So times of the nodes are
// when this observer saw them, a few milliseconds late at most.
package trace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"baton/node/adminapi"
	"baton/node/client"
)

// ErrNotSeen says that a step was not seen in time.
var ErrNotSeen = errors.New("trace: not seen in time")

// Config of a trace.
type Config struct {
	Stomp []string                    // listeners of all nodes, host:port
	Nodes map[string]*adminapi.Client // every node that can be asked, by id
	Body  string                      // default "trace"
}

const receipted = "receipted: the producer hears success"

// Step is one thing that happened to the message.
type Step struct {
	At   time.Duration // since it was sent; -1 if it was not seen
	What string
	Node string // "" if it is not about one node
}

// Trace is one message's way.
type Trace struct {
	Queue    string
	ID       string
	Position uint64 // of its record in the log
	Begun    time.Time
	Steps    []Step // by time
}

// Text renders the trace for people.
func (t Trace) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "message %s, position %d of the log\n", t.ID, t.Position)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, s := range t.Steps {
		at := "not seen"
		if s.At >= 0 {
			at = fmt.Sprintf("+%.1f ms", float64(s.At.Microseconds())/1000)
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", at, s.What, s.Node)
	}
	w.Flush()
	return b.String()
}

// sample is one status as it was seen.
type sample struct {
	at        time.Time
	positions adminapi.Positions
	leads     bool
}

// watcher asks one node again and again.
type watcher struct {
	id      string
	samples []sample
	applied atomic.Uint64 // of the last one, for those who wait
}

const (
	watchEvery = time.Millisecond // the pause between two questions to a node
	lingerMax  = 2 * time.Second  // for nodes that have the record later than the consumer
)

// samplesMax bounds what a trace remembers of a node.
const samplesMax = 20_000

func (w *watcher) runWatch(ctx context.Context, c *adminapi.Client) {
	for ctx.Err() == nil && len(w.samples) < samplesMax {
		if s, err := c.Status(ctx); err == nil {
			w.samples = append(w.samples, sample{time.Now(), s.Positions, s.Role == adminapi.RoleLeader})
			w.applied.Store(s.Positions.Applied)
		}
		pause(ctx, watchEvery)
	}
}

// Run sends a message and follows it. The queue it went through is removed.
func Run(ctx context.Context, cfg Config) (Trace, error) {
	if cfg.Body == "" {
		cfg.Body = "trace"
	}
	t := Trace{Queue: fmt.Sprintf("baton.trace.%d", time.Now().UnixNano())}
	c, err := client.Dial(ctx, client.Config{Addresses: cfg.Stomp}) // the connection is not the message's way
	if err != nil {
		return t, fmt.Errorf("trace a message: %w", err)
	}
	defer c.Close()
	watch, stop := context.WithCancel(ctx)
	defer stop()
	var watching sync.WaitGroup
	var watchers []*watcher
	for id, api := range cfg.Nodes {
		w := &watcher{id: id}
		watchers = append(watchers, w)
		watching.Go(func() { w.runWatch(watch, api) })
	}
	if err = t.follow(ctx, cfg, c); err == nil {
		t.linger(ctx, watchers)
	}
	stop()
	watching.Wait()
	t.seen(watchers)
	return t, err
}

// follow sends, finds the position, receives and acknowledges.
func (t *Trace) follow(ctx context.Context, cfg Config, c *client.Client) error {
	t.Begun = time.Now()
	dest := "/queue/" + t.Queue
	if _, err := c.Send(ctx, dest, "text/plain", []byte(cfg.Body), nil); err != nil {
		return fmt.Errorf("trace: send: %w", err)
	}
	t.add(receipted, "", time.Now())
	leader, err := t.find(ctx, cfg)
	if err != nil {
		return err
	}
	subscribed := time.Now()
	got := make(chan *client.Message, 1)
	sub, err := c.Subscribe(ctx, dest, client.AckIndividual, 1, func(m *client.Message) {
		select {
		case got <- m:
		default:
		}
	})
	if err != nil {
		return fmt.Errorf("trace: subscribe: %w", err)
	}
	t.add("a consumer subscribes", "", subscribed)
	select {
	case m := <-got:
		t.add("delivered to the consumer", "", time.Now())
		if err := m.Ack(ctx); err != nil {
			return fmt.Errorf("trace: acknowledge: %w", err)
		}
		t.add("the acknowledgement is committed", "", time.Now())
	case <-ctx.Done():
		return fmt.Errorf("%w: the delivery", ErrNotSeen)
	}
	if err := sub.Close(); err != nil {
		return fmt.Errorf("trace: unsubscribe: %w", err)
	}
	_ = leader.DeleteQueue(ctx, t.Queue) // empty: what is left of it costs nothing
	return nil
}

// linger waits until every node has shown that it applied the record.
func (t *Trace) linger(ctx context.Context, watchers []*watcher) {
	ctx, cancel := context.WithTimeout(ctx, lingerMax)
	defer cancel()
	for slices.ContainsFunc(watchers, func(w *watcher) bool { return w.applied.Load() <= t.Position }) && pause(ctx, watchEvery) {
	}
}

// find asks the nodes for the message, of whom the leader knows it.
func (t *Trace) find(ctx context.Context, cfg Config) (*adminapi.Client, error) {
	var last error
	for {
		for _, api := range cfg.Nodes {
			p, err := api.Browse(ctx, t.Queue, adminapi.Browse{Limit: 1, Body: -1})
			if err == nil && len(p.Messages) == 1 {
				t.ID, t.Position = p.Messages[0].ID, p.Messages[0].Position
				return api, nil
			}
			if err != nil {
				last = err
			}
		}
		if !pause(ctx, 5*time.Millisecond) {
			return nil, fmt.Errorf("%w: the message in its queue: %w", ErrNotSeen, errors.Join(last, ctx.Err()))
		}
	}
}

func (t *Trace) add(what, node string, at time.Time) {
	t.Steps = append(t.Steps, Step{At: at.Sub(t.Begun), What: what, Node: node})
}

// seen adds what the nodes' statuses showed of the record.
func (t *Trace) seen(watchers []*watcher) {
	if t.Position == 0 && t.ID == "" {
		return
	}
	for _, w := range watchers {
		for _, f := range []struct {
			what string
			of   func(adminapi.Positions) uint64
			lead bool // of the leader only
		}{
			{"in the log", func(p adminapi.Positions) uint64 { return p.Append }, false},
			{"on disk", func(p adminapi.Positions) uint64 { return p.Flush }, false},
			{"committed: a quorum has it", func(p adminapi.Positions) uint64 { return p.Commit }, true},
			{"applied to the index", func(p adminapi.Positions) uint64 { return p.Applied }, false},
		} {
			step := Step{At: -1, What: f.what, Node: w.id}
			leads := false
			for _, s := range w.samples {
				leads = leads || s.leads
				if f.of(s.positions) > t.Position {
					step.At = max(0, s.at.Sub(t.Begun))
					break
				}
			}
			if f.lead {
				step.At = t.proven(step.At)
			}
			if !f.lead || leads {
				t.Steps = append(t.Steps, step)
			}
		}
	}
	t.Steps = append(t.Steps, Step{What: "sent"})
	t.sort()
}

// proven is when a commit had happened at the latest: when a status showed it,
// or when the receipt came that there is none without.
func (t *Trace) proven(seen time.Duration) time.Duration {
	i := slices.IndexFunc(t.Steps, func(s Step) bool { return s.What == receipted })
	if i >= 0 && (seen < 0 || seen >= t.Steps[i].At) {
		return max(0, t.Steps[i].At-1) // before it, in the order of steps
	}
	return seen
}

// sort puts the steps in the order of time, those that were not seen last.
func (t *Trace) sort() {
	rank := func(s Step) time.Duration {
		if s.At < 0 {
			return 1 << 62
		}
		return s.At
	}
	slices.SortStableFunc(t.Steps, func(a, b Step) int {
		switch d := rank(a) - rank(b); {
		case a.What == "sent", d < 0:
			return -1
		case b.What == "sent", d > 0:
			return 1
		}
		return 0
	})
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
