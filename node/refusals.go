package node

import (
	"fmt"
	"sync"
	"time"

	"baton/node/adminapi"
	"baton/repl"
)

const (
	// refusalAgain is after how long the same refusal is an event again: the
	// other side goes on trying every few seconds.
	refusalAgain = time.Minute
	// refusalsKept bounds what is remembered of peers that nobody vouches for.
	refusalsKept = 64
)

// refusals makes events of replication peers that were refused, so that an
// operator sees on both nodes why they do not find each other.
type refusals struct {
	n    *Node
	mu   sync.Mutex
	told map[string]time.Time // by node and text
}

// add is called on a goroutine of the replication server.
func (r *refusals) add(p repl.Refusal) {
	if !r.news(p.Node+" "+p.Text, time.Now()) {
		return
	}
	who := p.Node
	if who == "" {
		who = "a peer"
	}
	text := fmt.Sprintf("refused %s at %s: %s", who, p.Remote, p.Text)
	if p.ByPeer {
		text = fmt.Sprintf("%s at %s refuses this node: %s", who, p.Remote, p.Text)
	}
	r.n.events.Add(adminapi.KindPeerRefused, uint64(r.n.sealed()), text, "peer", p.Node, "code", p.Code.String())
}

// news says whether a refusal is worth an event, and remembers it.
func (r *refusals) news(what string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, at := range r.told {
		if now.Sub(at) >= refusalAgain {
			delete(r.told, k)
		}
	}
	if _, known := r.told[what]; known || len(r.told) >= refusalsKept {
		return false
	}
	if r.told == nil {
		r.told = map[string]time.Time{}
	}
	r.told[what] = now
	return true
}
