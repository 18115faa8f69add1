package data

import (
	"fmt"
	"slices"
	"strings"

	"baton/node/adminapi"
)

// CheckState is how far one condition of having a leader is.
type CheckState uint8

// States of a check.
const (
	CheckLater   CheckState = iota // its turn comes after another
	CheckWaiting                   // this is what everybody waits for
	CheckDone
	CheckUnknown // cannot be seen from here
)

// Check is one condition on the way to a leader.
type Check struct {
	Name  string
	State CheckState
	Text  string // what it is, or what it waits for
}

// Checklist goes through the conditions that a cluster must meet, in their
// order, to have a leader that serves. The first that is not met is what
// everybody waits for.
func (s *Snapshot) Checklist() []Check {
	if s.Tree.Foreign {
		return s.checklistForeign()
	}
	l := s.LeaderNode()
	if l != nil && l.Fresh == Fresh && l.State == StateLeader {
		return s.checklistServing(l)
	}
	if l != nil && l.Fresh == Fresh && l.State == StateNoQuorum {
		return s.checklistAlone(l)
	}
	size := max(1, s.Quorum.Size)
	checks := []Check{s.checkZooKeeper(), s.checkMembers(size), s.checkSuspicion(size), s.checkSealed(size), s.checkElected(), s.checkPromoted()}
	waiting := false
	for i := range checks {
		switch {
		case waiting && checks[i].State != CheckDone:
			checks[i].State = CheckLater
		case checks[i].State == CheckWaiting:
			waiting = true
		}
	}
	return checks
}

func (s *Snapshot) checklistServing(l *Node) []Check {
	q := s.Quorum
	rule := s.rule(l.Status.Epoch)
	if rule == "" {
		rule = "a quorum had promised the epoch, and its log was the longest"
	}
	return []Check{
		s.checkZooKeeper(),
		{"members", CheckDone, fmt.Sprintf("%d replicas, a quorum is %d", q.Replicas, q.Size)},
		{"elected", CheckDone, fmt.Sprintf("epoch %d: %s", l.Status.Epoch, rule)},
		{"promoted", CheckDone, l.ID + " committed the first record of its epoch"},
		{"quorum", CheckDone, fmt.Sprintf("%d of %d are in sync; %s", q.Have, q.Replicas, spare(q.Have-q.Size))},
	}
}

// checklistAlone is of a leader that lacks followers: it leads and does not serve.
func (s *Snapshot) checklistAlone(l *Node) []Check {
	return []Check{
		s.checkZooKeeper(),
		{"elected", CheckDone, fmt.Sprintf("%s leads epoch %d", l.ID, l.Status.Epoch)},
		{"quorum", CheckWaiting, fmt.Sprintf("%d of %d are in sync, a receipt needs %d; waits for %s", s.Quorum.Have, s.Quorum.Replicas, s.Quorum.Size, list(s.Quorum.Missing))},
		{"receipts", CheckLater, "producers wait, then get an error after the quorum timeout"},
	}
}

func spare(n int) string {
	switch {
	case n <= 0:
		return "one more loss stops it"
	case n == 1:
		return "one may be lost"
	}
	return fmt.Sprintf("%d may be lost", n)
}

// rule is by what the leader of an epoch was chosen, if that was seen.
func (s *Snapshot) rule(epoch uint64) string {
	for i := len(s.Events) - 1; i >= 0; i-- {
		if e := &s.Events[i]; e.Kind == adminapi.KindElected && e.Epoch == epoch && e.Fields["rule"] != "" {
			return Rule(e.Fields["rule"])
		}
	}
	return ""
}

// Rule is the reason of an election without the words before it.
func Rule(reason string) string {
	if _, after, ok := strings.Cut(reason, ": "); ok {
		return after
	}
	return reason
}

func (s *Snapshot) checkZooKeeper() Check {
	if s.ZooKeeperUp() {
		return Check{"zookeeper", CheckDone, "answers at " + orWord(s.Tree.Server, "its address")}
	}
	c := Check{"zookeeper", CheckWaiting, "does not answer: nobody can be elected"}
	if s.Tree.Error != "" {
		c.Text = s.Tree.Error
	}
	return c
}

