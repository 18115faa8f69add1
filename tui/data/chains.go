package data

// Chains is what comparing the running hashes of the replicas gave.
type Chains struct {
	Replicas int    // that have the hash of Position; below 2 nothing could be compared
	Position uint64 // the newest of those that most replicas have, or where they differ
	Differ   bool   // two of them have different hashes there
}

// compareChains compares the hashes of nodes at the positions that they have in
// common. It needs the many recent points of every node; snapshots, of which
// hundreds are remembered, keep the outcome alone.
func compareChains(nodes []Node) Chains {
	type point struct {
		hash  string
		nodes int
	}
	points := map[uint64]point{}
	differ, at := false, uint64(0)
	add := func(position uint64, hash string) {
		p, known := points[position]
		if known && p.hash != hash {
			differ, at = true, max(at, position)
		}
		points[position] = point{hash, p.nodes + 1}
	}
	for i := range nodes {
		n := &nodes[i]
		if n.Fresh != Fresh || n.Status.Chain.Hash == "" {
			continue
		}
		add(n.Status.Chain.Position, n.Status.Chain.Hash)
		for _, c := range n.Status.Chain.Recent {
			if c.Position != n.Status.Chain.Position {
				add(c.Position, c.Hash)
			}
		}
	}
	if differ {
		return Chains{Replicas: points[at].nodes, Position: at, Differ: true}
	}
	var out Chains
	for position, p := range points {
		if p.nodes > out.Replicas || p.nodes == out.Replicas && position > out.Position {
			out = Chains{Replicas: p.nodes, Position: position}
		}
	}
	return out
}

// CompareChains compares the running hashes of the replicas, and drops what
// only that needs.
func (s *Snapshot) CompareChains() {
	s.Chains = compareChains(s.Nodes)
	for i := range s.Nodes {
		s.Nodes[i].Status.Chain.Recent = nil
	}
}
