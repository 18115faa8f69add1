package index

import (
	"slices"

	"baton/store/record"
)

const (
	pointsKept  = 128
	coarseBytes = 1 << 20
)

// points keeps two rings: the newest batch ends, and the first one in each
// MiB of the log, so that nodes that differ by some MiB have points in common.
type points struct {
	fine, coarse []Point
}

func (p *points) add(at record.Position, chain uint64) {
	pt := Point{at, chain}
	if n := len(p.coarse); n == 0 || p.coarse[n-1].Position/coarseBytes < at/coarseBytes {
		p.coarse = keepNewest(append(p.coarse, pt))
	}
	p.fine = keepNewest(append(p.fine, pt))
}

// keepNewest drops old points, rarely, so that add costs little.
func keepNewest(s []Point) []Point {
	if len(s) < 2*pointsKept {
		return s
	}
	return slices.Delete(s, 0, len(s)-pointsKept)
}

func (p *points) all() []Point {
	fine := p.fine[max(0, len(p.fine)-pointsKept):]
	out := make([]Point, 0, 2*pointsKept)
	for _, c := range p.coarse[max(0, len(p.coarse)-pointsKept):] {
		if len(fine) == 0 || c.Position < fine[0].Position {
			out = append(out, c)
		}
	}
	return append(out, fine...)
}
