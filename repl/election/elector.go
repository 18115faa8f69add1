package election

import (
	"crypto/rand"
	"fmt"
	"maps"
	"time"

	"baton/repl/quorum"
	"baton/store/record"
)

// Config of an Elector.
type Config struct {
	// ElectionTimeout is how long an elected node may take to publish its
	// address, and how long the next in line waits for the one before it.
	// Default 1 s.
	ElectionTimeout time.Duration
	// JoinGrace is how long a quorum waits for the remaining members at the
	// very first election. Default 200 ms.
	JoinGrace time.Duration
	// Ballot makes up a name that nobody ever made up. Default: a random one.
	Ballot func() string
}

func (c Config) withDefaults() Config {
	if c.ElectionTimeout <= 0 {
		c.ElectionTimeout = time.Second
	}
	if c.JoinGrace <= 0 {
		c.JoinGrace = 200 * time.Millisecond
	}
	if c.Ballot == nil {
		c.Ballot = rand.Text
	}
	return c
}

// Elector holds the little that a decision needs from the past: since when
// conditions hold. It is used by one goroutine.
type Elector struct {
	cfg     Config
	now     time.Time
	since   map[string]condition
	wake    time.Duration
	suspect record.Epoch
	decided decision

	read    bool   // something was read
	reads   uint64 // View.Reads of the connection that the rest is about
	found   string // the ballot that the cluster node had when it was first read
	watched string // a ballot that came after that one, "" if none did
}

// decision is the newest outcome of an election that this process has seen.
// ZooKeeper may forget it, and would then decide the same epoch again, from
// promises that were used already.
type decision struct {
	epoch  record.Epoch
	leader string
}

type condition struct {
	key     string
	at      time.Time
	touched bool
}

// New returns an Elector.
func New(cfg Config) *Elector {
	return &Elector{cfg: cfg.withDefaults(), since: map[string]condition{}}
}

// Decide says what the node must do now. It must be called again whenever the
// view or the node's own state changed, and after Decision.Wake.
func (e *Elector) Decide(now time.Time, v View, s Self) Decision {
	e.now, e.wake, e.suspect = now, 0, 0
	step := e.step(v, s)
	for name, c := range e.since { // a condition that was not looked at no longer holds
		if !c.touched {
			delete(e.since, name)
			continue
		}
		c.touched = false
		e.since[name] = c
	}
	return Decision{Step: step, Suspect: e.suspect, Wake: e.wake}
}

func (e *Elector) step(v View, s Self) Step {
	if !v.Connected {
		if v.Exists && s.Leading == 0 && s.LinkDead == v.Cluster.Epoch {
			e.suspect = s.LinkDead
		}
		return wait("ZooKeeper does not answer")
	}
	e.watch(v)
	if !v.Exists {
		return e.form(v, s)
	}
	if st, ok := admit(v, s); !ok {
		return st
	}
	if c := v.Cluster; c.Phase == PhaseElected && c.Leader != "" && c.Epoch > e.decided.epoch {
		e.decided = decision{c.Epoch, c.Leader}
	}
	switch {
	case s.Leading != 0:
		return leading(v, s)
	case v.Cluster.Phase == PhaseSealing:
		return e.sealing(v, s)
	default:
		return e.elected(v, s)
	}
}

// watch notes which election was seen to begin, on one connection. ZooKeeper
// that goes back to an older copy may show an election as open that was decided,
// with promises that are used up. It cannot do so to whoever was connected from
// its beginning on.
func (e *Elector) watch(v View) {
	if v.Reads != e.reads || !e.read {
		e.read, e.reads, e.found, e.watched = true, v.Reads, v.Cluster.Ballot, ""
	} else if v.Cluster.Ballot != e.found {
		e.watched = v.Cluster.Ballot
	}
}

