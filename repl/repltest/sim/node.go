package sim

import (
	"fmt"
	"time"

	"baton/store/record"
)

// node is a machine: a disk, and the process that runs on it at the moment.
type node struct {
	s         *Sim
	i         int
	id        string
	replicas  int
	weight    int
	disk      *disk
	proc      *process
	boot      int // times it lost power
	cuts      int // times the log was cut
	flushing  bool
	dark      bool // without power: nobody answers for it
	slowUntil time.Duration
	noPort    time.Duration // it cannot open its port for clients until then
	stranger  bool
	born      int // disks it had
	zkCut     time.Duration
	offset    time.Duration // of its clock
	speed     float64       // of its clock
}

// newDisk puts an empty disk in.
func (n *node) newDisk() {
	n.born++
	inc := fmt.Sprintf("%s-disk%d", n.id, n.born)
	if n.s.cfg.Plant == PlantWipedVotes {
		inc = n.id + "-disk1"
	}
	n.disk = &disk{incarnation: inc}
	n.cuts++
	n.boot++
	n.flushing = false
}

// process is one run of the program on a node.
type process struct {
	n      *node
	dead   bool
	paused bool
	held   []func() // what happened to it while it was paused

	role    *role
	zk      *client
	target  record.Position // known to be committed
	seen    int             // entries that are applied
	highest record.Position // end of all that was ever received
}

// start runs the program. It recovers its disk and joins.
func (n *node) start() {
	if n.proc != nil {
		return
	}
	n.dark = false
	p := &process{n: n}
	n.proc = p
	d := n.disk
	if d.sealing != 0 && n.s.chance(1, 2) {
		d.sealed = max(d.sealed, d.sealing)
	}
	d.sealing = 0
	n.s.check.started(n)
	d.flushed = len(d.log) // recovery flushes what it accepts
	n.cuts++
	n.flushing = false
	n.s.tracef("%s starts: sealed %d, log (%d, %d), %s", n.id, d.sealed, d.epoch(), d.end(), d.incarnation)
	var told record.Position
	for _, e := range d.log {
		told = max(told, e.commit)
	}
	p.role = newRole(p)
	p.commit(min(told, d.end()))
	p.zk = newClient(p)
	p.role.resume()
	p.role.turn()
}

// stop ends the process: killed, or with the whole machine.
func (n *node) stop(power bool) {
	p := n.proc
	if p == nil {
		return
	}
	p.dead, n.proc = true, nil
	p.hangUpAll(power)
	p.zk.abandon()
	if power {
		n.dark = true
		n.lose()
	}
}

// fails ends a process that cannot go on, as the node ends itself.
func (p *process) fails(why string) {
	p.n.s.tracef("%s ends itself: %s", p.n.id, why)
	p.n.s.violate("%s ended itself: %s", p.n.id, why)
}

// do runs f now, or when a paused process goes on, or never if it is dead.
func (p *process) do(f func()) {
	switch {
	case p.dead:
	case p.paused:
		p.held = append(p.held, f)
	default:
		f()
	}
}

// after runs f in the process after d.
func (p *process) after(d time.Duration, f func()) {
	p.n.s.after(time.Duration(float64(d)/p.n.speed), func() { p.do(f) })
}

// wake runs f in the process that runs now, if one does.
func (n *node) wake(f func(*process)) {
	if p := n.proc; p != nil {
		p.do(func() { f(p) })
	}
}

func (p *process) pause() {
	p.paused = true
}

func (p *process) unpause() {
	p.paused = false
	for len(p.held) > 0 && !p.paused && !p.dead {
		f := p.held[0]
		p.held = p.held[1:]
		f()
	}
}

// seal writes a promise to META. One write at a time, in the order asked for.
func (p *process) seal(e record.Epoch, done func(ok bool)) {
	d := p.n.disk
	if d.sealing != 0 { // META has one writer
		p.after(time.Millisecond, func() { p.seal(e, done) })
		return
	}
	if e < d.sealed {
		done(false)
		return
	}
	if e == d.sealed {
		done(true)
		return
	}
	d.sealing = e
	boot := p.n.boot
	p.after(p.n.flushTime(), func() {
		if p.n.boot != boot {
			return
		}
		d.sealing = 0
		p.n.s.check.sealed(p.n, e)
		d.sealed = e
		done(true)
	})
}

// commit raises what is known to be committed, and applies what is there.
func (p *process) commit(to record.Position) {
	p.target = max(p.target, to)
	d := p.n.disk
	for p.seen < len(d.log) && d.log[p.seen].end <= p.target {
		if e := d.log[p.seen]; e.damaged && e.at >= d.start {
			p.damaged()
			return
		}
		p.n.s.check.applied(p.n, d.log[p.seen])
		p.seen++
	}
}

// damaged is called by whoever reads what is not what was written.
func (p *process) damaged() {
	p.after(time.Microsecond, func() { p.role.post(func(r *role) { r.damage() }) })
}

// truncate cuts the log and, under weak policies, what was applied.
func (p *process) truncate(to record.Position) {
	p.target = min(p.target, to)
	p.n.disk.truncate(to)
	p.n.cuts++
	p.seen = min(p.seen, len(p.n.disk.log))
}

// history is the newest epoch-start record that was applied, or, if the log
// has a newer epoch, the one that began it.
func (p *process) history() map[string]string {
	d := p.n.disk
	for i := len(d.log) - 1; i >= 0; i-- {
		e := d.log[i]
		if e.start != nil && (i < p.seen || i == 0 || d.log[i-1].epoch < e.epoch) {
			return e.start
		}
	}
	return nil
}

// flushed tells whoever waits for the disk.
func (p *process) flushed() {
	r := p.role
	if r.lead != nil {
		r.lead.advance()
	}
	if r.link != nil {
		r.link.flushed()
	}
	r.flushed()
}
