package data

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Forecast is what an action is expected to do, worked out from the rules of
// election and quorum and from the failovers that were measured.
type Forecast struct {
	Left, Size, Replicas int
	Who                  string        // who will lead, and by which rule
	Candidates           []string      // that can win, the likeliest first
	Stall                time.Duration // expected wait of producers, -1 if none or unknown
	StallText            string
	Runs                 int // measured failovers that Stall is the median of
	QuorumText           string
	Bad                  bool // producers will wait for longer than a failover
}

// Forecast says what an action on a target is expected to do.
func (s *Snapshot) Forecast(action, target string) Forecast {
	f := Forecast{Left: s.Remaining(action, target), Size: s.Quorum.Size, Replicas: s.Quorum.Replicas, Stall: -1}
	f.QuorumText = fmt.Sprintf("%d of %d nodes stay, a quorum is %d", f.Left, f.Replicas, f.Size)
	takesAway := silences(action)
	switch {
	case f.Left < f.Size:
		f.Bad = true
		f.QuorumText += ": producers wait until a node is back"
	case f.Left == f.Size && takesAway:
		f.QuorumText += ": one more loss stops the cluster"
	}
	leads := target == s.Leader && s.Leader != ""
	switch {
	case action == ActionTransfer:
		s.forecastTransfer(&f, target)
	case !takesAway || !leads:
		f.Who = "the leader stays"
		if s.Leader != "" {
			f.Who = s.Leader + " stays the leader"
		}
		if takesAway {
			f.StallText = "producers do not notice"
		}
	case !s.ZooKeeperUp():
		f.Bad, f.Who, f.StallText = true, "nobody: without ZooKeeper no leader can be elected", "producers wait until ZooKeeper is back"
	case f.Left < f.Size:
		f.Who, f.StallText = "nobody: the rest is no quorum", "producers wait, then get an error after the quorum timeout"
	default:
		s.forecastElection(&f, target)
		s.forecastStall(&f, action)
	}
	return f
}

func (s *Snapshot) forecastTransfer(f *Forecast, target string) {
	if target != s.Leader {
		f.Candidates = []string{target}
		f.Who = target + ", if it is caught up: the leader waits for that, then hands over"
	} else {
		s.forecastElection(f, target)
		f.Who = strings.Replace(f.Who, "wins", "is asked", 1)
	}
	s.forecastStall(f, ActionTransfer)
}

// forecastElection applies the rule of elections to what is known of the others.
func (s *Snapshot) forecastElection(f *Forecast, without string) {
	var c []*Node
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.ID != without && n.State.Alive() && n.Fresh == Fresh {
			c = append(c, n)
		}
	}
	weight := func(n *Node) int {
		if n.Member == nil {
			return 0
		}
		return n.Member.Weight
	}
	eid := func(n *Node) string {
		if n.Member == nil {
			return n.Status.ZooKeeper.Eid
		}
		return n.Member.Eid
	}
	// In sync followers trade places with every record, so among them the
	// position decides nothing that could be said now.
	rank := func(n *Node) int {
		if n.State == StateInSync {
			return 1
		}
		return 0
	}
	slices.SortFunc(c, func(a, b *Node) int {
		return cmp.Or(cmp.Compare(rank(b), rank(a)), cmp.Compare(weight(b), weight(a)), cmp.Compare(eid(a), eid(b)))
	})
	for _, n := range c {
		if rank(n) == rank(c[0]) {
			f.Candidates = append(f.Candidates, n.ID)
		}
	}
	switch len(f.Candidates) {
	case 0:
		f.Who = "nobody answers that could"
	case 1:
		f.Who = f.Candidates[0] + " wins: its log is the longest"
	default:
		f.Who = fmt.Sprintf("%s wins: the longest log at that moment; at a tie %s, by weight, then the lowest number", strings.Join(f.Candidates, " or "), f.Candidates[0])
	}
}

// Measured is a failover of an earlier run.
type Measured struct {
	Verb  string        `json:"verb"` // action that caused it
	Sync  string        `json:"sync"` // policy of the cluster
	Stall time.Duration `json:"stall_ns"`
	At    time.Time     `json:"at"`
}

// Measure returns the failovers of this run that tell something about others:
// they were caused by one action alone, and producers heard success in the end.
func (s *Snapshot) Measure() []Measured {
	var out []Measured
	policy := s.syncPolicy()
	for i := range s.Failovers {
		r := &s.Failovers[i]
		verb, rest, _ := strings.Cut(r.Cause, " ")
		if v, ok := VerbByName(verb); ok && v.Reach != ReachCluster && r.Done() && !strings.Contains(rest, ",") {
			out = append(out, Measured{Verb: verb, Sync: policy, Stall: r.FirstReceipt.Sub(r.Fault), At: r.Fault})
		}
	}
	return out
}

// syncPolicy is what the leader says, else any node.
func (s *Snapshot) syncPolicy() string {
	if l := s.LeaderNode(); l != nil {
		return l.Status.Sync
	}
	for i := range s.Nodes {
		if p := s.Nodes[i].Status.Sync; p != "" {
			return p
		}
	}
	return ""
}

// forecastStall is the median of the measured failovers of the same action, in
// this run and, under the same policy, in earlier ones; else what the rules say.
func (s *Snapshot) forecastStall(f *Forecast, action string) {
	var same []time.Duration
	for _, m := range s.Measure() {
		if m.Verb == action {
			same = append(same, m.Stall)
		}
	}
	now := len(same)
	for _, m := range s.Earlier {
		if m.Verb == action && m.Sync == s.syncPolicy() {
			same = append(same, m.Stall)
		}
	}
	if len(same) > 0 {
		slices.Sort(same)
		f.Stall, f.Runs = same[len(same)/2], len(same)
		f.StallText = fmt.Sprintf("producers usually wait %s (%s), %s to %s", span(f.Stall), runs(len(same), now), span(same[0]), span(same[len(same)-1]))
		return
	}
	switch action {
	case ActionPause, ActionCut:
		f.StallText = "producers wait for the election timeout and some tens of milliseconds: silence takes time to notice"
	case ActionTransfer, ActionStop, ActionRestart:
		f.StallText = "producers wait some tens of milliseconds: it is planned, nobody has to notice anything"
	default:
		f.StallText = "producers wait about a tenth of a second: closed sockets are noticed at once"
	}
}

func span(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// runs says how many failovers were measured, and how many of them now.
func runs(all, now int) string {
	text := fmt.Sprintf("%d runs", all)
	if all == 1 {
		text = "1 run"
	}
	if now < all && now > 0 {
		text += fmt.Sprintf(", %d of them now", now)
	}
	return text
}
