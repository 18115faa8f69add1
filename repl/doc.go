// Package repl replicates one node's log to others: a leader that proposes
// batches, ships them and decides what is committed; followers that append
// what continues their log and acknowledge it. Who leads, and in which epoch,
// is decided elsewhere (repl/election); this package makes sure that a leader
// whose epoch is over can commit nothing.
//
// See DESIGN.md for the invariants, the safety argument and the threads.
package repl
