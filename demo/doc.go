// Package demo runs a local cluster under load without a terminal: it launches
// the cluster, starts the load, breaks what the plan says when the plan says
// it, stops the producers, drains the queues, waits until the cluster is
// healthy again, compares the nodes' logs, and reports. The console does the
// same with demo/cluster and demo/load, and shows it.
package demo
