package group

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"baton/zkclient"
)

const (
	membersMax  = 256 // member nodes followed; the lowest sequences win
	retryPause  = 200 * time.Millisecond
	resyncEvery = 20 * time.Second // and up to half as much more
)

// track follows the tree during one attachment of a session: one goroutine per
// node reads and waits for its watch, so that reads go in parallel, and the
// goroutine of run alone owns the view that they add to.
type track struct {
	o      *Observer
	s      *zkclient.Session
	reads  uint64
	ctx    context.Context // ends with the attachment
	cancel context.CancelFunc
	wg     sync.WaitGroup
	facts  chan func() // executed by run; unbuffered

	// Owned by run.
	members        map[string]*memberView // by node name
	membersRead    bool                   // the list of members is known
	cluster        *ClusterData
	clusterVersion int32
	clusterRead    bool
	whole          bool             // everything has been read once
	unread         map[string]error // by node path: why it cannot be read
	malformed      map[string]error // by node path: what is wrong with its data
}

type memberView struct {
	cancel context.CancelFunc
	read   bool // data is known
	member *Member
}

func newTrack(o *Observer, s *zkclient.Session, reads uint64) *track {
	t := &track{
		o: o, s: s, reads: reads, facts: make(chan func()),
		members: make(map[string]*memberView), clusterVersion: -1,
		unread: make(map[string]error), malformed: make(map[string]error),
	}
	t.ctx, t.cancel = context.WithCancel(o.ctx)
	return t
}

// run returns when the attachment is over, with all of its goroutines.
func (t *track) run() {
	defer t.wg.Wait()
	defer t.cancel()
	detached := t.s.Detached() // before the first read: whatever is read is read after it
	t.o.mu.Lock()
	t.o.mu.link = link{t.reads, t.s, detached}
	t.o.mu.Unlock()
	t.wg.Go(t.runList)
	t.wg.Go(t.runCluster)
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-detached:
			return
		case <-t.s.Done():
			return
		case <-t.o.nudge:
		case f := <-t.facts:
			f()
		}
		t.drain()
		t.publish()
	}
}

// drain takes what else is ready, so that a burst makes one snapshot.
func (t *track) drain() {
	for {
		select {
		case f := <-t.facts:
			f()
		default:
			return
		}
	}
}

func (t *track) publish() {
	if !t.whole {
		if !t.membersRead || !t.clusterRead {
			t.publishTrouble()
			return
		}
		for _, v := range t.members {
			if !v.read {
				t.publishTrouble()
				return
			}
		}
		t.whole = true
	}
	s := Snapshot{Connected: true, Reads: t.reads, Cluster: t.cluster, ClusterVersion: t.clusterVersion, Err: t.trouble()}
	for _, v := range t.members {
		switch {
		case v.member == nil: // new and not read yet, or malformed
		case t.o.cfg.GroupID == "" || v.member.Data.ID == t.o.cfg.GroupID:
			s.Members = append(s.Members, *v.member)
		default:
			s.Strangers = append(s.Strangers, *v.member)
		}
	}
	bySequence := func(a, b Member) int { return cmp.Compare(a.Sequence, b.Sequence) }
	slices.SortFunc(s.Members, bySequence)
	slices.SortFunc(s.Strangers, bySequence)
	t.o.publish(s.clone())
}

// publishTrouble shows why the view does not become whole.
func (t *track) publishTrouble() {
	if err := t.trouble(); err != nil {
		s := t.o.Snapshot()
		s.Connected, s.Err = false, err
		t.o.publish(s)
	}
}

func (t *track) trouble() error {
	for _, errs := range []map[string]error{t.unread, t.malformed} {
		if len(errs) > 0 {
			return errs[slices.Min(slices.Collect(maps.Keys(errs)))]
		}
	}
	return nil
}

// tell has run execute f, unless ctx ends first.
func (t *track) tell(ctx context.Context, f func()) {
	select {
	case t.facts <- f:
	case <-ctx.Done():
	}
}

// follow reads a node for as long as it exists and ctx lasts: at once, on each
// event of its watch, and now and then in case an event was lost.
func (t *track) follow(ctx context.Context, path string, read func(watch bool) (<-chan zkclient.Event, error)) {
	failed := false
	for ctx.Err() == nil {
		events, err := read(true)
		if errors.Is(err, errGone) {
			return
		}
		if err != nil && ctx.Err() == nil {
			failed = true
			t.tell(ctx, func() { t.unread[path] = err })
			pause(ctx, retryPause)
			continue
		}
		if failed {
			failed = false
			t.tell(ctx, func() { delete(t.unread, path) })
		}
		if t.await(ctx, events, read) {
			return
		}
	}
}

// await returns when there is reason to read with a watch again, or true if
// the node is gone or ctx over.
func (t *track) await(ctx context.Context, events <-chan zkclient.Event, read func(bool) (<-chan zkclient.Event, error)) bool {
	for {
		resync := time.NewTimer(resyncEvery + rand.N(resyncEvery/2))
		select {
		case <-ctx.Done():
			resync.Stop()
			return true
		case <-events:
			resync.Stop()
			return false
		case <-resync.C:
			if _, err := read(false); errors.Is(err, errGone) {
				return true
			}
		}
	}
}

