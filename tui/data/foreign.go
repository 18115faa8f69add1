package data

import (
	"fmt"
	"strings"

	"baton/node/adminapi"
)

// An ActiveMQ store of versions 5.9 to 5.16 keeps the same member nodes in
// ZooKeeper, without names, epochs and admin listeners. What they publish is
// shown; nothing else can be known.

// deriveForeign works out who serves: the member that publishes an address.
func (s *Snapshot) deriveForeign() {
	s.Leader, s.Epoch, s.QueuesStale = "", 0, true
	s.Quorum, s.QuorumKnown = adminapi.Quorum{Have: len(s.Tree.Members), OK: true}, false
	for i := range s.Tree.Members {
		if m := &s.Tree.Members[i]; m.Address != "" {
			s.Leader = m.Node
		}
	}
	switch {
	case !s.Tree.Up():
		s.Health = HealthZKDown
	case s.Leader != "":
		s.Health = HealthHealthy
	case s.elected() != "":
		s.Health = HealthElecting
	default:
		s.Health = HealthNoLeader
	}
}

// elected is the member that the elector, the one with the lowest number, has chosen.
func (s *Snapshot) elected() string {
	if len(s.Tree.Members) == 0 {
		return ""
	}
	for _, m := range s.Tree.Members {
		if m.Eid == s.Tree.Members[0].Elected {
			return m.Node
		}
	}
	return ""
}

// checklistForeign goes through the rules of an ActiveMQ store.
func (s *Snapshot) checklistForeign() []Check {
	out := []Check{s.checkZooKeeper(), {"members", CheckDone, fmt.Sprintf("%d are in ZooKeeper; how many there should be is not kept there", len(s.Tree.Members))}}
	if len(s.Tree.Members) == 0 {
		return out
	}
	var silent []string
	for _, m := range s.Tree.Members {
		if m.Position < 0 {
			silent = append(silent, m.Node)
		}
	}
	positions := Check{"positions", CheckDone, "every member published where its store ends"}
	if len(silent) > 0 {
		positions.Text = "published only while nobody serves; none from " + strings.Join(silent, ", ")
		if s.Leader == "" {
			positions.State = CheckWaiting
		}
	}
	elected := Check{"elected", CheckWaiting, "waits for the elector, " + s.Tree.Members[0].Node}
	if e := s.elected(); e != "" {
		elected = Check{"elected", CheckDone, s.Tree.Members[0].Node + ", the elector, chose " + e}
	}
	serves := Check{"serves", CheckWaiting, "the elected member has not published an address"}
	if s.Leader != "" {
		serves = Check{"serves", CheckDone, s.Leader + " published its address"}
	}
	return append(out, positions, elected, serves)
}
