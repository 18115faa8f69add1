package main

import (
	"github.com/spf13/cobra"

	"baton/node"
)

// limitFlags adds what clients may cost.
func limitFlags(c *cobra.Command, l *node.Limits) {
	*l = node.DefaultLimits()
	f := c.Flags()
	size := func(p *int64, name, usage string) { f.Var((*byteSize)(p), name, usage) }
	f.IntVar(&l.Connections, "max-connections", l.Connections, "STOMP connections at most; those above get an ERROR")
	f.IntVar(&l.ConnectionsPerAddress, "max-connections-per-address", 0, "the same from one address; 0 = no limit of its own")
	f.IntVar(&l.Subscriptions, "max-subscriptions", l.Subscriptions, "subscriptions of one connection at most")
	size(&l.Body, "max-body", "largest body of a message, at most 100MiB")
	size(&l.HeaderLine, "max-header-line", "longest header line of a frame, at most 64KiB")
	f.IntVar(&l.Headers, "max-headers", l.Headers, "headers of one frame, at most 1000")
	size(&l.BodyMemory, "body-memory", "memory for all bodies above 64KiB that arrive at a time; each counts twice, and those above it wait")
	f.DurationVar(&l.ConnectTimeout, "connect-timeout", l.ConnectTimeout, "how long a client may take from the connection to the end of its CONNECT")
	f.DurationVar(&l.WriteTimeout, "write-timeout", l.WriteTimeout, "a client that does not read for so long is cut off")
	f.IntVar(&l.Transactions, "max-transactions", l.Transactions, "open transactions of one connection at most")
	size(&l.TransactionSize, "max-transaction-size", "largest transaction")
	size(&l.TransactionMemory, "transaction-memory", "memory for all open transactions")
	f.DurationVar(&l.TransactionTimeout, "transaction-timeout", l.TransactionTimeout, "a transaction that is open for so long is rolled back")
	size(&l.OutputMemory, "output-memory", "memory for all that waits to be written to clients, but for 16KiB of each; above it clients that do not read get no more messages")
	size(&l.TopicMemory, "topic-memory", "memory for messages that wait for subscribers of topics and in temporary queues; the oldest go")
	size(&l.ProposalMemory, "proposal-memory", "memory for what awaits its commit; producers wait above it")
	size(&l.WaitingMemory, "waiting-memory", "memory for what waits for room in full queues; above it producers get an ERROR")
}
