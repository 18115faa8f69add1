package sim

import (
	"time"

	"baton/repl/quorum"
	"baton/store/record"
)

// Times of the simulated cluster. The ratios are those of the real defaults.
const (
	electionTimeout = time.Second
	heartbeat       = 250 * time.Millisecond
	sessionTimeout  = 4 * time.Second
	retryWrite      = 200 * time.Millisecond
	unfitFor        = 30 * time.Second
	sealTimeout     = 30 * time.Second
	proposalTimeout = 10 * time.Second
	// liveBound is how long after the last fault a cluster may take until a
	// leader serves and every voter is in sync. A node that could not serve
	// stands back for unfitFor of it.
	liveBound = 90 * time.Second
)

// Plant is a fault planted into the surroundings of the rules: what the
// replicated LevelDB store of ActiveMQ did, or what an implementer may forget.
type Plant int

// Planted faults.
const (
	PlantNone           Plant = iota
	PlantNoEpoch              // elections compare positions only
	PlantAckEarly             // a follower acknowledges a flush before it
	PlantMemoryPosition       // the published end is what was received, not what is on disk
	PlantWipedVotes           // a replaced disk keeps its incarnation, so it counts as before
	PlantRegistryNow          // a leader counts by the registry as it is now
	PlantResume               // a restarted leader goes on leading its epoch
	PlantNoRefusal            // followers take frames below what they sealed
	PlantCommitOld            // records of earlier epochs are committed by counting
	PlantTwice                // an election may be decided on promises of before ZooKeeper went back
	PlantAckTwice             // an ack counts once more when its node comes back
	plants
)

func (p Plant) String() string {
	return [...]string{"none", "no-epoch", "ack-before-flush", "position-from-memory", "wiped-disk-votes", "registry-of-the-moment",
		"leader-resumes", "no-refusal-after-seal", "commit-by-counting", "decided-twice", "ack-counted-twice"}[p]
}

// Plants lists the planted faults.
func Plants() []Plant {
	var all []Plant
	for p := PlantNone + 1; p < plants; p++ {
		all = append(all, p)
	}
	return all
}

// Config of a run. Zero fields are drawn from the seed.
type Config struct {
	Seed     uint64
	Replicas int
	Policy   quorum.Policy
	Faulty   time.Duration // how long faults go on
	Plant    Plant
	Trace    func(line string) // one line per event; nil: none
}

// Result of a run.
type Result struct {
	Config                      // as drawn
	Violation     string        // what a checker found, "" if nothing
	At            time.Duration // virtual time at the end
	Events        int           // simulated events
	Epoch         record.Epoch  // highest epoch led
	Committed     int           // records
	Acknowledged  int           // proposals answered with success
	Elections     int           // leaderships begun
	FaultsApplied int
	Stuck         string // why no leader was required at the end, "" if one was
}

// swarm says which faults a run has. Few at a time go deeper than all at once.
type swarm struct {
	kill, power, pause, wipe, cut, oneway, breakLinks, zkCut, zkDown, zkWipe, zkRollback, expire,
	duplicate, slowDisk, unfit, transfer, stranger, staleReads, damage, trim, clocks bool
	every     time.Duration // mean time between faults
	delay     time.Duration // mean one-way delay of the network
	zkDelay   time.Duration // mean delay of a watch
	flush     time.Duration // mean time of a flush
	produce   time.Duration // mean time between proposals
	weights   bool
	window    int           // bytes in flight to a follower
	heldTight time.Duration // mean duration of a fault
}
