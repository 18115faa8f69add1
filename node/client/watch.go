package client

import (
	"context"
	"fmt"
	"time"
)

// runWatch looks after a connection that stands but may lead nowhere: its
// server is paused, or was cut off and replaced.
func (s *session) runWatch() {
	defer s.wg.Done()
	tick := time.NewTicker(max(s.c.cfg.ProbeAfter/4, 5*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return
		case now := <-tick.C:
			if s.beatIn > 0 && s.silence(now) > 3*s.beatIn {
				s.die(fmt.Errorf("connection to %s lost: nothing heard for %v", s.address, s.silence(now).Round(time.Millisecond)))
				return
			}
			if s.suspicious(now) {
				s.probe()
			}
		}
	}
}

func (s *session) silence(now time.Time) time.Duration {
	return now.Sub(time.Unix(0, max(s.conn.last.Load(), s.at.UnixNano())))
}

// suspicious says that an answer or a heart-beat is overdue.
func (s *session) suspicious(now time.Time) bool {
	if s.beatIn > 0 && s.silence(now) > s.beatIn*3/2 {
		return true
	}
	idle := s.c.cfg.IdleProbe
	if idle > 0 && now.Sub(time.Unix(0, s.lastFrame.Load())) > idle {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.pending {
		if now.Sub(w.at) > s.c.cfg.ProbeAfter {
			return true
		}
	}
	return false
}

// probe asks every other address for as long as ProbeAfter, again and again:
// the next leader may be about to serve, and one that hangs must not keep the
// others from being asked. If one serves, this connection has no future: only
// one node serves at a time, and the last to begin is the one.
func (s *session) probe() {
	var others []string
	for _, a := range s.c.cfg.Addresses {
		if a != s.address {
			others = append(others, a)
		}
	}
	if len(others) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.c.cfg.ProbeAfter)
	defer cancel()
	next, _ := s.c.race(ctx, others, 0, false) // nobody there: stay
	if next == nil {
		return
	}
	s.mu.Lock()
	dead := s.err != nil
	if !dead {
		s.successor = next
	}
	s.mu.Unlock()
	if dead {
		next.discard() // runSessions looks for itself already
		return
	}
	s.die(fmt.Errorf("connection to %s given up: %w", s.address, errMoved))
}
