package data

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"baton/demo/failover"
	"baton/node/adminapi"
)

// Errors of a Source.
var (
	ErrConfig      = errors.New("data: bad configuration")
	ErrUnsupported = errors.New("data: action is not possible on this cluster")
)

// Actions that can be done to a node.
const (
	ActionKill     = "kill"     // SIGKILL
	ActionStop     = "stop"     // SIGTERM
	ActionStart    = "start"    //
	ActionRestart  = "restart"  // stop, wait, start
	ActionPause    = "pause"    // SIGSTOP
	ActionResume   = "resume"   // SIGCONT
	ActionCut      = "cut"      // take its links away
	ActionHeal     = "heal"     // give them back
	ActionTransfer = "transfer" // hand leadership to it, or away from it if it leads
	ActionWipe     = "wipe"     // SIGKILL, empty its disk, start it again

	ActionCutZK           = "cut-zookeeper"    // from ZooKeeper alone
	ActionCutClients      = "cut-clients"      // its clients hear nothing
	ActionDelay           = "delay"            // its replication links by DelayAmount
	ActionFillDisk        = "fill-disk"        // its writes fail: no space is left
	ActionSlowDisk        = "slow-disk"        // every sync takes 200 ms longer
	ActionThrottle        = "throttle"         // its replication links to ThrottleAmount
	ActionDelayZK         = "delay-zookeeper"  // its links to ZooKeeper by DelayAmount
	ActionDelayClients    = "delay-clients"    // the links of its clients by DelayAmount
	ActionThrottleClients = "throttle-clients" // the links of its clients to ThrottleAmount
	ActionPowerLoss       = "power-loss"       // its machine goes off: unsynced writes are lost
	ActionBlackout        = "blackout"         // of all nodes at the same time
	ActionStartAll        = "start-all"        // every node that is down
)

// TreeReader reads the cluster's ZooKeeper tree. It must honour ctx.
type TreeReader func(ctx context.Context) (Tree, error)

// Local is a cluster that this program launched. Processes, Ledger and
// Failovers answer from memory, at once, and are called several times a
// second; Do may take as long as its context allows.
type Local interface {
	Processes() []Process
	Do(ctx context.Context, action, node string) error
	Ledger() Ledger
	Failovers() []failover.Run
}

// Supporter may be implemented by a Local that cannot do every action.
type Supporter interface {
	Supports(action string) (ok bool, why string)
}

// Noter may be implemented by a Local that keeps account of what was done to
// its cluster, by whom ever: a lesson, a plan or the console.
type Noter interface {
	// Notes returns what was done since a sequence, oldest first, as events of
	// KindConsole, and the sequence of the last.
	Notes(after uint64) ([]adminapi.Event, uint64)
}

// Linked may be implemented by a Local whose links can be disturbed.
type Linked interface{ Links() []Link }

// Endpoint is a node's admin listener. ID may be empty: the node tells it.
type Endpoint struct{ ID, Admin string }

// Config of a Source.
type Config struct {
	Cluster string
	Nodes   []Endpoint
	Token   string // bearer token for control verbs
	CLI     CLI    // how another terminal acts on the same cluster
	// Tree reads ZooKeeper; nil shows the members that nodes report themselves.
	// Nodes found in the tree are asked too.
	Tree        TreeReader
	TreeChanged <-chan struct{} // optional: read the tree now
	ZKServers   []string        // host:port of ZooKeeper servers to ask about themselves
	Local       Local           // nil when attached
	Earlier     []Measured      // failovers of earlier runs, for forecasts
	// Lesson, if not nil, returns the lesson under way. It must not block.
	Lesson func() *Lesson

	Refresh      time.Duration // between questions, default 250 ms
	Timeout      time.Duration // of one question, default 1 s
	StaleAfter   time.Duration // age of an answer that is marked, default 1 s
	UnknownAfter time.Duration // age of an answer that says nothing, default 3 s
	EventsMax    int           // events kept, default 2000
	Now          func() time.Time
	HTTP         *http.Client // default: own client without proxies
	Logger       *slog.Logger
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Refresh, 250*time.Millisecond)
	def(&c.Timeout, time.Second)
	def(&c.StaleAfter, max(time.Second, 2*c.Refresh))
	def(&c.UnknownAfter, max(3*time.Second, 3*c.StaleAfter))
	if c.EventsMax == 0 {
		c.EventsMax = 2000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second}}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case len(c.Nodes) == 0 && c.Tree == nil:
		return fmt.Errorf("%w: neither nodes nor a ZooKeeper reader", ErrConfig)
	case c.Refresh < 0 || c.Timeout < 0 || c.StaleAfter < 0 || c.UnknownAfter < 0 || c.EventsMax < 0:
		return fmt.Errorf("%w: negative duration or size", ErrConfig)
	}
	for _, n := range c.Nodes {
		if n.Admin == "" {
			return fmt.Errorf("%w: node %q has no admin address", ErrConfig, n.ID)
		}
	}
	return nil
}

