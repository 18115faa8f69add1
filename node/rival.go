package node

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"baton/node/adminapi"
	"baton/zkclient/group"
)

// A data directory that was copied and started twice makes two processes with
// one id. They would cut off each other's links for ever, and a promise that
// one of them made would not bind the other. So a process joins only when no
// other one with its id is there; and if one joins all the same, because it
// could not reach this one, this one ends: the newest counts.

const (
	claimTimeout  = time.Second // to ask the process that holds the id
	claimInterval = time.Second // between two questions
)

// claim is how a process finds out whether its id is free. Touched by the role
// loop alone.
type claim struct {
	asking bool
	asked  string // process id in the member node that was asked about
	gone   bool   // nobody is there: the node is what a dead process left
	reason string
	at     time.Time
}

// mayJoin says whether this process may make its member node, and otherwise
// why not.
func (r *role) mayJoin() (reason string, ok bool) {
	if !r.snap.Connected {
		return "ZooKeeper does not answer", false
	}
	holder, found := r.namesake(0)
	if !found {
		return "", true
	}
	c := &r.claim
	if c.asked != holder.Data.Process {
		*c = claim{asking: c.asking, asked: holder.Data.Process}
	}
	if c.gone {
		return "", true
	}
	if !c.asking && time.Since(c.at) >= claimInterval {
		c.asking, c.at = true, time.Now()
		r.ask(holder)
	}
	if c.reason == "" {
		return "asking whether another process runs as " + r.n.cfg.ID, false
	}
	return c.reason, false
}

// namesake is the newest member node, from a sequence on, that another process
// made with this node's id. The first member of a path has the sequence 0.
func (r *role) namesake(from uint64) (found group.Member, ok bool) {
	for _, m := range r.snap.Members { // by sequence
		if m.Data.Node == r.n.cfg.ID && m.Data.State != adminapi.RoleRefused && m.Data.Process != r.n.process && m.Sequence >= from {
			found, ok = m, true
		}
	}
	return found, ok
}

// ask finds out whether the process behind a member node lives. One that had
// this process's own admin address does not.
func (r *role) ask(m group.Member) {
	n, ctx := r.n, r.ctx
	n.wg.Go(func() {
		node, err := "", error(syscall.ECONNREFUSED)
		if m.Data.Admin != n.adminAddress() {
			ctx, cancel := context.WithTimeout(ctx, claimTimeout)
			defer cancel()
			node, err = (&adminapi.Client{Address: m.Data.Admin}).Claim(ctx, n.adminAddress())
		}
		n.mail.post(func(r *role) { r.claimed(m, node, err) })
	})
}

func (r *role) claimed(m group.Member, node string, err error) {
	c := &r.claim
	c.asking = false
	id, was := r.n.cfg.ID, c.reason
	switch {
	case c.asked != m.Data.Process: // about another process than now
		return
	case errors.Is(err, syscall.ECONNREFUSED) || err == nil && node != id:
		c.gone = true
		return
	case err != nil:
		c.reason = fmt.Sprintf("an earlier process of %s (admin %s) may still run: waits until its member node %s is gone from ZooKeeper", id, m.Data.Admin, m.Eid)
	default:
		c.reason = fmt.Sprintf("node id %s is in use by another process (admin %s): stop that one, or give this one an --id and a --data-dir of its own", id, m.Data.Admin)
	}
	if c.reason != was {
		r.n.events.Add(adminapi.KindRefused, uint64(r.self.Sealed), c.reason)
	}
}

// claimedBy notes that another process asked for this node's id.
func (n *Node) claimedBy(by string) {
	if n.refusals.news("claim "+by, time.Now()) {
		n.events.Add(adminapi.KindPeerRefused, uint64(n.sealed()),
			fmt.Sprintf("another process (admin %s) would join as %s and was refused: give it an --id and a --data-dir of its own", by, n.cfg.ID), "peer", n.cfg.ID)
	}
}

// sighting is when this process last saw its own member node.
type sighting struct {
	sequence, reads uint64
	seen            bool
}

// superseded ends this process if another one has joined with its id. That one
// may have removed the member node of this process, which it took for a dead
// one's: then what counts is where that node was, if the tree has been followed
// without a gap since, or this process would come again as the newest.
func (r *role) superseded() {
	if !r.snap.Connected {
		return
	}
	if own, ok := r.snap.Member(r.snap.Self); ok {
		r.own = sighting{own.Sequence, r.snap.Reads, true}
	}
	if !r.own.seen || r.own.reads != r.snap.Reads {
		return
	}
	if m, ok := r.namesake(r.own.sequence + 1); ok {
		r.n.fail(fmt.Errorf("another process (admin %s) has joined as %s after this one, which therefore ends: "+
			"give each node an --id and a --data-dir of its own", m.Data.Admin, r.n.cfg.ID))
	}
}
