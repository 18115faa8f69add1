package sim

import (
	"maps"
	"slices"
	"time"

	"baton/repl/election"
)

// tree is what ZooKeeper holds. A tree is never changed once it is published:
// old ones are what slow servers and watches still show.
type tree struct {
	zxid    int64
	exists  bool
	version int32
	cluster election.Cluster
	members map[uint64]znode // by sequence
	order   []uint64         // of members
	next    uint64           // next sequence
	at      time.Duration
}

// znode is a member node.
type znode struct {
	session int64
	data    election.Member
	zxid    int64 // of its last change
}

// zookeeper is the service: one history of trees, and sessions.
type zookeeper struct {
	s         *Sim
	tree      tree
	past      []tree // newest last
	downUntil time.Duration
	sessions  map[int64]*session
	lastID    int64
	life      int // times that it forgot something: all connections broke then
}

type session struct {
	id     int64
	client *client // nil when its process is gone
	cutAt  time.Duration
	cut    bool
}

const pastKept = 64

func newZooKeeper(s *Sim) *zookeeper {
	return &zookeeper{s: s, tree: tree{members: map[uint64]znode{}}, sessions: map[int64]*session{}}
}

// change publishes a changed tree and tells whoever watches.
func (z *zookeeper) change(f func(t *tree)) {
	if z.past = append(z.past, z.tree); len(z.past) > pastKept {
		z.past = slices.Delete(z.past, 0, len(z.past)-pastKept)
	}
	t := z.tree
	t.members = maps.Clone(t.members)
	t.zxid++
	t.at = z.s.now
	f(&t)
	t.order = slices.Sorted(maps.Keys(t.members))
	z.tree = t
	z.s.check.cluster(t)
	for _, n := range z.s.nodes {
		if p := n.proc; p != nil {
			p.zk.watch()
		}
	}
}

// set writes the cluster node if it has this version.
func (z *zookeeper) set(c election.Cluster, version int32) bool {
	if !z.tree.exists || z.tree.version != version {
		return false
	}
	z.change(func(t *tree) { t.cluster, t.version = c, version+1 })
	return true
}

// create writes the cluster node if there is none.
func (z *zookeeper) create(c election.Cluster) bool {
	if z.tree.exists {
		return false
	}
	z.change(func(t *tree) { t.cluster, t.version, t.exists = c, 0, true })
	return true
}

// join creates a member node.
func (z *zookeeper) join(id int64, m election.Member) uint64 {
	q := z.tree.next
	z.change(func(t *tree) {
		m.Sequence = q
		t.members[q] = znode{id, m, t.zxid}
		t.next++
	})
	return q
}

// write replaces the data of a member node; false if it is gone.
func (z *zookeeper) write(q uint64, id int64, m election.Member) bool {
	if w, ok := z.tree.members[q]; !ok || w.session != id {
		return false
	}
	z.change(func(t *tree) {
		m.Sequence = q
		t.members[q] = znode{id, m, t.zxid}
	})
	return true
}

func (z *zookeeper) remove(q uint64) {
	if m, ok := z.tree.members[q]; ok {
		z.s.tracef("ZooKeeper: member %d of %s in session %d is removed", q, m.data.Node, m.session)
		z.change(func(t *tree) { delete(t.members, q) })
	}
}

// open begins a session.
func (z *zookeeper) open(c *client) *session {
	z.lastID++
	x := &session{id: z.lastID, client: c}
	z.sessions[x.id] = x
	return x
}

// lost notes that the service does not hear from a session any more, and ends
// the session if that goes on for too long.
func (z *zookeeper) lost(x *session) {
	if x.cut {
		return
	}
	x.cut, x.cutAt = true, z.s.now
	at := x.cutAt
	var look func()
	look = func() {
		if !x.cut || x.cutAt != at || z.sessions[x.id] != x {
			return
		}
		if z.s.now < z.downUntil { // nobody expires anything while there is no quorum
			z.s.after(z.downUntil+sessionTimeout-z.s.now, look)
			return
		}
		z.expire(x)
	}
	z.s.after(sessionTimeout, look)
}

// expire ends a session and its nodes.
func (z *zookeeper) expire(x *session) {
	if z.sessions[x.id] != x {
		return
	}
	delete(z.sessions, x.id)
	z.s.tracef("ZooKeeper: session %d expires", x.id)
	if c := x.client; c != nil && !c.p.dead && c.session == x {
		c.dropped()
	}
	z.sweep()
}

// sweep removes nodes whose session is over.
func (z *zookeeper) sweep() {
	for _, q := range slices.Sorted(maps.Keys(z.tree.members)) {
		if z.sessions[z.tree.members[q].session] == nil {
			z.remove(q)
		}
	}
}

// wipe replaces the service by an empty one. Sessions are unknown to it.
func (z *zookeeper) wipe() {
	z.past = nil
	z.life++
	z.sessions = map[int64]*session{}
	z.tree = tree{zxid: z.tree.zxid + 1, members: map[uint64]znode{}, at: z.s.now}
	z.dropAll()
}

// rollback replaces the service by an older copy of itself. The sessions of
// the copy are taken for alive until they time out.
func (z *zookeeper) rollback(to tree) {
	z.s.tracef("ZooKeeper: back to epoch %d (%s, leader %q), version %d, %d members, of %s", to.cluster.Epoch, to.cluster.Phase,
		to.cluster.Leader, to.version, len(to.members), to.at)
	old := z.tree
	z.past = nil
	z.life++
	z.sessions = map[int64]*session{}
	z.tree = to
	z.tree.members = map[uint64]znode{}
	z.tree.zxid = old.zxid + 1
	for _, q := range to.order {
		m := to.members[q]
		m.zxid = z.tree.zxid
		z.tree.members[q] = m
		if z.sessions[m.session] == nil {
			x := &session{id: m.session}
			z.sessions[x.id] = x
			z.lost(x)
		}
	}
	z.dropAll()
}

// dropAll makes every client find out that its session is unknown.
func (z *zookeeper) dropAll() {
	for _, n := range z.s.nodes {
		if n.proc != nil {
			n.proc.zk.dropped()
		}
	}
}
