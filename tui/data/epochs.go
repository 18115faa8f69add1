package data

import (
	"slices"
	"time"

	"baton/node/adminapi"
)

// Epoch is one leadership, as far as it was seen.
type Epoch struct {
	Number  uint64
	Leader  string
	From    time.Time // when it began to serve
	To      time.Time // zero while it lasts
	EndedBy string
	Gap     time.Duration // without a leader before it, -1 if unknown
}

// Epochs are the leaderships that were seen, newest first.
func (s *Snapshot) Epochs() []Epoch {
	var out []Epoch
	for i := range s.Events {
		e := &s.Events[i]
		if e.Kind != adminapi.KindServing || slices.ContainsFunc(out, func(o Epoch) bool { return o.Number == e.Epoch }) {
			continue
		}
		out = append(out, Epoch{Number: e.Epoch, Leader: e.Node, From: e.At, Gap: -1})
	}
	slices.SortFunc(out, func(a, b Epoch) int { return int(int64(a.Number) - int64(b.Number)) })
	for i := range out {
		for _, r := range s.Failovers {
			if r.EpochBefore == out[i].Number && !r.FalseAlarm() {
				out[i].To, out[i].EndedBy = r.Fault, r.Cause
			}
			if r.Epoch == out[i].Number && !r.FalseAlarm() {
				out[i].Gap = out[i].From.Sub(r.Fault)
			}
		}
		if i+1 < len(out) && out[i].To.IsZero() {
			out[i].To = out[i+1].From
		}
	}
	slices.Reverse(out)
	return out
}

// Ballot is what a member published for an election.
type Ballot struct {
	Node      string
	LastEpoch string
	Position  string
	Won       bool
}

// Ballots are the promises that were seen for an epoch, by node.
func (s *Snapshot) Ballots(epoch uint64) (out []Ballot, rule string) {
	winner := ""
	for i := range s.Events {
		e := &s.Events[i]
		if e.Epoch != epoch || epoch == 0 {
			continue
		}
		switch e.Kind {
		case adminapi.KindSealed:
			if !slices.ContainsFunc(out, func(b Ballot) bool { return b.Node == e.Node }) {
				out = append(out, Ballot{Node: e.Node, LastEpoch: e.Fields["last_epoch"], Position: e.Fields["position"]})
			}
		case adminapi.KindElected:
			winner, rule = e.Fields["leader"], Rule(e.Fields["rule"])
		}
	}
	slices.SortFunc(out, func(a, b Ballot) int {
		if a.Node < b.Node {
			return -1
		}
		return 1
	})
	for i := range out {
		out[i].Won = out[i].Node == winner
	}
	return out, rule
}

// MessagesBehind estimates how many messages a lag in bytes is, from what a
// message takes in the leader's log now; NaN-free: -1 if that is not known.
func (s *Snapshot) MessagesBehind(bytes float64) float64 {
	l := s.LeaderNode()
	if l == nil || l.InRate <= 0 || l.ByteRate <= 0 || bytes != bytes {
		if bytes == 0 {
			return 0
		}
		return -1
	}
	return bytes / (l.ByteRate / l.InRate)
}
