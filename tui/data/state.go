package data

// State is what a node is, in one word, from all that is known about it.
type State uint8

// States of a node.
const (
	StateUnknown    State = iota // does not answer, and nothing else tells
	StateDown                    // its process is gone
	StatePaused                  // its process is stopped by SIGSTOP
	StateStarting                // process runs, has not joined
	StateLeader                  // serving
	StatePromoting               // leads, first record not committed
	StateNoQuorum                // leads without enough followers
	StateInSync                  // follower
	StateCatchingUp              // follower
	StateProbing                 // follower
	StateLagging                 // follower
	StateLearner                 // follows without a vote
	StateSealed                  // promised an epoch
	StateElecting                // no leader to follow
	StateWaiting                 // for ZooKeeper, members or an address
	StateElected                 // chosen, not leading yet
	StateRefused
	StateFailed
	StateStopping
)

var stateWords = map[State]string{
	StateUnknown: "NO ANSWER", StateDown: "DOWN", StatePaused: "PAUSED", StateStarting: "STARTING",
	StateLeader: "LEADER", StatePromoting: "PROMOTING", StateNoQuorum: "LEADER", StateInSync: "FOLLOWER",
	StateCatchingUp: "FOLLOWER", StateProbing: "FOLLOWER", StateLagging: "FOLLOWER", StateLearner: "LEARNER",
	StateSealed: "SEALED", StateElecting: "ELECTING", StateWaiting: "WAITING", StateElected: "ELECTED",
	StateRefused: "REFUSED", StateFailed: "FAILED", StateStopping: "STOPPING",
}

var stateDetails = map[State]string{
	StateNoQuorum: "no quorum", StateInSync: "in sync", StateCatchingUp: "catching up",
	StateProbing: "probing", StateLagging: "lagging",
}

// Word is the state in capitals, the role first.
func (s State) Word() string { return stateWords[s] }

// Detail is the state within the role, "" if the word says it all.
func (s State) Detail() string { return stateDetails[s] }

// Alive says that the node can take part in a quorum now.
func (s State) Alive() bool {
	switch s {
	case StateUnknown, StateDown, StatePaused, StateStarting, StateRefused, StateFailed, StateStopping, StateLearner:
		return false
	}
	return true
}

// Leads says that the node is a leader of any kind.
func (s State) Leads() bool {
	return s == StateLeader || s == StatePromoting || s == StateNoQuorum
}

// Follows says that the node is attached, or attaching, to a leader.
func (s State) Follows() bool {
	switch s {
	case StateInSync, StateCatchingUp, StateProbing, StateLagging, StateLearner:
		return true
	}
	return false
}

// Health is the cluster's condition in one word.
type Health uint8

// Healths, from best to worst.
const (
	HealthUnknown   Health = iota // nobody has answered yet
	HealthHealthy                 // leader serves, all replicas in sync
	HealthDegraded                // leader serves, a replica is missing or behind
	HealthZKDown                  // leader serves, no failover is possible
	HealthElecting                // first election of the cluster
	HealthFailover                // a new leader is being chosen
	HealthNoQuorum                // too few replicas: producers wait
	HealthNoLeader                // nobody serves
	HealthUnreached               // no node, or not the one that led, answers any more
	HealthStarting                // launched, nobody has answered yet
)

var healthWords = map[Health]string{
	HealthUnknown: "CONNECTING", HealthHealthy: "HEALTHY", HealthDegraded: "DEGRADED", HealthZKDown: "ZK DOWN",
	HealthElecting: "ELECTING", HealthFailover: "FAILOVER", HealthNoQuorum: "NO QUORUM", HealthNoLeader: "NO LEADER",
	HealthUnreached: "NO ANSWER", HealthStarting: "STARTING",
}

// Word is the health in capitals.
func (h Health) Word() string { return healthWords[h] }
