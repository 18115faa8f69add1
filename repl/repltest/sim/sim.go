package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"baton/repl/quorum"
)

// Sim is one run.
type Sim struct {
	cfg    Config
	swarm  swarm
	rng    *rand.Rand
	now    time.Duration
	queue  events
	seq    uint64
	events int

	nodes  []*node
	byID   map[string]*node
	conns  []*conn
	cuts   [][]time.Duration // from, to: when the way heals
	zk     *zookeeper
	check  *checker
	strict bool
	ids    uint64
	faults int

	forgot  time.Duration     // when ZooKeeper last lost something, 0 = never
	counted map[string]string // newest incarnation of each node that was registered

	quiet     bool // faults are over
	violation string
}

// Run runs a cluster from a seed until a checker objects or the cluster is
// whole again after its faults.
func Run(cfg Config) Result {
	s := &Sim{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x9e3779b97f4a7c15)), byID: map[string]*node{}, counted: map[string]string{}}
	s.draw()
	s.zk, s.check = newZooKeeper(s), newChecker(s)
	s.build()
	s.after(s.swarm.produce, s.produce)
	s.after(s.around(s.swarm.every), s.strike)
	s.run(s.cfg.Faulty)
	stuck := s.settle()
	return Result{Config: s.cfg, Violation: s.violation, At: s.now, Events: s.events, Epoch: s.check.epoch, Committed: len(s.check.log),
		Acknowledged: s.check.acked, Elections: s.check.begun, FaultsApplied: s.faults, Stuck: stuck}
}

// draw fills in what the configuration leaves open.
func (s *Sim) draw() {
	pick := func(list ...int) int { return list[s.rng.IntN(len(list))] }
	replicas, faulty := pick(1, 3, 3, 3, 3, 3, 3, 5, 5, 7), time.Duration(pick(8, 15, 15, 30))*time.Second
	policy := quorum.Default
	if s.chance(1, 6) {
		policy = []quorum.Policy{quorum.QuorumMem, quorum.LocalDisk, quorum.RemoteMem, quorum.RemoteDisk,
			quorum.LocalDisk | quorum.RemoteMem, quorum.QuorumMem | quorum.LocalDisk, quorum.LocalMem}[s.rng.IntN(7)]
	}
	if s.cfg.Replicas == 0 {
		s.cfg.Replicas = replicas
	}
	if s.cfg.Faulty == 0 {
		s.cfg.Faulty = faulty
	}
	if s.cfg.Policy == 0 {
		s.cfg.Policy = policy
	}
	ms := time.Millisecond
	w := swarm{window: pick(400, 400, 2000),
		every: time.Duration(pick(200, 500, 1000, 2000)) * ms, delay: time.Duration(pick(1, 1, 5, 50)) * ms,
		zkDelay: time.Duration(pick(2, 2, 20, 150)) * ms, flush: time.Duration(pick(1, 5, 50)) * ms,
		produce: time.Duration(pick(30, 100, 300)) * ms, heldTight: time.Duration(pick(300, 1000, 3000)) * ms,
		weights: s.chance(1, 4),
	}
	for _, f := range []*bool{&w.kill, &w.power, &w.pause, &w.wipe, &w.cut, &w.oneway, &w.breakLinks, &w.zkCut, &w.zkDown, &w.zkWipe,
		&w.zkRollback, &w.expire, &w.duplicate, &w.slowDisk, &w.unfit, &w.transfer, &w.stranger, &w.staleReads, &w.damage, &w.trim, &w.clocks} {
		*f = s.chance(2, 5)
	}
	w.stranger = w.stranger && !w.zkWipe // nobody could tell it from a member
	w.zkRollback = w.zkRollback && s.chance(1, 2)
	w.damage = w.damage && s.cfg.Policy.Disk() && s.cfg.Policy.Fenced() // else no quorum of disks holds what is committed
	if !s.cfg.Policy.Fenced() {
		w.wipe = w.wipe && s.chance(1, 2)
	} else if s.cfg.Policy&quorum.QuorumDisk == 0 {
		w.power, w.wipe = false, false // memory of a quorum survives processes only
	}
	if s.cfg.Plant != PlantNone {
		w = s.hunt(w)
	}
	s.strict = s.cfg.Policy.Fenced()
	s.swarm = w
	s.tracef("seed %d: %d replicas, %s, faults for %s: %+v", s.cfg.Seed, s.cfg.Replicas, s.cfg.Policy, s.cfg.Faulty, w)
}

