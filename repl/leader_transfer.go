package repl

import (
	"context"
	"fmt"

	"baton/store/record"
)

// Transfer stops taking proposals, waits until everything is committed and
// node (any voter in sync if "") has all of it on stable storage, and returns
// the node chosen. Proposals keep waiting until Stop or Resume. If ctx ends or
// leadership does, Transfer resumes by itself and returns an error: nothing
// has changed then.
func (l *Leader) Transfer(ctx context.Context, node string) (string, error) {
	changed, cancel := l.changed.subscribe()
	defer cancel()
	if err := l.closeGate(node); err != nil {
		return "", err
	}
	for {
		to, lack, err := l.heir(node)
		if err != nil {
			l.Resume()
			return "", err
		}
		if to != "" {
			l.cfg.Logger.Info("ready to hand over", keyPeer, to, keyEpoch, l.cfg.Epoch, keyPosition, l.Commit())
			return to, nil
		}
		select {
		case <-changed:
		case <-l.ctx.Done():
			l.Resume()
			return "", l.Err()
		case <-ctx.Done():
			l.Resume()
			return "", fmt.Errorf("transfer leadership: %w: %s", context.Cause(ctx), lack)
		}
	}
}

// Resume takes proposals again after a Transfer that is not followed up.
func (l *Leader) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.transferring = false
	l.wakeAdmission()
}

func (l *Leader) closeGate(node string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	pe := l.mu.peers[node]
	switch {
	case l.mu.ended != nil:
		return l.mu.ended
	case l.mu.transferring:
		return fmt.Errorf("%w already", ErrTransferring)
	case node != "" && pe == nil:
		return fmt.Errorf("%w: %s is not another member of the cluster", ErrNotCandidate, node)
	case node != "" && (pe.session == nil || !l.counts(node, pe)):
		return fmt.Errorf("%w: %s is not connected as a voter", ErrNotCandidate, node)
	}
	l.mu.transferring = true
	return nil
}

// heir returns who may take over now, "" and what is lacking if nobody yet.
func (l *Leader) heir(node string) (to, lack string, err error) {
	end := l.cfg.Log.Positions().Append
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.mu.ended != nil:
		return "", "", l.mu.ended
	case !l.mu.transferring:
		return "", "", fmt.Errorf("transfer leadership: resumed meanwhile")
	case l.mu.outstanding > 0:
		return "", fmt.Sprintf("%d bytes are not committed", l.mu.outstanding), nil
	case l.Commit() < end:
		return "", fmt.Sprintf("committed up to %d of %d", l.Commit(), end), nil
	}
	var best record.Position
	for n, pe := range l.mu.peers {
		if node != "" && n != node || !l.counts(n, pe) || pe.session == nil {
			continue
		}
		best = max(best, pe.prog.Flushed())
		if pe.prog.Flushed() >= end && (to == "" || n < to) {
			to = n
		}
	}
	return to, fmt.Sprintf("the best candidate has flushed up to %d of %d", best, end), nil
}
