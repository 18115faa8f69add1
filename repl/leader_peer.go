package repl

import (
	"time"

	"baton/repl/progress"
	"baton/repl/tally"
	"baton/store/record"
)

// peer is a member as its leader knows it, over all of its sessions. Guarded
// by Leader.mu.
type peer struct {
	tally.Peer
	prog    *progress.Follower // of the Peer
	giving  *giving            // the snapshot that its session sends, nil if none
	session *session           // newest; nil when it is not connected
	remote  string
	applied record.Position
	rtt     time.Duration  // last append to its flushed ack
	pingRTT time.Duration  // last heartbeat to its answer
	state   progress.State // last one observed
}

// addPeer returns the peer of a member, nil for this node itself. Call with mu
// held or before the leader is shared.
func (l *Leader) addPeer(node string) *peer {
	pe := l.mu.peers[node]
	if pe == nil {
		pe = &peer{Peer: tally.New(l.cfg.Progress, l.cfg.Now())}
		pe.prog = &pe.Prog
		if node != l.cfg.Identity.Node {
			l.mu.peers[node] = pe
		}
	}
	return pe
}

// rule is what the commit position is computed by.
func (l *Leader) rule() tally.Rule {
	return tally.Rule{Policy: l.cfg.Policy, Replicas: l.cfg.Replicas, EpochEnd: l.epochEnd}
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
	if !pe.LearnerCaughtUp(tally.Line{Commit: l.Commit(), EpochEnd: l.epochEnd, Fenced: l.cfg.Policy.Fenced()}, now) {
		return events
	}
	incarnation := pe.Incarnation
	l.cfg.Logger.Info("learner caught up", keyPeer, node, "incarnation", incarnation, keyPosition, pe.prog.Flushed())
	if f := l.cfg.Listener.LearnerCaughtUp; f != nil {
		events = append(events, func() { f(node, incarnation) })
	}
	return events
}
