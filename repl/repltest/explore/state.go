package explore

import (
	"encoding/binary"
	"unsafe"
)

const (
	nodes   = 3
	quorate = 2
	logMax  = 7
	epochs  = 4 // at most; Config.Epochs may be lower
)

// entry is one record: its epoch in the upper half, which of the epoch's
// proposals in the lower one; 0 begins an epoch.
type entry uint8

func made(epoch, id int8) entry { return entry(epoch)<<4 | entry(id) }

func (e entry) epoch() int8 { return int8(e >> 4) }

// node is one replica. What a process knows is lost in a crash.
type node struct {
	log     [logMax]entry
	n       int8 // entries
	flushed int8 // of them; followers flush what they take
	sealed  int8
	disk    int8 // incarnation

	alive  bool
	vote   bool // sealed by this process, and neither led nor followed since
	lead   int8 // epoch led, 0 = none
	commit int8
	voters [nodes]int8 // while leading: incarnations that count
	known  [nodes]int8 // while leading: what each acknowledged
	from   [nodes]int8 // and with which disk
}

// published is a node's member in ZooKeeper.
type published struct {
	sealed, last, end, disk int8 // end -1: takes no part
}

// state is the whole cluster. It holds no pointer, so equal states have equal
// bytes.
type state struct {
	node     [nodes]node
	member   [nodes]published
	epoch    int8
	sealing  bool
	leader   [epochs + 1]int8 // elected for an epoch, plus 1; a node may learn of it late
	registry [nodes]int8
	agreed   [logMax]entry // committed, whoever knows
	in       [logMax]int8  // the epoch that committed it first
	length   int8
	ids      int8
	crashes  int8
	wipes    int8
}

func (n *node) last() int8 {
	if n.n == 0 {
		return 0
	}
	return n.log[n.n-1].epoch()
}

// cut makes the log end at p.
func (n *node) cut(p int8) {
	for i := p; i < n.n; i++ {
		n.log[i] = 0
	}
	n.n, n.flushed = p, min(n.flushed, p)
}

func (n *node) add(e entry) {
	n.log[n.n] = e
	n.n++
}

// forget is what the end of a leadership or of a process does.
func (n *node) forget() {
	n.lead, n.commit = 0, 0
	n.voters, n.known, n.from = [nodes]int8{}, [nodes]int8{}, [nodes]int8{}
}

// tidied drops what can make no difference any more, so that states which
// differ in it only are one.
func (s *state) tidied() state {
	t := *s
	for i := range t.member {
		if m := &t.member[i]; !t.sealing || m.sealed != t.epoch || m.end < 0 {
			*m = published{}
		}
	}
	for e := range t.leader {
		if w := t.leader[e] - 1; w >= 0 && !t.node[w].mayLead(int8(e)) {
			t.leader[e] = 0
		}
	}
	return t
}

// mayLead says that a node that was elected for e leads it, or still may.
func (n *node) mayLead(e int8) bool { return n.lead == e || n.vote && n.sealed == e }

// orders are the ways to name three nodes.
var orders = [...][nodes]int8{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}

// renamed gives node i the place order[i].
func (s *state) renamed(order [nodes]int8) state {
	t := *s
	for i, to := range order {
		t.node[to], t.member[to], t.registry[to] = s.node[i], s.member[i], s.registry[i]
		for j, at := range order {
			t.node[to].voters[at], t.node[to].known[at], t.node[to].from[at] = s.node[i].voters[j], s.node[i].known[j], s.node[i].from[j]
		}
	}
	for e, w := range s.leader {
		if w > 0 {
			t.leader[e] = order[w-1] + 1
		}
	}
	return t
}

// hash is the same for states that differ only in who is who.
func (s *state) hash() uint64 {
	tidied := s.tidied()
	low := ^uint64(0)
	for _, o := range orders {
		t := tidied.renamed(o)
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
