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
// what is committed and where logs part is asked of the production rules.
//
// States are remembered by a 64-bit hash. Among ten million of them the chance
// that any two share one, so that a state is left out, is about one in 400,000.
package explore
