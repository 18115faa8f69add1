package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"baton/repl/election"
)

// client is the ZooKeeper client of a process: its view, which lags, and the
// keeper of its member node.
type client struct {
	p       *process
	z       *zookeeper
	session *session
	up      bool // connected
	tries   int  // counts connections, so that late replies are known
	life    int  // of the service that the connection is with

	view    election.View
	zxid    int64 // of view.Cluster
	members map[uint64]znode
	gone    map[uint64]int64 // removed nodes: zxid of the removal

	own     uint64 // sequence of the member node
	joined  bool
	written election.Member
	busy    bool // a request of the keeper is under way
}

func newClient(p *process) *client {
	c := &client{p: p, z: p.n.s.zk, members: map[uint64]znode{}, gone: map[uint64]int64{}}
	c.view.Version = -1
	c.connect()
	return c
}

// reachable says whether requests get through now.
func (c *client) reachable() bool {
	s := c.p.n.s
	return s.now >= c.z.downUntil && s.now >= c.p.n.zkCut
}

func (c *client) delay() time.Duration { return c.p.n.s.around(c.p.n.s.swarm.zkDelay) }

// connect tries until there is a connection, then reads everything.
func (c *client) connect() {
	s := c.p.n.s
	c.tries++
	try := c.tries
	c.p.after(c.delay(), func() {
		switch {
		case c.tries != try:
			return
		case !c.reachable():
			c.p.after(50*time.Millisecond+s.around(50*time.Millisecond), func() {
				if c.tries == try {
					c.connect()
				}
			})
			return
		}
		if c.session == nil || c.z.sessions[c.session.id] != c.session {
			if c.session != nil {
				s.tracef("%s: session %d is over", c.p.n.id, c.session.id)
			}
			c.session = c.z.open(c)
			c.joined, c.written = false, election.Member{}
			c.zxid, c.members, c.gone = -1, map[uint64]znode{}, map[uint64]int64{}
		}
		c.session.cut = false
		c.life = c.z.life
		t := c.z.tree
		if n := len(c.z.past); s.swarm.staleReads && n > 0 && s.chance(1, 3) {
			t = c.z.past[n-1-s.rng.IntN(min(n, 8))] // of a server that lags behind
		}
		c.p.after(c.delay(), func() {
			if c.tries != try {
				return
			}
			c.up = true
			c.read(t)
			c.watch() // what changed since
			c.keep()
			c.tell()
		})
	})
}

// disconnected notes a lost connection; the client goes on trying.
func (c *client) disconnected() {
	c.up, c.busy = false, false
	c.view.Connected = false
	c.connect()
	c.tell()
}

// cutOff is called when the way to ZooKeeper or ZooKeeper itself goes away.
func (c *client) cutOff() {
	if c.session != nil {
		c.z.lost(c.session)
	}
	try := c.tries
	c.p.after(c.p.n.s.around(200*time.Millisecond), func() {
		switch {
		case c.tries != try || !c.up:
		case !c.reachable() || c.z.sessions[c.session.id] != c.session:
			c.disconnected()
		default:
			c.session.cut = false // heartbeats pass again
		}
	})
}

// dropped is called when the service does not know the session any more.
func (c *client) dropped() {
	try := c.tries
	c.p.after(c.p.n.s.around(50*time.Millisecond), func() {
		if c.tries == try {
			c.disconnected()
		}
	})
}

// abandon leaves the session of a process that has ended to its timeout.
func (c *client) abandon() {
	if c.session != nil {
		c.session.client = nil
		c.z.lost(c.session)
	}
}

