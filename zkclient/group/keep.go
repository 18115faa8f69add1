package group

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"baton/zkclient"
)

const (
	keepPauseMin = 50 * time.Millisecond
	keepPauseMax = 2 * time.Second
	// strifePause slows down a fight with somebody who deletes or overwrites the
	// member node.
	strifePause = 100 * time.Millisecond
)

// runKeep keeps the member node as it was asked for, in one session after
// another.
func (g *Group) runKeep() {
	defer g.wg.Done()
	h := &history{past: make(map[int64]bool)}
	for {
		s, err := g.cfg.Client.Session(g.ctx)
		if err != nil { // closed: the group or its client
			g.setPresent(false)
			return
		}
		k := &keeper{g: g, s: s, history: h, unsure: true}
		k.run()
		h.past[s.ID()] = true
		// The session is over and its nodes with it, or the client will see to it.
		g.setPresent(false)
		g.setSelf("", nil)
	}
}

// history is what outlives a session.
type history struct {
	past    map[int64]bool // sessions of this process that are over
	created bool           // this process has had a member node
	warned  bool           // the access list was looked at
}

// keeper keeps the member node in one session. All of its requests are made on
// that session, so none can be executed in a later one; and none is abandoned
// before it is answered or the session over, so that a request never overtakes
// one of which the outcome is unknown.
type keeper struct {
	*history
	g *Group
	s *zkclient.Session

	name    string // of the own node, "" if there is none
	data    []byte // that the node holds
	version int32  // of data
	// unsure: the node may be there under a name that is not known, as the reply
	// to its creation was lost.
	unsure bool
	// leftovers are nodes of this member's own earlier sessions.
	leftovers []leftover
}

type leftover struct {
	name    string
	version int32
}

// run returns when the session is over or the group closes.
func (k *keeper) run() {
	wait := keepPauseMin
	for {
		err := k.settle()
		switch {
		case k.g.ctx.Err() != nil || errors.Is(err, zkclient.ErrSessionExpired) || errors.Is(err, zkclient.ErrClosed):
			return
		case errors.Is(err, zkclient.ErrDisconnected):
			wait = keepPauseMin
			continue // settle begins with waiting for the connection
		case err != nil:
			k.g.setSelf(k.eid(), err)
			k.g.log.Warn("keep member node", "error", err)
			pause(k.g.ctx, wait)
			wait = min(2*wait, keepPauseMax)
			continue
		}
		wait = keepPauseMin
		k.g.setSelf(k.eid(), nil)
		k.g.setPresent(k.name != "")
		select {
		case <-k.g.ctx.Done():
			return
		case <-k.s.Done():
			return
		case <-k.g.poke:
		}
	}
}

func (k *keeper) eid() string { return strings.TrimPrefix(k.name, memberPrefix) }

func (k *keeper) path() string { return k.g.cfg.child(k.name) }

// settle takes steps until the tree is as asked for.
func (k *keeper) settle() error {
	for {
		now, err := k.g.cfg.Client.Session(k.g.ctx)
		if err != nil {
			return err
		}
		if now != k.s {
			return zkclient.ErrSessionExpired
		}
		// Only now, as waiting may have taken long and the newest counts.
		data, who, joined := k.g.wanted()
		if !joined && k.name == "" && !(k.unsure && k.g.mayBePresent()) {
			return nil
		}
		if err := k.verify(who); err != nil {
			return err
		}
		switch {
		case !joined && k.name == "":
			return nil
		case !joined:
			err = k.remove()
		case k.name == "":
			err = k.create(data)
		case !bytes.Equal(k.data, data):
			err = k.write(data)
		default:
			return k.tidy()
		}
		if err != nil {
			return err
		}
	}
}

func (g *Group) mayBePresent() bool {
	g.want.Lock()
	defer g.want.Unlock()
	return g.want.present
}

// verify makes sure that what the keeper believes of its node is true: after an
// unknown outcome, and when the view shows something else.
func (k *keeper) verify(who MemberData) error {
	if k.unsure {
		return k.find(who)
	}
	if k.name == "" {
		return nil
	}
	view := k.g.Snapshot()
	if !view.Connected {
		return nil // the view will be published again when it is whole
	}
	for _, m := range slices.Concat(view.Members, view.Strangers) {
		if m.Session == k.s.ID() && m.Eid != k.eid() && m.Data.Node == who.Node && m.Data.Incarnation == who.Incarnation {
			k.unsure = true // a creation taken for lost was executed late
			return k.find(who)
		}
		if m.Eid == k.eid() && m.Session == k.s.ID() && m.Version <= k.version {
			return nil
		}
	}
	return k.reread()
}

// reread looks at the own node.
func (k *keeper) reread() error {
	data, stat, err := k.s.Get(k.g.ctx, k.path())
	if errors.Is(err, zkclient.ErrNoNode) || (err == nil && stat.EphemeralOwner != k.s.ID()) {
		k.g.log.Warn("member node was deleted by somebody, creating it again", "node", k.path())
		k.name = ""
		pause(k.g.ctx, strifePause)
		return nil
	}
	if err != nil {
		return err
	}
	if stat.Version != k.version && !bytes.Equal(data, k.data) {
		k.g.log.Warn("member node was overwritten by somebody, writing it again", "node", k.path())
		pause(k.g.ctx, strifePause)
	}
	k.data, k.version = data, stat.Version
	return nil
}

