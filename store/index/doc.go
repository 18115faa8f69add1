// Package index is the state that the log adds up to: which queues there are
// and which messages are in them, as positions in the log. It is derived, so
// it is written without sync, and deleting it loses nothing.
//
// Apply is the only way in, for replay and live alike. It changes what is in
// memory, a batch wholly or not at all, and applying one again does nothing. What
// has changed is written to a key-value store when there is much of it: in one
// atomic write, with the position, the epoch and the running hash of the log up
// to which it is the effect. A process that dies loses what was not written, and
// the next applies that part of the log again.
//
// # Keys
//
// Numbers in keys are big-endian; values are uvarints in the order given.
//
//	'e' queue id (8) number (8)     a block: the messages in a queue with sequences from
//	                                number*64 on, below (number+1)*64
//	's' position (8)                records, bytes: what is live in the segment that begins there
//	'x' deadline (8) queue id (8)   nothing: a message in a queue that has a deadline
//	    sequence (8)
//	'u' length of queue name,       position of its record: an id that suppresses duplicates
//	    queue name, id
//	'o' position (8)                time (zigzag), length of queue name, queue name, id: the
//	                                same by age
//	'c' length of client id,        position, body of its record: a durable subscription
//	    client id, name
//	'v' position (8)                position: a record that did nothing because of another
//	'q' queue name                  id, next sequence, head, depth, bytes, enqueued, acked,
//	                                duplicates
//	'm' "state"                     format, applied position, epoch, chain hash, number of
//	                                queue ids given, of deleted queues, floor, ids that
//	                                suppress duplicates, acks ignored
//	'm' "epoch"                     epoch, body of the newest epoch-start record
//	'm' "trim"                      what the index was begun with, see Trim
//
// A block is two words (8 bytes, little-endian): bit i of the first is set if the
// message of sequence number*64+i is in the queue, bit i of the second if it has
// a deadline or redeliveries. Then, of each message in the queue by rising
// sequence, zigzag: its position less the end of the record before (0 for the
// first), its size less the one before, its timestamp less the one before; and
// if its bit in the second word is set, uvarints deadline, redeliveries. A block
// without messages is not there.
//
// # A log without its beginning
//
// Retention cuts the log off at its start when nothing live is there, and no
// id that suppresses duplicates. An index can still be made from the rest, with
// a Base: the queues, and how many messages each had been given, and the durable
// subscriptions, as of the new start. What was live below the start is gone from
// every queue by now or has been moved up, and the ids from below are
// forgotten; so a replay comes to the same state, if it knows of some records
// whether they did something when they were applied for the first time, which
// depended on what is gone: moves of a message from below, messages with an id,
// deletes of queues. The index that has seen both notes those that did nothing
// under 'v', and a Trim carries those that count.
//
// Everything else about a message that must outlive its first record is in each
// of its records: a move carries deadline and redeliveries, and sets them.
//
// # Memory
//
// Blocks that Apply has looked at or changed stay in memory for a while. Those
// that have changed, with all else that the key-value store does not know yet,
// are what readers see instead of what it says. A message that comes and goes
// between two writes never gets there, and a deep queue whose ends move costs it
// one key for 64 messages.
//
// # Storage
//
// goleveldb works on store/vfs. Each write is handed to the operating system,
// so that it outlives the process. It is synced once in 64 MiB of log; together
// with its strict mode that makes the index after a power loss a state that it
// once had, or visibly damaged, but never one with a hole in it.
package index
