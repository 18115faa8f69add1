// Package tree is ZooKeeper's tree of nodes as a pure data structure: nodes
// with their status, sequence counters, ephemeral owners, containers and
// times to live. It knows no sessions, permissions, clocks or files.
//
// A Change is applied with the zxid and the time it is given and always does
// the same to the same tree, so a log of changes rebuilds it. Apply returns
// how to undo the change; a transaction that fails half-way is taken back by
// undoing its changes, last one first.
//
// A Tree is not safe for concurrent use.
package tree
