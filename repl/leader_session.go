package repl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"baton/repl/diverge"
	"baton/repl/pace"
	"baton/repl/progress"
	"baton/repl/transport"
	"baton/repl/wire"
	"baton/store/record"
)

const (
	// chunkSize is how much one Append carries, unless one batch is larger.
	chunkSize = 512 << 10
	// commitDelay is how long a moved commit position waits for an Append to
	// travel with before it is sent alone. Followers are in no hurry: what is
	// committed stays so, and who takes over commits it again.
	commitDelay = 5 * time.Millisecond
	// pauseMax bounds how long a catch-up that is paced does not look up.
	pauseMax = 50 * time.Millisecond
)

// errReplaced ends a session whose follower has opened a newer one.
var errReplaced = errors.New("repl: a newer session of the same node took over")

// session serves one connection of a follower. The goroutine that reads is the
// one that called serve; runSend is the only one that writes once it runs.
type session struct {
	l    *Leader
	node string
	pe   *peer
	conn *transport.Conn
	kick chan struct{} // the commit position moved, or there is room again
	stop chan struct{} // closed when the reader has ended
	done chan struct{} // closed when serve has returned

	blocked bool        // the window was full; guarded by Leader.mu
	telling atomic.Bool // runSend looks at the commit position again by itself, soon

	// rtt sample under way, guarded by Leader.mu
	rttEnd record.Position
	rttAt  time.Time

	sentCommit record.Position // runSend's own
	buf        []byte          // runSend's own: what it read last
	pace       pace.Pacer      // of a catch-up or a snapshot; runSend's or runGive's own

	giving *giving // set before runGive starts, nil in a session that sends the log
}

// serve runs a session until it ends and reports how it went. It returns soon
// after the connection was closed or leadership ended: with a RefusedError if
// this side would not serve the follower, otherwise nil.
func (l *Leader) serve(conn *transport.Conn, p transport.Peer, a wire.Attach) error {
	s := &session{l: l, node: p.Node, conn: conn, kick: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{})}
	defer close(s.done)
	defer conn.Close()
	log := l.cfg.Logger.With(keyPeer, p.Node, keyEpoch, l.cfg.Epoch, keyAddress, conn.Remote())
	l.meet(p)
	refusal, old := l.claim(s, p)
	if refusal != nil {
		err := conn.Refuse(l.cfg.Epoch, *refusal)
		log.Warn("follower refused", keyError, err)
		return err
	}
	defer l.wg.Done()
	defer l.unclaim(s)
	defer context.AfterFunc(l.ctx, conn.Close)()
	if old != nil {
		old.conn.Close()
		<-old.done
	}
	answer, whole, refusal := l.decide(a)
	if whole != "" {
		l.giveTo(s, p, whole, log)
		return nil
	}
	if refusal != nil {
		err := conn.Refuse(l.cfg.Epoch, *refusal)
		log.Warn("follower refused", keyError, err)
		return err
	}
	if err := l.attach(s, p, answer); err != nil {
		log.Info("follower not attached", keyError, err)
		return nil
	}
	log.Info("follower attached", keyPosition, answer.At, "truncate", answer.Truncate, "incarnation", p.Incarnation)
	err := s.run(answer)
	log.Info("follower lost", keyError, err)
	l.lost(s)
	if f := l.cfg.Listener.FollowerLost; f != nil {
		f(p.Node, err)
	}
	return nil
}

// meet learns from the first words of a member that has sealed a higher epoch;
// it may have no more to say to this leader.
func (l *Leader) meet(p transport.Peer) {
	l.mu.Lock()
	known := l.mu.peers[p.Node] != nil
	l.mu.Unlock()
	if known && p.Epoch > l.cfg.Epoch {
		l.fenced(p.Epoch)
	}
}

// claim makes s the newest session of its node, or says why not. The older
// session is returned and is the caller's to close and to wait for.
func (l *Leader) claim(s *session, p transport.Peer) (refusal *wire.Refuse, old *session) {
	l.mu.Lock()
	pe := l.mu.peers[p.Node]
	known, ended := pe != nil, l.mu.ended != nil
	if known && !ended {
		old, pe.session, s.pe = pe.session, s, pe
		pe.prog.Lost()
		l.wg.Add(1)
	}
	l.mu.Unlock()
	if !known {
		return &wire.Refuse{Code: wire.CodeStranger, Epoch: l.cfg.Epoch, Text: fmt.Sprintf(
			"node %s is not a member of cluster %q: register it first, or check its node id and ZooKeeper path", p.Node, l.cfg.Identity.ClusterID)}, nil
	}
	if ended {
		r := l.notLeading()
		return &r, nil
	}
	return nil, old
}

func (l *Leader) unclaim(s *session) {
	l.mu.Lock()
	if s.pe.session == s {
		s.pe.session = nil
		s.pe.prog.Lost()
	}
	l.mu.Unlock()
	poke(l.kick)
}

// giveTo runs a session that sends a snapshot.
func (l *Leader) giveTo(s *session, p transport.Peer, why string, log *slog.Logger) {
	err := s.give(p, why, log)
	log.Info("snapshot session ended", keyError, err)
	l.lost(s)
	if f := l.cfg.Listener.SnapshotFinished; f != nil && s.giving != nil {
		l.mu.Lock()
		event := s.giving.SnapshotEvent
		l.mu.Unlock()
		f(event, err)
	}
}

