package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"baton/node/adminapi"
	"baton/repl/election"
	"baton/repl/quorum"
)

// ErrNotLeader means that a verb of the leader was sent to another node.
var ErrNotLeader = errors.New("node: this node does not lead")

// handOverTimeout bounds how long a leader that is being stopped tries to hand
// over before it just stops, which costs clients a little more.
const handOverTimeout = 2 * time.Second

// Transfer hands leadership to a follower, "" = the best one. It returns when
// the new leader has published its address. A follower that is not caught up
// is waited for until ctx ends; if it fails this node goes on leading.
func (n *Node) Transfer(ctx context.Context, to string) error {
	n.mu.Lock()
	l, leader := n.mu.leadership, n.mu.role.leader
	n.mu.Unlock()
	if l == nil || !l.serving() {
		if leader != "" && leader != n.cfg.ID {
			return fmt.Errorf("%w: %s does; ask it", ErrNotLeader, leader)
		}
		return ErrNotLeader
	}
	if to == n.cfg.ID {
		return fmt.Errorf("%s leads already", to)
	}
	chosen, err := l.leader.Transfer(ctx, to)
	if err != nil {
		return fmt.Errorf("hand over: %w", err)
	}
	n.events.Add(adminapi.KindTransfer, uint64(l.epoch), fmt.Sprintf("hands over to %s", chosen), "to", chosen)
	if err := n.writeTransfer(ctx, l, chosen); err != nil {
		l.leader.Resume()
		return fmt.Errorf("hand over to %s: %w", chosen, err)
	}
	return n.awaitSuccessor(ctx, l)
}

// writeTransfer begins the next epoch with chosen as the winner of a tie. It
// runs the write from here, for the role loop must stay free to see it.
func (n *Node) writeTransfer(ctx context.Context, l *leadership, chosen string) error {
	snap := n.group.Snapshot()
	view := viewOf(snap)
	c := view.Cluster
	if !view.Connected || c.Epoch != l.epoch || c.Phase != election.PhaseElected || c.Leader != n.cfg.ID {
		return errors.New("ZooKeeper does not show this leadership at the moment")
	}
	return n.group.WriteClusterNow(ctx, clusterData(election.Next(c, c.Epoch, chosen, rand.Text())), view.Version, view.Reads)
}

// awaitSuccessor waits until another node has published that it leads.
func (n *Node) awaitSuccessor(ctx context.Context, l *leadership) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		v := viewOf(n.group.Snapshot())
		for _, m := range v.Members {
			if c := v.Cluster; c.Epoch > l.epoch && c.Phase == election.PhaseElected && m.Node == c.Leader && m.Address != "" {
				return nil
			}
		}
		if v.Connected && voters(v) < quorum.Size(n.cfg.Replicas) {
			return errors.New("too few members are left to elect anybody")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the next leader did not begin in time: %w", ctx.Err())
		}
	}
}

// handOver gives leadership away before a clean stop, if somebody can take it.
func (n *Node) handOver() {
	n.mu.Lock()
	l := n.mu.leadership
	n.mu.Unlock()
	if l == nil || !l.serving() || !l.hasSuccessor() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), handOverTimeout)
	defer cancel()
	if err := n.Transfer(ctx, ""); err != nil {
		n.cfg.Logger.Info("stopping without a hand-over", "err", err)
	}
}
