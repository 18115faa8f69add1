package record

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"baton/tui/data"
)

// Player is a source that shows a recording instead of a cluster. Its controls
// may be called from any goroutine and never block.
type Player struct {
	rec  *Recording
	wake chan struct{}

	mu struct {
		sync.Mutex
		at      int
		playing bool
		speed   float64
	}
}

// Speeds at which a recording can play.
var speeds = []float64{0.1, 0.25, 0.5, 1, 2, 5, 10, 30}

// NewPlayer shows a recording from its first frame on.
func NewPlayer(r *Recording) *Player {
	p := &Player{rec: r, wake: make(chan struct{}, 1)}
	p.mu.speed, p.mu.playing = 1, true
	return p
}

// Run implements the console's source: it publishes frames as their time comes.
func (p *Player) Run(ctx context.Context, publish func(*data.Snapshot)) error {
	shown := -1
	var last data.Player
	for {
		at, state := p.state()
		if at != shown || state != last {
			s, err := p.rec.Snapshot(at)
			if err != nil {
				return err
			}
			shown, last = at, state
			s.Player = &state
			publish(s)
		}
		next := time.NewTimer(p.until(at))
		select {
		case <-ctx.Done():
			next.Stop()
			return ctx.Err()
		case <-p.wake:
		case <-next.C:
			p.advance(at)
		}
		next.Stop()
	}
}

func (p *Player) state() (int, data.Player) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.rec.Len()
	return p.mu.at, data.Player{File: data.Clean(filepath.Base(p.rec.Path)), At: p.rec.Time(p.mu.at), Length: p.rec.Time(n - 1),
		Frame: p.mu.at, Frames: n, Playing: p.mu.playing, Speed: p.mu.speed, Torn: p.rec.Torn}
}

// frameLeast keeps a fast player from drawing more than a terminal can show.
const frameLeast = 40 * time.Millisecond

// until is how long the frame stays.
func (p *Player) until(at int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.mu.playing || at+1 >= p.rec.Len() {
		return time.Hour
	}
	gap := min(p.rec.Time(at+1)-p.rec.Time(at), 5*time.Second) // a machine that slept
	return max(frameLeast, time.Duration(float64(gap)/p.mu.speed))
}

// advance goes on from a frame, over those that the speed leaves no time for.
func (p *Player) advance(from int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.mu.playing || p.mu.at != from {
		return
	}
	target := p.rec.Time(from) + time.Duration(float64(frameLeast)*p.mu.speed)
	p.mu.at = min(max(from+1, p.rec.At(target)), p.rec.Len()-1)
	if p.mu.at == p.rec.Len()-1 {
		p.mu.playing = false
	}
}

func (p *Player) change(f func()) {
	p.mu.Lock()
	f()
	p.mu.at = max(0, min(p.mu.at, p.rec.Len()-1))
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Toggle plays or holds; at the end it begins anew.
func (p *Player) Toggle() {
	p.change(func() {
		if !p.mu.playing && p.mu.at == p.rec.Len()-1 {
			p.mu.at = 0
		}
		p.mu.playing = !p.mu.playing
	})
}

// Step moves by frames and holds.
func (p *Player) Step(frames int) {
	p.change(func() { p.mu.at, p.mu.playing = p.mu.at+frames, false })
}

// Skip moves by time.
func (p *Player) Skip(d time.Duration) {
	p.change(func() { p.mu.at = p.rec.At(p.rec.Time(p.mu.at) + d) })
}

// Event moves to the next frame that brought an event, or the one before, and holds.
func (p *Player) Event(step int) {
	p.change(func() {
		p.mu.playing = false
		for i := p.mu.at + step; i > 0 && i < p.rec.Len(); i += step {
			if p.rec.frames[i].events > p.rec.frames[i-1].events {
				p.mu.at = i
				return
			}
		}
	})
}

// Seek moves to a time since the beginning.
func (p *Player) Seek(t time.Duration) { p.change(func() { p.mu.at = p.rec.At(t) }) }

// Faster and slower go through the speeds.
func (p *Player) Faster(step int) {
	p.change(func() {
		for i, s := range speeds {
			if s == p.mu.speed {
				p.mu.speed = speeds[max(0, min(i+step, len(speeds)-1))]
				return
			}
		}
	})
}

// Can implements the console's source.
func (p *Player) Can(string) (bool, string) { return false, "a recording: what happened is done" }

// Do implements the console's source.
func (p *Player) Do(_ context.Context, action, node string) error {
	return fmt.Errorf("%w: %s %s: this is a recording", data.ErrUnsupported, action, node)
}
