package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"baton/node/broker/policy"
	"baton/store/record"
)

// Proposer puts batches into the replicated log.
type Proposer interface {
	// Propose takes over b and calls done exactly once: with nil when the batch
	// is committed on a quorum, with ErrNoQuorum when that did not happen in
	// time, with ErrDiskFull or ErrBusy when it was refused, with any other error
	// when this node leads no more. After an error other than these two the
	// outcome is in doubt; after ErrNoQuorum the batch is in the log, and will be
	// committed if this node leads for long enough. Propose may block for back-pressure, but must
	// return when the leadership ends. done runs on the leader's goroutine and
	// does not block; it may run before Propose returns.
	Propose(b *record.Batch, done func(error))
}

// QueueInfo is what the index knows about a queue.
type QueueInfo struct {
	Name          string
	Depth         uint64 // stored and not acknowledged
	Bytes         uint64
	Enqueued      uint64 // ever
	Acked         uint64 // ever
	Duplicates    uint64 // ever suppressed
	NextSequence  record.Sequence
	FirstSequence record.Sequence // no live message is before it; 0 if not known
}

// Entry is where the index says that a message is.
type Entry struct {
	Sequence  record.Sequence
	Position  record.Position
	Size      int   // of the record, bytes
	Timestamp int64 // Unix milliseconds
	Deadline  int64 // of the message, Unix milliseconds; 0 = none
	// Redeliveries is how often the message came back from a consumer.
	Redeliveries uint32
}

// Due is a message with a deadline.
type Due struct {
	Queue   string
	QueueID uint64 // of the index, from 1
	Entry
}

// Durable is a durable subscription. Position is that of the record that made
// it what it is.
type Durable struct {
	record.Subscribe
	Position record.Position
}

// Index is the store's index. It holds everything that Enqueued and Acked were
// called for, and everything from before this leadership.
type Index interface {
	// Queues returns all queues in any order.
	Queues() []QueueInfo
	// Queue returns one queue; false if no message was ever sent to it.
	Queue(name string) (QueueInfo, bool)
	// Scan returns up to limit live messages with sequence >= from in rising
	// order; fewer than limit only if there are no more.
	Scan(queue string, from record.Sequence, limit int) ([]Entry, error)
	// DueBefore returns up to limit messages of all queues with deadlines at or
	// before t, Unix milliseconds, in the order of Deadline, QueueID and
	// Sequence. It begins behind after, which is the last of an earlier call, or
	// the zero Due to begin with the first.
	DueBefore(t int64, after Due, limit int) ([]Due, error)
	// Subscriptions returns the durable subscriptions, by client id and name.
	Subscriptions() []Durable
}

// Messages reads single messages from the log.
type Messages interface {
	// Enqueued reads the enqueue record at a position. The result may alias
	// nothing that changes later.
	Enqueued(at record.Position) (record.Enqueue, error)
}

// Errors of this package. Test with errors.Is. The text of those that clients
// cause is meant for them.
var (
	// ErrNoQuorum is what a Proposer reports when too few replicas confirmed in
	// time. The outcome is in doubt.
	ErrNoQuorum = errors.New("no quorum: not enough replicas confirmed in time; the outcome is in doubt")
	// ErrDiskFull is what a Proposer reports when the leader's disk takes only
	// acknowledgements. Nothing was stored.
	ErrDiskFull = errors.New("disk full: the message was not stored; consume messages or free space on the leader's disk, then send again")
	// ErrBusy is what a Proposer reports when it took nothing, for too much awaits
	// its commit or the leadership is being handed over.
	ErrBusy = errors.New("the leader is busy: nothing was stored; send again later")
	// ErrFull means that a queue, or the store, holds as much as it may. The text
	// says which and what its limit is. Nothing was stored.
	ErrFull = errors.New("no room, and nothing was consumed in time")
	// ErrClosed means that the session or the broker is closed.
	ErrClosed = errors.New("broker: closed")
	// ErrDestination means that a destination is not there, or cannot be used in
	// this way.
	ErrDestination = errors.New("destination refused")
	// ErrMessageSize means that a message does not fit into the log's format.
	ErrMessageSize = errors.New("message is too large")
	// ErrTransaction means that a transaction is not open, or not as the frame
	// needs it, or that it cannot be committed. The text says why.
	ErrTransaction = errors.New("transaction refused")
	// ErrUnknownMessage means that an ack or nack names no message that the
	// subscription has delivered and not yet settled.
	ErrUnknownMessage = errors.New("message is not pending on this subscription")
)

// BodyMax is the largest body of a message, in bytes. It leaves the log's
// largest batch room for headers and for the frames before it.
const BodyMax = 100 << 20

// HeadersMax is how many headers a message may have. It leaves room for those
// that the broker adds when it puts the message elsewhere.
const HeadersMax = record.MaxHeaders - 16

// TransactionMax is the largest size of a transaction, in bytes: it is one batch
// of the log.
const TransactionMax = record.MaxBatchSize - batchSlack

// batchSlack is what a batch of the log may need beside what was counted.
const batchSlack = 64 << 10