// watch brings the tree as it is now, each node after a delay of its own.
func (c *client) watch() {
	if c.life != c.z.life {
		return // it will find out that this connection is broken
	}
	t, try := c.z.tree, c.tries
	bring := func(f func() bool) {
		c.p.after(c.delay(), func() {
			switch {
			case c.tries != try || !c.up:
			case !c.reachable():
				c.disconnected() // the next connection reads everything
			case f():
				c.tell()
			}
		})
	}
	if t.zxid > c.zxid {
		bring(func() bool { return c.readCluster(t) })
	}
	for _, q := range t.order {
		m := t.members[q]
		if old, ok := c.members[q]; !ok || old.zxid != m.zxid {
			bring(func() bool { return c.readMember(q, m) })
		}
	}
	for _, q := range slices.Sorted(maps.Keys(c.members)) {
		if _, ok := t.members[q]; !ok {
			bring(func() bool { return c.readGone(q, t.zxid) })
		}
	}
}

func (c *client) read(t tree) {
	c.view.Connected = true
	if c.p.n.s.cfg.Plant != PlantTwice || c.view.Reads == 0 {
		c.view.Reads++
	}
	c.readCluster(t)
	for q, m := range t.members {
		c.readMember(q, m)
	}
	for q, m := range c.members {
		if _, ok := t.members[q]; !ok && m.zxid < t.zxid {
			c.readGone(q, t.zxid)
		}
	}
}

func (c *client) readCluster(t tree) bool {
	if t.zxid <= c.zxid {
		return false
	}
	news := t.exists != c.view.Exists || t.version != c.view.Version
	c.zxid = t.zxid
	c.view.Exists, c.view.Version, c.view.Cluster = t.exists, t.version, t.cluster
	if !t.exists {
		c.view.Version, c.view.Cluster = -1, election.Cluster{}
	}
	return news
}

func (c *client) readMember(q uint64, m znode) bool {
	if c.gone[q] > m.zxid || c.members[q].zxid >= m.zxid {
		return false
	}
	c.members[q] = m
	return true
}

func (c *client) readGone(q uint64, zxid int64) bool {
	m, ok := c.members[q]
	if !ok || m.zxid > zxid {
		return false
	}
	delete(c.members, q)
	c.gone[q] = max(c.gone[q], zxid)
	return true
}

// tell gives the role loop the view.
func (c *client) tell() {
	v := c.view
	v.Members = make([]election.Member, 0, len(c.members))
	for _, m := range c.members {
		v.Members = append(v.Members, m.data)
	}
	slices.SortFunc(v.Members, func(a, b election.Member) int {
		if a.Sequence < b.Sequence {
			return -1
		}
		return 1
	})
	c.p.role.post(func(r *role) { r.see(v) })
	c.keep() // the own node may have been removed
}

// keep brings the member node to what the role loop wants to be said.
func (c *client) keep() {
	want := c.p.role.want
	if !c.up || c.busy || want.Node == "" || c.joined && want == c.written {
		return
	}
	s := c.p.n.s
	c.busy = true
	try, id, life := c.tries, c.session.id, c.life
	s.after(c.delay(), func() { // on its way even if the process is paused
		if c.p.dead && s.chance(1, 2) {
			return
		}
		if !c.reachable() || c.z.sessions[id] == nil || c.z.life != life {
			c.p.after(c.delay(), func() {
				if c.tries == try {
					c.disconnected()
				}
			})
			return
		}
		done := func() {}
		switch {
		case !c.joined && c.adopt(id, want):
			done = func() { c.joined = true }
		case !c.joined:
			q := c.z.join(id, want)
			s.tracef("%s: joins as %d", c.p.n.id, q)
			if s.swarm.duplicate && s.chance(1, 2) {
				c.again(id, want)
			}
			done = func() { c.own, c.joined = q, true; c.tidy(q) }
		case !c.z.write(c.own, id, want):
			done = func() { c.joined = false }
		}
		c.p.after(c.delay(), func() {
			if c.tries != try {
				return
			}
			c.busy, c.written = false, want
			done()
			c.keep()
		})
	})
}

