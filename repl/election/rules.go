package election

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"baton/repl/quorum"
	"baton/store/record"
)

func wait(format string, args ...any) Step {
	return Step{Kind: Wait, Reason: fmt.Sprintf(format, args...)}
}

func refuse(format string, args ...any) Step {
	return Step{Kind: Refuse, Reason: fmt.Sprintf(format, args...)}
}

func names(members map[string]string) string {
	return strings.Join(slices.Sorted(maps.Keys(members)), ", ")
}

func first(order []Member) string {
	if len(order) == 0 {
		return "a member"
	}
	return order[0].Node
}

// key names the state of the cluster node that a timer is about.
func key(v View) string { return fmt.Sprintf("%d/%d", v.Version, v.Cluster.Epoch) }

// held says whether the condition has been true for d, and otherwise makes
// sure that Decide is called again when it will have been.
func (e *Elector) held(name, key string, d time.Duration) bool {
	c, ok := e.since[name]
	if !ok || c.key != key {
		c = condition{key: key, at: e.now}
	}
	c.touched = true
	e.since[name] = c
	left := d - e.now.Sub(c.at)
	if left <= 0 {
		return true
	}
	if e.wake == 0 || left < e.wake {
		e.wake = left
	}
	return false
}

// turn says whether this node should act: at once if it stands first in
// order, one election timeout later for each that stands before it.
func (e *Elector) turn(name, key string, order []Member, s Self) bool {
	i := slices.IndexFunc(order, func(m Member) bool { return m.Node == s.Node && m.Incarnation == s.Incarnation })
	if i < 0 {
		return false
	}
	return e.held("turn "+name, key, time.Duration(i)*e.cfg.ElectionTimeout)
}

// gathered says whether enough members are there for a first step: all of
// them, or a quorum after the grace.
func (e *Elector) gathered(name string, members []Member, replicas int) (Step, bool) {
	need := quorum.Size(replicas)
	if len(members) < need {
		return wait("%d of %d members are there, %d are needed", len(members), replicas, need), false
	}
	if len(members) < replicas && !e.held("gather "+name, fmt.Sprint(len(members)), e.cfg.JoinGrace) {
		return wait("%d of %d members are there, a moment for the others", len(members), replicas), false
	}
	return Step{}, true
}

// disks counts the members of which a disk is registered.
func disks(members map[string]string) (n int) {
	for _, inc := range members {
		if inc != "" {
			n++
		}
	}
	return n
}

// highestSealed is the highest epoch that anyone is known to have promised.
func highestSealed(v View, s Self) record.Epoch {
	top := s.Sealed
	for _, m := range v.Members {
		top = max(top, m.Sealed)
	}
	return top
}

// sealedFor returns the voters that promised the epoch of c as it was begun
// here, and published their end.
func sealedFor(voters []Member, c Cluster) []Member {
	var out []Member
	for _, m := range voters {
		if m.Sealed == c.Epoch && m.Ballot == c.Ballot && m.Position >= 0 {
			out = append(out, m)
		}
	}
	return out
}

// quorum says whether the voters include a quorum of the configuration; every
// set does if there is none.
func (c Configuration) quorum(voters []Member) bool {
	n := 0
	for _, m := range voters {
		if c.Members[m.Node] == m.Incarnation {
			n++
		}
	}
	return c.Replicas == 0 || n >= quorum.Size(c.Replicas)
}

// suspecting returns the voters that suspect the leader of epoch. This node
// counts by what it knows, which may not be published yet.
func suspecting(voters []Member, s Self, epoch record.Epoch) []Member {
	var out []Member
	for _, m := range voters {
		if m.Suspect == epoch || m.Node == s.Node && m.Incarnation == s.Incarnation {
			out = append(out, m)
		}
	}
	return out
}

// awaited says that a hand-over's target lives and has not promised yet. A
// quorum without it would elect, as likely as not, the leader that hands over.
func awaited(voters, sealed []Member, prefer string) bool {
	is := func(m Member) bool { return m.Node == prefer }
	return prefer != "" && slices.ContainsFunc(voters, is) && !slices.ContainsFunc(sealed, is)
}