// admit checks that this node belongs to the cluster and is registered.
func admit(v View, s Self) (Step, bool) {
	c := v.Cluster
	if s.ClusterID != "" && s.ClusterID != c.ID {
		return refuse("the data of %s belongs to cluster %s, but ZooKeeper shows cluster %s: use another --zk-path or another --data-dir",
			s.Node, s.ClusterID, c.ID), false
	}
	if s.Replicas != c.Replicas {
		return refuse("%s is configured for %d replicas, the cluster for %d: start it with --replicas %d",
			s.Node, s.Replicas, c.Replicas, c.Replicas), false
	}
	inc, known := c.Members[s.Node]
	if known && (inc == s.Incarnation || c.Epoch != 0) {
		return Step{}, true
	}
	if known { // nobody ever promised anything: a new disk is as good as the old
		for _, m := range v.Members {
			if m.Node == s.Node && m.Incarnation == inc {
				return refuse("node id %s is in use by another process: give each node its own --id", s.Node), false
			}
		}
	} else if len(c.Members) >= c.Replicas {
		return refuse("%s is a stranger: the cluster has its %d members (%s)", s.Node, c.Replicas, names(c.Members)), false
	}
	w := c.clone()
	w.Members[s.Node] = s.Incarnation
	if c.Restored && disks(c.Members) >= quorum.Size(c.Replicas) {
		// The others have a history that this disk may lack: if ZooKeeper has
		// forgotten an earlier registration, it may even be a wiped one. The
		// leader brings it up to date and registers it.
		w.Members[s.Node] = ""
	}
	return Step{Kind: Register, Cluster: w, Reason: s.Node + " registers as a member"}, false
}

// leading: a leader is demoted by a higher epoch and by nothing else.
func leading(v View, s Self) Step {
	c := v.Cluster
	mine := c.Epoch == s.Leading && c.Phase == PhaseElected && c.Leader == s.Node
	switch {
	case mine && c.Old.Replicas > 0 && s.Ready:
		w := c.clone()
		w.Old = Configuration{}
		return Step{Kind: Register, Cluster: w, Reason: fmt.Sprintf("a quorum of %d replicas holds what %d held", c.Replicas, c.Old.Replicas)}
	case mine:
		return wait("leading")
	case c.Epoch > s.Leading:
		return Step{Kind: StepDown, Reason: fmt.Sprintf("ZooKeeper shows epoch %d", c.Epoch)}
	}
	w := c.clone()
	w.Members, w.Epoch, w.Phase, w.Leader, w.Prefer = s.Voters, s.Leading, PhaseElected, s.Node, ""
	return Step{Kind: Elect, Cluster: w,
		Reason: fmt.Sprintf("ZooKeeper went back to epoch %d, %s still leads epoch %d", c.Epoch, s.Node, s.Leading)}
}

// form: there is no cluster node. It was never there, or ZooKeeper was wiped.
func (e *Elector) form(v View, s Self) Step {
	if s.Leading != 0 {
		// It may have been succeeded without knowing. Of a quorum of its voters
		// one would tell.
		if top := highestSealed(v, s); top > s.Leading {
			return Step{Kind: StepDown, Reason: fmt.Sprintf("epoch %d was promised", top)}
		}
		there := 0
		for _, m := range v.nodes() {
			if s.Voters[m.Node] == m.Incarnation {
				there++
			}
		}
		if need := quorum.Size(s.Replicas); there < need {
			return wait("to write the cluster node again: %d of %d voters needed are there", there, need)
		}
		return Step{Kind: Form, Reason: "ZooKeeper was wiped, the leader writes the cluster node again", Cluster: Cluster{
			ID: s.ClusterID, Replicas: s.Replicas, Members: s.Voters, Epoch: s.Leading, Phase: PhaseElected, Leader: s.Node, Restored: true}}
	}
	if s.LinkUp {
		return wait("for the leader to write the cluster node again")
	}
	nodes := v.nodes()
	if st, ok := e.gathered("form", nodes, s.Replicas); !ok {
		return st
	}
	for _, m := range nodes {
		if m.Address != "" && !e.held("leader elsewhere", m.Node, 2*e.cfg.ElectionTimeout) {
			return wait("for %s, which leads, to write the cluster node again", m.Node)
		}
	}
	// The one with the newest history knows who the voters are.
	order := make([]Member, 0, len(nodes))
	var top record.Epoch
	for _, m := range nodes {
		top = max(top, m.LastEpoch)
	}
	for _, m := range nodes {
		if m.LastEpoch == top {
			order = append(order, m)
		}
	}
	sealed := highestSealed(v, s)
	switch {
	case top == 0 && sealed > 0 && len(nodes) < s.Replicas:
		return wait("for all %d members: epoch %d was promised, and who is there knows of no voters", s.Replicas, sealed)
	case top > 0 && len(s.History.Members) == 0:
		return wait("for a member that knows the voters of epoch %d", top)
	}
	if !e.turn("form", fmt.Sprint(top), order, s) {
		return wait("for %s to form the cluster", order[0].Node)
	}
	c := Cluster{ID: s.ClusterID, Replicas: s.Replicas, Members: maps.Clone(s.History.Members), Epoch: sealed, Phase: PhaseElected,
		Restored: sealed > 0 || top > 0}
	if 0 < s.History.Replicas && s.History.Replicas < s.Replicas {
		c.Old = s.History // a quorum of the new nodes alone would hold nothing
	}
	if s.Replicas < s.History.Replicas {
		c.Epoch += aloneLeap
	}
	// Without a history, or with that of a larger cluster, members are those who
	// register first. Told to be alone, whoever was there before, it is itself.
	if len(c.Members) == 0 || len(c.Members) > c.Replicas || c.Replicas == 1 {
		c.Members = map[string]string{s.Node: s.Incarnation}
	}
	return Step{Kind: Form, Cluster: c, Reason: s.Node + " forms the cluster"}
}