// pollersMax bounds the nodes that are asked; a tree can name any number.
const pollersMax = 64

// Source asks a cluster and publishes Snapshots.
type Source struct {
	cfg     Config
	tracker failover.Tracker
	wake    chan struct{} // something came in: publish soon

	mu struct {
		sync.Mutex
		pollers map[string]*poller // by admin address
		tree    Tree
		events  eventLog
		logs    logBook
		servers []Server
		queues  queueLog
		seq     uint64
		rates   struct{ in, out series }
		sampled time.Time
		self    Self
		looked  time.Time // at itself
	}
	running sync.WaitGroup
}

// New checks the configuration. Nothing is asked before Run.
func New(cfg Config) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg.withDefaults(), wake: make(chan struct{}, 1)}
	s.mu.pollers = map[string]*poller{}
	s.mu.events.limit = s.cfg.EventsMax
	s.mu.logs.seen, s.mu.logs.lost = map[string]uint64{}, map[string]uint64{}
	for _, a := range s.cfg.ZKServers {
		s.mu.servers = append(s.mu.servers, Server{Address: Clean(a)})
	}
	return s, nil
}

// Run asks and publishes until ctx ends, then waits for all it started.
// publish is called from one goroutine, about once per Refresh and soon after
// each event; it must not block for long.
func (s *Source) Run(ctx context.Context, publish func(*Snapshot)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.running.Wait()
	defer cancel()
	for _, n := range s.cfg.Nodes {
		s.addNode(ctx, n)
	}
	if s.cfg.Tree != nil {
		s.running.Go(func() { s.runTree(ctx) })
	}
	for _, a := range s.cfg.ZKServers {
		s.running.Go(func() { s.runServers(ctx, a) })
	}
	if l, ok := s.cfg.Local.(Logger); ok {
		s.running.Go(func() { s.runLogs(ctx, l) })
	}
	if n, ok := s.cfg.Local.(Noter); ok {
		s.running.Go(func() { s.runNotes(ctx, n) })
	}
	s.runPublish(ctx, publish)
	return ctx.Err()
}

// publishGap keeps a burst of events from becoming a burst of snapshots.
const publishGap = 40 * time.Millisecond

func (s *Source) runPublish(ctx context.Context, publish func(*Snapshot)) {
	tick := time.NewTicker(s.cfg.Refresh)
	defer tick.Stop()
	gap := time.NewTimer(0)
	defer gap.Stop()
	for {
		publish(s.Snapshot())
		gap.Reset(min(publishGap, s.cfg.Refresh))
		select {
		case <-ctx.Done():
			return
		case <-gap.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.wake:
		}
	}
}

func (s *Source) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// addNode starts asking a node, unless that is done already.
func (s *Source) addNode(ctx context.Context, e Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.mu.pollers[e.Admin]; ok || e.Admin == "" || len(s.mu.pollers) >= pollersMax {
		return
	}
	p := newPoller(s, e)
	s.mu.pollers[e.Admin] = p
	s.running.Go(func() { p.runStatus(ctx) })
	s.running.Go(func() { p.runEvents(ctx) })
}

// runTree reads ZooKeeper's tree again and again and starts asking every node
// that it names.
func (s *Source) runTree(ctx context.Context) {
	tick := time.NewTicker(s.cfg.Refresh)
	defer tick.Stop()
	for {
		s.readTree(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.cfg.TreeChanged:
		}
	}
}

func (s *Source) readTree(ctx context.Context) {
	call, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	t, err := s.cfg.Tree(call)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.mu.Lock()
		s.mu.tree.Error = Clean(err.Error())
		s.mu.Unlock()
		return
	}
	cleanTree(&t)
	if t.At.IsZero() {
		t.At = s.cfg.Now()
	}
	s.mu.Lock()
	s.mu.tree = t
	s.mu.Unlock()
	for _, m := range t.Members {
		s.addNode(ctx, Endpoint{ID: m.Node, Admin: m.Admin})
	}
}

// Note adds a line of the console's own to the timeline.
func (s *Source) Note(kind, node, text string) {
	s.addNote(adminapi.Event{At: s.cfg.Now(), Node: Clean(node), Kind: kind, Text: Clean(text)})
}
