package group

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
)

// Group is a group that this process takes part in.
type Group struct {
	*Observer

	poke chan struct{} // holds one: the keeper should look again

	// want is what the owner asked for and how far the keeper is.
	want struct {
		sync.Mutex
		joined  bool
		data    []byte // newest published, encoded
		who     MemberData
		present bool          // a member node exists, or may exist
		changed chan struct{} // closed and replaced when present changes
	}
}

// New starts a group that observes and, after Join, takes part. It panics on a
// configuration that Validate refuses. The caller closes it, before the client.
func New(cfg Config) *Group {
	g := &Group{poke: make(chan struct{}, 1)}
	g.want.changed = make(chan struct{})
	g.Observer = newObserver(cfg, g.look)
	g.start()
	g.wg.Add(1)
	go g.runKeep()
	return g
}

// Join makes this process a member that says data. It returns at once; the
// snapshots show when the member is there. Calling it again is the same as
// Publish.
func (g *Group) Join(data MemberData) { g.ask(data, true) }

// Publish replaces what this member says of itself. It returns at once; of
// several calls in a row the newest counts, and it is written again until
// ZooKeeper has it. Before Join it only remembers.
func (g *Group) Publish(data MemberData) { g.ask(data, false) }

func (g *Group) ask(data MemberData, join bool) {
	if data.ID == "" {
		data.ID = g.cfg.GroupID
	}
	b, err := json.Marshal(data)
	if err != nil { // strings and numbers only: cannot happen
		panic(fmt.Sprintf("group: encode member %+v: %v", data, err))
	}
	g.want.Lock()
	g.want.data, g.want.who = b, data
	g.want.joined = g.want.joined || join
	g.want.Unlock()
	g.look()
}

// Leave removes the own member node and waits until it is gone. If ctx ends
// first, the node goes later, at the latest with its session. Join may follow.
func (g *Group) Leave(ctx context.Context) error {
	g.want.Lock()
	g.want.joined = false
	g.want.Unlock()
	g.look()
	for {
		g.want.Lock()
		present, changed := g.want.present, g.want.changed
		g.want.Unlock()
		if !present {
			return nil
		}
		select {
		case <-changed:
		case <-g.ctx.Done():
			return fmt.Errorf("leave group %s: %w", g.cfg.Path, ErrClosed)
		case <-ctx.Done():
			return fmt.Errorf("leave group %s: member node not yet removed: %w", g.cfg.Path, context.Cause(ctx))
		}
	}
}

// look wakes the keeper.
func (g *Group) look() {
	select {
	case g.poke <- struct{}{}:
	default:
	}
}

// setPresent tells Leave whether there may be a member node.
func (g *Group) setPresent(present bool) {
	g.want.Lock()
	defer g.want.Unlock()
	if g.want.present != present {
		g.want.present = present
		close(g.want.changed)
		g.want.changed = make(chan struct{})
	}
}

// claim tells that a member node may exist from now on, unless none is wanted.
func (g *Group) claim() bool {
	g.want.Lock()
	defer g.want.Unlock()
	if g.want.joined {
		g.want.present = true
	}
	return g.want.joined
}

func (g *Group) wanted() (data []byte, who MemberData, joined bool) {
	g.want.Lock()
	defer g.want.Unlock()
	return g.want.data, g.want.who, g.want.joined
}