// voters are the members that are there and registered, newest znode of each.
func (s *Snapshot) voters() map[string]Member {
	out := map[string]Member{}
	for _, m := range s.Tree.Members {
		if len(s.Tree.Registered) == 0 || slices.Contains(s.Tree.Registered, m.Node) {
			out[m.Node] = m
		}
	}
	return out
}

// count says how many voters pass and who does not.
func (s *Snapshot) count(pass func(Member) bool) (n int, missing []string) {
	voters := s.voters()
	ids := slices.Clone(s.Tree.Registered)
	for id := range voters {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		if m, ok := voters[id]; ok && pass(m) {
			n++
		} else {
			missing = append(missing, id)
		}
	}
	return n, missing
}

func (s *Snapshot) checkMembers(size int) Check {
	n, missing := s.count(func(Member) bool { return true })
	c := Check{"members", CheckDone, fmt.Sprintf("%d of %d are in ZooKeeper, a quorum is %d", n, max(s.Quorum.Replicas, n), size)}
	if n < size {
		c.State, c.Text = CheckWaiting, c.Text+"; waits for "+list(missing)
	}
	return c
}

func (s *Snapshot) checkSuspicion(size int) Check {
	if s.Tree.Epoch == 0 {
		return Check{"suspicion", CheckDone, "not needed: the first election"}
	}
	if s.Tree.Phase == "sealing" {
		return Check{"suspicion", CheckDone, "a quorum gave the last leader up"}
	}
	n, missing := s.count(func(m Member) bool { return m.Suspect >= s.Tree.Epoch })
	if s.electedAnew() {
		return Check{"suspicion", CheckDone, "a quorum gave the last leader up"}
	}
	c := Check{"suspicion", CheckDone, fmt.Sprintf("%d of %d suspect the leader of epoch %d", n, size, s.Tree.Epoch)}
	if n < size {
		c.State, c.Text = CheckWaiting, c.Text+"; not yet "+list(missing)
	}
	return c
}

// electedAnew says that ZooKeeper names a leader that no node follows yet.
func (s *Snapshot) electedAnew() bool {
	if s.Tree.Phase != "elected" {
		return false
	}
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Fresh == Fresh && n.Status.Epoch >= s.Tree.Epoch && n.Status.Leader != "" {
			return false
		}
	}
	return s.Tree.Leader != "" && slices.ContainsFunc(s.Tree.Members, func(m Member) bool { return m.Sealed >= s.Tree.Epoch })
}

func (s *Snapshot) checkSealed(size int) Check {
	epoch := s.Tree.Epoch
	if s.Tree.Phase != "sealing" && !s.electedAnew() {
		return Check{"sealed", CheckWaiting, fmt.Sprintf("nobody has opened epoch %d yet", epoch+1)}
	}
	n, missing := s.count(func(m Member) bool { return m.Sealed >= epoch })
	c := Check{"sealed", CheckDone, fmt.Sprintf("%d of %d promised epoch %d on disk", n, size, epoch)}
	if n < size {
		c.State, c.Text = CheckWaiting, c.Text+"; waits for "+list(missing)
	}
	return c
}

func (s *Snapshot) checkElected() Check {
	if !s.electedAnew() {
		return Check{"elected", CheckWaiting, "the longest log among those that promised wins"}
	}
	text := s.Tree.Leader
	if r := s.rule(s.Tree.Epoch); r != "" {
		text += ": " + r
	}
	return Check{"elected", CheckDone, text}
}

func (s *Snapshot) checkPromoted() Check {
	c := Check{"promoted", CheckWaiting, "the first record of the epoch must be on a quorum"}
	if n := s.NodeByID(s.Tree.Leader); n != nil {
		switch {
		case n.Fresh != Fresh:
			c.Text = n.ID + " does not answer"
		case n.State == StateNoQuorum:
			c.Text = fmt.Sprintf("%s leads but lacks followers: %s", n.ID, list(s.Quorum.Missing))
		case n.Status.Reason != "":
			c.Text = n.Status.Reason
		}
	}
	return c
}

func list(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, ", ")
}

func orWord(s, word string) string {
	if s == "" {
		return word
	}
	return s
}
