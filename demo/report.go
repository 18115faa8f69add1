package demo

import (
	"fmt"
	"math"
	"strings"
	"time"

	"baton/demo/cluster"
	"baton/demo/failover"
	"baton/demo/load"
)

// Report is the outcome of a run; as JSON it is what scripts read. Times of
// failovers are milliseconds since the fault, null if the phase was not
// reached (nobody suspects anybody in a planned transfer).
type Report struct {
	Sent        uint64 `json:"sent"`
	Receipted   uint64 `json:"receipted"`
	Received    uint64 `json:"received"`   // distinct messages
	Lost        uint64 `json:"lost"`       // receipted and not received; certain only if drained
	Duplicates  uint64 `json:"duplicates"` // see demo/ledger: redeliveries are not among them
	OutOfOrder  uint64 `json:"out_of_order"`
	ElapsedMS   int64  `json:"elapsed_ms"` // of the load, drain included
	InDoubt     uint64 `json:"in_doubt"`
	Resent      uint64 `json:"resent"`
	Refused     uint64 `json:"refused"`
	Recovered   uint64 `json:"recovered"`
	Redelivered uint64 `json:"redelivered"`
	Acked       uint64 `json:"acked"`
	Phantom     uint64 `json:"phantom"`
	Corrupt     uint64 `json:"corrupt"`

	Failovers []Failover    `json:"failovers"`
	Nodes     []NodeResult  `json:"nodes"`
	Faults    []FaultResult `json:"faults"`

	StartupMS    int64    `json:"startup_ms"`
	LongestGapMS float64  `json:"longest_gap_ms"` // without a receipt
	SendP50MS    float64  `json:"send_p50_ms"`
	SendP99MS    float64  `json:"send_p99_ms"`
	Drained      bool     `json:"drained"`
	Healthy      bool     `json:"healthy"`
	ChainsEqual  bool     `json:"chains_equal"`
	Interrupted  bool     `json:"interrupted"`
	ExpectedDown []string `json:"expected_down"` // by a fault that was not undone; not held against the run
	Missing      []string `json:"missing,omitempty"`
	Problems     []string `json:"problems,omitempty"`
}

// Failover is one change of leader.
type Failover struct {
	Cause          string   `json:"cause"`
	LeaderBefore   string   `json:"leader_before"`
	LeaderAfter    string   `json:"leader_after"`
	Epoch          uint64   `json:"epoch"`
	DetectedMS     *float64 `json:"detected_ms"`
	SealedMS       *float64 `json:"sealed_ms"`
	ElectedMS      *float64 `json:"elected_ms"`
	PromotedMS     *float64 `json:"promoted_ms"`
	FirstReceiptMS *float64 `json:"first_receipt_ms"`
}

// NodeResult is a node at the end.
type NodeResult struct {
	Name          string `json:"name"`
	Process       string `json:"process"` // running, paused, exited...
	Exit          string `json:"exit,omitempty"`
	Starts        int    `json:"starts"`
	Cut           bool   `json:"cut,omitempty"`
	ExpectedDown  bool   `json:"expected_down"`
	Role          string `json:"role,omitempty"`
	State         string `json:"state,omitempty"`
	Epoch         uint64 `json:"epoch"`
	Commit        uint64 `json:"commit"`
	Append        uint64 `json:"append"`
	ChainPosition uint64 `json:"chain_position"`
	ChainHash     string `json:"chain_hash,omitempty"`
}

// FaultResult is one fault as it was injected; times since the start of the load.
type FaultResult struct {
	Name      string `json:"name"`
	Node      string `json:"node,omitempty"`
	PlannedMS int64  `json:"planned_ms"`
	AtMS      int64  `json:"at_ms"`
	TookMS    int64  `json:"took_ms"`
	Error     string `json:"error,omitempty"`
}

func millis(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*100) / 100
}

const missingMax = 20

func (r *Report) count(l *load.Load) {
	s, rates := l.Summary(), l.Rates()
	r.Sent, r.Receipted, r.Received, r.Lost = s.Sent, s.Receipted, s.Received, s.Outstanding
	r.Duplicates, r.OutOfOrder = s.Duplicates, s.OutOfOrder
	r.Resent = s.Resent
	r.InDoubt, r.Refused, r.Recovered, r.Redelivered = s.InDoubt, s.Refused, s.Recovered, s.Redelivered
	r.Acked, r.Phantom, r.Corrupt = s.Acked, s.Phantom, s.Corrupt
	r.LongestGapMS, r.SendP50MS, r.SendP99MS = millis(rates.GapMax), millis(rates.SendP50), millis(rates.SendP99)
	for _, k := range l.Missing(missingMax) {
		r.Missing = append(r.Missing, k.String())
	}
	r.Problems = append(r.Problems, s.Violations(true)...)
}

// failovers lists what the tracker timed, without false alarms.
func (r *Report) failovers(runs []failover.Run) {
	r.Failovers = []Failover{}
	for _, run := range runs {
		if run.FalseAlarm() {
			continue
		}
		r.Failovers = append(r.Failovers, failoverOf(run))
	}
}

func failoverOf(run failover.Run) Failover {
	f := Failover{Cause: run.Cause, LeaderBefore: run.LeaderBefore, LeaderAfter: run.LeaderAfter, Epoch: run.Epoch}
	for i, p := range run.Phases() {
		if p.At >= 0 {
			ms := millis(p.At)
			*[]**float64{&f.DetectedMS, &f.SealedMS, &f.ElectedMS, &f.PromotedMS, &f.FirstReceiptMS}[i] = &ms
		}
	}
	return f
}

func (r *Report) nodes(c *cluster.Cluster) {
	r.Nodes, r.ExpectedDown = []NodeResult{}, []string{}
	if r.Faults == nil {
		r.Faults = []FaultResult{}
	}
	for _, f := range r.Faults {
		if f.Error != "" {
			r.Problems = append(r.Problems, fmt.Sprintf("fault %s at %d ms could not be injected: %s", f.Name, f.PlannedMS, f.Error))
		}
	}
	statuses := c.Statuses()
	i := 0
	for _, p := range c.Processes() {
		if p.Kind != cluster.KindOfNode {
			continue
		}
		s := statuses[i].Status
		i++
		n := NodeResult{Name: p.Name, Process: string(p.State), Starts: p.Generation, Cut: p.Cut, ExpectedDown: p.OnPurpose(), Epoch: s.Epoch,
			Commit: s.Positions.Commit, Append: s.Positions.Append, ChainPosition: s.Chain.Position, ChainHash: s.Chain.Hash}
		if p.State.Alive() {
			n.Role, n.State = s.Role, s.State
		} else if p.Exit != nil {
			n.Exit = p.Exit.String()
		}
		if n.ExpectedDown {
			r.ExpectedDown = append(r.ExpectedDown, p.Name)
		}
		r.Nodes = append(r.Nodes, n)
	}
}

// Err is nil if nothing that was receipted is lost, nothing else that must not
// happen happened, every fault of the plan was injected, and the cluster ended
// healthy with equal logs. Nodes that a fault left down, paused or cut on
// purpose are not held against it.
func (r Report) Err() error {
	if len(r.Problems) > 0 {
		return fmt.Errorf("%w: %s", ErrFailed, strings.Join(r.Problems, "; "))
	}
	if !r.Drained || !r.Healthy || !r.ChainsEqual || r.Lost > 0 {
		return fmt.Errorf("%w: lost %d, drained %v, healthy %v, equal logs %v", ErrFailed, r.Lost, r.Drained, r.Healthy, r.ChainsEqual)
	}
	return nil
}
