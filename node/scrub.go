package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"baton/node/adminapi"
	"baton/store/record"
	"baton/store/wal"
)

const scrubChunk = 256 << 10

// runScrub reads the whole log again and again, slowly, for damage shows only
// when somebody reads, and cold records may be needed when no other copy is left.
// A damaged node stands for no election and gets a whole log from its leader.
func (n *Node) runScrub(ctx context.Context) {
	for {
		began := time.Now()
		log := n.store.Log()
		err := n.scrub(ctx, log)
		var damage *wal.CorruptionError
		if errors.As(err, &damage) {
			n.scrubFound(log, err)
		} else if err != nil && ctx.Err() == nil {
			n.cfg.Logger.Warn("could not read the log to check it; trying again", "err", err)
		}
		if !rest(ctx, max(n.cfg.ScrubPause/10, n.cfg.ScrubPause-time.Since(began))) {
			return
		}
	}
}

// scrub reads what is on stable storage once, at ScrubRate. The log verifies
// what it reads.
func (n *Node) scrub(ctx context.Context, log *wal.Log) error {
	at, end := log.Positions().Start, log.Positions().Flush
	for at < end {
		began := time.Now()
		b, err := log.Read(at, scrubChunk)
		switch {
		case n.store.Log() != log:
			return nil // another log was installed meanwhile
		case errors.Is(err, wal.ErrBelowStart):
			at = log.Positions().Start // trimmed meanwhile
			continue
		case errors.Is(err, wal.ErrPosition) || err == nil && len(b) == 0:
			return nil // cut off meanwhile
		case err != nil:
			return err
		}
		at += record.Position(len(b))
		if !rest(ctx, time.Duration(float64(len(b))/float64(n.cfg.ScrubRate)*float64(time.Second))-time.Since(began)) {
			return ctx.Err()
		}
	}
	return nil
}

// scrubFound has damage of a log repaired if another node can help, and
// otherwise says what an operator can do.
func (n *Node) scrubFound(log *wal.Log, err error) {
	if n.repairable(err) {
		n.mail.post(func(r *role) {
			if n.store.Log() == log { // not repaired meanwhile
				r.damage(err)
			}
		})
		return
	}
	if n.refusals.news(err.Error(), time.Now()) {
		n.events.Add(adminapi.KindDamaged, uint64(n.sealed()), fmt.Sprintf("its log is damaged and no other node has a copy: %v", err))
	}
}

// rest is false if ctx ended first.
func rest(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
