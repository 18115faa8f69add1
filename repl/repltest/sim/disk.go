package sim

import (
	"slices"
	"time"

	"baton/repl/diverge"
	"baton/store/record"
)

// entry is one batch of the log.
type entry struct {
	epoch  record.Epoch
	at     record.Position
	end    record.Position
	id     uint64          // content
	chain  uint64          // of this and all before it
	commit record.Position // the leader's, when it appended this
	start  map[string]string

	damaged bool // its bytes on this disk are not what was written
}

// chainOf folds an entry into the running hash.
func chainOf(prev uint64, e entry) uint64 {
	h := prev ^ 14695981039346656037
	for _, x := range [...]uint64{uint64(e.epoch), uint64(e.at), uint64(e.end), e.id} {
		h = (h ^ x) * 1099511628211
		h ^= h >> 29
	}
	return h
}

// disk is what survives a process: META and the log. What is not flushed
// survives a killed process but not a machine without power.
type disk struct {
	incarnation string
	cluster     string
	sealed      record.Epoch
	sealing     record.Epoch // being written: may or may not survive a crash, 0 = nothing is
	log         []entry
	flushed     int             // entries on stable storage
	start       record.Position // what is before it is not retained; kept here for the checkers
}

func (d *disk) end() record.Position {
	if len(d.log) == 0 {
		return 0
	}
	return d.log[len(d.log)-1].end
}

func (d *disk) flushEnd() record.Position {
	if d.flushed == 0 {
		return 0
	}
	return d.log[d.flushed-1].end
}

func (d *disk) epoch() record.Epoch {
	if len(d.log) == 0 {
		return 0
	}
	return d.log[len(d.log)-1].epoch
}

// count returns how many entries end at or before p.
func (d *disk) count(p record.Position) int {
	n, _ := slices.BinarySearchFunc(d.log, p, func(e entry, p record.Position) int {
		if e.end <= p {
			return -1
		}
		return 1
	})
	return n
}

// view is the log as it is compared with another.
func (d *disk) view() diverge.Log {
	l := diverge.Log{Start: d.start, End: d.end()}
	for _, e := range d.log[d.count(d.start):] {
		if n := len(l.Boundaries); n == 0 || l.Boundaries[n-1].Epoch != e.epoch {
			l.Boundaries = append(l.Boundaries, record.EpochBoundary{Epoch: e.epoch, Start: e.at})
		}
	}
	return l
}

// append puts an entry at the end. The chain is computed anew, so that a copy
// of the wrong prefix is noticed.
func (d *disk) append(e entry) entry {
	var prev uint64
	if n := len(d.log); n > 0 {
		prev = d.log[n-1].chain
	}
	e.chain, e.damaged = chainOf(prev, e), false
	d.log = append(d.log, e)
	return e
}

// truncate cuts the log at p, durably.
func (d *disk) truncate(p record.Position) {
	n := d.count(p)
	d.log = slices.Clip(d.log[:n])
	d.flushed = min(d.flushed, n)
}

// whole says that nothing that is retained is damaged.
func (d *disk) whole() bool {
	return !slices.ContainsFunc(d.log[d.count(d.start):], func(e entry) bool { return e.damaged })
}

// install puts another log in the place of this one.
func (d *disk) install(log []entry, start record.Position) {
	d.log, d.flushed, d.start = slices.Clone(log), len(log), start
}

// flush makes everything durable after a while, again until all is. The
// operating system goes on with it when the process is gone.
func (n *node) flush() {
	if n.flushing || n.disk.flushed == len(n.disk.log) {
		return
	}
	n.flushing = true
	to, boot, cuts := len(n.disk.log), n.boot, n.cuts
	n.s.after(n.flushTime(), func() {
		if n.boot != boot {
			return
		}
		n.flushing = false
		if n.cuts == cuts { // else it was of another log
			n.disk.flushed = max(n.disk.flushed, to)
		}
		n.flush()
		n.wake(func(p *process) { p.flushed() })
	})
}

// flushTime is how long the disk takes now.
func (n *node) flushTime() time.Duration {
	if n.s.now < n.slowUntil {
		return n.s.around(300 * time.Millisecond)
	}
	return n.s.around(n.s.swarm.flush)
}

// lose takes what power loss takes: some of what was not flushed, and either
// version of what was being written to META.
func (n *node) lose() {
	d := n.disk
	keep := d.flushed + n.s.rng.IntN(len(d.log)-d.flushed+1)
	n.s.tracef("%s loses power: %d of %d entries stay, %d were flushed", n.id, keep, len(d.log), d.flushed)
	d.log = slices.Clip(d.log[:keep])
	d.flushed = keep
	n.boot++
	n.cuts++
	n.flushing = false
}
