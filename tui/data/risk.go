package data

import (
	"fmt"
	"strings"
)

// KindZooKeeper is the kind of a launched ZooKeeper process.
const KindZooKeeper = "zookeeper"

// Targets lists what actions can be pointed at: nodes, then other processes.
func (s *Snapshot) Targets() []string {
	var out []string
	for _, n := range s.Nodes {
		out = append(out, n.ID)
	}
	for _, p := range s.Processes {
		if s.NodeByID(p.Name) == nil {
			out = append(out, p.Name)
		}
	}
	return out
}

// silences says that an action takes a process out of service.
func silences(action string) bool {
	switch action {
	case ActionKill, ActionStop, ActionPause, ActionRestart, ActionCut, ActionWipe, ActionPowerLoss, ActionBlackout:
		return true
	}
	return false
}

// Remaining counts the nodes that could vote after an action on target.
func (s *Snapshot) Remaining(action, target string) int {
	have := 0
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.State.Alive() && (n.ID != target || !silences(action)) {
			have++
		}
	}
	return have
}

// Risk says in sentences what an action puts at stake: leadership, quorum, or
// the ability to fail over. None means that clients will not notice.
func (s *Snapshot) Risk(action, target string) []string {
	if !silences(action) {
		return nil
	}
	n := s.NodeByID(target)
	if n == nil {
		if p := s.ProcessByName(target); p != nil && p.Kind == KindZooKeeper && p.State == ProcessRunning {
			return s.zooKeeperRisk(p)
		}
		return nil
	}
	var out []string
	if n.State.Leads() {
		out = append(out, fmt.Sprintf("%s is the LEADER. %d clients are connected.", n.ID, n.Status.Clients.Connections))
	}
	left, size := s.Remaining(action, target), s.Quorum.Size
	switch {
	case !n.State.Alive():
	case left < size:
		out = append(out, fmt.Sprintf("Only %d of %d nodes remain; a quorum is %d: producers will wait.", left, s.Quorum.Replicas, size))
	case len(out) > 0 && left == size:
		out = append(out, fmt.Sprintf("%d of %d nodes remain: one more loss stops the cluster.", left, s.Quorum.Replicas))
	}
	return out
}

// zooKeeperRisk says what the loss of one server of ZooKeeper means.
func (s *Snapshot) zooKeeperRisk(lost *Process) []string {
	all, up := 0, 0
	for i := range s.Processes {
		p := &s.Processes[i]
		if p.Kind != KindZooKeeper {
			continue
		}
		all++
		if p != lost && p.State == ProcessRunning {
			up++
		}
	}
	quorum := all/2 + 1
	switch {
	case up < quorum:
		return []string{"Without ZooKeeper the leader goes on, but nobody can take over from it."}
	case up == quorum:
		return []string{
			fmt.Sprintf("%d of %d ZooKeeper servers stay, a quorum of them is %d: one more loss, and nobody can take over from a leader.", up, all, quorum),
			"Nodes that were connected to it go to another one; their sessions stay, and producers do not notice.",
		}
	}
	return []string{fmt.Sprintf("%d of %d ZooKeeper servers stay, a quorum of them is %d.", up, all, quorum)}
}

// allAtRisk says what a blackout does.
func (s *Snapshot) allAtRisk() []string {
	clients := 0
	if l := s.LeaderNode(); l != nil {
		clients = l.Status.Clients.Connections
	}
	return []string{
		fmt.Sprintf("All %d nodes go off at the same time. %d clients are connected.", len(s.Nodes), clients),
		"Then nobody leads: producers wait until a quorum of nodes was started again, and has elected the longest log.",
		s.onPowerLoss(len(s.Nodes)),
	}
}

// onPowerLoss says what the sync policy promises when so many nodes lose their
// power at the same time.
func (s *Snapshot) onPowerLoss(nodes int) string {
	policy := s.syncPolicy()
	quorum := s.Quorum.Size
	switch {
	case policy == "":
		return "Nobody tells the sync policy now; it decides whether something receipted is lost."
	case strings.Contains(policy, "quorum_disk"), strings.Contains(policy, "remote_disk") && nodes < quorum:
		return "Under " + policy + " nothing that was receipted is lost: disks had it before the receipt."
	case strings.Contains(policy, "quorum_mem") && nodes < quorum:
		return "Under " + policy + " nothing that was receipted is lost: another node has it."
	case strings.Contains(policy, "disk"):
		return "Under " + policy + " what was receipted is on a disk, but it is lost if a node leads next that does not have it."
	}
	return "Under " + policy + " messages are lost that were receipted: those that no disk has yet."
}
