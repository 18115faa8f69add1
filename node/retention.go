package node

import (
	"context"
	"fmt"
	"time"

	"baton/node/adminapi"
	"baton/store"
	"baton/store/record"
)

const (
	// followerKeeps is how many free segments a node keeps that does not lead:
	// if it comes to lead, the others may be a little behind it.
	followerKeeps = 2
	// trimEventInterval is the least time between two events of trims.
	trimEventInterval = 5 * time.Second
	// trimTimeout bounds a wait for the disk; the next round tries again.
	trimTimeout = 10 * time.Second
)

// runTrim frees what no queue needs any more, on every node by its own index.
func (n *Node) runTrim(ctx context.Context) {
	tick := time.NewTicker(n.cfg.RetentionInterval)
	defer tick.Stop()
	var told trimReport
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-n.trimNow:
		}
		did, err := n.trim(ctx)
		if ctx.Err() != nil {
			return
		}
		told.add(n, did, err)
	}
}

func (n *Node) trim(ctx context.Context) (store.Trimmed, error) {
	free, err := n.store.Free()
	if err != nil {
		return store.Trimmed{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, trimTimeout)
	defer cancel()
	n.held.bound(free)
	return n.store.Trim(ctx, n.retainFrom(free))
}

// retainFrom is where the log must begin at the latest, when everything below
// free could go. A leader keeps what a member still lacks, up to a bound: a
// member that is behind it needs a copy of everything.
func (n *Node) retainFrom(free record.Position) record.Position {
	n.mu.Lock()
	l := n.mu.leadership
	n.mu.Unlock()
	if l == nil {
		return below(free, followerKeeps*n.cfg.SegmentSize)
	}
	need, followers := free, l.leader.Status().Followers
	if len(followers)+1 < n.cfg.Replicas {
		need = 0 // a member that never came lacks everything
	}
	for _, f := range followers {
		need = min(need, f.Flushed)
	}
	return max(need, below(free, n.cfg.RetainBytes))
}

func below(p record.Position, bytes int64) record.Position {
	return p - min(p, record.Position(bytes))
}

// trimSoon lets runTrim look again.
func (n *Node) trimSoon() {
	select {
	case n.trimNow <- struct{}{}:
	default:
	}
}

// trimReport gathers trims into few events, and says an error once.
type trimReport struct {
	from, to record.Position
	segments int
	at       time.Time
	err      string
}

func (r *trimReport) add(n *Node, did store.Trimmed, err error) {
	if err != nil && err.Error() != r.err {
		n.cfg.Logger.Warn("could not shorten the log; trying again", "err", err)
	}
	r.err = ""
	if err != nil {
		r.err = err.Error()
	}
	if did.To > did.From {
		if r.segments == 0 {
			r.from = did.From
		}
		r.to, r.segments = did.To, r.segments+did.Segments
	}
	if r.segments == 0 || time.Since(r.at) < trimEventInterval {
		return
	}
	n.events.Add(adminapi.KindTrimmed, 0,
		fmt.Sprintf("freed %d segments, %d bytes: the log begins at %d", r.segments, r.to-r.from, r.to),
		"from", fmt.Sprint(r.from), "to", fmt.Sprint(r.to))
	r.segments, r.at = 0, time.Now()
}
