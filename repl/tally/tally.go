// Package tally is whose acks a leader counts, and when it asks for a disk to
// be made a voter. It decides and stores nothing else: the leader feeds it with
// what its sessions see.
//
// An ack counts if it came from the newest session of its node, and that session
// is of the incarnation which is the node's voter. One node counts once, however
// often it connects. What a session acknowledged stays counted when it is lost,
// because it stays in that log; the next session starts from nothing.
package tally

import (
	"fmt"
	"time"

	"baton/repl/progress"
	"baton/repl/quorum"
	"baton/store/record"
)

// LearnerInterval is how often a disk that has caught up is reported.
const LearnerInterval = time.Second

// Peer is one member as its leader counts it, over all of its sessions. Not safe
// for concurrent use.
type Peer struct {
	Prog        progress.Follower
	Incarnation string // of the newest session that was attached

	voter    string    // the incarnation that counts, "" = none
	reported time.Time // LearnerCaughtUp was last true
	// retired is set once a learner has been offered for registration: from
	// then on the incarnation that was registered before no longer counts, so
	// that the two never count both. If that incarnation is the one that comes
	// back it is offered in the same way, so the member is not lost.
	retired bool
}

// New returns a member that was never seen and does not count.
func New(cfg progress.Config, now time.Time) Peer {
	return Peer{Prog: progress.New(cfg, now)}
}

// SetVoter says which incarnation counts from now on, "" = none.
func (p *Peer) SetVoter(incarnation string) { p.voter, p.retired = incarnation, false }

// Counts reports whether what the member acknowledged counts.
func (p *Peer) Counts() bool { return p.voter != "" && p.Incarnation == p.voter && !p.retired }

// Attached begins a session whose log goes on at a position.
func (p *Peer) Attached(incarnation string, at, leaderEnd record.Position, now time.Time) {
	p.Incarnation = incarnation
	p.Prog.Attached(at, leaderEnd, now)
}

// Replaced forgets what the member acknowledged, because its log is about to be
// replaced as a whole.
func (p *Peer) Replaced(incarnation string, now time.Time) {
	p.Attached(incarnation, 0, 0, now)
	p.Prog.Lost()
}

// InSync reports whether there is a session and it is near the leader's end.
func (p *Peer) InSync() bool { return p.Prog.IsAttached() && p.Prog.State() == progress.InSync }

// Line is how far the leader itself is.
type Line struct {
	Commit   record.Position
	EpochEnd record.Position // end of its epoch-start record
	Fenced   bool            // its policy names a quorum of all replicas
}

// LearnerCaughtUp reports that the member does not count, holds everything that
// is committed on stable storage, and should be registered now. From then on the
// incarnation that is registered does not count either. It is true again after
// LearnerInterval as long as nothing has changed.
func (p *Peer) LearnerCaughtUp(l Line, now time.Time) bool {
	// A policy that commits without followers is always ahead of their disks
	// while producers are at work, and promises nothing that needs the wait.
	behind := p.Prog.Flushed() < l.Commit && l.Fenced
	if p.Counts() || !p.InSync() || behind || l.Commit < l.EpochEnd || now.Sub(p.reported) < LearnerInterval {
		return false
	}
	p.reported, p.retired = now, true
	return true
}

// Acks appends what the member has acknowledged, if it counts.
func (p *Peer) Acks(to []quorum.Ack) []quorum.Ack {
	if !p.Counts() {
		return to
	}
	return append(to, quorum.Ack{Received: p.Prog.Received(), Flushed: p.Prog.Flushed()})
}

// Rule is what the commit position of an epoch is computed by.
type Rule struct {
	Policy   quorum.Policy
	Replicas int
	EpochEnd record.Position // end of the epoch-start record
}

// Advance returns the commit position after was. That it falls, or passes what
// the leader has written, is a broken invariant.
func (r Rule) Advance(self quorum.Self, acks []quorum.Ack, was record.Position) record.Position {
	to := quorum.Commit(r.Policy, r.Replicas, self, acks, r.EpochEnd, was)
	if to < was || to > self.Written && to != was {
		panic(fmt.Sprintf("tally: commit position %d after %d, the log is written up to %d", to, was, self.Written))
	}
	return to
}
