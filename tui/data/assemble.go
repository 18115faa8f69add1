package data

import (
	"cmp"
	"math"
	"slices"
	"time"

	"baton/demo/failover"
	"baton/node/adminapi"
)

// Snapshot puts together what is known now. Run calls it for every
// publication; it may be called at any time, also without Run.
func (s *Source) Snapshot() *Snapshot {
	var processes []Process
	var ledger Ledger
	runs := s.tracker.Runs()
	local := s.cfg.Local
	if local != nil { // never under the lock: it is somebody else's code
		processes, ledger, runs = slices.Clone(local.Processes()), local.Ledger(), local.Failovers()
		cleanProcesses(processes)
	}
	var links []Link
	if l, ok := local.(Linked); ok {
		links = l.Links()
	}
	snap := s.collect()
	snap.Links = links
	if s.cfg.Lesson != nil {
		snap.Lesson = s.cfg.Lesson()
	}
	snap.Processes, snap.Ledger, snap.Launched = processes, ledger, local != nil
	snap.Failovers, snap.Earlier = cleanRuns(runs), s.cfg.Earlier
	snap.CompareChains()
	snap.Self = s.self(snap.At)
	snap.addMissing()
	snap.Derive()
	s.sample(snap)
	return snap
}

func (s *Source) collect() *Snapshot {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.seq++
	snap := &Snapshot{
		At: now, Seq: s.mu.seq, Cluster: Clean(s.cfg.Cluster),
		Queues: s.mu.queues.rows, QueuesOf: s.mu.queues.of, QueuesAt: s.mu.queues.at,
		Events: s.mu.events.list(), EventsAll: s.mu.events.total,
		Logs: s.mu.logs.list(), LogsAll: s.mu.logs.all, Servers: s.mu.servers,
	}
	newest := map[string]*poller{}
	for _, p := range s.mu.pollers {
		if old := newest[p.id]; old == nil || p.seenAt.After(old.seenAt) {
			newest[p.id] = p // the same node at a new address
		}
	}
	for _, p := range newest {
		snap.Nodes = append(snap.Nodes, p.node(now))
	}
	slices.SortFunc(snap.Nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	snap.Tree = s.mu.tree
	if s.cfg.Tree == nil {
		snap.Tree = derivedTree(snap.Nodes, now)
	}
	return snap
}

// node is the poller's node as of now. The caller holds Source.mu.
func (p *poller) node(now time.Time) Node {
	cfg := p.source.cfg
	n := Node{
		ID: p.id, Admin: p.client.Address, SeenAt: p.seenAt, Error: p.err, Refused: p.refused,
		Status: p.status, CPU: -1, InRate: -1, OutRate: -1, ByteRate: -1, Lag: p.lag.list(),
	}
	switch age := now.Sub(p.seenAt); {
	case p.seenAt.IsZero():
		n.Fresh = Never
		return n
	case age > cfg.UnknownAfter, p.refused && age > cfg.StaleAfter:
		n.Fresh = Unknown
	case age > cfg.StaleAfter, p.refused:
		n.Fresh = Stale
	default:
		n.Fresh = Fresh
		if cpu := p.rate(func(s sample) float64 { return s.cpu }); cpu >= 0 {
			n.CPU = 100 * cpu
		}
		n.InRate = p.rate(func(s sample) float64 { return float64(s.enqueued) })
		n.OutRate = p.rate(func(s sample) float64 { return float64(s.acked) })
		n.ByteRate = p.rate(func(s sample) float64 { return float64(s.appended) })
	}
	return n
}

// addMissing adds nodes that are known by name only: registered in ZooKeeper,
// or launched, but never heard.
func (s *Snapshot) addMissing() {
	add := func(id string) {
		if id != "" && s.NodeByID(id) == nil {
			s.Nodes = append(s.Nodes, Node{ID: id, CPU: -1, InRate: -1, OutRate: -1, ByteRate: -1})
		}
	}
	for _, id := range s.Tree.Registered {
		add(id)
	}
	for _, p := range s.Processes {
		if p.Kind == "node" {
			add(p.Name)
		}
	}
	slices.SortFunc(s.Nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
}

// sample adds one value per Refresh to the series that sparklines are drawn from.
func (s *Source) sample(snap *Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if snap.At.Sub(s.mu.sampled) >= s.cfg.Refresh*9/10 {
		s.mu.sampled = snap.At
		in, out := math.NaN(), math.NaN()
		if l := snap.LeaderNode(); l != nil && l.Fresh == Fresh && l.InRate >= 0 && l.OutRate >= 0 {
			in, out = l.InRate, l.OutRate
		} else if l == nil {
			in, out = 0, 0 // nobody serves: that is known
		}
		s.mu.rates.in.push(in)
		s.mu.rates.out.push(out)
		for _, p := range s.mu.pollers {
			if n := snap.NodeByID(p.id); n != nil {
				p.lag.push(n.LagBytes)
			}
		}
	}
	snap.InRate, snap.OutRate = s.mu.rates.in.list(), s.mu.rates.out.list()
}

// derivedTree is what the nodes say about their own sessions.
func derivedTree(nodes []Node, now time.Time) Tree {
	t := Tree{Derived: true, At: now}
	for _, n := range nodes {
		z := n.Status.ZooKeeper
		if n.Fresh != Fresh || z.Path == "" {
			continue
		}
		t.Path, t.SessionMS = z.Path, max(t.SessionMS, z.TimeoutMS)
		t.Replicas = max(t.Replicas, n.Status.Quorum.Replicas)
		if n.Status.Epoch > t.Epoch {
			t.Epoch, t.Leader = n.Status.Epoch, n.Status.Leader
		}
		if z.Connected {
			t.Server = z.Server
			t.Members = append(t.Members, Member{
				Eid: z.Eid, Node: n.ID, Session: z.SessionID, Position: int64(n.Status.Positions.Flush), // a log never passes 2^63
				Sealed: n.Status.Sealed, State: n.Status.State, Admin: n.Admin,
			})
		}
	}
	slices.SortFunc(t.Members, func(a, b Member) int { return cmp.Compare(a.Eid, b.Eid) })
	return t
}

// cleanRuns copies the runs only if one needs it: as long as nothing happens
// all snapshots share what the tracker gave.
func cleanRuns(runs []failover.Run) []failover.Run {
	dirty := func(r failover.Run) bool {
		return Clean(r.Cause) != r.Cause || Clean(r.LeaderBefore) != r.LeaderBefore || Clean(r.LeaderAfter) != r.LeaderAfter
	}
	if !slices.ContainsFunc(runs, dirty) {
		return runs
	}
	out := slices.Clone(runs)
	for i := range out {
		out[i].Cause, out[i].LeaderBefore = Clean(out[i].Cause), Clean(out[i].LeaderBefore)
		out[i].LeaderAfter = Clean(out[i].LeaderAfter)
	}
	return out
}

// CleanEvent is Clean for all that an event says.
func CleanEvent(e *adminapi.Event) {
	e.Node, e.Kind, e.Text = Clean(e.Node), Clean(e.Kind), Clean(e.Text)
	for k, v := range e.Fields {
		e.Fields[k] = Clean(v)
	}
}
