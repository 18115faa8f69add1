package repl

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"baton/repl/progress"
	"baton/repl/quorum"
	"baton/repl/wire"
	"baton/store/record"
)

// LeaderListener is told what happens to a leader. Any field may be nil. The
// functions must not block and must not call Stop; they run on the leader's
// goroutines, one at a time where they tell of commits and of the quorum.
type LeaderListener struct {
	// Commit tells the commit position when it moves, before the proposals below
	// it are answered.
	Commit           func(record.Position)
	FollowerAttached func(FollowerAttached)
	FollowerLost     func(node string, err error)
	FollowerInSync   func(node string)
	// CatchUp says that a follower attached behind the leader.
	CatchUp func(node string, from, to record.Position)
	// SnapshotStarted says that a follower gets the whole log, and from where;
	// SnapshotFinished that it has it (nil) or that the transfer was cut.
	SnapshotStarted  func(SnapshotEvent)
	SnapshotFinished func(SnapshotEvent, error)
	// LearnerCaughtUp says that a member which does not vote holds everything
	// that is committed, on stable storage. Whoever registers members may now
	// register this incarnation and call SetVoter. It is told again every
	// second until that happens or the learner goes away.
	LearnerCaughtUp func(node, incarnation string)
	// Fenced says that a higher epoch exists. The leader has ended: everything
	// that waited has got ErrFenced.
	Fenced func(epoch record.Epoch)
	// QuorumLost names the voters that are missing.
	QuorumLost func(missing []string)
	QuorumBack func()
	// LogFailed says that the leader has ended because its own log failed.
	LogFailed func(err error)
}

// FollowerAttached is a follower that began to be served.
type FollowerAttached struct {
	Node, Incarnation, Remote string
	Voter                     bool
	From                      record.Position // where its log goes on
	Truncated                 bool            // it had to cut its log there
}

// LeaderConfig configures a Leader.
type LeaderConfig struct {
	Identity   Identity
	Epoch      record.Epoch
	EpochStart record.EpochStart // Members nil: filled in from the fields below
	Log        Log
	Commit     record.Position // what the node knows to be committed already
	// Voters are the registered members, this node included, with the
	// incarnations that count. A member with an empty incarnation is served
	// but never counted.
	Voters   map[string]string
	Replicas int
	Policy   quorum.Policy // default quorum_disk
	// Giver makes snapshots for followers that need what is no longer retained.
	// nil: they are refused.
	Giver             Giver
	Progress          progress.Config // Disk is set from Policy
	HeartbeatInterval time.Duration   // default 100 ms
	QuorumTimeout     time.Duration   // bound of a proposal, default 10 s
	// HandOverTimeout bounds how long Transfer keeps proposals waiting, default
	// 1 s.
	HandOverTimeout  time.Duration
	OutstandingBytes int // proposals not yet committed, default 64 MiB
	Listener         LeaderListener
	Logger           *slog.Logger
	Now              func() time.Time // default time.Now
}