// Config of a broker. Proposer, Index, Messages and IDPrefix must be set.
type Config struct {
	Proposer Proposer
	Index    Index
	Messages Messages
	// IDPrefix begins every message id given by this broker. It must be unique
	// to this leadership: node id and epoch are in it. It may hold letters, digits
	// and dashes only: some clients of STOMP 1.0 escape what 1.0 does not.
	IDPrefix string
	// Policies of destinations; nil is the default for all.
	Policies policy.Table

	Window        int   // entries of a queue in memory; 1024
	CacheBytes    int64 // bodies waiting for delivery, all queues; 64 MiB
	CacheQueue    int64 // the same of one queue; 8 MiB
	PrefetchMax   int   // largest prefetch granted; 32768
	AckWindow     int   // acks of one consumer awaiting commit; 1024
	BatchBytes    int   // a session's batch is proposed at this size; 1 MiB
	BatchRecords  int   // or at this number of frames; 256
	InFlightBytes int   // a session's proposals awaiting commit; 8 MiB
	InFlight      int   // the same in frames; 2048
	ProposalBytes int64 // all sessions' proposals awaiting commit; 256 MiB
	WaitingBytes  int64 // what waits for room in queues, of all sessions; 256 MiB
	StoreBytes    int64 // what all queues hold before producers wait; 0: any

	// Limits of transactions. What is above one is refused, and the transaction
	// with it.
	Transactions       int           // open at a time in one session; 100
	TransactionBytes   int           // of one, at most what one batch of the log holds; 64 MiB
	TransactionMemory  int64         // of all sessions together; 256 MiB
	TransactionTimeout time.Duration // from BEGIN on; 10 minutes

	// Limits of what is not in the log: messages for subscribers of topics and of
	// temporary destinations.
	SubscriberMessages int   // waiting for one of them; 10000
	SubscriberBytes    int   // of one of them; 8 MiB
	MemoryBytes        int64 // of all of them; 256 MiB
	Temporaries        int   // temporary destinations of one session; 1000

	Durables  int // durable subscriptions, and consumers of virtual topics; 10000
	Consumers int // all of them, one to many queues counted in each; 1000000

	// CatchUp returns when the index holds all that was committed before it was
	// called, or when the leadership ends: a receipt goes out at the commit, and
	// who has it may look for his message. May be nil.
	CatchUp func()
	// OnFailure is called once, when index or log cannot be read. The queue is
	// not dispatched any more: a message is never skipped. May be nil.
	OnFailure func(error)
	Now       func() time.Time // time.Now
	Logger    *slog.Logger     // nil discards
}

func (c Config) withDefaults() Config {
	set := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	set(&c.Window, 1024)
	set(&c.PrefetchMax, 32768)
	set(&c.AckWindow, 1024)
	set(&c.BatchBytes, 1<<20)
	set(&c.BatchRecords, 256)
	set(&c.InFlightBytes, 8<<20)
	set(&c.InFlight, 2048)
	set(&c.SubscriberMessages, 10000)
	set(&c.SubscriberBytes, 8<<20)
	set(&c.Temporaries, 1000)
	set(&c.Durables, 10000)
	set(&c.Consumers, 1_000_000)
	if c.MemoryBytes == 0 {
		c.MemoryBytes = 256 << 20
	}
	set(&c.Transactions, 100)
	set(&c.TransactionBytes, 64<<20)
	if c.TransactionMemory == 0 {
		c.TransactionMemory = 256 << 20
	}
	if c.TransactionTimeout == 0 {
		c.TransactionTimeout = 10 * time.Minute
	}
	if c.ProposalBytes == 0 {
		c.ProposalBytes = 256 << 20
	}
	if c.WaitingBytes == 0 {
		c.WaitingBytes = 256 << 20
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 64 << 20
	}
	if c.CacheQueue == 0 {
		c.CacheQueue = 8 << 20
	}
	if c.CatchUp == nil {
		c.CatchUp = func() {}
	}
	if c.OnFailure == nil {
		c.OnFailure = func(error) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports the first value that cannot work.
func (c Config) Validate() error {
	if c.Proposer == nil || c.Index == nil || c.Messages == nil || c.IDPrefix == "" {
		return errors.New("broker: config lacks Proposer, Index, Messages or IDPrefix")
	}
	if c.BatchBytes > record.MaxBatchSize/8 {
		return fmt.Errorf("broker: config: BatchBytes is %d, at most %d", c.BatchBytes, record.MaxBatchSize/8)
	}
	if c.TransactionBytes > TransactionMax {
		return fmt.Errorf("broker: config: TransactionBytes is %d, at most %d", c.TransactionBytes, TransactionMax)
	}
	for _, r := range c.IDPrefix {
		if r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return fmt.Errorf("broker: config: IDPrefix %q has %q, only letters, digits and dashes are allowed", c.IDPrefix, r)
		}
	}
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"Window", int64(c.Window)}, {"CacheBytes", c.CacheBytes}, {"CacheQueue", c.CacheQueue},
		{"PrefetchMax", int64(c.PrefetchMax)}, {"AckWindow", int64(c.AckWindow)},
		{"BatchBytes", int64(c.BatchBytes)}, {"BatchRecords", int64(c.BatchRecords)},
		{"InFlightBytes", int64(c.InFlightBytes)}, {"InFlight", int64(c.InFlight)},
		{"ProposalBytes", c.ProposalBytes}, {"WaitingBytes", c.WaitingBytes}, {"StoreBytes", c.StoreBytes},
		{"SubscriberMessages", int64(c.SubscriberMessages)}, {"SubscriberBytes", int64(c.SubscriberBytes)},
		{"MemoryBytes", c.MemoryBytes}, {"Temporaries", int64(c.Temporaries)},
		{"Durables", int64(c.Durables)}, {"Consumers", int64(c.Consumers)},
		{"Transactions", int64(c.Transactions)}, {"TransactionBytes", int64(c.TransactionBytes)},
		{"TransactionMemory", c.TransactionMemory}, {"TransactionTimeout", int64(c.TransactionTimeout)},
	} {
		if f.value < 0 {
			return fmt.Errorf("broker: config: %s is %d, must not be negative", f.name, f.value)
		}
	}
	return nil
}
