// Package broker is the in-memory side of a leader that serves: which message
// goes to which consumer, and what is proposed to the log on behalf of
// clients. It is built at each promotion and thrown away at demotion; nothing
// in it outlives the leadership, and nothing in it is needed to recover.
//
// # One rule
//
// A message becomes deliverable only when the applier says Enqueued, and is
// gone only when the applier says Acked; both are called in log order, after
// commit and after the index was written. So nothing uncommitted is ever
// delivered. A frame's receipt goes out when Propose's callback says nil.
//
// # A message's way
//
//	index --Scan--> ready --dispatch--> delivered --ack--> acking --Acked--> gone
//	                          ^              |                |
//	                          +-- returned --+----------------+ (nack, detach, failed ack)
//	                                  ^      |
//	                                  +-- delayed (nack)
//
// What came back too often, or is expired, is dead: runChores takes it out of
// the queue and puts it into a dead-letter queue, in one batch. How often a
// message came back is in the log, too, but a little later, and only if it
// counts: see giveBack.
//
// ready is a bounded window of a queue's oldest messages that were never
// delivered; whatever lies behind it is in the index alone. returned holds what
// came back, in the order of the queue; it always goes before ready. Bodies are
// kept only within a budget and only until delivery; otherwise they are read
// from the log.
//
// # Priorities
//
// The messages of each priority of a queue are a queue of their own in the log,
// its lane; those of the normal one are in the queue of the plain name. Within a
// lane the order is the log's. A message goes before all of lower lanes that are
// not delivered yet, also when either is in the index alone.
//
// # Destinations
//
// A message is routed once, when it is sent, by router: to queues of the log,
// one copy in each, all in one batch; and to queues in memory, which get it when
// that batch is committed, in the order of the session.
//
//	/queue/a            the queue
//	/topic/t            the queue of each durable subscription, and of each group
//	                    of consumers of a virtual topic; each other subscriber's
//	                    queue in memory
//	/temp-queue/x       a queue in memory
//	/temp-topic/x       each subscriber's queue in memory
//
// A queue in memory is a queue like any other, so everything that consumers can
// do works on it; but its acks are proposed to nobody, and it is bounded: a
// subscriber that does not keep up loses its oldest messages, a full temporary
// queue refuses new ones. A durable subscription is a record of the log. The
// name of its queue has the position of that record, so one that is made anew
// begins empty; what is left of the old one runPurges removes.
//
// A consumer of several queues is a bundle of subscriptions, one in each, with
// one prefetch. Those for a pattern are added as queues appear.
//
// # Who gets a message
//
// If a queue has exclusive consumers, the first of them alone; then the highest
// priority; then in turn. A group of messages stays with the consumer that got
// its first one until that leaves: which group a message is of is not in the
// index, so messages are read before they are given away. Messages of a group
// whose consumer is busy are passed over within the window.
//
// A consumer with a selector does not wait for its messages to come into the
// window. It walks along the queue by itself, looks at each message once, and
// takes what it wants out of turn; the others find it gone.
//
// # Deadlines
//
// The index keeps the messages with deadlines of all queues in their order.
// runDue walks along it: what expires leaves its queue, what the schedule holds
// goes to its destination. Both are one batch with the removal, so they happen
// once: a leader that is deposed before the commit has done nothing. After an
// outcome in doubt the batch is in the log, and is not proposed once more.
//
// # Flow control
//
// Producers wait, and nothing is dropped: for the commit of what they sent (a
// session's window, and the gate that all sessions share), and for room in
// queues with limits and in the store. The limits of a queue are exact: a message
// counts from when it is let in, before it is proposed, until the applier has
// told of it and the index counts it, or its proposal has failed. Who waits for room waits for consumers,
// whose acks may be behind it on the same connection; so that is held aside,
// within bounds, while the connection is read on, and refused after a time. What
// the session sends to other places overtakes it, its receipt too: a receipt
// says nothing about the frames before. At the bound a connection that consumes
// is still read, and what it sends is refused; any other is not read. A client
// that is lost leaves what is held aside where it is: it was sent.
// Consumers are independent of each other: one that does not settle, or not
// read, gets no more messages than its prefetch and its output buffer hold.
//
// # Transactions
//
// A transaction is a batch that is not proposed yet: its messages are encoded
// into it as they come, and what it settles is held apart from both the queue
// and the consumer's unsettled deliveries. COMMIT proposes that one batch, so
// the log's promise, a batch is there wholly or not at all, is the
// transaction's, through crashes and changes of leader. Nothing of an open
// transaction is in the log, so a connection that ends leaves nothing behind.
// A refused frame refuses its transaction.
//
// # Ownership
//
//	Broker    owns the table of queues; runAcks, which proposes the acks of
//	          auto-mode deliveries, one batch in flight; and runChores, which does
//	          so with what needs room on the disk.
//	          runPurges empties and deletes queues of durable subscriptions that
//	          are no more.
//	browser   has a goroutine of its own while it shows a queue.
//	bundle    has one, for a moment, when legs that wait may go on.
//	queue     owns its entries and its consumers. While it has work that a
//	          consumer could take, exactly one runDispatch goroutine exists.
//	Session   belongs to one connection. Its reader alone calls its methods, but
//	          for Abort, which anyone may call.
//	Client    belongs to the connection: Reserve, Deliver and Settled are called
//	          by goroutines of the broker and of the proposer, and never block.
//
// # Locks
//
// In this order; Propose, Scan and Enqueued (of Messages) run under none:
//
//	Broker.queues -> Broker.topics -> temporary.mu -> queue.mu -> bundle.mu -> locks of Client
//	Session.open -> queue.mu
//	flow of a queue -> queue.mu, Session.parked
//	Session.mu -> Broker.topics, locks of Client
//	Broker.autos, Broker.chores, Broker.purges, Broker.life: nothing is locked under them
package broker
