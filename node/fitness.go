package node

import (
	"fmt"
	"slices"
	"time"

	"baton/node/adminapi"
	"baton/repl/election"
	"baton/repl/quorum"
)

// Times in which others get their turn, in election timeouts.
const (
	unfitTimeouts = 5 // a node that could not serve stands back in elections
	aloneTimeouts = 3 // an elected node waits for members that are there to attach
)

// resign gives up leading, and says why.
func (r *role) resign(why string) {
	r.n.events.Add(adminapi.KindResigned, uint64(r.self.Sealed), why)
	r.standBack(why)
	r.stepDown(why)
}

// standBack keeps this node from being a candidate for a while.
func (r *role) standBack(why string) {
	r.self.Unfit, r.unfitUntil = why, time.Now().Add(unfitTimeouts*r.n.cfg.ElectionTimeout)
}

// stuckTimeouts is how many election timeouts a leader's disk may take for a
// flush while others could serve instead.
const stuckTimeouts = 3

// runWatchLog gives leadership up when the disk does not finish a flush and the
// others can do without this node. They commit without it as it is, but only as
// long as none of them is missing.
func (l *leadership) runWatchLog() {
	limit := stuckTimeouts * l.n.cfg.ElectionTimeout
	tick := time.NewTicker(l.n.cfg.ElectionTimeout / 4)
	defer tick.Stop()
	log := l.n.store.Log()
	last, since := log.Positions().Flush, time.Now()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-tick.C:
		}
		p, now := log.Positions(), time.Now()
		if p.Flush != last || p.Flush == p.Append {
			last, since = p.Flush, now
			continue
		}
		if stuck := now.Sub(since); stuck >= limit && l.dispensable() {
			why := fmt.Sprintf("the disk of %s has not finished a flush for %s", l.n.cfg.ID, stuck.Round(time.Millisecond))
			l.post(func(r *role) { r.resign(why) })
			return
		}
	}
}

// dispensable says that the followers in sync are a quorum by themselves.
func (l *leadership) dispensable() bool {
	return l.inSync(l.n.cfg.ID)-1 >= quorum.Size(l.n.cfg.Replicas)
}

// checkFitness ends the time of standing back, and a leadership that cannot
// begin: members are there and do not attach, as when this node alone has
// another token, or nobody reaches its replication port.
func (r *role) checkFitness(now time.Time) {
	if r.self.Unfit != "" && now.After(r.unfitUntil) {
		r.self.Unfit, r.unfitUntil = "", time.Time{}
	}
	switch {
	case !r.unreached():
		r.aloneUntil = time.Time{}
	case r.aloneUntil.IsZero():
		r.aloneUntil = now.Add(aloneTimeouts * r.n.cfg.ElectionTimeout)
	case now.After(r.aloneUntil):
		r.aloneUntil = time.Time{}
		r.resign(fmt.Sprintf("%s cannot lead: the other members are there and do not attach to it", r.n.cfg.ID))
	}
}

// unreached says that this node leads an epoch whose first record is not
// committed because too few voters are attached, while enough others are there
// to do without it. Where they are not, standing back would help nobody.
func (r *role) unreached() bool {
	if r.leadership == nil || !r.view.Connected {
		return false
	}
	st := r.leadership.leader.Status()
	if st.Ready {
		return false
	}
	attached := 1
	for _, f := range st.Followers {
		if f.Voter && f.Connected {
			attached++
		}
	}
	return attached < st.Quorum.Size && voters(r.view, r.self.Node) >= st.Quorum.Size
}

// voters counts the registered members that are in ZooKeeper, except the nodes
// named. A node that has two member nodes for a while counts once.
func voters(v election.View, except ...string) int {
	there := map[string]bool{}
	for _, m := range v.Members {
		if v.Cluster.Members[m.Node] == m.Incarnation && !slices.Contains(except, m.Node) {
			there[m.Node] = true
		}
	}
	return len(there)
}
