// Package sim runs a whole cluster on one thread, from one seed, in virtual
// time, and checks after every step that nothing committed is lost.
//
// The rules under test are the production ones: election.Decide says what a
// node does, quorum.Commit what is committed, diverge.Decide where a follower
// goes on, progress what a leader believes of a follower. What surrounds them
// is simulated: logs with a flushed and an unflushed part, META, connections,
// ZooKeeper with sessions and watches, processes that are killed, paused and
// restarted, machines that lose power, disks that are replaced. role.go carries
// out steps as the node's role loop does; follower.go and leader.go move the
// log as package repl does.
//
// What is not simulated: damaged bytes (package wire and the log have their own
// tests), the transport's handshake and tokens, snapshots and retention, and a
// ZooKeeper that goes back to a copy with an open election or with a member
// less. Nothing in the rules could notice the latter before a node that never
// saw the outcome decides the same epoch again.
//
// A run is a pure function of its Config: the same seed gives the same trace.
// Planted faults (see Plant) turn a rule of the surroundings off, to show that
// the checkers would notice.
package sim
