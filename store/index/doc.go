// Package index is the state that the log adds up to: which queues there are
// and which messages are in them, as positions in the log. It is derived, so
// it is written without sync, and deleting it loses nothing.
//
// Apply is the only way in, for replay and live alike. It writes the effect of
// some batches, the position behind them, the epoch and the running hash of
// the log in one atomic batch of the key-value store, so a batch is applied
// wholly or not at all, and applying it again does nothing.
//
// # Keys
//
// Numbers in keys are big-endian; values are uvarints in the order given.
//
//	'e' queue id (8) sequence (8)   position, size, timestamp (zigzag): a message in a queue;
//	                                deadline, redeliveries if one of them is not 0
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
// # Storage
//
// goleveldb works on store/vfs. Its journals are not synced while they are
// written; one is synced when the next begins. Together with its strict mode
// that makes the index after a power loss a state that it once had, or visibly
// damaged, but never one with a hole in it.
package index
