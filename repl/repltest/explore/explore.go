package explore

import (
	"fmt"
	"slices"
)

// Plant is a fault planted into the rules, to show that it would be found.
type Plant int

// Planted faults.
const (
	PlantNone           Plant = iota
	PlantNoEpoch              // elections compare positions only
	PlantWipedVotes           // a replaced disk counts as the one before
	PlantRegistryNow          // a leader counts by the registry as it is now
	PlantCommitOld            // records of earlier epochs are committed by counting
	PlantNoRefusal            // frames below the promise are taken
	PlantAckEarly             // a follower acknowledges before it flushes
	PlantMemoryPosition       // the published end is where the log ever was
	PlantNoSeal               // a follower cuts and takes without a promise to its leader
	PlantTwice                // promises of before ZooKeeper went back count
)

// Config bounds the exploration.
type Config struct {
	Epochs  int8 // elections, at most 4
	Records int8 // proposals
	Crashes int8
	Wipes   int8 // disks replaced, at most 1 at a time can be survived
	Backs   int8 // times that ZooKeeper goes back to a copy, at most 1
	States  int  // give up after so many, 0 = never
	Plant   Plant
}

// Result of an exploration.
type Result struct {
	States    int
	Depth     int
	Complete  bool     // every state within the bounds was visited
	Violation string   // "" if there is none
	Trace     []string // the shortest way there
}

type explorer struct {
	cfg   Config
	rules *rules
	seen  table
	from  []uint32 // by number of the state: the state before
	by    []step   // and the step from there
}

// Run explores. It needs about 18 bytes for each state and 300 for each of the
// frontier.
func Run(cfg Config) (Result, error) {
	if cfg.Epochs > epochs || int(cfg.Epochs+cfg.Records) > logMax {
		return Result{}, fmt.Errorf("explore: %d epochs and %d records, at most %d and %d in all", cfg.Epochs, cfg.Records, epochs, logMax)
	}
	x := &explorer{cfg: cfg, rules: newRules(cfg.Plant)}
	var first state
	x.seen.add(first.hash())
	x.from, x.by = append(x.from, 0), append(x.by, step{})
	level, numbers := []state{first}, []uint32{0}
	var res Result
	for len(level) > 0 && res.Violation == "" {
		var after []state
		var afterNumbers []uint32
		for i := range level {
			x.next(&level[i], func(a step, t *state, bad string) {
				if res.Violation != "" || !x.seen.add(t.hash()) {
					return
				}
				x.from, x.by = append(x.from, numbers[i]), append(x.by, a)
				number := uint32(len(x.from) - 1)
				after, afterNumbers = append(after, *t), append(afterNumbers, number)
				if bad != "" {
					res.Violation, res.Trace = bad, x.trace(number)
				}
			})
			if res.Violation != "" || cfg.States > 0 && len(x.from) >= cfg.States {
				res.States = len(x.from)
				return res, nil
			}
		}
		level, numbers = after, afterNumbers
		res.Depth++
	}
	res.States, res.Complete = len(x.from), true
	return res, nil
}

func (x *explorer) trace(number uint32) []string {
	var list []string
	for ; number != 0; number = x.from[number] {
		list = append(list, x.by[number].String())
	}
	slices.Reverse(list)
	return list
}

// table is a set of hashes, 0 being none.
type table struct {
	slot []uint64
	n    int
}

// add says whether h is new.
func (t *table) add(h uint64) bool {
	if t.n*4 >= len(t.slot)*3 {
		t.grow()
	}
	mask := uint64(len(t.slot) - 1)
	i := h & mask
	for ; t.slot[i] != 0; i = (i + 1) & mask {
		if t.slot[i] == h {
			return false
		}
	}
	t.slot[i] = h
	t.n++
	return true
}

func (t *table) grow() {
	old := t.slot
	t.slot = make([]uint64, max(1<<16, 2*len(old)))
	t.n = 0
	for _, h := range old {
		if h != 0 {
			t.add(h)
		}
	}
}
