package nodetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"baton/node/adminapi"
)

// IDs lists the nodes, running or not, in their order.
func (c *Cluster) IDs() []string {
	var out []string
	for id := range c.nodes {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// Running lists the nodes that run, in their order.
func (c *Cluster) Running() []string {
	return slices.DeleteFunc(c.IDs(), func(id string) bool { return c.nodes[id].node == nil })
}

// Stomp is where a node serves clients while it leads.
func (c *Cluster) Stomp(id string) string { return c.member(id).stomp }

// Status of a running node.
func (c *Cluster) Status(id string) adminapi.Status {
	c.t.Helper()
	m := c.member(id)
	if m.node == nil {
		c.t.Fatalf("%s does not run", id)
	}
	return m.node.Status()
}

// Queue is a queue as a node knows it; zero if it does not.
func (c *Cluster) Queue(id, name string) adminapi.Queue {
	c.t.Helper()
	for _, q := range c.member(id).node.Queues() {
		if q.Name == name {
			return q
		}
	}
	return adminapi.Queue{}
}

// Transfer hands leadership over.
func (c *Cluster) Transfer(from, to string) error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return c.member(from).node.Transfer(ctx, to)
}

// Until waits for a condition. problem says what is missing, "" when nothing
// is; it is called again and again.
func (c *Cluster) Until(what string, problem func() string) {
	c.t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		p := problem()
		if p == "" {
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			c.t.Fatalf("%s: not within %v: %s", what, Patience, p)
		}
	}
}

// Leader waits until one of the running nodes serves clients with a quorum.
func (c *Cluster) Leader() string {
	c.t.Helper()
	var leader string
	c.Until("a leader serves", func() string {
		s, ok := c.leader()
		leader = s.Node
		switch {
		case !ok:
			return "nobody serves: " + c.describe()
		case !s.Quorum.OK:
			return s.Node + " has no quorum"
		}
		return ""
	})
	return leader
}

func (c *Cluster) leader() (best adminapi.Status, ok bool) {
	for _, id := range c.Running() {
		s := c.nodes[id].node.Status()
		if s.Role == adminapi.RoleLeader && s.State == adminapi.StateServing && s.Epoch > best.Epoch {
			best, ok = s, true
		}
	}
	return best, ok
}

// Healthy waits until one node serves and every other that runs follows it in
// sync, as both sides see it, and returns the leader.
func (c *Cluster) Healthy() string {
	c.t.Helper()
	var leader string
	c.Until("the cluster is healthy", func() string {
		l, ok := c.leader()
		if !ok {
			return "nobody serves: " + c.describe()
		}
		leader = l.Node
		if want := len(c.Running()); l.Quorum.Have != want {
			return fmt.Sprintf("%d of %d replicas are in sync: %s", l.Quorum.Have, want, c.describe())
		}
		for _, id := range c.Running() {
			if s := c.nodes[id].node.Status(); id != l.Node &&
				(s.Role != adminapi.RoleFollower || s.State != adminapi.StateInSync || s.Leader != l.Node || s.Epoch != l.Epoch) {
				return c.describe()
			}
		}
		return ""
	})
	return leader
}

// Followers lists the running nodes but the leader.
func (c *Cluster) Followers(leader string) []string {
	return slices.DeleteFunc(c.Running(), func(id string) bool { return id == leader })
}

func (c *Cluster) describe() string {
	var out []string
	for _, id := range c.Running() {
		s := c.nodes[id].node.Status()
		out = append(out, fmt.Sprintf("%s is %s, %s %s, of %q in epoch %d", id, s.Role, s.State, s.Reason, s.Leader, s.Epoch))
	}
	return strings.Join(out, "; ")
}

// Settled waits until all running nodes have applied what the leader has, and
// fails if their running hashes differ then. Nobody should write meanwhile but
// the nodes themselves.
func (c *Cluster) Settled() {
	c.t.Helper()
	leader := c.Healthy()
	chains := map[string]adminapi.Chain{}
	c.Until("every node has applied everything", func() string {
		want := c.Status(leader)
		chains[leader] = want.Chain
		if want.Chain.Position != want.Positions.Append {
			return fmt.Sprintf("%s has applied %d of %d bytes", leader, want.Chain.Position, want.Positions.Append)
		}
		for _, id := range c.Followers(leader) {
			if chains[id] = c.Status(id).Chain; chains[id].Position != want.Chain.Position {
				return fmt.Sprintf("%s has applied %d of %d bytes", id, chains[id].Position, want.Chain.Position)
			}
		}
		return ""
	})
	for id, got := range chains {
		if want := chains[leader]; got.Hash != want.Hash {
			c.t.Errorf("at position %d %s has the hash %s, %s has %s", got.Position, id, got.Hash, leader, want.Hash)
		}
	}
}

// Events returns what a node has reported in all its lives, oldest first.
func (c *Cluster) Events(id string, kinds ...string) []Event {
	return slices.DeleteFunc(c.log.events(), func(e Event) bool {
		return e.Node != id || len(kinds) > 0 && !slices.Contains(kinds, e.Kind)
	})
}

// AwaitEvent waits until a node has reported an event of a kind that fits, in
// any of its lives; fits may be nil.
func (c *Cluster) AwaitEvent(id, kind string, fits func(Event) bool) Event {
	c.t.Helper()
	var found Event
	c.Until(id+" reports "+kind, func() string {
		for _, e := range c.Events(id, kind) {
			if fits == nil || fits(e) {
				found = e
				return ""
			}
		}
		return "it did not"
	})
	return found
}
