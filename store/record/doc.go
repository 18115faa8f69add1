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
// Strings are a uvarint length and bytes. See EpochStart, Enqueue, Ack, Move
// and Message for the fields in their order. A body that has bytes left over is
// refused: a newer version has another record type.
package record
