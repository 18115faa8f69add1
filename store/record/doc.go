// Package record is the format of the log: what a batch and its records look
// like as bytes, on disk and on the replication wire alike. It is pure: no
// goroutines, clock, files or sockets, so every rule in it can be tested as a
// function from bytes to bytes.
//
// # Batch
//
// The log is a gapless sequence of batches. A batch is the unit of atomicity:
// it is valid as a whole or not at all. It carries its own length and
// checksums, so there is no separate end marker that could be lost. All
// integers are little-endian; CRCs are CRC-32C (Castagnoli).
//
//	offset size field
//	     0    4 magic "BTN1"
//	     4    1 version (1)
//	     5    1 flags (0)
//	     6    2 reserved (0)
//	     8    4 length of the whole batch, header included
//	    12    4 number of records (at least 1)
//	    16    8 epoch of the leader that wrote the batch
//	    24    8 position: the absolute byte address of this batch in the log
//	    32    8 commit position that the leader knew when it wrote the batch
//	    40    8 time, Unix microseconds, leader's clock
//	    48    4 CRC of everything after the header
//	    52    4 CRC of bytes 0..52
//	    56      records
//
// # Record
//
//	offset size field
//	     0    4 length of the whole record, header included
//	     4    1 type
//	     5    3 reserved (0)
//	     8    4 CRC of bytes 0..8 and of the body
//	    12      body
//
// A record has a CRC of its own so that one message can be read and verified
// without reading the batch around it. The position of a record is the
// position of its batch plus its offset in it.
//
// # Bodies
//
// Numbers are uvarints, strings a uvarint length and bytes, each with its limit.
// A body that has bytes left over is refused, and so is a flag that is not
// known: a newer program wrote it.
//
//	1 epoch-start   cluster id, leader, replicas, number of members; of each,
//	                sorted, node id and incarnation
//	2 enqueue       queue, message id, flags (1 byte), priority (1 byte),
//	                timestamp; what the flags announce: deadline (2), dedup id
//	                (4), redeliveries (8), never zero or empty; number of
//	                headers, name and value of each; the message body up to
//	                the end. Flag 1: transient
//	3 ack           queue, number of sequences, sequences
//	4 move          sequence, position of the old record, an enqueue body
//	5 redeliver     queue, number of messages; of each, sequence and count
//	6 delete-queue  queue
//	7 subscribe     client id, name, flags (1 byte; 1 = no local), destination,
//	                selector
//	8 unsubscribe   client id, name
//	9 forget        position
//
// What a record does depends on the log before it alone, so that every node
// comes to the same state: who writes it has decided what time it is, which
// limit is exceeded, and to which queues a message goes.
package record
