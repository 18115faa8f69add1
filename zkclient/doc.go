// Package zkclient is a session-aware ZooKeeper client: go-zookeeper/zk with
// the traps of that library closed.
//
// A Client looks after sessions for as long as it lives: it connects, moves
// between servers, and opens a new session when one is lost. A Session is one
// of these sessions; a call made on it is executed in that session or not at
// all, so that a write queued before an expiry can never land after it. Every
// call takes a context and ends with it, whatever ZooKeeper does.
//
// DESIGN.md in this directory lists the traps and how each is closed.
package zkclient