// newer finds a voter that has not promised yet and says that its log is of a
// later epoch than all that have. It is worth a moment: what it holds beyond
// them is not committed by this configuration, but may be by the one that it
// served alone in.
func newer(voters, sealed []Member, epoch record.Epoch) (Member, bool) {
	var top record.Epoch
	for _, m := range sealed {
		top = max(top, m.LastEpoch)
	}
	for _, m := range voters {
		if m.Sealed < epoch && m.LastEpoch > top {
			return m, true
		}
	}
	return Member{}, false
}

// best picks the leader among those that promised: the newest log, then the
// preferred node, then weight, then the order of arrival. It also says which
// rule decided: the last one that had to be asked to tell the winner from the
// others.
func best(sealed []Member, prefer string) (Member, string) {
	win, rule := sealed[0], "the only candidate"
	for _, m := range sealed[1:] {
		if better, _ := beats(m, win, prefer); better {
			win = m
		}
	}
	for _, m := range sealed {
		if m.Node == win.Node {
			continue
		}
		if _, why := beats(win, m, prefer); rank(why) < rank(rule) {
			rule = why
		}
	}
	return win, rule
}

// rules in the order in which they are asked.
var rules = []string{"newest epoch", "highest position", "preferred", "highest weight", "arrived first"}

// rank orders rules for the report: the last one that had to be asked counts,
// so a later rule ranks lower.
func rank(rule string) int { return len(rules) - slices.Index(rules, rule) }

func beats(a, b Member, prefer string) (bool, string) {
	switch {
	case a.LastEpoch != b.LastEpoch:
		return a.LastEpoch > b.LastEpoch, rules[0]
	case a.Position != b.Position:
		return a.Position > b.Position, rules[1]
	case prefer != "" && (a.Node == prefer) != (b.Node == prefer):
		return a.Node == prefer, rules[2]
	case a.Weight != b.Weight:
		return a.Weight > b.Weight, rules[3]
	}
	return a.Sequence < b.Sequence, rules[4]
}

// wiped adds the sentence an operator needs when disks were lost.
func wiped(v View) string {
	var lost []string
	for _, m := range v.nodes() {
		if inc, ok := v.Cluster.Members[m.Node]; ok && inc != m.Incarnation {
			lost = append(lost, m.Node)
		}
	}
	if len(lost) == 0 || len(v.Cluster.Members)-len(lost) >= quorum.Size(v.Cluster.Replicas) {
		return ""
	}
	return fmt.Sprintf("; the disks of %s are new, so no quorum holds the old data: "+
		"bring back an old data directory, or run baton form --discard-history to begin without it", strings.Join(lost, ", "))
}

// MayReplace says whether a leader may register a new disk for a node: only
// while enough of the voters that it has are in sync, itself included and that
// node not. A leader that was superseded while it was paused, before a
// ZooKeeper that went back to its epoch, would otherwise gather a quorum from a
// disk that has forgotten its promise. A disk that is registered already, as
// one that came for the first time, was never another.
func MayReplace(c Cluster, node, incarnation string, inSync int) bool {
	return c.Members[node] == incarnation || inSync >= quorum.Size(c.Replicas)
}

// Newcomers returns the members that registered since a leader was elected,
// with their incarnations: it serves them from now on, and counts those that
// have one. Such a disk registered itself under this very epoch, for a node id
// that had none, so it never acknowledged or promised anything as another; and
// the next election would count it too. Without it, a leader whose voters lost
// a disk before its first commit could never commit at all.
func Newcomers(c Cluster, s Self) map[string]string {
	if !MayRegister(c, s) {
		return nil
	}
	var list map[string]string
	for node, inc := range c.Members {
		if _, known := s.Voters[node]; !known {
			if list == nil {
				list = map[string]string{}
			}
			list[node] = inc
		}
	}
	return list
}
