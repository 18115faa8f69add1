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
// and an event reaches a connection before any later answer.
//
// All of it survives the process. The machine's end (a power loss) may take
// what came after the last sync of the journal, and what is synced is every
// batch that creates or deletes a node, sets an ACL, or sets the data of a
// node that is not ephemeral. Not synced are the begin and end of sessions and
// the data of ephemeral nodes. So a session that is known after a power loss
// has its ephemeral nodes, which its client counts on. What may be lost is
// harmless: a session's begin with nothing created in it (its client is told
// that it expired), its end (it expires once more), and the newest data of an
// ephemeral node, which has its older version again, so that its owner's next
// write meets a conflict and tells the owner. In return an election, in which
// members publish in their ephemeral nodes, does not wait for the disk here.
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
// SASL, the super user, read-only mode, TLS, reconfiguration and the
// four-letter words that change something. Requests for them are refused in
// the way ZooKeeper refuses what is switched off. Quotas are counted and not
// enforced, as in ZooKeeper by default.
package devserver
