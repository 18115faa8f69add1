package repl

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"baton/repl/quorum"
	"baton/repl/transport"
	"baton/repl/wire"
	"baton/store/record"
)

// FollowerListener is told what happens to a follower. Any field may be nil.
// The functions must not block and must not call Stop; they run on the
// follower's goroutines with no lock held.
type FollowerListener struct {
	// LinkUp says that the leader has answered where the log goes on and the
	// log is there.
	LinkUp   func()
	LinkLost func(err error)
	// LeaderDead says, once per loss of the link, that the leader should be
	// suspected: the link closed and could not be opened again at once, or
	// nothing was heard for DeadAfter. The follower goes on trying.
	LeaderDead func(reason string)
	// Commit tells the leader's commit position when it moves; it may be past
	// this node's own end.
	Commit    func(leaderCommit record.Position)
	Truncated func(from, to record.Position, epoch record.Epoch)
	// InSync says, once per link, that all that the leader had when the link
	// came up has been appended.
	InSync func()
	// SnapshotStarted says that the leader sends its whole log, because it no
	// longer retains what this node lacks.
	SnapshotStarted func(SnapshotEvent)
	// SnapshotReceived says that the follower has ended because the Taker has
	// a whole log, durably: install it and follow again.
	SnapshotReceived func(SnapshotEvent)
	// Fenced says that the followed epoch is over: this node has sealed a
	// higher one, or the leader's node has. The follower has ended.
	Fenced func(epoch record.Epoch)
	// Refused says that one side will not replicate with the other, and why.
	// The follower goes on trying. Told once until the reason changes.
	Refused func(code wire.Code, text string)
	// LogFailed says that the follower has ended because its log or its seal
	// failed, or because the leader asked it to cut committed records.
	LogFailed func(err error)
}

// FollowerConfig configures a Follower.
type FollowerConfig struct {
	Identity Identity
	Leader   string // node id of the leader
	Address  string // where it listens
	Epoch    record.Epoch
	Log      Log
	Policy   quorum.Policy   // default quorum_disk
	Commit   record.Position // what the node knows to be committed in its own log
	// Taker takes in the leader's whole log if that is needed. nil: it is
	// refused. Whole asks for it because Log is damaged.
	Taker Taker
	Whole bool
	// Applied is sent along with acks, for the leader's status; may be nil.
	Applied func() record.Position
	// Seal durably promises to refuse every epoch below the given one. Sealed
	// returns the highest promise; it does not wait for I/O.
	Seal              func(record.Epoch) error
	Sealed            func() record.Epoch
	DeadAfter         time.Duration // default 1 s
	HeartbeatInterval time.Duration // default 100 ms
	Dial              func(ctx context.Context, address string) (net.Conn, error)
	Listener          FollowerListener
	Logger            *slog.Logger
}

func (c FollowerConfig) withDefaults() FollowerConfig {
	if c.Policy == 0 {
		c.Policy = quorum.Default
	}
	if c.DeadAfter <= 0 {
		c.DeadAfter = time.Second
	}
	if c.HeartbeatInterval <= 0 {
		c.HeartbeatInterval = 100 * time.Millisecond
	}
	if c.Dial == nil {
		c.Dial = DialTCP
	}
	if c.Applied == nil {
		c.Applied = func() record.Position { return 0 }
	}
	c.Logger = loggerOr(c.Logger).With("leader", c.Leader, keyEpoch, c.Epoch)
	return c
}

// Validate checks what has no default.
func (c FollowerConfig) Validate() error {
	if err := c.Identity.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	switch {
	case c.Log == nil || c.Seal == nil || c.Sealed == nil:
		return fmt.Errorf("%w: follower needs a log and seals", ErrConfig)
	case c.Leader == "" || c.Leader == c.Identity.Node:
		return fmt.Errorf("%w: node %q cannot follow %q", ErrConfig, c.Identity.Node, c.Leader)
	case c.Epoch == 0:
		return fmt.Errorf("%w: follower needs an epoch above 0", ErrConfig)
	case c.Policy != 0 && !c.Policy.Valid():
		return fmt.Errorf("%w: sync policy %#x", ErrConfig, uint8(c.Policy))
	}
	return nil
}

// Follower keeps a link to the leader of one epoch until it is stopped or the
// epoch is over.
type Follower struct {
	cfg    FollowerConfig
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	mu struct {
		sync.Mutex
		status FollowerLink
		heard  time.Time // last frame of the leader
		commit record.Position
		taking *transfer // nil while no snapshot is received

		// as in package progress: the leader's end at markAt was mark
		caughtUp time.Time
		mark     record.Position
		markAt   time.Time
	}
}

