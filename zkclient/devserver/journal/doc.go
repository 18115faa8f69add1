// Package journal keeps a state on disk as a snapshot and a log of records
// after it. It does not know what the bytes mean.
//
// # Files
//
// Generation G, sixteen hex digits, has two files: "snapshot.G" and "log.G".
// The state is the snapshot and, applied to it in order, the records of its
// log. A new generation is made by writing "snapshot.G+1.tmp", syncing it,
// renaming it and syncing the directory; only then is log.G+1 created and the
// old generation removed. So the highest snapshot without ".tmp" is complete
// and its log, if there is none yet, is empty. "lock" is held by the process
// that uses the directory.
//
// # Snapshot
//
//	offset size field, little-endian
//	     0    8 magic "BZKSNAP1"
//	     8    4 CRC-32C of the payload
//	    12    8 length of the payload
//	    20      payload
//
// # Log
//
// Nothing but records:
//
//	offset size field, little-endian
//	     0    4 magic "BZKR"
//	     4    4 CRC-32C of all that follows, payload included
//	     8    4 length of the payload
//	    12    8 synced: bytes at the start of this log that were on stable
//	            storage when the record was written
//	    20      payload
//
// A crash may leave a torn end: records that were written and not synced, in
// part or damaged. They are dropped. A damaged record that a later one says
// was synced is no torn end but a damaged disk, and recovery refuses.
package journal