// runList follows the list of members.
func (t *track) runList() {
	path := t.o.cfg.Path
	t.follow(t.ctx, path, func(watch bool) (<-chan zkclient.Event, error) {
		var names []string
		var events <-chan zkclient.Event
		var err error
		if watch {
			names, _, events, err = t.s.ChildrenW(t.ctx, path)
		} else {
			names, _, err = t.s.Children(t.ctx, path)
		}
		if errors.Is(err, zkclient.ErrNoNode) && watch {
			if events, err = t.awaitNode(path); err != nil || events == nil {
				return closedEvents(), err
			}
			names = nil
		}
		if err != nil {
			return nil, err
		}
		t.tell(t.ctx, func() { t.listed(names) })
		return events, nil
	})
}

// runCluster follows the cluster node, which need not exist.
func (t *track) runCluster() {
	path := t.o.cfg.child(clusterName)
	t.follow(t.ctx, path, func(watch bool) (<-chan zkclient.Event, error) {
		data, stat, events, err := t.get(t.ctx, path, watch)
		switch {
		case errors.Is(err, zkclient.ErrNoNode) && watch:
			if events, err = t.awaitNode(path); err != nil || events == nil {
				return closedEvents(), err
			}
			t.tell(t.ctx, func() { t.clusterKnown(nil, -1, nil) })
			return events, nil
		case errors.Is(err, zkclient.ErrNoNode):
			t.tell(t.ctx, func() { t.clusterKnown(nil, -1, nil) })
			return nil, nil
		case err != nil:
			return nil, err
		}
		c, err := DecodeCluster(data)
		if err != nil {
			t.tell(t.ctx, func() { t.clusterKnown(nil, stat.Version, fmt.Errorf("read %s: %w", path, err)) })
			return events, nil
		}
		t.tell(t.ctx, func() { t.clusterKnown(&c, stat.Version, nil) })
		return events, nil
	})
}

// runMember follows one member node until it is gone.
func (t *track) runMember(ctx context.Context, name string, v *memberView) {
	path := t.o.cfg.child(name)
	eid, sequence, _ := ParseName(name)
	t.follow(ctx, path, func(watch bool) (<-chan zkclient.Event, error) {
		data, stat, events, err := t.get(ctx, path, watch)
		if errors.Is(err, zkclient.ErrNoNode) {
			t.tell(ctx, func() { t.forget(name, v) })
			return nil, errGone
		}
		if err != nil {
			return nil, err
		}
		d, err := DecodeMember(data)
		m := &Member{Eid: eid, Sequence: sequence, Data: d, Session: stat.EphemeralOwner, Version: stat.Version}
		if err != nil {
			m, err = nil, fmt.Errorf("read %s: %w", path, err)
		}
		t.tell(ctx, func() { t.memberKnown(name, v, m, err) })
		return events, nil
	})
}

func (t *track) get(ctx context.Context, path string, watch bool) ([]byte, zkclient.Stat, <-chan zkclient.Event, error) {
	if watch {
		return t.s.GetW(ctx, path)
	}
	data, stat, err := t.s.Get(ctx, path)
	return data, stat, nil, err
}

// awaitNode watches for a node that was missing; events is nil if it has
// appeared meanwhile.
func (t *track) awaitNode(path string) (events <-chan zkclient.Event, err error) {
	exists, _, events, err := t.s.ExistsW(t.ctx, path)
	if exists || err != nil {
		return nil, err
	}
	return events, nil
}

func closedEvents() <-chan zkclient.Event {
	ch := make(chan zkclient.Event)
	close(ch)
	return ch
}

// listed takes a new list of the path's children. Executed by run.
func (t *track) listed(names []string) {
	t.membersRead = true
	keep := make(map[string]bool, len(names))
	slices.Sort(names)
	for _, n := range names {
		if _, _, ok := ParseName(n); ok && len(keep) < membersMax {
			keep[n] = true
		}
	}
	for n, v := range t.members {
		if !keep[n] {
			t.forget(n, v)
		}
	}
	for n := range keep {
		if t.members[n] == nil {
			ctx, cancel := context.WithCancel(t.ctx)
			v := &memberView{cancel: cancel}
			t.members[n] = v
			t.wg.Go(func() { t.runMember(ctx, n, v) })
		}
	}
}

// forget drops a member that is gone. Another one may have come under the same
// name, if the tree was made anew. Executed by run.
func (t *track) forget(name string, v *memberView) {
	if t.members[name] != v {
		return
	}
	v.cancel()
	delete(t.members, name)
	delete(t.unread, t.o.cfg.child(name))
	delete(t.malformed, t.o.cfg.child(name))
}

// memberKnown takes what was read of a member. Executed by run.
func (t *track) memberKnown(name string, v *memberView, m *Member, malformed error) {
	if t.members[name] != v {
		return
	}
	v.read, v.member = true, m
	t.judge(t.o.cfg.child(name), malformed)
}

// clusterKnown takes what was read of the cluster node. Executed by run.
func (t *track) clusterKnown(c *ClusterData, version int32, malformed error) {
	t.clusterRead, t.cluster, t.clusterVersion = true, c, version
	t.judge(t.o.cfg.child(clusterName), malformed)
}

// judge keeps what is wrong with a node's data and logs it once.
func (t *track) judge(path string, malformed error) {
	if malformed == nil {
		delete(t.malformed, path)
		return
	}
	if old := t.malformed[path]; old == nil || old.Error() != malformed.Error() {
		t.o.log.Warn("ignore node of the group", "error", malformed)
	}
	t.malformed[path] = malformed
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
