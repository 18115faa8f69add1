package node

import (
	"fmt"
	"time"

	"baton/node/broker"
	"baton/node/stomp"
	"baton/node/stompserver"
	"baton/store/record"
)

// Limits are what clients may cost while this node leads. The zero value of a
// field means its default, as DefaultLimits has it. Sizes are in bytes.
type Limits struct {
	Connections           int // of STOMP clients
	ConnectionsPerAddress int // 0: no limit of its own
	Subscriptions         int // of one connection

	Body       int64 // of one message
	HeaderLine int64
	Headers    int   // number of one frame
	BodyMemory int64 // of large bodies that are being received, each counted twice

	ConnectTimeout time.Duration // from accept to a whole CONNECT
	WriteTimeout   time.Duration // for a client that does not read

	Transactions       int   // open at a time on one connection
	TransactionSize    int64 // of one
	TransactionMemory  int64 // of all that are open
	TransactionTimeout time.Duration

	OutputMemory   int64 // of what waits to be written to clients, but for 16 KiB of each
	TopicMemory    int64 // of messages that are not in the log: for subscribers of topics, and in temporary queues
	ProposalMemory int64 // of what awaits its commit
	WaitingMemory  int64 // of what waits for room in full queues
}

// DefaultLimits are safe on a machine with 2 GiB for the node.
func DefaultLimits() Limits {
	return Limits{
		Connections: 10000, Subscriptions: 1000,
		Body: 16 << 20, HeaderLine: 10 << 10, Headers: 1000, BodyMemory: 256 << 20,
		ConnectTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
		Transactions: 100, TransactionSize: 64 << 20, TransactionMemory: 256 << 20, TransactionTimeout: 10 * time.Minute,
		OutputMemory: 256 << 20, TopicMemory: 256 << 20, ProposalMemory: 256 << 20, WaitingMemory: 256 << 20,
	}
}

// limit is one field of Limits, as operators know it.
type limit struct {
	flag, unit string
	value      int64
	most       int64 // 0: any
}

func (l *Limits) list() []limit {
	const connections, size, duration = "a number", "a size in bytes", "a time"
	return []limit{
		{"max-connections", connections, int64(l.Connections), 0},
		{"max-connections-per-address", connections, int64(l.ConnectionsPerAddress), 0},
		{"max-subscriptions", connections, int64(l.Subscriptions), 0},
		{"max-body", size, l.Body, broker.BodyMax},
		{"max-header-line", size, l.HeaderLine, record.MaxStringSize},
		{"max-headers", connections, int64(l.Headers), record.MaxHeaders},
		{"body-memory", size, l.BodyMemory, 0},
		{"connect-timeout", duration, int64(l.ConnectTimeout), 0},
		{"write-timeout", duration, int64(l.WriteTimeout), 0},
		{"max-transactions", connections, int64(l.Transactions), 0},
		{"max-transaction-size", size, l.TransactionSize, broker.TransactionMax},
		{"transaction-memory", size, l.TransactionMemory, 0},
		{"transaction-timeout", duration, int64(l.TransactionTimeout), 0},
		{"output-memory", size, l.OutputMemory, 0},
		{"topic-memory", size, l.TopicMemory, 0},
		{"proposal-memory", size, l.ProposalMemory, 0},
		{"waiting-memory", size, l.WaitingMemory, 0},
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	setDefault(&l.Connections, d.Connections)
	setDefault(&l.Subscriptions, d.Subscriptions)
	setDefault(&l.Body, d.Body)
	setDefault(&l.HeaderLine, d.HeaderLine)
	setDefault(&l.Headers, d.Headers)
	setDefault(&l.BodyMemory, d.BodyMemory)
	setDefault(&l.ConnectTimeout, d.ConnectTimeout)
	setDefault(&l.WriteTimeout, d.WriteTimeout)
	setDefault(&l.Transactions, d.Transactions)
	setDefault(&l.TransactionSize, d.TransactionSize)
	setDefault(&l.TransactionMemory, d.TransactionMemory)
	setDefault(&l.TransactionTimeout, d.TransactionTimeout)
	setDefault(&l.OutputMemory, d.OutputMemory)
	setDefault(&l.TopicMemory, d.TopicMemory)
	setDefault(&l.ProposalMemory, d.ProposalMemory)
	setDefault(&l.WaitingMemory, d.WaitingMemory)
	return l
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate says in one sentence per limit what cannot work.
func (l Limits) validate() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, x := range l.list() {
		switch {
		case x.value < 0:
			bad("--%s is negative: it is %s, and 0 means the default", x.flag, x.unit)
		case x.most > 0 && x.value > x.most:
			bad("--%s is %d, at most %d: more does not fit into the log", x.flag, x.value, x.most)
		}
	}
	l = l.withDefaults()
	if least := stompserver.BodyCopies * l.Body; l.BodyMemory < least {
		bad("--body-memory is %d, which is less than %d: a body of --max-body is in memory twice while it is received", l.BodyMemory, least)
	}
	if least := stompserver.OutputBodies * l.Body; l.OutputMemory < least {
		bad("--output-memory is %d, which is less than %d: it has to hold %d bodies of --max-body", l.OutputMemory, least, stompserver.OutputBodies)
	}
	if l.TransactionMemory < l.TransactionSize {
		bad("--transaction-memory is %d, which is less than --max-transaction-size (%d): no transaction could be so large", l.TransactionMemory, l.TransactionSize)
	}
	return errs
}

// forBroker sets the limits that a broker enforces.
func (l *Limits) forBroker(c *broker.Config) {
	c.Transactions, c.TransactionBytes = l.Transactions, int(l.TransactionSize)
	c.TransactionMemory, c.TransactionTimeout = l.TransactionMemory, l.TransactionTimeout
	c.MemoryBytes, c.ProposalBytes, c.WaitingBytes = l.TopicMemory, l.ProposalMemory, l.WaitingMemory
}

// forServer sets the limits that a STOMP server enforces.
func (l *Limits) forServer(c *stompserver.Config) {
	c.MaxConnections, c.MaxConnectionsPerAddress, c.MaxSubscriptions = l.Connections, l.ConnectionsPerAddress, l.Subscriptions
	c.Limits = stomp.Limits{Body: int(l.Body), HeaderLine: int(l.HeaderLine), Headers: l.Headers}
	c.BodyMemory, c.OutputMemory, c.ConnectTimeout, c.WriteTimeout = l.BodyMemory, l.OutputMemory, l.ConnectTimeout, l.WriteTimeout
}
