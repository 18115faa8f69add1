package repl

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"baton/repl/progress"
	"baton/repl/transport"
	"baton/repl/wire"
	"baton/store/record"
)

// giving is a session that sends a snapshot in place of the log. The fields
// but the first are guarded by Leader.mu.
type giving struct {
	given   Given
	started bool      // the follower said where to begin
	next    wire.Want // what to send next
	flight  flight
	transfer
	began time.Time
	from  record.Position // where the transfer began
}

// give sends the whole log to a follower. It returns when the session is over,
// nil if the follower then had all of it.
func (s *session) give(p transport.Peer, why string, log *slog.Logger) error {
	l := s.l
	if err := l.forget(s, p); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	given, err := l.cfg.Giver.Give(ctx)
	if err != nil {
		s.conn.Refuse(l.cfg.Epoch, wire.Refuse{Code: wire.CodeSnapshot, Epoch: l.cfg.Epoch, Text: fmt.Sprintf("%s, and none can be made: %v", why, err)})
		return fmt.Errorf("make snapshot: %w", err)
	}
	defer given.Release()
	start, end, manifest := given.Describe()
	g := &giving{given: given, began: l.cfg.Now(), from: start,
		transfer: transfer{SnapshotEvent{Node: p.Node, Start: start, End: end, Resumed: start, Reason: why}, start}}
	l.mu.Lock()
	s.giving, s.pe.giving = g, g
	l.mu.Unlock()
	defer l.endGiving(s)
	if err := s.conn.Send(l.cfg.Epoch, wire.Snapshot{LeaderEnd: l.cfg.Log.Positions().Append, Commit: l.Commit(),
		Start: start, End: end, Manifest: manifest}); err != nil {
		return fmt.Errorf("send snapshot: %w", err)
	}
	log.Info("sending a snapshot", "reason", why, "start", start, "end", end)
	sent := make(chan error, 1)
	go s.runGive(sent)
	err = s.receive()
	close(s.stop)
	s.conn.Close()
	if sendErr := <-sent; sendErr != nil {
		err = sendErr
	}
	l.mu.Lock()
	complete := g.at >= g.End && g.started
	l.mu.Unlock()
	if complete {
		return nil
	}
	return err
}

// forget makes the leader count nothing of what the follower acknowledged
// before: its log is about to be replaced. It must come before the snapshot is
// made. Whatever was committed with the follower's help until now is below the
// leader's append position, and so will be in the snapshot.
func (l *Leader) forget(s *session, p transport.Peer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.ended != nil {
		return l.mu.ended
	}
	if s.pe.session != s {
		return errReplaced
	}
	pe := s.pe
	pe.remote, pe.applied = s.conn.Remote(), 0
	pe.Replaced(p.Incarnation, l.cfg.Now())
	pe.state = progress.Probing
	return nil
}

func (l *Leader) endGiving(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.pe.giving == s.giving {
		s.pe.giving = nil
	}
}

// wanted notes how far the follower is.
func (s *session) wanted(w wire.Want) error {
	g := s.giving
	if g == nil {
		return fmt.Errorf("unexpected %s frame", w.Type())
	}
	s.l.mu.Lock()
	var begun *SnapshotEvent
	if !g.started {
		g.started, g.next = true, w
		if w.At > g.Start && w.At <= g.End {
			g.Resumed, g.from = w.At, w.At
		}
		begun = &g.SnapshotEvent
	}
	if before(g.next, w) {
		s.l.mu.Unlock()
		return fmt.Errorf("the follower wants part %d from %d, sent is part %d up to %d", w.Part, w.At, g.next.Part, g.next.At)
	}
	g.flight.landed(w)
	if w.At > g.at && w.At <= g.End {
		g.at = w.At
	}
	s.l.mu.Unlock()
	if f := s.l.cfg.Listener.SnapshotStarted; f != nil && begun != nil {
		f(*begun)
	}
	poke(s.kick)
	return nil
}

// runGive sends the chunks of a snapshot as the follower makes room.
func (s *session) runGive(result chan<- error) {
	err := s.sendSnapshot()
	if err != nil {
		s.conn.Close() // wakes the reader
	}
	result <- err
}

func (s *session) sendSnapshot() error {
	beat := time.NewTicker(s.l.cfg.HeartbeatInterval)
	defer beat.Stop()
	for {
		more, err := s.sendChunk()
		if err != nil {
			return err
		}
		if more {
			// Look at the other signals without waiting for them.
			select {
			case <-s.stop:
				return nil
			case <-beat.C:
				err = s.heartbeat()
			default:
			}
		} else {
			select {
			case <-s.stop:
				return nil
			case <-beat.C:
				err = s.heartbeat()
			case <-s.kick:
			}
		}
		if err != nil {
			return err
		}
	}
}

// sendChunk sends the next chunk; false if there is none or no room for it.
func (s *session) sendChunk() (more bool, err error) {
	l, g := s.l, s.giving
	l.mu.Lock()
	next, inFlight := g.next, g.flight.bytes
	room := l.cfg.Progress.Window - inFlight
	idle := !g.started || room <= 0
	busy := l.mu.outstanding > 0
	l.mu.Unlock()
	if idle {
		return false, nil
	}
	if busy && !s.paced(inFlight) {
		return true, nil
	}
	chunk, after, err := g.given.Next(next, min(room, chunkSize))
	if err != nil {
		return false, fmt.Errorf("read snapshot at %d: %w", next.At, err)
	}
	if len(chunk.Data) == 0 {
		return false, nil
	}
	l.mu.Lock()
	g.next = after
	g.flight.sent(after, len(chunk.Data))
	l.mu.Unlock()
	if err := s.conn.SendChunk(l.cfg.Epoch, chunk); err != nil {
		return false, fmt.Errorf("send snapshot at %d: %w", next.At, err)
	}
	return true, nil
}

// catchUp is the progress of a snapshot in the words of a catch-up.
func (g *giving) catchUp(now time.Time) *progress.CatchUp {
	c := &progress.CatchUp{From: g.from, To: g.End, Done: max(g.at, g.from)}
	if took := now.Sub(g.began).Seconds(); took > 0 {
		c.Rate = float64(c.Done-c.From) / took
	}
	if c.Rate > 0 && c.To > c.Done {
		c.ETA = time.Duration(float64(c.To-c.Done) / c.Rate * float64(time.Second))
	}
	return c
}
