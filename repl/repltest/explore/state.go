package explore

import (
	"encoding/binary"
	"unsafe"
)

const (
	nodes  = 3
	logMax = 8
	epochs = 4 // at most; Config.Epochs may be lower
)

// node is one replica. An entry of the log is told by its epoch and its place,
// because an epoch has one leader: so the log is a list of epochs.
type node struct {
	log     [logMax]int8
	n       int8 // entries
	flushed int8 // of them
	sealed  int8
	disk    int8 // incarnation
	high    int8 // where the log ever ended in this process, of PlantMemoryPosition alone

	vote   bool // sealed by this process, and neither led nor followed since
	ballot int8 // what for
	lead   int8 // epoch led, 0 = none
	commit int8
	voters [nodes]int8 // while leading: incarnations that count
	known  [nodes]int8 // while leading: what each acknowledged
	from   [nodes]int8 // and with which disk
}

// published is what the members see of a promise in ZooKeeper.
type published struct {
	sealed, ballot, last, end, disk int8 // sealed 0: nothing
}

// tree is what ZooKeeper holds.
type tree struct {
	member   [nodes]published
	epoch    int8
	sealing  bool
	ballot   int8 // of epoch; counts beginnings
	registry [nodes]int8
}

// state is the whole cluster. It holds no pointer, so equal states have equal
// bytes.
type state struct {
	node [nodes]node
	tree
	fresh   bool         // the election was begun since ZooKeeper went back
	led     int8         // bit set of epochs
	agreed  [logMax]int8 // committed, whoever knows
	length  int8
	ballots int8
	records int8
	crashes int8
	wipes   int8
	backs   int8
	saved   bool
	copied  tree
}

func (n *node) last() int8 {
	if n.n == 0 {
		return 0
	}
	return n.log[n.n-1]
}

// cut makes the log end at p.
func (n *node) cut(p int8) {
	for i := p; i < n.n; i++ {
		n.log[i] = 0
	}
	n.n, n.flushed = p, min(n.flushed, p)
}

func (n *node) add(epoch int8) {
	n.log[n.n] = epoch
	n.n++
}

// forget is what the end of a leadership or of a process does.
func (n *node) forget() {
	n.lead, n.commit = 0, 0
	n.voters, n.known, n.from = [nodes]int8{}, [nodes]int8{}, [nodes]int8{}
}

// holds says that the log has everything that is agreed on.
func (s *state) holds(n int8) bool {
	nd := &s.node[n]
	if nd.n < s.length {
		return false
	}
	for i := range s.length {
		if nd.log[i] != s.agreed[i] {
			return false
		}
	}
	return true
}

// tidy drops what can make no difference any more, so that states which differ
// in it only are one.
func (x *explorer) tidy(s *state) {
	for i := range s.node {
		nd := &s.node[i]
		if !s.open(nd.sealed, nd.ballot) && !(s.saved && s.copied.open(nd.sealed, nd.ballot)) && !(x.cfg.Plant == PlantTwice && nd.vote) {
			nd.vote = false
		}
		if !nd.vote {
			nd.ballot = 0
		}
		if !s.sealing || s.member[i].sealed != s.epoch {
			s.member[i] = published{}
		}
		if nd.lead > 0 {
			x.tidyLeader(s, int8(i))
		}
	}
	if !s.sealing {
		s.fresh = false
	}
	if s.backs == x.cfg.Backs {
		s.saved, s.copied = false, tree{}
		x.renumber(s)
	}
	if x.cfg.Backs == 0 { // epochs only rise
		s.led = 0
	}
}

// renumber gives ballots the lowest numbers, when none can come back.
func (x *explorer) renumber(s *state) {
	switch {
	case !s.sealing:
		s.ballot, s.ballots = 0, 0
	case s.fresh: // only promises for this beginning are left
		for i := range s.node {
			if s.node[i].vote {
				s.node[i].ballot = 1
			}
			if s.member[i].sealed > 0 {
				s.member[i].ballot = 1
			}
		}
		s.ballot, s.ballots = 1, 1
	}
}

// open says that the epoch is being prepared, as begun by ballot.
func (t *tree) open(epoch, ballot int8) bool {
	return t.sealing && t.epoch == epoch && t.ballot == ballot
}

// tidyLeader drops acks that can no longer move the commit position, and all
// that a leader believes when nothing can.
func (x *explorer) tidyLeader(s *state, n int8) {
	nd := &s.node[n]
	if nd.lead < s.epoch && !s.saved && x.rules.commit(s, n, nd.n) <= nd.commit && !x.heard(s, n) {
		lead := nd.lead
		nd.forget()
		nd.lead = lead
		return
	}
	for f := range int8(nodes) {
		if nd.known[f] < nd.commit || nd.known[f] == nd.commit && nd.from[f] == nd.voters[f] {
			nd.known[f], nd.from[f] = 0, 0
		}
	}
}

// heard says that an ack may still come that counts for n.
func (x *explorer) heard(s *state, n int8) bool {
	if x.cfg.Plant != PlantNone {
		return true
	}
	nd := &s.node[n]
	for f := range int8(nodes) {
		if fd := &s.node[f]; f != n && fd.disk == nd.voters[f] && fd.sealed <= nd.lead {
			return true
		}
	}
	return false
}

// orders are the ways to name three nodes.
var orders = [...][nodes]int8{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}

// renamed gives node i the place order[i].
func (s *state) renamed(order [nodes]int8) state {
	t := *s
	for i, to := range order {
		t.node[to], t.member[to], t.registry[to] = s.node[i], s.member[i], s.registry[i]
		t.copied.member[to], t.copied.registry[to] = s.copied.member[i], s.copied.registry[i]
		for j, at := range order {
			t.node[to].voters[at], t.node[to].known[at], t.node[to].from[at] = s.node[i].voters[j], s.node[i].known[j], s.node[i].from[j]
		}
	}
	return t
}

// hash is the same for states that differ only in who is who.
func (s *state) hash() uint64 {
	low := ^uint64(0)
	for _, o := range orders {
		t := s.renamed(o)
		low = min(low, t.plain())
	}
	return max(low, 1)
}

// plain mixes the bytes of the state, eight at a time.
func (s *state) plain() uint64 {
	const size = unsafe.Sizeof(*s)
	b := unsafe.Slice((*byte)(unsafe.Pointer(s)), size)
	h := uint64(14695981039346656037)
	for ; len(b) >= 8; b = b[8:] {
		h = (h ^ binary.LittleEndian.Uint64(b)) * 0xd6e8feb86659fd93
		h ^= h >> 32
	}
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	return h ^ h>>32
}
