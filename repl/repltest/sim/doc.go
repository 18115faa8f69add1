// Package sim runs a whole cluster on one thread, from one seed, in virtual
// time, and checks after every step that nothing committed is lost.
//
// # What is production code and what is not
//
// Everything that decides is what ships, called from here as it is called there:
//
//   - election: what a node does (Elector.Decide), what carrying that out makes
//     of it (the transitions of Self), what it publishes, which members count,
//     which disk may be replaced, which log may be installed, which writes to
//     ZooKeeper are sent once, what a node sees of its own writes;
//   - tally, quorum, progress: whose acks count, what is committed, who is in
//     sync, how much is in flight, when a learner is offered for registration;
//   - diverge, accept: where a follower goes on, which frames and batches it
//     takes, what it must not cut or replace;
//   - suspicion: when a leader counts as dead and when it is dialled again.
//
// What carries decisions out is written a second time, because the original
// waits, on goroutines: role.go for the node's role loop, leader.go and
// follower.go for the sessions of package repl, client.go for zkclient and its
// group. The orders that matter are kept by hand: promise, stop, flush, publish;
// forget acks, make a snapshot; register in ZooKeeper, count, put into the log.
// The original of those is tested in repl, node and node/nodetest, with real
// goroutines, connections and processes.
//
// Disks, network, clocks, processes and ZooKeeper are simulated: logs with a
// flushed and an unflushed part, META, connections with delays of their own and
// cuts in one or both ways, clocks that differ and run at different speeds,
// processes that are killed, paused and restarted, machines that lose power in
// the middle of a write, disks that are replaced, entries that are damaged, logs
// that are trimmed, sessions and watches, a ZooKeeper that is away, slow, wiped,
// or back at an older copy of itself.
//
// Not simulated: bytes (package wire and the log have tests of their own), the
// handshake and its tokens, parts of a snapshot, a change of the number of
// replicas, and more forgetting than anything could notice: a new disk that has
// not seen the cluster yet while ZooKeeper forgets it too; a ZooKeeper back at
// a copy that knows of fewer members while disks are replaced or a stranger is
// there; more damaged disks than leave a registered quorum.
//
// # Runs
//
// A run is a pure function of its Config: the same seed gives the same trace,
// as long as this package draws the same. A seed decides on the number of
// replicas, the sync policy, which faults there are and how often, how slow
// everything is. What a policy does not promise is not required: under local_*
// and remote_* a failover may lose records, under quorum_mem no machine loses
// power.
//
// Planted faults (see Plant) turn a rule of the surroundings off, to show that
// the checkers would notice.
package sim
