package repl

import (
	"time"

	"baton/repl/wire"
	"baton/store/record"
)

// runAck tells the leader how far the log got, answers heartbeats, and says
// something at least every HeartbeatInterval, also while an append hangs. When
// the link ends from this side it has the last word.
func (l *link) runAck(done chan<- struct{}) {
	defer close(done)
	if err := l.ack(); err != nil {
		l.fail(err)
		l.conn.Close() // wakes the reader
		return
	}
	l.part()
}

// ack returns nil when the link ends from this side, or the reader has ended.
func (l *link) ack() error {
	f := l.f
	logC, cancel := f.cfg.Log.Subscribe(l.ackMoves())
	defer cancel()
	beat := time.NewTicker(f.cfg.HeartbeatInterval)
	defer beat.Stop()
	late := time.NewTimer(time.Hour)
	late.Stop()
	defer late.Stop()
	var sent record.Positions
	check, due, armed := false, true, false
	for {
		if sealed := f.cfg.Sealed(); sealed > f.cfg.Epoch {
			l.fail(fencedBy(sealed, "this node has sealed epoch %d", sealed))
		}
		if l.failure() != nil {
			return nil
		}
		p := f.cfg.Log.Positions()
		if check {
			if err := f.cfg.Log.Err(); err != nil {
				return logOver("write or flush log", err)
			}
		}
		if due || p.Flush > sent.Flush || l.ackWrites && p.Written > sent.Written {
			err := l.conn.Send(f.cfg.Epoch, wire.Ack{Received: p.Written, Flushed: p.Flush, Applied: f.cfg.Applied()})
			if err != nil {
				return err
			}
			sent = p
		} else if p.Written > sent.Written && !armed {
			armed = true
			late.Reset(ackDelay)
		}
		if err := l.pong(); err != nil {
			return err
		}
		check, due = false, false
		select {
		case <-logC:
			check = true
		case <-beat.C:
			check, due = true, true
		case <-late.C:
			armed, due = false, f.cfg.Log.Positions().Written > sent.Written
		case <-l.wake:
		case <-l.stop:
			return nil
		case <-f.ctx.Done():
			return nil
		}
	}
}

// ackMoves names what of the log is acknowledged when it moves. The leader
// waits for flushes, or for writes too.
func (l *link) ackMoves() record.Moves {
	if l.ackWrites {
		return record.MovesOfWritten | record.MovesOfFlush
	}
	return record.MovesOfFlush
}

func (l *link) pong() error {
	l.mu.Lock()
	pinged, echo := l.mu.pinged, l.mu.echo
	l.mu.pinged = false
	l.mu.Unlock()
	if !pinged {
		return nil
	}
	return l.conn.Send(l.f.cfg.Epoch, wire.HeartbeatAck{Time: echo})
}

// part says the last word, if there is one, and makes the reader end.
func (l *link) part() {
	defer l.conn.Close()
	epoch := l.f.cfg.Epoch
	if sealed := l.f.cfg.Sealed(); sealed > epoch {
		l.fail(fencedBy(sealed, "this node has sealed epoch %d", sealed))
	}
	l.mu.Lock()
	parting := l.mu.parting
	l.mu.Unlock()
	if parting == nil {
		return
	}
	if parting.Code == wire.CodeFenced {
		epoch = parting.Epoch
	}
	// The reader discards meanwhile, until the leader closes.
	if l.conn.Send(epoch, *parting) == nil {
		l.conn.HalfClose(l.stop, partingTime)
	}
}
