// Package node is one broker node: it builds and owns everything the process
// runs, and moves it between the roles of leader and follower without a
// restart.
//
// A Node owns, in the order in which they are started: the store (directory
// lock, log, index), the replication and admin listeners, the ZooKeeper client
// and its group, and the role loop. The role loop is the only goroutine that
// changes roles. It asks package election what to do next, and does it: seal,
// lead, follow, or write to ZooKeeper. See DESIGN.md for threads and locks.
package node