// hunt is a swarm in which planted faults show soon: leaders change often,
// leave tails behind, and ZooKeeper does its duty.
func (s *Sim) hunt(w swarm) swarm {
	s.cfg.Replicas, s.cfg.Policy, s.cfg.Faulty = 3, quorum.QuorumDisk, 30*time.Second
	h := swarm{window: w.window, kill: w.kill, power: w.power, pause: w.pause, wipe: w.wipe, cut: true, oneway: w.oneway, breakLinks: w.breakLinks,
		transfer: w.transfer, slowDisk: w.slowDisk, zkCut: w.zkCut, every: min(w.every, 500*time.Millisecond), delay: w.delay,
		zkDelay: min(w.zkDelay, 20*time.Millisecond), flush: w.flush, produce: 30 * time.Millisecond, heldTight: time.Second, weights: w.weights}
	switch s.cfg.Plant {
	case PlantAckTwice:
		s.cfg.Replicas = 5 // of three, one other is a quorum already
	case PlantTwice: // members that do not hear of outcomes
		h.zkRollback, h.zkCut, h.pause, h.zkDelay = true, true, true, 50*time.Millisecond
	case PlantCommitOld: // leaders with long tails, which take several rounds to ship
		h.kill, h.wipe, h.power, h.heldTight, h.delay, h.produce = true, false, false, 500*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
		h.every, h.breakLinks, h.oneway, h.window = 200*time.Millisecond, true, true, 80
	}
	return h
}

// ballot makes up a name that was never used.
func (s *Sim) ballot() string {
	s.ids++
	return fmt.Sprintf("ballot-%d", s.ids)
}

// build makes the machines and starts them, not all at the same moment.
func (s *Sim) build() {
	count := s.cfg.Replicas
	if s.swarm.stranger {
		count++
	}
	s.cuts = make([][]time.Duration, count)
	for i := range s.cuts {
		s.cuts[i] = make([]time.Duration, count)
		n := &node{s: s, i: i, id: fmt.Sprintf("n%d", i+1), replicas: s.cfg.Replicas, stranger: i >= s.cfg.Replicas, speed: 1}
		if s.swarm.clocks {
			n.offset, n.speed = s.upTo(1000*time.Hour), 0.85+0.3*s.rng.Float64()
		}
		if s.swarm.weights {
			n.weight = s.rng.IntN(3)
		}
		s.nodes, s.byID[n.id] = append(s.nodes, n), n
		n.newDisk()
		if !n.stranger {
			s.after(s.around(100*time.Millisecond), n.start)
		}
	}
}

// produce proposes to every node that serves clients, a zombie included.
func (s *Sim) produce() {
	for _, n := range s.nodes {
		if p := n.proc; p != nil && !p.paused && p.role.lead != nil && p.role.lead.serving {
			p.role.lead.propose(nil, func(ok bool) {
				if ok {
					s.check.acked++
				}
			})
		}
	}
	s.after(s.around(s.swarm.produce), s.produce)
}

// settle ends all faults and waits for a whole cluster. It returns why none
// can be demanded, "" if it came about.
func (s *Sim) settle() string {
	if s.violation != "" {
		return ""
	}
	s.tracef("faults are over")
	s.quiet = true
	s.calm()
	began, acked := s.now, 0
	for s.violation == "" {
		s.run(s.now + 100*time.Millisecond)
		missing := s.healthy()
		if missing != "" {
			acked = 0
		} else if acked == 0 {
			acked = s.check.acked + 1
		}
		if acked > 0 && s.check.acked > acked {
			return "" // and producers hear of success again
		}
		if s.now-began > liveBound {
			if why := s.doomed(); why != "" {
				return why
			}
			if missing == "" {
				missing = "producers hear nothing"
			}
			s.violate("not whole %s after the last fault: %s", liveBound, missing)
		}
	}
	return ""
}

func (s *Sim) tracef(format string, args ...any) {
	if s.cfg.Trace != nil {
		s.cfg.Trace(fmt.Sprintf("%10.3fms  ", float64(s.now)/1e6) + fmt.Sprintf(format, args...))
	}
}