// aloneLeap keeps the epochs of a part that serves without the others apart
// from those that the others may begin meanwhile: one number must not stand for
// two histories.
const aloneLeap = 1000

// sealing: epoch c.Epoch is being prepared.
func (e *Elector) sealing(v View, s Self) Step {
	c := v.Cluster
	voters := v.voters()
	if top := highestSealed(v, s); top > c.Epoch {
		return e.start(v, s, voters, fmt.Sprintf("epoch %d was promised already, ZooKeeper went back", top))
	}
	if e.decided.epoch >= c.Epoch {
		return e.start(v, s, voters, fmt.Sprintf("epoch %d was decided already (%s), ZooKeeper went back", e.decided.epoch, e.decided.leader))
	}
	if s.Sealed < c.Epoch {
		return Step{Kind: Seal, Epoch: c.Epoch, Ballot: c.Ballot}
	}
	if s.SealedHere == c.Epoch && s.SealedFor != c.Ballot {
		return e.start(v, s, voters, fmt.Sprintf("epoch %d was begun before, ZooKeeper went back", c.Epoch))
	}
	sealed := sealedFor(voters, c)
	need := quorum.Size(c.Replicas)
	if len(sealed) >= need && c.Old.quorum(sealed) {
		if awaited(voters, sealed, c.Prefer) && !e.held("prefer", key(v), e.cfg.ElectionTimeout) {
			return wait("for %s, to which leadership is handed over", c.Prefer)
		}
		if m, ok := newer(voters, sealed, c.Epoch); ok && !e.held("newer", key(v), e.cfg.ElectionTimeout) {
			return wait("for %s, whose log is of epoch %d", m.Node, m.LastEpoch)
		}
		if e.watched == "" || e.watched != c.Ballot {
			if !e.held("unwatched", key(v), e.cfg.ElectionTimeout) {
				return wait("for a member that saw epoch %d begin to elect", c.Epoch)
			}
			return e.start(v, s, voters, fmt.Sprintf("epoch %d is left by those who saw it begin", c.Epoch))
		}
		if !e.turn("elect", key(v), sealed, s) {
			return wait("for %s to elect", sealed[0].Node)
		}
		win, rule := best(sealed, c.Prefer)
		w := c.clone()
		w.Phase, w.Leader, w.Prefer = PhaseElected, win.Node, ""
		return Step{Kind: Elect, Cluster: w, Reason: fmt.Sprintf("%s leads epoch %d: %s", win.Node, c.Epoch, rule)}
	}
	if len(sealed) >= need && !e.held("sealing", key(v), 2*e.cfg.ElectionTimeout) {
		return wait("for a quorum of the %d replicas that the data was written with (%s)", c.Old.Replicas, names(c.Old.Members))
	}
	able := 0 // voters that are in, or can still seal
	for _, m := range voters {
		if m.Sealed < c.Epoch || m.Position >= 0 {
			able++
		}
	}
	// The next try takes a moment also when this one is known to be lost: who
	// stands back does so in the next epoch too.
	stuck := able < need && e.held("unable", key(v), e.cfg.ElectionTimeout/4) || e.held("sealing", key(v), 2*e.cfg.ElectionTimeout)
	if stuck && len(voters) >= need {
		return e.start(v, s, voters, fmt.Sprintf("epoch %d found no quorum of promises", c.Epoch))
	}
	return wait("epoch %d has %d of %d promises needed%s", c.Epoch, len(sealed), need, wiped(v))
}

