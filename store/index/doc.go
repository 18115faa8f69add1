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
//	'e' queue id (8) sequence (8)   position, size, timestamp (zigzag): a message in a queue
//	's' position (8)                records, bytes: what is live in the segment that begins there
//	'v' position (8)                old position: a move record that moved nothing
//	'q' queue name                  id, next sequence, head, depth, bytes, enqueued, acked
//	'm' "state"                     format (1), applied position, epoch, chain hash,
//	                                number of queue ids given, acks ignored
//	'm' "epoch"                     epoch, body of the newest epoch-start record
//	'm' "trim"                      what the index was begun with, see Trim
//
// # A log without its beginning
//
// Retention cuts the log off at its start when nothing live is there. An index
// can still be made from the rest, with a Base: the queues, and how many
// messages each had been given, as of the new start. What was live below the
// start is gone from every queue by now or has been moved up, so a replay needs
// to know of each move record of a message from below the start only whether
// it moved something when it was applied for the first time. That cannot be
// told from the log, for the ack that made it void may be below the start. So
// the index that has seen both notes void moves under 'v', and a Trim carries
// those that count.
//
// # Storage
//
// goleveldb works on store/vfs. Its journals are not synced while they are
// written; one is synced when the next begins. Together with its strict mode
// that makes the index after a power loss a state that it once had, or visibly
// damaged, but never one with a hole in it.
package index
