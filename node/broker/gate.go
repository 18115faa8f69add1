package broker

import "sync"

// gate bounds the bytes of all proposals that await their commit. Small ones
// pass, so that acks do.
type gate struct {
	mu      sync.Mutex
	used    int64
	waiting int
	free    chan struct{} // closed and replaced when used sinks and somebody waits
}

// gateFree is what passes in any case.
const gateFree = 16 << 10

func (g *gate) init() { g.free = make(chan struct{}) }

// enter waits for room. It is false if end or dead is closed before.
func (g *gate) enter(n, most int64, dead, end <-chan struct{}) bool {
	g.mu.Lock()
	for n > gateFree && g.used > 0 && g.used+n > most {
		free := g.free
		g.waiting++
		g.mu.Unlock()
		ok := true
		select {
		case <-free:
		case <-dead:
			ok = false
		case <-end:
			ok = false
		}
		g.mu.Lock()
		g.waiting--
		if !ok {
			g.mu.Unlock()
			return false
		}
	}
	g.used += n
	g.mu.Unlock()
	return true
}

func (g *gate) leave(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.used -= n; g.waiting > 0 {
		close(g.free)
		g.free = make(chan struct{})
	}
}

func (g *gate) level() (used int64, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.used, g.waiting
}
