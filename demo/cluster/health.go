package cluster

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"baton/node/adminapi"
	"baton/node/supervisor"
)

// Health is the verdict on a cluster.
type Health struct {
	OK           bool
	Problem      string // one sentence if not OK
	Leader       string
	Epoch        uint64
	ExpectedDown []string // killed, stopped, paused or cut on purpose; not held against it
}

// Health asks the nodes and judges: one serves with a quorum, and every other
// node that should be there follows it in sync.
func (c *Cluster) Health(ctx context.Context) Health {
	statuses := c.Poll(ctx)
	var procs []Process
	for _, p := range c.Processes() {
		if p.Kind == KindOfNode {
			procs = append(procs, p)
		}
	}
	return Judge(procs, statuses)
}

// Judge is Health without asking; procs and statuses are of the same nodes in
// the same order.
func Judge(procs []Process, statuses []NodeStatus) Health {
	var h Health
	bad := func(format string, args ...any) Health {
		h.Problem = fmt.Sprintf(format, args...)
		return h
	}
	var up []NodeStatus
	for i, p := range procs {
		switch {
		case p.OnPurpose():
			h.ExpectedDown = append(h.ExpectedDown, p.Name)
		case p.State == supervisor.StateExited:
			return bad("%s ended by itself: %v", p.Name, p.Exit)
		case statuses[i].Err != nil:
			return bad("%s does not answer: %v", p.Name, statuses[i].Err)
		case p.PID != statuses[i].Status.PID:
			return bad("%s has not answered since it was started", p.Name)
		default:
			up = append(up, statuses[i])
		}
	}
	leader := leaderOf(up)
	if leader == nil {
		return bad("no leader serves")
	}
	h.Leader, h.Epoch = leader.Node, leader.Status.Epoch
	if !leader.Status.Quorum.OK {
		return bad("leader %s has no quorum; missing: %s", leader.Node, strings.Join(leader.Status.Quorum.Missing, ", "))
	}
	asLeaderSees := map[string]string{}
	for _, f := range leader.Status.Followers {
		asLeaderSees[f.Node] = f.State
	}
	for _, s := range up {
		if s.Node == leader.Node {
			continue
		}
		switch st := s.Status; {
		case st.Role != adminapi.RoleFollower:
			return bad("%s is %s: %s", s.Node, st.Role, or(st.Reason, st.State))
		case st.Leader != leader.Node || st.Epoch != leader.Status.Epoch:
			return bad("%s follows %s in epoch %d, not %s in epoch %d", s.Node, or(st.Leader, "nobody"), st.Epoch, leader.Node, leader.Status.Epoch)
		case st.State != adminapi.StateInSync:
			return bad("%s is %s", s.Node, st.State)
		}
		if seen, ok := asLeaderSees[s.Node]; ok && seen != adminapi.StateInSync {
			return bad("%s is %s as its leader %s sees it", s.Node, seen, leader.Node)
		}
	}
	h.OK = true
	return h
}

func leaderOf(up []NodeStatus) *NodeStatus {
	var best *NodeStatus
	for i, s := range up {
		if s.Status.Role == adminapi.RoleLeader && s.Status.State == adminapi.StateServing && (best == nil || s.Status.Epoch > best.Status.Epoch) {
			best = &up[i]
		}
	}
	return best
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Chains is what comparing the nodes' running hashes gave.
type Chains struct {
	Compared bool // every node shares a position with every other
	Equal    bool // no two nodes differ at a position that both have
	Detail   string
}

// CompareChains compares the chains of nodes at equal positions.
func CompareChains(chains map[string]adminapi.Chain) Chains {
	names := make([]string, 0, len(chains))
	points := map[string]map[uint64]string{}
	for name, ch := range chains {
		names = append(names, name)
		points[name] = map[uint64]string{ch.Position: ch.Hash}
		for _, p := range ch.Recent {
			points[name][p.Position] = p.Hash
		}
	}
	sort.Strings(names)
	out := Chains{Compared: len(names) > 0, Equal: true}
	for i, a := range names {
		for _, b := range names[i+1:] {
			common := 0
			for position, hash := range points[a] {
				other, ok := points[b][position]
				if ok {
					common++
				}
				if ok && other != hash {
					out.Equal = false
					out.Detail = fmt.Sprintf("%s and %s differ at position %d: %s, %s", a, b, position, hash, other)
				}
			}
			if common == 0 {
				out.Compared = false
			}
		}
	}
	return out
}

// Chains asks the nodes that should be there for their chains and compares them.
func (c *Cluster) Chains(ctx context.Context) Chains {
	chains := map[string]adminapi.Chain{}
	statuses := c.Poll(ctx)
	i := 0
	for _, p := range c.Processes() {
		if p.Kind != KindOfNode {
			continue
		}
		if s := statuses[i]; !p.OnPurpose() && s.Err == nil {
			chains[s.Node] = s.Status.Chain
		}
		i++
	}
	return CompareChains(chains)
}