// decide answers where the follower's log goes on, or why it gets the whole
// log, or why it gets nothing.
func (l *Leader) decide(a wire.Attach) (answer wire.Position, whole string, refusal *wire.Refuse) {
	p := l.cfg.Log.Positions()
	if a.Whole && l.cfg.Giver != nil {
		return answer, "the follower's log is damaged", nil
	}
	v := diverge.Decide(diverge.Log{Start: p.Start, End: p.Append, Boundaries: l.cfg.Log.EpochBoundaries()},
		diverge.Log{Start: a.Start, End: a.End, Boundaries: a.Boundaries}, l.cfg.Epoch)
	switch v.Kind {
	case diverge.Continue, diverge.Truncate:
		return wire.Position{Truncate: v.Kind == diverge.Truncate, AckWrites: l.cfg.Policy.Mem(),
			At: v.At, LeaderEnd: p.Append, Commit: l.Commit()}, "", nil
	case diverge.Snapshot:
		if l.cfg.Giver != nil {
			return answer, v.Reason, nil
		}
		return answer, "", &wire.Refuse{Code: wire.CodeSnapshot, Epoch: l.cfg.Epoch, Text: v.Reason}
	}
	return answer, "", &wire.Refuse{Code: wire.CodeDiverged, Epoch: l.cfg.Epoch, Text: v.Reason}
}

// attach begins the session's progress and tells about it.
func (l *Leader) attach(s *session, p transport.Peer, answer wire.Position) error {
	l.mu.Lock()
	if l.mu.ended != nil || s.pe.session != s {
		err := l.mu.ended
		l.mu.Unlock()
		if err == nil {
			err = errReplaced
		}
		return err
	}
	pe := s.pe
	pe.remote, pe.applied = s.conn.Remote(), 0
	pe.Attached(p.Incarnation, answer.At, answer.LeaderEnd, l.cfg.Now())
	pe.state = progress.Probing
	voter := pe.Counts()
	l.mu.Unlock()
	if f := l.cfg.Listener.FollowerAttached; f != nil {
		f(FollowerAttached{Node: p.Node, Incarnation: p.Incarnation, Remote: s.conn.Remote(),
			Voter: voter, From: answer.At, Truncated: answer.Truncate})
	}
	if f := l.cfg.Listener.CatchUp; f != nil && uint64(answer.LeaderEnd-answer.At) > l.cfg.Progress.InSyncBytes {
		f(p.Node, answer.At, answer.LeaderEnd)
	}
	return nil
}

// lost notes that an attached session is over.
func (l *Leader) lost(s *session) {
	l.unclaim(s)
	l.changed.notify()
}

// run sends the answer, then reads until the session ends.
func (s *session) run(answer wire.Position) error {
	if err := s.conn.Send(s.l.cfg.Epoch, answer); err != nil {
		return fmt.Errorf("send position: %w", err)
	}
	sent := make(chan error, 1)
	go s.runSend(sent)
	err := s.receive()
	close(s.stop)
	s.conn.Close()
	if sendErr := <-sent; sendErr != nil && errors.Is(sendErr, ErrLog) {
		err = sendErr
		s.l.logFailed(sendErr)
	}
	return err
}

// receive handles the follower's frames until the connection ends.
func (s *session) receive() error {
	for {
		epoch, body, err := s.conn.Next()
		if err != nil {
			return err
		}
		if epoch > s.l.cfg.Epoch {
			s.l.fenced(epoch)
			return fmt.Errorf("%w: follower has sealed epoch %d", ErrFenced, epoch)
		}
		if r, ok := body.(wire.Refuse); ok {
			return &transport.RefusedError{Refuse: r, ByPeer: true}
		}
		if epoch != s.l.cfg.Epoch {
			return fmt.Errorf("%s frame of epoch %d in a session of epoch %d", body.Type(), epoch, s.l.cfg.Epoch)
		}
		switch b := body.(type) {
		case wire.Ack:
			err = s.acked(b)
		case wire.HeartbeatAck:
			s.ponged(b)
		case wire.Want:
			err = s.wanted(b)
		default:
			err = fmt.Errorf("unexpected %s frame", body.Type())
		}
		if err != nil {
			return err
		}
	}
}

// acked notes an ack of this session, if it is still the newest of its node.
func (s *session) acked(a wire.Ack) error {
	l := s.l
	now, end := l.cfg.Now(), l.cfg.Log.Positions().Append
	l.mu.Lock()
	if s.pe.session != s {
		l.mu.Unlock()
		return errReplaced
	}
	before := s.pe.prog.State()
	moved, err := s.pe.prog.Acked(a.Received, a.Flushed, end, now)
	if err != nil {
		l.mu.Unlock()
		return err
	}
	s.pe.applied = a.Applied
	if s.rttEnd != 0 && s.pe.prog.Match() >= s.rttEnd {
		s.pe.rtt, s.rttEnd = now.Sub(s.rttAt), 0
	}
	wake := moved && s.blocked
	if wake {
		s.blocked = false
	}
	// Of the acks for a batch only one moves the commit position. l.mu.self may
	// be behind: then runCommit is about to look at this ack too.
	was := l.Commit()
	commits := moved && l.reached(was) > was
	changed := s.pe.prog.State() != before
	l.mu.Unlock()
	if wake {
		poke(s.kick)
	}
	if commits || changed {
		l.settle(false)
	}
	if moved {
		l.changed.notify()
	}
	return nil
}

// ponged notes the answer to a heartbeat. One without a time answers none: it
// is a sign of life.
func (s *session) ponged(h wire.HeartbeatAck) {
	if h.Time == 0 {
		return
	}
	now := s.l.cfg.Now()
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if d := now.Sub(s.l.started) - time.Duration(h.Time); d >= 0 {
		s.pe.pingRTT = d
	}
}
