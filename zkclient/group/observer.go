package group

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"baton/zkclient"
)

// Config says where a group lives.
type Config struct {
	// Client is used, not closed.
	Client *zkclient.Client
	// Path of the group, like "/baton/default". Groups create it with its
	// parents when they join; observers wait for it.
	Path string
	// GroupID is the cluster's name. Members with another id are set apart; ""
	// takes all.
	GroupID string
	// Logger; default: discard.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Path = "/" + strings.Trim(c.Path, "/")
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// child is the path of a node of the group.
func (c Config) child(name string) string { return strings.TrimSuffix(c.Path, "/") + "/" + name }

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if c.Client == nil {
		return errors.New("group: no ZooKeeper client given")
	}
	if strings.Trim(c.Path, "/") == "" {
		return errors.New("group: no ZooKeeper path given")
	}
	return nil
}

// Observer keeps a view of a group without taking part.
type Observer struct {
	cfg     Config
	log     *slog.Logger
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	updates chan Snapshot
	nudge   chan struct{} // holds one: the own member changed, publish again
	changed func()        // called after each publication; must not block

	mu struct {
		sync.Mutex
		snap    Snapshot
		self    string // eid of the node that the keeper holds
		keepErr error  // what keeps it from holding one
		link    link
	}
}

// Observe starts an observer. It panics on a configuration that Validate
// refuses. The caller closes it, before the client.
func Observe(cfg Config) *Observer {
	o := newObserver(cfg, func() {})
	o.start()
	return o
}

func newObserver(cfg Config, changed func()) *Observer {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	cfg = cfg.withDefaults()
	o := &Observer{
		cfg: cfg, log: cfg.Logger, changed: changed,
		updates: make(chan Snapshot, 1),
		nudge:   make(chan struct{}, 1),
	}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	o.mu.snap = Snapshot{ClusterVersion: -1, At: time.Now()}
	return o
}

func (o *Observer) start() {
	o.wg.Add(1)
	go o.runObserve()
}

// Close stops observing and waits for it. Updates is not closed.
func (o *Observer) Close() error {
	o.cancel()
	o.wg.Wait()
	return nil
}

// Updates gives snapshots: after each change of the tree, of the own member or
// of the connection. It holds the newest only. It is meant for one reader.
func (o *Observer) Updates() <-chan Snapshot { return o.updates }

// Snapshot returns the newest view.
func (o *Observer) Snapshot() Snapshot {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.snap.clone()
}

// runObserve follows the tree through one attachment after another. Each starts
// from nothing: everything is read again, so that no watch that the library may
// have missed to restore can leave the view behind.
func (o *Observer) runObserve() {
	defer o.wg.Done()
	reads := uint64(0)
	for {
		s, err := o.cfg.Client.Session(o.ctx)
		if err != nil { // closed: the group or its client
			o.disconnected()
			return
		}
		reads++
		newTrack(o, s, reads).run()
		o.disconnected()
	}
}

// link is the attachment of a session that a view was read through.
type link struct {
	reads    uint64
	session  *zkclient.Session
	detached <-chan struct{} // closed when it is over
}

// disconnected marks the view as old.
func (o *Observer) disconnected() {
	s := o.Snapshot()
	s.Connected, s.Err = false, o.cfg.Client.State().Err
	o.publish(s)
}

// publish makes s the newest snapshot if it says anything new. Called by the
// goroutine that runs runObserve only.
func (o *Observer) publish(s Snapshot) {
	s.At = time.Now()
	o.mu.Lock()
	s.Self = ""
	if _, ok := s.Member(o.mu.self); ok {
		s.Self = o.mu.self
	}
	if s.Connected && s.Err == nil {
		s.Err = o.mu.keepErr
	}
	news := !s.same(o.mu.snap)
	if news {
		o.mu.snap = s
		select {
		case <-o.updates:
		default:
		}
		o.updates <- s.clone() // never blocks: it has room for one and o.mu one sender
	}
	o.mu.Unlock()
	o.changed() // also without news: a node that came and went left no trace in the view
}

// setSelf tells, if that is new, which node is the own member, or why there is none.
func (o *Observer) setSelf(eid string, err error) {
	o.mu.Lock()
	same := o.mu.self == eid && o.mu.keepErr == err
	o.mu.self, o.mu.keepErr = eid, err
	o.mu.Unlock()
	if same {
		return
	}
	select {
	case o.nudge <- struct{}{}:
	default:
	}
}