func (c LeaderConfig) withDefaults() LeaderConfig {
	if c.Policy == 0 {
		c.Policy = quorum.Default
	}
	if c.HeartbeatInterval <= 0 {
		c.HeartbeatInterval = 100 * time.Millisecond
	}
	if c.QuorumTimeout <= 0 {
		c.QuorumTimeout = 10 * time.Second
	}
	if c.HandOverTimeout <= 0 {
		c.HandOverTimeout = time.Second
	}
	if c.OutstandingBytes <= 0 {
		c.OutstandingBytes = 64 << 20
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.EpochStart.Members == nil {
		c.EpochStart = record.EpochStart{ClusterID: c.Identity.ClusterID, Leader: c.Identity.Node,
			Replicas: c.Replicas, Members: maps.Clone(c.Voters)}
	}
	c.Progress = c.Progress.WithDefaults()
	c.Progress.Disk = c.Policy.Disk()
	c.Logger = loggerOr(c.Logger)
	return c
}

// Validate checks what has no default.
func (c LeaderConfig) Validate() error {
	if err := c.Identity.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	_, self := c.Voters[c.Identity.Node]
	switch {
	case c.Log == nil:
		return fmt.Errorf("%w: leader needs a log", ErrConfig)
	case c.Epoch == 0:
		return fmt.Errorf("%w: leader needs an epoch above 0", ErrConfig)
	case c.Replicas < 1:
		return fmt.Errorf("%w: %d replicas", ErrConfig, c.Replicas)
	case !self:
		return fmt.Errorf("%w: node %s is not among the voters", ErrConfig, c.Identity.Node)
	case len(c.Voters) > c.Replicas:
		return fmt.Errorf("%w: %d voters for %d replicas", ErrConfig, len(c.Voters), c.Replicas)
	case c.Policy != 0 && !c.Policy.Valid():
		return fmt.Errorf("%w: sync policy %#x", ErrConfig, uint8(c.Policy))
	}
	return nil
}

// Leader replicates one epoch of the log. It ends by Stop, by being fenced, or
// because its log failed; then it commits nothing more.
type Leader struct {
	cfg      LeaderConfig
	epochEnd record.Position // end of the epoch-start record
	started  time.Time
	ctx      context.Context // done when leadership has ended
	cancel   context.CancelFunc
	wg       sync.WaitGroup // runCommit and sessions
	kick     chan struct{}  // wakes runCommit
	ready    chan struct{}
	commit   atomic.Uint64
	changed  hub // anything moved that a transfer waits for

	// settling is held while the commit position moves and proposals are
	// answered, callbacks included. It comes before appendMu.
	settling struct {
		sync.Mutex
		fin []finished // reused
	}

	// appendMu puts proposals in order: it is held over Log.Append and the
	// entry into the queue, so that the queue has the order of the log. It
	// comes before mu.
	appendMu sync.Mutex
	mu       struct {
		sync.Mutex
		ended        error // why leadership ended, nil while it lasts
		peers        map[string]*peer
		acks         []quorum.Ack // reused
		self         quorum.Self  // as settle saw it last
		waiting      queue
		outstanding  int           // bytes between admission and done
		room         chan struct{} // closed when admission should look again, nil if nobody waits for it
		transferring bool
		fencedBy     record.Epoch
		quorum       quorumState
		latency      latencies
	}
}

// StartLeader appends the epoch-start record and begins to commit. Followers
// are served once the Server knows the leader. The log must hold no batch of
// this epoch yet: an epoch is led once.
func StartLeader(cfg LeaderConfig) (*Leader, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if p := cfg.Log.Positions(); p.Epoch >= cfg.Epoch {
		return nil, fmt.Errorf("%w: cannot lead epoch %d, the log is at epoch %d already", ErrConfig, cfg.Epoch, p.Epoch)
	}
	b := record.NewBatch(256)
	b.Add(record.TypeEpochStart, cfg.EpochStart.AppendTo)
	end, err := cfg.Log.AppendUrgent(cfg.Epoch, cfg.Commit, b)
	if err != nil {
		return nil, fmt.Errorf("append epoch-start record: %w: %w", ErrLog, err)
	}
	l := &Leader{cfg: cfg, epochEnd: end, started: cfg.Now(),
		kick: make(chan struct{}, 1), ready: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.commit.Store(uint64(cfg.Commit))
	l.mu.peers = map[string]*peer{}
	l.mu.quorum.since = l.started
	for node, incarnation := range cfg.Voters {
		l.addPeer(node).SetVoter(incarnation)
	}
	l.wg.Add(1)
	go l.runCommit()
	cfg.Logger.Info("leading", keyEpoch, cfg.Epoch, keyPosition, end)
	return l, nil
}

// Ready is closed when the epoch-start record is committed: from then on the
// leader holds, and knows as committed, all that earlier leaders committed.
func (l *Leader) Ready() <-chan struct{} { return l.ready }

// Done is closed when leadership has ended; Err says why.
func (l *Leader) Done() <-chan struct{} { return l.ctx.Done() }

// Err is why leadership ended, nil while it lasts.
func (l *Leader) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.ended
}

// Commit is the commit position. It never goes back.
func (l *Leader) Commit() record.Position { return record.Position(l.commit.Load()) }

// SetVoter says which incarnation of a member counts from now on, after it was
// registered. A member that was unknown is served from now on. "" serves it
// without counting it.
func (l *Leader) SetVoter(node, incarnation string) {
	l.mu.Lock()
	l.addPeer(node).SetVoter(incarnation)
	l.mu.Unlock()
	poke(l.kick)
}

// Stop ends leadership, gives everything that waits the error (ErrStopped if
// nil), closes all sessions and waits for the leader's goroutines. No append
// happens after it returns. It may be called again, and after the leader ended
// by itself. It must not be called from a callback.
func (l *Leader) Stop(err error) {
	if err == nil {
		err = ErrStopped
	}
	l.end(err)
	l.appendMu.Lock() // a Propose that was in Append has left it
	l.appendMu.Unlock()
	l.wg.Wait()
}

// end makes err the reason why leadership ended; false if it has one already.
func (l *Leader) end(err error) bool {
	l.mu.Lock()
	first := l.mu.ended == nil
	if first {
		l.mu.ended = err
		l.wakeAdmission()
	}
	l.mu.Unlock()
	if first {
		l.cfg.Logger.Info("leadership ended", keyEpoch, l.cfg.Epoch, keyError, err)
		l.cancel()
	}
	return first
}

func (l *Leader) fenced(by record.Epoch) {
	l.mu.Lock()
	l.mu.fencedBy = max(l.mu.fencedBy, by)
	l.mu.Unlock()
	if l.end(fmt.Errorf("%w: epoch %d met epoch %d", ErrFenced, l.cfg.Epoch, by)) && l.cfg.Listener.Fenced != nil {
		l.cfg.Listener.Fenced(by)
	}
}

func (l *Leader) logFailed(err error) {
	if l.end(err) && l.cfg.Listener.LogFailed != nil {
		l.cfg.Listener.LogFailed(err)
	}
}

// notLeading is the refusal of a leader that has ended.
func (l *Leader) notLeading() wire.Refuse {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := max(l.cfg.Epoch, l.mu.fencedBy)
	return wire.Refuse{Code: wire.CodeNotLeader, Epoch: e,
		Text: fmt.Sprintf("node %s no longer leads epoch %d", l.cfg.Identity.Node, l.cfg.Epoch)}
}
