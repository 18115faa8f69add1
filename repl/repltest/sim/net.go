package sim

import (
	"time"

	"baton/repl/diverge"
	"baton/store/record"
)

// kind of a message between a follower and its leader.
type kind int

const (
	kindHello    kind = iota // follower: who it is, highest of sealed and followed epoch
	kindWelcome              // leader: its epoch
	kindAttach               // follower: its log
	kindPosition             // leader: where to go on
	kindAppend               // leader: entries
	kindAck                  // follower
	kindBeat                 // leader
	kindRefuse               // either: ends the session
	kindSnapshot             // leader: its whole log
)

type message struct {
	kind        kind
	epoch       record.Epoch // of the sender
	node        string
	incarnation string
	cluster     string
	log         diverge.Log
	whole       bool            // of attach: the follower's log is damaged
	start       record.Position // of snapshot
	at          record.Position // of position
	truncate    bool
	leaderEnd   record.Position
	commit      record.Position
	entries     []entry
	received    record.Position
	flush       record.Position
	refusal     refusal
}

type refusal int

const (
	refusedNotLeader refusal = iota + 1
	refusedFenced
	refusedStranger
	refusedDiverged
	refusedProtocol
)

// conn is one end of a connection. What one end sends arrives in order, after
// the network's delay, as long as the way is not cut.
type conn struct {
	s      *Sim
	owner  *process
	from   int // index of the owner's node
	peer   *conn
	last   time.Duration // when the last message that was sent arrives
	line   []func()      // what is on the way
	closed bool          // by this end, or seen to be closed by the other
	heard  time.Duration
	recv   func(message)
	gone   func() // the other end closed; not called after close
}

// send puts m on the way. A message that meets a cut waits for it to heal.
func (c *conn) send(m message) {
	if c.closed {
		return
	}
	peer := c.peer
	c.pass(func() {
		peer.owner.do(func() {
			if !peer.closed {
				peer.heard = c.s.now
				peer.recv(m)
			}
		})
	})
}

// close ends the connection; the other end hears of it behind what was sent.
func (c *conn) close() {
	if c.closed {
		return
	}
	c.closed = true
	c.hangUp()
}

// hangUp tells the other end that the connection is over.
func (c *conn) hangUp() {
	peer := c.peer
	c.pass(func() {
		peer.owner.do(func() {
			if !peer.closed {
				peer.closed = true
				peer.gone()
			}
		})
	})
}

// pass runs f at the other end, in order.
func (c *conn) pass(f func()) {
	s := c.s
	c.line = append(c.line, f)
	at := max(s.now+s.around(s.swarm.delay), c.last)
	c.last = at
	s.after(at-s.now, c.arrive)
}

// arrive lets one message through, the one that was sent first.
func (c *conn) arrive() {
	s := c.s
	if heals := s.cuts[c.from][c.peer.from]; heals > s.now {
		at := max(heals+s.around(s.swarm.delay), c.last)
		c.last = at
		s.after(at-s.now, c.arrive)
		return
	}
	f := c.line[0]
	c.line = c.line[1:]
	f()
}

// dial connects to whoever accepts at the node with the given id. One of up
// and failed is called, once, unless the process ends before.
func (p *process) dial(to string, up func(*conn), failed func()) {
	s, n := p.n.s, p.n
	target := s.byID[to]
	deadline := s.now + electionTimeout
	if target == nil {
		p.after(s.around(s.swarm.delay), failed)
		return
	}
	d := s.around(s.swarm.delay)
	s.after(d, func() {
		q := target.proc
		switch {
		case s.cuts[n.i][target.i] > s.now || s.cuts[target.i][n.i] > s.now || target.dark:
			s.after(deadline-s.now, func() { p.do(failed) }) // no answer at all
		case q == nil:
			s.after(s.around(s.swarm.delay), func() { p.do(failed) }) // refused
		default:
			a, b := &conn{s: s, owner: p, from: n.i, heard: s.now}, &conn{s: s, owner: q, from: target.i, heard: s.now}
			a.peer, b.peer = b, a
			a.recv, a.gone = func(message) {}, func() {}
			b.recv, b.gone = a.recv, a.gone
			s.conns = append(s.conns, a, b)
			s.after(s.around(s.swarm.delay), func() {
				p.do(func() {
					if !a.closed {
						up(a)
					} else {
						failed()
					}
				})
			})
			q.accept(b)
		}
	})
}

// breakConns ends connections of a node as a reset does: both ends notice.
func (s *Sim) breakConns(i int) {
	for _, c := range s.conns {
		if c.from == i && !c.closed {
			c.hangUp()
			c.peer.hangUp()
		}
	}
}

// hangUpAll closes what a process had open; the kernel does it for the dead.
func (p *process) hangUpAll(silent bool) {
	kept := p.n.s.conns[:0]
	for _, c := range p.n.s.conns {
		if c.owner == p && !c.closed {
			c.closed = true
			if !silent {
				c.hangUp()
			}
		}
		if !c.closed {
			kept = append(kept, c)
		}
	}
	p.n.s.conns = kept
}
