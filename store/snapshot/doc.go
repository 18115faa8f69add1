// Package snapshot moves a whole log from one node to another: what the giving
// side offers, how the receiving side keeps it aside until it is complete, and
// how it takes the place of the old log in one step.
//
// # What is shipped
//
// A snapshot is the log from its start to an end, as whole batches; if the log
// does not begin at 0, the two side files that say what the records below the
// start add up to and why they could go; and a Manifest. The index is not shipped:
// it can always be made from the rest, so it would only be one more thing that
// can be wrong. Part numbers leave room for it.
//
// Nothing is copied to make a snapshot. The giver reads the log as it is asked
// for; it keeps the segments from being freed until Release.
//
// No name or path crosses the wire. A chunk is named by its part and position,
// and the receiver makes files of its own.
//
// # Manifest
//
// Integers are little-endian; the CRC is CRC-32C.
//
//	offset size field
//	     0    8 magic "BTNSNAP\n"
//	     8    4 version (1)
//	    12    4 length of the whole manifest
//	    16    8 start: where the log begins
//	    24    8 end: where the snapshot ends
//	    32    8 epoch of the last batch before end
//	    40    8 chain at start (record.Chain)
//	    48    8 check position, within start and end
//	    56    8 chain at the check position
//	    64    8 size of the side files, 0 = there are none
//	    72   32 SHA-256 of the side files
//	   104    4 length of the cluster id
//	   108    4 number of epoch boundaries (at most 4096)
//	   112      cluster id
//	            16 each: epoch, position where it began; ascending
//	            4 CRC of everything before
//
// # Side files
//
//	offset size field
//	     0    8 length of START
//	     8      START, then the base file of the first segment
//
// # What is verified
//
// Each chunk carries its SHA-256. Each batch has its own checksums and must
// continue the one before it in position and epoch. The running hash at the
// check position must be the giver's: that compares every header, and so the
// checksum of every body, with what the giver has applied.
//
// # How it is installed
//
//	DIR/incoming/   a log that is being received; kept over a restart, so that
//	                the rest can be fetched
//	DIR/install/    a log that is complete: whoever opens the directory next
//	                must put it in the place of DIR/log
//	DIR/replaced/   the log that was replaced, about to be removed
//
// Commit renames incoming to install; that one rename decides. Resume does the
// rest, in steps that can each be done again after a crash: wipe the index,
// rename log to replaced, rename install to log, remove replaced.
package snapshot
