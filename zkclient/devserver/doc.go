// Package devserver is a small server that speaks the ZooKeeper client
// protocol, for development, tests and demonstrations without Java. Clients
// see what a single ZooKeeper 3.8 server would show them: sessions and their
// expiry, ephemeral and sequential nodes, watches, ACLs, transactions and the
// four-letter words. It is one process: it does not replicate, so a production
// cluster wants three real ZooKeeper servers.
//
// # Threads
//
//	runAccept     one per server; takes connections, refuses those over the limit
//	runConn       one per connection; reads packets and hands them to runProcessor
//	runWriter     one per connection; writes what is queued for it
//	runProcessor  one per server; owns the tree, the sessions, the watches and
//	              the journal, so none of them needs a lock
//
// # Order and durability
//
// runProcessor takes the waiting requests as a batch, answers each in memory,
// writes their changes to the journal, and only then releases the answers and
// watch events of the batch, in the order in which they arose. So no client
// ever sees, through its own request or another's, what is not written yet,
// and an event reaches a connection before any later answer. The journal is
// synced for every batch that changes more than ephemeral nodes and sessions;
// those are written and survive the process, but the last of them may be lost
// with the machine.
//
// # Restart
//
// The high half of the zxid is an epoch that grows with every start: the Unix
// time in seconds, or one more than the stored epoch if that is higher. So a
// client is never ahead of the server, also if there is no data directory or
// it was emptied. With a data directory the sessions survive, each with its
// full timeout afresh; without one they are unknown and their clients are told
// that they have expired.
//
// # Not served
//
// Quotas, SASL, the super user, read-only mode, TLS, reconfiguration and the
// four-letter words that list watches. Requests for them are refused in the
// way ZooKeeper refuses what is switched off.
package devserver