// adopt finds nodes of its own session, which were created by a request whose
// reply was lost. It keeps the first of them, as the group's keeper does.
func (c *client) adopt(id int64, want election.Member) bool {
	own := uint64(0)
	found := false
	for _, q := range slices.Sorted(maps.Keys(c.z.tree.members)) {
		switch m := c.z.tree.members[q]; {
		case m.session != id || m.data.Node != want.Node:
		case found:
			c.z.remove(q)
		default:
			own, found = q, true
		}
	}
	if found {
		c.own = own
		c.z.write(own, id, want)
	}
	return found
}

// again creates the node a second time, as when a reply was lost and the
// first request was executed late. The keeper removes it when it sees it.
func (c *client) again(id int64, m election.Member) {
	s := c.p.n.s
	s.after(c.delay(), func() {
		if c.z.sessions[id] == nil {
			return
		}
		q := c.z.join(id, m)
		s.tracef("%s: a second node, %d", c.p.n.id, q)
		var remove func()
		remove = func() {
			switch {
			case c.z.tree.members[q].session != id: // ZooKeeper was wiped meanwhile
			case c.reachable():
				c.z.remove(q)
			default:
				c.p.after(sessionTimeout, remove)
			}
		}
		c.p.after(s.around(100*time.Millisecond), remove)
	})
}

// tidy removes nodes of the same disk from earlier sessions.
func (c *client) tidy(own uint64) {
	c.p.after(c.delay(), func() {
		if !c.reachable() {
			return
		}
		for _, q := range slices.Sorted(maps.Keys(c.z.tree.members)) {
			m := c.z.tree.members[q]
			if m.data.Node == c.p.n.id && m.data.Incarnation == c.p.n.disk.incarnation && m.session != c.session.id {
				c.z.remove(q)
			}
		}
	})
}

// writeCluster writes the cluster node, or creates it if version is below 0.
// A request whose reply is lost is repeated until its outcome is known or its
// time is up; if on is not 0 it is sent once, on the connection with those
// reads, or not at all. done is told what is known: that it was written, or not.
func (c *client) writeCluster(w election.Cluster, version int32, on uint64, done func(ok bool)) {
	s := c.p.n.s
	if s.cfg.Plant == PlantTwice {
		w.Ballot = fmt.Sprint(w.Epoch)
	}
	deadline := s.now + sessionTimeout
	lost, over := false, false
	finish := func(ok bool) {
		if !over {
			over = true
			done(ok)
		}
	}
	var attempt func()
	attempt = func() {
		if over {
			return
		}
		if s.now >= deadline {
			finish(false)
			return
		}
		again := func() {
			if on != 0 {
				finish(false)
				return
			}
			c.p.after(20*time.Millisecond+s.around(30*time.Millisecond), attempt)
		}
		if !c.up || !c.reachable() || on != 0 && c.view.Reads != on {
			again()
			return
		}
		life := c.life
		s.after(c.delay(), func() { // under way even if the process is gone
			if !c.reachable() || c.z.life != life {
				lost = lost || s.chance(1, 2)
				c.p.do(again)
				return
			}
			ok := false
			if version < 0 {
				ok = c.z.create(w)
			} else {
				ok = c.z.set(w, version)
			}
			if !ok && lost && c.z.tree.exists && sameCluster(c.z.tree.cluster, w) {
				ok = true // it was this client's own write whose reply was lost
			}
			if s.swarm.zkCut && s.chance(1, 8) { // the reply is lost
				lost = true
				c.p.do(again)
				return
			}
			c.p.after(c.delay(), func() { finish(ok) })
		})
	}
	attempt()
}

func sameCluster(a, b election.Cluster) bool {
	return a.ID == b.ID && a.Epoch == b.Epoch && a.Phase == b.Phase && a.Leader == b.Leader && a.Prefer == b.Prefer && a.Ballot == b.Ballot &&
		a.Replicas == b.Replicas && maps.Equal(a.Members, b.Members)
}
