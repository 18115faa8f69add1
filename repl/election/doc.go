// Package election decides who leads. It is pure: one Elector per node is
// given what ZooKeeper shows, what the node knows about itself and the time,
// and says what the node must do next. Nothing here waits, reads or writes.
//
// # Seal, publish, elect
//
// An epoch is one leadership. A node that cannot reach the leader of epoch E
// publishes that it suspects E. When a quorum of members does, one of them
// writes epoch E+1, phase sealing. Every member that sees this promises E+1
// on its disk, refuses every frame of a lower epoch from then on, and
// publishes the end of its durable log. When a quorum has done so the highest
// (epoch of the last record, position) among them is written as the leader:
// weight and then the order of arrival break ties. The winner leads E+1.
//
// # Why it is safe
//
// A committed record was durable on a quorum of voters, none of which had
// promised anything above the record's epoch when it acknowledged. A new
// epoch needs a quorum of promises. Two quorums share a voter: that voter
// acknowledged before it promised, so the end it published is at or after the
// record, and the winner's end is not below it. Followers take only what
// continues their log, so equal (epoch, position) means equal content: the
// winner has the record.
//
// Four rules keep this true when disks and processes come and go:
//
//   - A voter is a node id with a registered incarnation. A wiped disk has
//     forgotten its promises and its records, has another incarnation, and
//     counts in nothing until the leader of the day has brought it up to date
//     and registered it.
//   - The voters of an epoch are what the cluster node held at its election,
//     changed only by its own leader. Counting by the registry of the moment
//     would let a paused leader count a disk that a newer leader registered.
//   - A process leads or elects only with a promise that it made itself. After
//     a restart it cannot know what it shipped in an epoch that it led, so it
//     never leads that epoch again.
//   - ZooKeeper is not trusted to remember. If it was wiped or rolled back, a
//     new epoch is above every promise that is published; and no epoch is
//     decided twice, see below.
//
// # ZooKeeper goes back
//
// An older copy of ZooKeeper may show an election as open that was decided, with
// the promises that were counted then. Whoever begins an epoch makes up a
// ballot, a name that was never used. A promise is for that beginning, and a
// disk promises a number once. Beginning and deciding an epoch are written once,
// on the connection whose view they are from, or not at all; and only a process
// that was connected since the epoch was begun decides it, because going back
// breaks every connection. So the promises that it counts were made after the
// beginning that it saw. Two decisions about one number would need two quorums
// of disks that promised that number for different ballots, which no disk did.
//
// # Who carries steps out
//
// Seal: write the promise, stop leading and following, flush the log, DidSeal,
// publish the candidacy with the end of the log. In this order: a link that is
// being stopped tells its leader of the promise, and nothing can move the end
// after it was read. Promise: write it, DidPromise. Follow and Promote end
// whatever role there was before. What a role does after it was ended must not
// reach the log, the leader or ZooKeeper.
//
// # Who acts
//
// Every write to the cluster node is checked against its version, so any
// number of nodes may try: one wins. To spare the attempts the one that
// arrived first acts at once and the others one election timeout later each,
// in their order.
package election