// find lists the tree for the own node and leftovers of earlier sessions.
func (k *keeper) find(who MemberData) error {
	names, _, err := k.s.Children(k.g.ctx, k.g.cfg.Path)
	if errors.Is(err, zkclient.ErrNoNode) {
		k.name, k.unsure = "", false
		return nil
	}
	if err != nil {
		return err
	}
	slices.Sort(names) // the oldest first
	nodes, err := k.readAll(names)
	if err != nil {
		return err
	}
	own, extra := "", []string(nil)
	k.leftovers = nil
	for _, n := range nodes {
		d, err := DecodeMember(n.data)
		same := err == nil && d.Node == who.Node && d.Incarnation == who.Incarnation
		switch {
		case n.stat.EphemeralOwner == k.s.ID() && (same || n.name == k.name):
			if own != "" {
				extra = append(extra, n.name)
				continue
			}
			own, k.data, k.version = n.name, n.data, n.stat.Version
		case same && n.stat.EphemeralOwner != 0 && who.Node != "" && (k.past[n.stat.EphemeralOwner] || !k.created):
			k.leftovers = append(k.leftovers, leftover{n.name, n.stat.Version})
		}
	}
	for _, name := range extra {
		if err := k.s.Delete(k.g.ctx, k.g.cfg.child(name), zkclient.AnyVersion); err != nil && !errors.Is(err, zkclient.ErrNoNode) {
			return err
		}
	}
	k.name, k.unsure = own, false
	return nil
}

type nodeRead struct {
	name string
	data []byte
	stat zkclient.Stat
	err  error
}

// readAll reads the member nodes among names, in parallel; those that vanish
// meanwhile are left out.
func (k *keeper) readAll(names []string) ([]nodeRead, error) {
	names = slices.DeleteFunc(names, func(n string) bool { _, _, ok := ParseName(n); return !ok })
	names = names[:min(len(names), membersMax)]
	nodes := make([]nodeRead, len(names))
	ready := make(chan struct{})
	for i, n := range names {
		go func() {
			data, stat, err := k.s.Get(k.g.ctx, k.g.cfg.child(n))
			nodes[i] = nodeRead{n, data, stat, err}
			ready <- struct{}{}
		}()
	}
	for range names {
		<-ready
	}
	kept := nodes[:0]
	for _, n := range nodes {
		switch {
		case errors.Is(n.err, zkclient.ErrNoNode):
		case n.err != nil:
			return nil, n.err
		default:
			kept = append(kept, n)
		}
	}
	return kept, nil
}

func (k *keeper) create(data []byte) error {
	if !k.g.claim() {
		return nil // Leave was faster
	}
	k.unsure = true
	path, err := k.s.Create(k.g.ctx, k.g.cfg.child(memberPrefix), data, zkclient.Ephemeral|zkclient.Sequential)
	if errors.Is(err, zkclient.ErrNoNode) {
		k.unsure = false
		return k.s.CreateAll(k.g.ctx, k.g.cfg.Path)
	}
	if err != nil {
		k.unsure = errors.Is(err, zkclient.ErrDisconnected)
		return err
	}
	k.created = true
	k.name, k.data, k.version, k.unsure = path[strings.LastIndexByte(path, '/')+1:], data, 0, false
	k.g.log.Info("joined the group", "node", path)
	k.warnWorld()
	return nil
}

// warnWorld tells the operator once when a password protects less than it seems.
func (k *keeper) warnWorld() {
	if k.warned || !k.g.cfg.Client.HasPassword() {
		return
	}
	k.warned = true
	if open, err := k.s.WorldWritable(k.g.ctx, k.g.cfg.Path); err == nil && open {
		k.g.log.Warn("ZooKeeper path is writable by anybody although a password is set: remove it or set its access list", "path", k.g.cfg.Path)
	}
}

func (k *keeper) write(data []byte) error {
	stat, err := k.s.Set(k.g.ctx, k.path(), data, k.version)
	switch {
	case errors.Is(err, zkclient.ErrNoNode) || errors.Is(err, zkclient.ErrVersion):
		return k.reread()
	case errors.Is(err, zkclient.ErrDisconnected):
		// Whether it was written shows when it is written again: the version.
		return err
	case err != nil:
		return err
	}
	k.data, k.version = data, stat.Version
	return nil
}

func (k *keeper) remove() error {
	err := k.s.Delete(k.g.ctx, k.path(), zkclient.AnyVersion)
	if err != nil && !errors.Is(err, zkclient.ErrNoNode) {
		return err
	}
	k.g.log.Info("left the group", "node", k.path())
	k.name = ""
	return nil
}

// tidy deletes leftovers: nodes of the same data directory from sessions that
// this process had before, or that were there when it first joined. The version
// keeps it from deleting one that is being written, which a leftover is not.
func (k *keeper) tidy() error {
	for len(k.leftovers) > 0 {
		l := k.leftovers[0]
		err := k.s.Delete(k.g.ctx, k.g.cfg.child(l.name), l.version)
		if err != nil && !errors.Is(err, zkclient.ErrNoNode) && !errors.Is(err, zkclient.ErrVersion) {
			return fmt.Errorf("remove leftover of an earlier session: %w", err)
		}
		k.leftovers = k.leftovers[1:]
	}
	return nil
}
