// Package cluster runs a cluster on this machine: the embedded ZooKeeper (or a
// real ensemble, unless an external one is given) and the nodes, each a child
// process of its own, with a proxy in every replication link and every ZooKeeper
// connection so that nodes can be cut off without root. It breaks things on
// request, collects the events of all nodes in one log, times failovers, and
// says whether the cluster is healthy.
//
// Clients reach the nodes directly: a cut isolates a node from its peers and
// from ZooKeeper, not from its clients, which is the harder case.
//
// Threads: per node runStatus and runEvents; the children's and the proxies'
// own. All end in Close.
package cluster
