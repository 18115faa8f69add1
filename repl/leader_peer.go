package repl

import (
	"time"

	"baton/repl/progress"
	"baton/store/record"
)

// peer is a member as its leader knows it, over all of its sessions. Guarded
// by Leader.mu.
type peer struct {
	prog        progress.Follower
	giving      *giving  // the snapshot that its session sends, nil if none
	session     *session // newest; nil when it is not connected
	incarnation string   // of the newest session that was attached
	remote      string
	applied     record.Position
	rtt         time.Duration // last append to its flushed ack
	pingRTT     time.Duration // last heartbeat to its answer
	reported    time.Time     // LearnerCaughtUp was last told
	// retired is set once a learner has been offered for registration: from
	// then on the incarnation that was registered before no longer counts, so
	// that the two never count both. If that incarnation is the one that comes
	// back it is offered in the same way, so the member is not lost.
	retired bool
	state   progress.State // last one observed
}

// learnerInterval is how often a caught-up learner is reported.
const learnerInterval = time.Second

// addPeer returns the peer of a member, nil for this node itself. Call with mu
// held or before the leader is shared.
func (l *Leader) addPeer(node string) *peer {
	pe := l.mu.peers[node]
	if pe == nil {
		pe = &peer{prog: progress.New(l.cfg.Progress, l.cfg.Now())}
		if node != l.cfg.Identity.Node {
			l.mu.peers[node] = pe
		}
	}
	return pe
}

// counts reports whether what the peer acknowledged counts. Call with mu held.
func (l *Leader) counts(node string, pe *peer) bool {
	v := l.mu.voters[node]
	return v != "" && pe.incarnation == v && !pe.retired
}

// inSync reports whether the peer is connected and near the leader's end.
func (pe *peer) inSync() bool {
	return pe.session != nil && pe.prog.IsAttached() && pe.prog.State() == progress.InSync
}

// follow notes how a peer's state changed and what that means. It returns what
// to tell. Call with mu held.
func (l *Leader) follow(node string, pe *peer, end record.Position, now time.Time) (events []func()) {
	pe.prog.Tick(end, now)
	if s := pe.prog.State(); s != pe.state {
		pe.state = s
		if s == progress.InSync {
			l.cfg.Logger.Info("follower in sync", keyPeer, node, keyEpoch, l.cfg.Epoch, keyPosition, pe.prog.Match())
			if f := l.cfg.Listener.FollowerInSync; f != nil {
				events = append(events, func() { f(node) })
			}
		}
	}
	commit := l.Commit()
	// A policy that commits without followers is always ahead of their disks
	// while producers are at work, and promises nothing that needs the wait.
	behind := pe.prog.Flushed() < commit && l.cfg.Policy.Fenced()
	if l.counts(node, pe) || !pe.inSync() || behind || commit < l.epochEnd ||
		now.Sub(pe.reported) < learnerInterval {
		return events
	}
	pe.reported, pe.retired = now, true
	incarnation := pe.incarnation
	l.cfg.Logger.Info("learner caught up", keyPeer, node, "incarnation", incarnation, keyPosition, pe.prog.Flushed())
	if f := l.cfg.Listener.LearnerCaughtUp; f != nil {
		events = append(events, func() { f(node, incarnation) })
	}
	return events
}
