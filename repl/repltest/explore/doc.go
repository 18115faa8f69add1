// Package explore visits every state that the rules of election and
// replication can reach within small bounds, breadth first, and checks each
// for what must never be.
//
// Package sim draws long runs of a detailed cluster; this package leaves no
// run out, of a cluster reduced to what the safety argument speaks of: logs,
// promises, what ZooKeeper holds and what each leader believes. Time has no
// place in it: an election may begin at any moment, an ack may arrive at any
// later moment or never, a leader may go on long after its epoch is over, an
// elector may see any quorum of the promises. Who is elected, who may lead,
// what is committed, which disk may be replaced and where logs part is asked of
// the production rules. ZooKeeper may go back to a copy of itself, once; it is
// not wiped here.
//
// # What is left out, and why nothing is missed
//
// Runs that differ only in the order of steps which do not see one another are
// one run here:
//
//   - An election begins together with the first promise for it. Until then it
//     only forbids.
//   - A leader makes a proposal when somebody next looks at its log: when it is
//     shipped, when the leader promises, when it crashes.
//   - A leader flushes when that commits something. At a crash the log may end
//     anywhere between what was flushed and its end.
//   - Every commit position is moved at once. Acks are only added and never
//     taken back, so a late ack, or a leader that counts late, commits nothing
//     that was not to be held by more leaders already.
//   - The elected leads at once. Until it does nobody notices; if it never does,
//     the state is one in which it was not elected.
//   - A crash and the restart are one step: a dead node does what a live one may
//     refrain from. What it published stays to be seen.
//
// States that differ only in the names of nodes are one, and so are those that
// differ in what can make no difference: acks below the commit position, what a
// leader believes that can commit no more. An entry is its epoch and its place,
// because an epoch has one leader and that one log.
//
// States are remembered by a 64-bit hash. Among four million of them the chance
// that any two share one, so that a state is left out, is below one in a
// million.
package explore
