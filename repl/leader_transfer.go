package repl

import (
	"context"
	"fmt"
	"time"

	"baton/store/record"
)

// Transfer waits until node (any voter if "") is in sync, then stops taking
// proposals until everything is committed and that node has all of it on stable
// storage, and returns the node chosen. Proposals keep waiting until Stop or
// Resume. If ctx or leadership ends, or the node does not get that far within
// HandOverTimeout, Transfer resumes by itself and returns an error: nothing has
// changed then.
func (l *Leader) Transfer(ctx context.Context, node string) (string, error) {
	changed, cancel := l.changed.subscribe()
	defer cancel()
	if err := l.awaitInSync(ctx, changed, node); err != nil {
		return "", err
	}
	if err := l.closeGate(node); err != nil {
		return "", err
	}
	patience := time.NewTimer(l.cfg.HandOverTimeout)
	defer patience.Stop()
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
		case <-patience.C:
			l.Resume()
			return "", fmt.Errorf("%w: not ready within %s, for which producers had to wait: %s", ErrNotCandidate, l.cfg.HandOverTimeout, lack)
		}
	}
}

// awaitInSync waits until whoever may take over is in sync, while proposals go
// on: a node that is far behind costs the producers nothing.
func (l *Leader) awaitInSync(ctx context.Context, changed <-chan struct{}, node string) error {
	look := time.NewTicker(l.cfg.HeartbeatInterval) // states also change with time
	defer look.Stop()
	for {
		lack, err := l.lacking(node)
		if err != nil || lack == "" {
			return err
		}
		select {
		case <-changed:
		case <-look.C:
		case <-l.ctx.Done():
			return l.Err()
		case <-ctx.Done():
			return fmt.Errorf("transfer leadership: %w: %s", context.Cause(ctx), lack)
		}
	}
}

// lacking says why nobody can take over yet, "" if somebody is in sync.
func (l *Leader) lacking(node string) (lack string, err error) {
	end := l.cfg.Log.Positions().Append
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.eligible(node); err != nil {
		return "", err
	}
	lack = "no voter is in sync"
	for n, pe := range l.mu.peers {
		switch {
		case node != "" && n != node || !pe.Counts():
		case pe.InSync():
			return "", nil
		case n == node:
			lack = fmt.Sprintf("%s is %s, %d bytes behind", n, pe.prog.State(), pe.prog.LagBytes(end))
		}
	}
	return lack, nil
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
	if err := l.eligible(node); err != nil {
		return err
	}
	l.mu.transferring = true
	return nil
}

// eligible says why leadership cannot go to node at all. Call with mu held.
func (l *Leader) eligible(node string) error {
	pe := l.mu.peers[node]
	switch {
	case l.mu.ended != nil:
		return l.mu.ended
	case l.mu.transferring:
		return fmt.Errorf("%w already", ErrTransferring)
	case node != "" && pe == nil:
		return fmt.Errorf("%w: %s is not another member of the cluster", ErrNotCandidate, node)
	case node != "" && (pe.session == nil || !pe.Counts()):
		return fmt.Errorf("%w: %s is not connected as a voter", ErrNotCandidate, node)
	}
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
		if node != "" && n != node || !pe.Counts() || pe.session == nil {
			continue
		}
		best = max(best, pe.prog.Flushed())
		if pe.prog.Flushed() >= end && (to == "" || n < to) {
			to = n
		}
	}
	return to, fmt.Sprintf("the best candidate has flushed up to %d of %d", best, end), nil
}
