package index

import (
	"hash/maphash"

	"baton/store/record"
)

const (
	generationIDs  = 1 << 16
	generationBits = 16 * generationIDs
	filterProbes   = 5
)

// idFilter tells of nearly all ids that are new that they are, without a look
// into the key-value store: it never denies one that is there. It takes two
// bytes for each id. Ids are forgotten in the order in which they came, so it
// drops whole generations of them. It is Apply's.
type idFilter struct {
	seed        maphash.Seed
	generations []*generation
}

type generation struct {
	last record.Position // of its ids
	n    int
	bits [generationBits / 64]uint64
}

// hash returns where the first probe is, and the step from one to the next.
func (f *idFilter) hash(key []byte) (at, step uint64) {
	h := maphash.Bytes(f.seed, key)
	return h, h>>32 | 1
}

// add takes in an id. Positions rise, but for those of one Apply.
func (f *idFilter) add(key []byte, at record.Position) {
	n := len(f.generations)
	if n == 0 || f.generations[n-1].n == generationIDs {
		f.generations = append(f.generations, &generation{})
		n++
	}
	g := f.generations[n-1]
	g.n++
	g.last = max(g.last, at)
	h, step := f.hash(key)
	for range filterProbes {
		bit := h % generationBits
		g.bits[bit/64] |= 1 << (bit % 64)
		h += step
	}
}

// mayHave is false if an id is certainly not remembered.
func (f *idFilter) mayHave(key []byte) bool {
	h, step := f.hash(key)
	for _, g := range f.generations {
		if g.has(h, step) {
			return true
		}
	}
	return false
}

func (g *generation) has(h, step uint64) bool {
	for range filterProbes {
		bit := h % generationBits
		if g.bits[bit/64]&(1<<(bit%64)) == 0 {
			return false
		}
		h += step
	}
	return true
}

// drop lets those generations go of which all ids are forgotten.
func (f *idFilter) drop(below record.Position) {
	n := 0
	for n < len(f.generations) && f.generations[n].last < below {
		n++
	}
	f.generations = f.generations[n:]
}
