// Package nodetest runs whole clusters inside one test: real nodes on loopback
// ports, real data directories, the embedded ZooKeeper, and clients that keep
// account of every message. Nothing is replaced by a fake, so what its tests
// show is how the parts of a node work together. Nodes are stopped cleanly;
// killed and paused processes are tested where there are processes, with the
// command.
package nodetest
