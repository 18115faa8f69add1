package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"baton/demo/failover"
	"baton/node/adminapi"
)

// OfRun reports on one failover with the events of the run, of which it picks
// those that belong to it.
func OfRun(run failover.Run, events []adminapi.Event) Failover {
	f := Failover{ID: run.ID, Cause: run.Cause, At: run.Fault, LeaderBefore: run.LeaderBefore, LeaderAfter: run.LeaderAfter,
		EpochBefore: run.EpochBefore, Epoch: run.Epoch}
	own := within(run, events)
	f.Candidates, f.Rule = ballots(run, own)
	if run.Done() {
		f.TotalMS = ms(run.FirstReceipt.Sub(run.Fault))
	}
	if at := redundant(run, own); !at.IsZero() {
		f.RedundantMS = ms(at.Sub(run.Fault))
	}
	before := time.Duration(0)
	for i, p := range run.Phases() {
		ph := Phase{Name: p.Name, Why: why(run, i, own, f)}
		if p.At >= 0 {
			ph.AtMS, ph.TookMS = ms(p.At), ms(max(0, p.At-before))
			before = max(before, p.At)
		}
		f.Phases = append(f.Phases, ph)
	}
	return f
}

// within picks the events from just before the fault until well after the end.
func within(run failover.Run, events []adminapi.Event) []adminapi.Event {
	end := run.FirstReceipt
	if end.IsZero() {
		end = run.Fault.Add(10 * time.Minute)
	}
	end = end.Add(30 * time.Second)
	var out []adminapi.Event
	for _, e := range events {
		if e.At.After(run.Fault.Add(-time.Second)) && e.At.Before(end) {
			out = append(out, e)
		}
	}
	return out
}

// ballots are the promises of the epoch that won, and the rule by which it was decided.
func ballots(run failover.Run, events []adminapi.Event) (out []Ballot, rule string) {
	for _, e := range events {
		if e.Epoch != run.Epoch || run.Epoch == 0 {
			continue
		}
		switch e.Kind {
		case adminapi.KindSealed:
			if !slices.ContainsFunc(out, func(b Ballot) bool { return b.Node == e.Node }) {
				out = append(out, Ballot{Node: e.Node, Position: e.Fields["position"], LastEpoch: e.Fields["last_epoch"], Won: e.Node == run.LeaderAfter})
			}
		case adminapi.KindElected:
			if rule == "" {
				rule = e.Fields["rule"]
			}
		}
	}
	slices.SortFunc(out, func(a, b Ballot) int { return strings.Compare(a.Node, b.Node) })
	return out, rule
}

// redundant is when the first follower was in sync with the new leader.
func redundant(run failover.Run, events []adminapi.Event) time.Time {
	for _, e := range events {
		if e.Kind == adminapi.KindInSync && e.Epoch == run.Epoch && !e.At.Before(run.Fault) {
			return e.At
		}
	}
	return time.Time{}
}

// why explains one phase. It is a flat table by phase.
func why(run failover.Run, phase int, events []adminapi.Event, f Failover) string {
	after := run.LeaderAfter
	if after == "" {
		after = "the elected node"
	}
	switch phase {
	case 0:
		return whySuspected(run, events)
	case 1:
		if len(f.Candidates) == 0 {
			return fmt.Sprintf("A quorum has to promise epoch %d on disk before anybody may lead it.", max(run.Epoch, run.EpochBefore+1))
		}
		var who []string
		for _, b := range f.Candidates {
			who = append(who, b.Node+" at "+grouped(b.Position))
		}
		return fmt.Sprintf("A quorum promised epoch %d on disk and published where its durable logs end: %s.", run.Epoch, strings.Join(who, ", "))
	case 2:
		rule := f.Rule
		if rule == "" {
			rule = "the highest epoch and position wins, then weight, then the lowest number"
		}
		return fmt.Sprintf("One version-checked write in ZooKeeper. The rule: %s.", strings.TrimSuffix(rule, "."))
	case 3:
		return fmt.Sprintf("%s appended the first record of epoch %d, a quorum committed it, and its connectors opened.", after, max(run.Epoch, run.EpochBefore+1))
	}
	return "A producer reconnected, sent, and the receipt came back: the outage as clients feel it ends here."
}

func whySuspected(run failover.Run, events []adminapi.Event) string {
	who := ""
	for _, e := range events {
		if e.Kind == adminapi.KindSuspected && e.Epoch == run.EpochBefore && !e.At.Before(run.Fault) {
			who = " " + e.Node + " was the first to say so."
			break
		}
	}
	switch Verb(run.Cause) {
	case "kill":
		return "A killed process loses its sockets at once, and the link could not be opened again: nobody waits for the ZooKeeper session to expire." + who
	case "pause", "cut":
		return "Silence is only noticed when it has lasted: a follower suspects a leader that it has not heard for the election timeout." + who
	case "stop", "restart":
		return "A leader that is stopped cleanly hands over first; what is left is its link going down." + who
	case "transfer":
		return "Planned: the leader waited for its successor to be caught up and asked for the election itself."
	case "wipe":
		return "The process was killed and its disk emptied: its sockets closed at once." + who
	}
	return "A follower lost its leader and could not reach it again." + who
}

func ms(d time.Duration) *float64 { v := millis(d); return &v }

func millis(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*10) / 10
}

func itoa(n int) string { return strconv.Itoa(n) }

func plural(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatUint(n, 10) + " " + many
}

// grouped writes the digits of a position with its thousands apart.
func grouped(s string) string {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return s
	}
	out := strconv.FormatUint(n, 10)
	for i := len(out) - 3; i > 0; i -= 3 {
		out = out[:i] + " " + out[i:]
	}
	return out
}