// elected: epoch c.Epoch has a leader, or the cluster was just formed.
func (e *Elector) elected(v View, s Self) Step {
	c := v.Cluster
	voters := v.voters()
	if top := highestSealed(v, s); top > c.Epoch && !s.LinkUp {
		return e.start(v, s, voters, fmt.Sprintf("epoch %d was promised already, ZooKeeper went back", top))
	}
	if s.Sealed < c.Epoch && !s.LinkUp {
		// A disk that was not there for the election promises as much as it can
		// see. An empty one is told from one that has never been in a cluster by
		// this alone, should ZooKeeper forget too.
		return Step{Kind: Promise, Epoch: c.Epoch}
	}
	if c.Leader == "" {
		if st, ok := e.gathered("first", voters, c.Replicas); !ok {
			st.Reason += wiped(v)
			return st
		}
		return e.start(v, s, voters, "a quorum of members is there")
	}
	if e.redecided(c) {
		return e.start(v, s, voters, fmt.Sprintf("epoch %d was decided for %s, ZooKeeper went back", e.decided.epoch, e.decided.leader))
	}
	if c.Leader == s.Node && s.SealedHere == c.Epoch && s.SealedFor == c.Ballot && s.unable() == "" && s.registered(c) {
		return Step{Kind: Promote, Epoch: c.Epoch, Reason: "elected"}
	}
	why := e.suspicion(v, s)
	if why != "" {
		e.suspect = c.Epoch
		suspects := suspecting(voters, s, c.Epoch)
		if need := quorum.Size(c.Replicas); len(suspects) >= need {
			return e.start(v, s, suspects, fmt.Sprintf("%d of %d members cannot reach %s (%s)", len(suspects), c.Replicas, c.Leader, why))
		}
	}
	return e.follow(v, s, why)
}

// redecided says that c names another leader than was seen before for the same
// epoch, or an older epoch: neither may be led or followed.
func (e *Elector) redecided(c Cluster) bool {
	return c.Epoch < e.decided.epoch || c.Epoch == e.decided.epoch && c.Leader != e.decided.leader
}

// follow gives the leader of the day, once its address is known.
func (e *Elector) follow(v View, s Self, why string) Step {
	c := v.Cluster
	m, ok := v.member(c.Leader)
	if ok && m.Address != "" && c.Leader != s.Node && s.Sealed <= c.Epoch &&
		(s.Following != c.Epoch || s.FollowingAt != m.Address) {
		return Step{Kind: Follow, Epoch: c.Epoch, Leader: c.Leader, Address: m.Address}
	}
	switch {
	case s.Following != 0 && s.Following < c.Epoch:
		return Step{Kind: Unfollow, Reason: fmt.Sprintf("epoch %d has ended", s.Following)}
	case why != "":
		return wait("cannot reach %s (%s), but no quorum of members says so%s", c.Leader, why, wiped(v))
	case s.Following == c.Epoch:
		return wait("following %s", c.Leader)
	}
	return wait("for the address of %s", c.Leader)
}

// suspicion says why this node believes that the leader is gone, "" if not.
func (e *Elector) suspicion(v View, s Self) string {
	c := v.Cluster
	if c.Leader == s.Node {
		if why := s.unable(); why != "" {
			return why
		}
		return s.Node + " was restarted and never leads an epoch twice"
	}
	if s.Following == c.Epoch && s.LinkUp {
		return ""
	}
	m, ok := v.member(c.Leader)
	switch {
	case s.LinkDead == c.Epoch:
		return "the replication link is dead"
	case !ok:
		return c.Leader + " is gone from ZooKeeper"
	case m.Suspect == c.Epoch:
		return c.Leader + " says that it cannot lead"
	case m.Address == "" && e.held("address", key(v), e.cfg.ElectionTimeout):
		return c.Leader + " did not begin in time"
	}
	return ""
}

// start asks for the next epoch, when it is this node's turn among order.
func (e *Elector) start(v View, s Self, order []Member, why string) Step {
	top := max(highestSealed(v, s), v.Cluster.Epoch, e.decided.epoch)
	if !e.turn("start", key(v), order, s) {
		return wait("for %s to begin epoch %d: %s", first(order), top+1, why)
	}
	return Step{Kind: StartElection, Cluster: Next(v.Cluster, top, "", e.cfg.Ballot()), Reason: why}
}

// Next is the cluster node that begins the election after epoch top. prefer
// names the node that wins a tie: "" unless leadership is handed over. ballot
// was never used before.
func Next(c Cluster, top record.Epoch, prefer, ballot string) Cluster {
	w := c.clone()
	w.Ballot = ballot
	w.Epoch, w.Phase, w.Leader, w.Prefer = max(top, c.Epoch)+1, PhaseSealing, "", prefer
	return w
}
