package repl

import (
	"fmt"
	"time"

	"baton/repl/progress"
	"baton/repl/wire"
	"baton/store/record"
)

// runSend ships the log from where the follower is, as far as it is written.
// It reads the log only when it is ready to send, so that a slow follower
// costs no memory, and nobody waits for it.
func (s *session) runSend(result chan<- error) {
	err := s.send()
	if err != nil {
		s.conn.Close() // wakes the reader
	}
	result <- err
}

func (s *session) send() error {
	logC, cancel := s.l.cfg.Log.Subscribe(record.MovesOfWritten)
	defer cancel()
	beat := time.NewTicker(s.l.cfg.HeartbeatInterval)
	defer beat.Stop()
	late := time.NewTimer(time.Hour)
	late.Stop()
	defer late.Stop()
	var due record.Position // what late is to tell, if nothing else does
	if err := s.heartbeat(); err != nil {
		return err
	}
	for {
		more, err := s.sendAppend()
		if err != nil {
			return err
		}
		if more {
			// Look at the other signals without waiting for them.
			select {
			case <-s.stop:
				return nil
			case <-beat.C:
				if err := s.heartbeat(); err != nil {
					return err
				}
			default:
			}
			continue
		}
		if commit := s.l.Commit(); commit > s.sentCommit && !s.telling.Load() {
			due = commit
			s.telling.Store(true)
			late.Reset(commitDelay)
		}
		select {
		case <-s.stop:
			return nil
		case <-logC:
		case <-s.kick:
		case <-beat.C:
			err = s.heartbeat()
		case <-late.C:
			s.telling.Store(false)  // before the commit position is looked at again
			if s.sentCommit < due { // no Append has taken it along
				err = s.heartbeat()
			}
		}
		if err != nil {
			return err
		}
	}
}

// heartbeat tells commit position and end.
func (s *session) heartbeat() error {
	l := s.l
	commit := l.Commit()
	err := s.conn.Send(l.cfg.Epoch, wire.Heartbeat{Commit: commit, LeaderEnd: l.cfg.Log.Positions().Append,
		Time: int64(l.cfg.Now().Sub(l.started))})
	if err != nil {
		return fmt.Errorf("send heartbeat: %w", err)
	}
	s.sentCommit = commit
	return nil
}

// sendAppend sends the next chunk; false if there is none or no room for it.
func (s *session) sendAppend() (more bool, err error) {
	l := s.l
	written := l.cfg.Log.Positions().Written
	l.mu.Lock()
	next, room, state := s.pe.prog.Next(), s.pe.prog.Room(), s.pe.prog.State()
	busy := l.mu.outstanding > 0
	s.blocked = room == 0
	current := s.pe.session == s
	flight := int(next - s.pe.prog.Match())
	l.mu.Unlock()
	if room == 0 || next >= written || !current {
		return false, nil
	}
	if state == progress.CatchingUp && busy && !s.paced(flight) {
		return true, nil
	}
	b, err := l.cfg.Log.ReadInto(s.buf, next, min(room, chunkSize))
	if err != nil {
		if next < l.cfg.Log.Positions().Start {
			return false, fmt.Errorf("the log from %d is no longer retained: %w", next, err)
		}
		return false, fmt.Errorf("read log at %d: %w: %w", next, ErrLog, err)
	}
	if len(b) == 0 {
		return false, nil
	}
	if cap(b) <= chunkSize { // a larger one is rare, and not kept
		s.buf = b
	}
	if !s.sending(next + record.Position(len(b))) {
		return false, nil
	}
	commit := l.Commit()
	if err := s.conn.SendAppend(l.cfg.Epoch, commit, b); err != nil {
		return false, fmt.Errorf("send append at %d: %w", next, err)
	}
	s.sentCommit = commit
	return true, nil
}

// sending notes what is about to be sent, before an ack of it can arrive.
func (s *session) sending(to record.Position) bool {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.pe.session != s {
		return false
	}
	s.pe.prog.Sent(to)
	if s.rttEnd == 0 {
		s.rttEnd, s.rttAt = to, s.l.cfg.Now()
	}
	return true
}

// paced says whether a catch-up may go on now beside the producers that are at
// work. If not, it has waited a little.
func (s *session) paced(inFlight int) bool {
	send, wait := s.pace.Next(s.l.cfg.Now(), s.l.Commit(), inFlight)
	if send {
		return true
	}
	t := time.NewTimer(min(wait, pauseMax))
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.stop:
	}
	return false
}