// FollowerLink is the state of a follower's link.
type FollowerLink struct {
	Leader, Address string
	Epoch           record.Epoch
	Connected       bool
	Since           time.Time // of Connected
	LastHeard       time.Duration
	InSync          bool
	LeaderEnd       record.Position // the leader's end, as last told
	LeaderCommit    record.Position
	LagBytes        uint64        // what the leader has and this node has not written
	Lag             time.Duration // since it held all that the leader had
	Err             error         // why the last attempt failed, or the follower ended
	Ended           bool
	// Snapshot is set while the leader's whole log is received: its start, its
	// end, and how far it is.
	Snapshot *SnapshotProgress
}

// SnapshotProgress is how far a snapshot is.
type SnapshotProgress struct{ Start, End, At record.Position }

// StartFollower begins to follow. It returns at once; the link is made, and
// made again after every loss, in the background.
func StartFollower(cfg FollowerConfig) (*Follower, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	f := &Follower{cfg: cfg.withDefaults(), done: make(chan struct{})}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	now := time.Now()
	f.mu.status = FollowerLink{Leader: cfg.Leader, Address: cfg.Address, Epoch: cfg.Epoch, Since: now}
	f.mu.heard, f.mu.caughtUp, f.mu.markAt = now, now, now
	f.mu.commit = cfg.Commit
	go f.runLink()
	return f, nil
}

// Stop ends the link and waits for the follower's goroutines: no append and no
// ack happens after it returns. If a higher epoch was sealed before, the leader
// is told so. It waits for an append that the disk is holding up. It may be
// called again; it must not be called from a callback.
func (f *Follower) Stop() {
	f.cancel()
	<-f.done
}

// Done is closed when the follower has ended by itself or was stopped.
func (f *Follower) Done() <-chan struct{} { return f.done }

// Status returns the state of the link.
func (f *Follower) Status() FollowerLink {
	written, now := f.cfg.Log.Positions().Written, time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.mu.status
	s.LastHeard, s.LeaderCommit = now.Sub(f.mu.heard), f.mu.commit
	if t := f.mu.taking; t != nil {
		s.Snapshot = &SnapshotProgress{Start: t.Start, End: t.End, At: t.at}
	}
	if written < s.LeaderEnd {
		s.LagBytes, s.Lag = uint64(s.LeaderEnd-written), now.Sub(f.mu.caughtUp)
	}
	return s
}

// known is what this node knows to be committed in its own log.
func (f *Follower) known() record.Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	return min(f.mu.commit, f.cfg.Log.Positions().Append)
}

// setCommit notes the leader's commit position.
func (f *Follower) setCommit(c record.Position) {
	f.mu.Lock()
	moved := c > f.mu.commit
	if moved {
		f.mu.commit = c
	}
	f.mu.Unlock()
	if moved && f.cfg.Listener.Commit != nil {
		f.cfg.Listener.Commit(c)
	}
}

// heard notes a sign of life, with the leader's end if it told one.
func (f *Follower) heard(leaderEnd, own record.Position) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.heard = now
	f.mu.status.LeaderEnd = max(f.mu.status.LeaderEnd, leaderEnd)
	if own >= f.mu.mark {
		f.mu.caughtUp = f.mu.markAt
		f.mu.mark, f.mu.markAt = f.mu.status.LeaderEnd, now
	}
	if own >= f.mu.status.LeaderEnd {
		f.mu.caughtUp = now
	}
}

func (f *Follower) setLink(up bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := &f.mu.status; s.Connected != up {
		s.Connected, s.Since = up, time.Now()
	}
	f.mu.status.InSync = false
	f.mu.status.Err = err
}

// over is an error that ends the follower.
type over struct {
	err    error
	fenced record.Epoch // set if the epoch is over

	received *SnapshotEvent // set if a snapshot is complete
}

func (o *over) Error() string { return o.err.Error() }
func (o *over) Unwrap() error { return o.err }

func fencedBy(e record.Epoch, format string, args ...any) error {
	return &over{err: fmt.Errorf("%w: %s", ErrFenced, fmt.Sprintf(format, args...)), fenced: e}
}

func logOver(what string, err error) error {
	return &over{err: fmt.Errorf("%s: %w: %w", what, ErrLog, err)}
}

// refuse is a refusal by this side.
func refuse(code wire.Code, e record.Epoch, format string, args ...any) *transport.RefusedError {
	return &transport.RefusedError{Refuse: wire.Refuse{Code: code, Epoch: e, Text: fmt.Sprintf(format, args...)}}
}
