// Package wal is the log of one node: an append-only file of record batches
// with group commit, cut into segments.
//
// # Segments
//
// DIR/log holds the segments, named %016x.log by base position. The byte at
// position P of the log is in the last segment whose base is at or below P, at
// file offset 4096 + P - base. A batch never spans two segments; one that is
// larger than the segment size has a segment of its own. All segments but the
// last are exactly as long as their content. The last one, the active segment,
// is filled with zeros ahead of the append position, because overwriting is
// cheaper to sync than growing; zeros after the last batch are its clean end. A
// file that was a segment before is overwritten as it is: behind the last batch
// is then what that left, batches of positions other than their place.
// *.tmp are files whose creation did not finish. Beside the segments may be
// side files, which are the business of package store: START and %016x.base.
//
// # Header block
//
// The first 4096 bytes of a segment. Integers are little-endian, CRCs are
// CRC-32C. Magic, version and the CRC at 3068 stay where they are in every
// version.
//
//	offset size field
//	     0    8 magic "BTNSEG1\n"
//	     8    4 version: 1, or 2 for a file that was another segment before
//	    12    4 number of epoch boundaries (at most 180)
//	    16    8 base position
//	    24    8 commit position known when the segment was made, at most base
//	    32   16 each: epoch, position where it began; ascending, the newest
//	            ones that began before base
//	        ... reserved (0)
//	  3068    4 CRC of bytes 0..3068
//	  3072   16 flush mark A
//	  3584   16 flush mark B
//	        ... reserved (0)
//
// # Flush marks
//
// A flush mark says up to where the segment had been synced when the mark was
// written: the bytes below it were on stable storage, so if they are invalid
// now, that is damage and not the torn end of a write. Marks are written
// together with a sync whenever 1/64 of a segment was flushed since the last
// one, and when the log is closed; to A and B in turn so that a torn mark
// leaves the other, and the highest valid one counts. As a mark can only tell
// of earlier syncs it is behind by at least one group while the log is open.
//
//	offset size field
//	     0    8 position
//	     8    4 flags: 1 = sealed, the next segment exists and begins there
//	    12    4 CRC of bytes 0..12
//
// # Diverged tails
//
// TruncateTo copies what it cuts to DIR/diverged/<epoch>-<from>-<to>.log: the
// bare batches, with epoch (decimal) of the last of them and positions (%016x).
package wal
