package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"baton/node/adminapi"
	"baton/repl"
	"baton/repl/election"
	"baton/repl/wire"
	"baton/store/record"
	"baton/store/snapshot"
	"baton/store/wal"
)

// snapshots lets replication give and take in the store's log as a whole.
type snapshots struct{ n *Node }

// Give implements repl.Giver.
func (s snapshots) Give(ctx context.Context) (repl.Given, error) {
	snap, err := s.n.store.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	s.n.held.begin(snap)
	return given{snap, &s.n.held}, nil
}

// Take implements repl.Taker.
func (s snapshots) Take(manifest []byte) (repl.Taken, error) {
	m, err := snapshot.Decode(manifest)
	if err != nil {
		return nil, err
	}
	r, err := s.n.store.Receive(m)
	if err != nil {
		return nil, err
	}
	return taken{r}, nil
}

type given struct {
	*snapshot.Snapshot
	held *heldSnapshots
}

// Release implements repl.Given.
func (g given) Release() { g.held.end(g.Snapshot) }

func (g given) Describe() (start, end record.Position, manifest []byte) {
	m := g.Manifest()
	return m.Start, m.End, m.Encode()
}

func (g given) Next(w wire.Want, limit int) (wire.Chunk, wire.Want, error) {
	m := g.Manifest()
	b, sum, err := g.Chunk(snapshot.Part(w.Part), w.At, limit)
	next := wire.Want{Part: w.Part, At: w.At + record.Position(len(b))}
	if snapshot.Part(w.Part) == snapshot.PartSide && int64(next.At) == m.SideSize {
		next = wire.Want{Part: wire.Part(snapshot.PartLog), At: m.Start}
	}
	return wire.Chunk{Part: w.Part, At: w.At, Sum: sum, Data: b}, next, err
}

type taken struct{ *snapshot.Receiver }

func (t taken) Want() (wire.Want, record.Position, bool) {
	part, at := t.Next()
	end := at
	if part == snapshot.PartSide {
		end = 0
	}
	return wire.Want{Part: wire.Part(part), At: at}, end, t.Complete()
}

func (t taken) Write(c wire.Chunk) error {
	return t.Receiver.Write(snapshot.Part(c.Part), c.At, c.Data, c.Sum)
}

// install replaces the log by the one that the link has received, and lets the
// role loop follow again. Nothing may have been promised since: the end of the
// old log may have been published with it. What was received is kept for the
// next time then.
func (r *role) install(s election.Step, e repl.SnapshotEvent) {
	n := r.n
	r.unfollow()
	if sealed := n.sealed(); !election.MayInstall(s.Epoch, sealed) {
		n.cfg.Logger.Info("not installing a snapshot: another epoch was promised", "epoch", s.Epoch, "sealed", sealed)
		return
	}
	began := time.Now()
	if err := n.applier.replace(e.End, n.store.Install); err != nil {
		n.fail(fmt.Errorf("install the log of %s: %w", s.Leader, err))
		return
	}
	r.self.DidInstall()
	r.refreshLog()
	select {
	case n.replaced <- struct{}{}:
	default:
	}
	n.events.Add(adminapi.KindSnapshotFinished, uint64(s.Epoch),
		fmt.Sprintf("installed the log of %s: %s, in %s", s.Leader, e, time.Since(began).Round(time.Millisecond)),
		"leader", s.Leader, "start", fmt.Sprint(e.Start), "end", fmt.Sprint(e.End))
}

// repairable tells whether the error is damage that a leader's copy can mend.
func (n *Node) repairable(err error) bool {
	var c *wal.CorruptionError
	return n.cfg.Replicas > 1 && errors.As(err, &c)
}

// damage gives up every role for good until the log was replaced by that of
// another node.
func (r *role) damage(err error) {
	if r.self.Damaged != "" {
		return
	}
	r.self.DidDamage("its log is damaged: " + err.Error())
	r.n.events.Add(adminapi.KindDamaged, uint64(r.self.Sealed), fmt.Sprintf("its log is damaged, it asks the leader for a whole one: %v", err))
	if r.leadership != nil {
		r.resign("its log is damaged")
	}
	r.standBack("its log is damaged")
	r.unfollow()
}

// runApplier applies what is committed. If the log turns out to be damaged it
// waits for another one.
func (n *Node) runApplier(ctx context.Context) {
	for {
		err := n.applier.runApply(ctx)
		if err == nil {
			return
		}
		if !n.repairable(err) {
			n.fail(fmt.Errorf("apply the log to the index: %w", err))
			return
		}
		n.mail.post(func(r *role) { r.damage(err) })
		select {
		case <-n.replaced:
			n.applier.kick()
		case <-ctx.Done():
			return
		}
	}
}

// logFailed ends the node, or only its role if another node's log can help.
func (n *Node) logFailed(err error) {
	if n.repairable(err) {
		n.mail.post(func(r *role) { r.damage(err) })
		return
	}
	n.fail(fmt.Errorf("write the log: %w", err))
}
