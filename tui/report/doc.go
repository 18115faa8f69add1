// Package report says what happened in a run: each failover in phases with the
// reason for its length, what became of the messages, what was done to the
// cluster and how the nodes ended. It is worked out from snapshots and events
// alone, so a live cluster and a recording of it give the same report. Out come
// text for people, Markdown for documents and JSON for scripts.
package report

import (
	"slices"
	"strings"
	"time"

	"baton/demo/failover"
	"baton/node/adminapi"
	"baton/tui/data"
)

// Report of a run. Times in JSON are milliseconds; an absent one was not reached.
type Report struct {
	Cluster   string     `json:"cluster"`
	From      time.Time  `json:"from"`
	To        time.Time  `json:"to"`
	Health    string     `json:"health"` // at the end
	Messages  *Messages  `json:"messages,omitempty"`
	Failovers []Failover `json:"failovers"`
	Compared  []Compared `json:"compared"` // by action
	Actions   []Action   `json:"actions"`
	Nodes     []Node     `json:"nodes"`
	Problems  []string   `json:"problems,omitempty"`
}

// Messages of the run's own load.
type Messages struct {
	Sent       uint64 `json:"sent"`
	Receipted  uint64 `json:"receipted"`
	Received   uint64 `json:"received"`
	Lost       uint64 `json:"lost"`
	Duplicates uint64 `json:"duplicates"`
	OutOfOrder uint64 `json:"out_of_order"`
	InDoubt    uint64 `json:"in_doubt"`
}

// Failover is one change of leader.
type Failover struct {
	ID           int       `json:"id"`
	Cause        string    `json:"cause"`
	At           time.Time `json:"at"`
	LeaderBefore string    `json:"leader_before"`
	LeaderAfter  string    `json:"leader_after"`
	EpochBefore  uint64    `json:"epoch_before"`
	Epoch        uint64    `json:"epoch"`
	TotalMS      *float64  `json:"total_ms,omitempty"` // fault to first receipt
	Phases       []Phase   `json:"phases"`
	Candidates   []Ballot  `json:"candidates,omitempty"`
	Rule         string    `json:"rule,omitempty"`
	RedundantMS  *float64  `json:"redundant_ms,omitempty"` // until a follower was in sync with the new leader
}

// Phase is one step of a failover.
type Phase struct {
	Name   string   `json:"name"`
	AtMS   *float64 `json:"at_ms,omitempty"`   // since the fault
	TookMS *float64 `json:"took_ms,omitempty"` // since the phase before
	Why    string   `json:"why"`
}

// Ballot is what one member promised and published in an election.
type Ballot struct {
	Node      string `json:"node"`
	Position  string `json:"position"`
	LastEpoch string `json:"last_epoch"`
	Won       bool   `json:"won,omitempty"`
}

// Compared sums up the failovers of one action.
type Compared struct {
	Action   string  `json:"action"`
	Runs     int     `json:"runs"`
	BestMS   float64 `json:"best_ms"`
	MedianMS float64 `json:"median_ms"`
	WorstMS  float64 `json:"worst_ms"`
}

// Action is something that somebody did to the cluster.
type Action struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
	Twin string    `json:"cli,omitempty"`   // the command that did, or does, the same
	Plan string    `json:"fault,omitempty"` // the flag of baton demo --headless by which it happens again
}

// Node as it ended.
type Node struct {
	ID     string `json:"id"`
	State  string `json:"state"`
	Epoch  uint64 `json:"epoch"`
	Append uint64 `json:"append"`
	Commit uint64 `json:"commit"`
}

// Of reports on what a snapshot knows; from is when the run began.
func Of(s *data.Snapshot, events []adminapi.Event, from time.Time) Report {
	r := Report{Cluster: s.Cluster, From: from, To: s.At, Health: strings.ToLower(s.Health.Word()),
		Failovers: []Failover{}, Compared: []Compared{}, Actions: []Action{}, Nodes: []Node{}}
	if l := s.Ledger; l.OK {
		r.Messages = &Messages{l.Sent, l.Receipted, l.Received, l.Lost, l.Duplicates, l.OutOfOrder, l.InDoubt}
		if l.Lost > 0 {
			r.Problems = append(r.Problems, plural(l.Lost, "receipted message is lost", "receipted messages are lost"))
		}
		if l.Duplicates > 0 {
			r.Problems = append(r.Problems, plural(l.Duplicates, "message came twice", "messages came twice"))
		}
	}
	for _, run := range s.Failovers {
		if run.FalseAlarm() {
			continue
		}
		f := OfRun(run, events)
		r.Failovers = append(r.Failovers, f)
		if f.TotalMS == nil && s.Ledger.OK && s.At.Sub(run.Fault) > 10*time.Second {
			r.Problems = append(r.Problems, "failover "+itoa(f.ID)+" ("+f.Cause+") never came to a first receipt")
		}
	}
	r.Compared = Compare(s.Failovers)
	for _, e := range events {
		if e.Kind == data.KindConsole {
			r.Actions = append(r.Actions, Action{At: e.At, Text: strings.TrimPrefix(e.Text, "you: "), Twin: e.Fields[data.FieldCommand], Plan: e.Fields[data.FieldPlan]})
		}
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		state := n.State.Word()
		if d := n.State.Detail(); d != "" {
			state += ", " + d
		}
		r.Nodes = append(r.Nodes, Node{n.ID, strings.ToLower(state), n.Status.Epoch, n.Status.Positions.Append, n.Status.Positions.Commit})
	}
	return r
}

// Verb is the action that caused a failover, without its target.
func Verb(cause string) string {
	verb, _, _ := strings.Cut(cause, " ")
	return strings.TrimSuffix(verb, ",")
}

// Compare sums up finished failovers by action, the most frequent first.
func Compare(runs []failover.Run) []Compared {
	byVerb := map[string][]time.Duration{}
	for _, r := range runs {
		if r.Done() {
			byVerb[Verb(r.Cause)] = append(byVerb[Verb(r.Cause)], r.FirstReceipt.Sub(r.Fault))
		}
	}
	out := []Compared{}
	for verb, d := range byVerb {
		slices.Sort(d)
		out = append(out, Compared{verb, len(d), millis(d[0]), millis(d[len(d)/2]), millis(d[len(d)-1])})
	}
	slices.SortFunc(out, func(a, b Compared) int {
		if a.Runs != b.Runs {
			return b.Runs - a.Runs
		}
		return strings.Compare(a.Action, b.Action)
	})
	return out
}
