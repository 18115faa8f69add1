// Package wire is the replication protocol as bytes: framing and the body of
// each frame. It reads from an io.Reader and appends to byte slices; it knows
// no sockets, deadlines or roles.
//
// # Frame
//
// All integers are little-endian; the CRC is CRC-32C (Castagnoli).
//
//	offset size field
//	     0    4 length of the whole frame, header included
//	     4    1 type
//	     5    1 protocol version (1)
//	     6    2 reserved (0)
//	     8    8 epoch of the sender: the leader's own, or what the follower sealed
//	    16    4 CRC of bytes 0..16 and of the body
//	    20      body
//
// Length and version are checked first, in every version of the protocol, so
// that a newer peer is told so instead of being called corrupt. The length is
// checked against the reader's limit before anything is allocated: MaxHandshake
// until both sides have proved that they know the token, MaxFrame afterwards.
//
// # Bodies
//
// A string is a 2-byte length and bytes; a position or epoch is 8 bytes. A
// body that has bytes left over is refused.
//
//	type  name          from      body
//	   1  Hello         follower  cluster id, node, incarnation, leader expected, nonce (32)
//	   2  Challenge     leader    cluster id, node, nonce (32)
//	   3  Proof         follower  MAC (32)
//	   4  Welcome       leader    MAC (32)
//	   5  Refuse        either    code (2), epoch, sentence
//	   6  Attach        follower  log start, log end, number of epochs (4), epoch and start of each, flags (1)
//	   7  Position      leader    verdict (1: 1 continue, 2 truncate), flags (1), position, leader's end, commit
//	   8  Append        leader    commit, then whole batches as package record defines them
//	   9  Ack           follower  received, flushed, applied
//	  10  Heartbeat     leader    commit, leader's end, time (8, opaque)
//	  11  HeartbeatAck  follower  time of the heartbeat that is answered
//	  12  Snapshot      leader    leader's end, commit, start and end of the snapshot, then its manifest
//	  13  Want          follower  part (1), position: everything before it is there
//	  14  Chunk         leader    part (1), position, SHA-256 (32), then the data
//
// Flag 1 of Attach says that the follower's log is damaged and asks for a
// snapshot. Flag 1 of Position asks the follower to acknowledge a write at once, not
// only a flush.
//
// # Handshake
//
//	follower                          leader
//	Hello(ids, nonce)       ------>
//	                        <------   Challenge(ids, nonce)
//	Proof(MAC)              ------>
//	                        <------   Welcome(MAC)
//	Attach(log)             ------>
//	                        <------   Position(where to go on), then Append, Append, ...
//	                                  or Snapshot(manifest)
//	Want(first chunk)       ------>
//	                        <------   Chunk, Chunk, ...
//	Want(next chunk)        ------>
//
// A MAC is HMAC-SHA-256 keyed with the shared token over a label that names
// the side, the protocol version, and the epochs and bodies of Hello and
// Challenge as sent. So it covers both nonces and all ids; it cannot be
// replayed to another session, reflected, or carried to another cluster. The
// token itself is never sent. No token is the empty key: both sides agree only
// if neither has one. Frames after the handshake carry a checksum, not a MAC:
// where others can write to the network, run the protocol inside mutual TLS.
//
// Refuse may come in place of any answer and ends the connection.
package wire
