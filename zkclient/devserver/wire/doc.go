// Package wire is the part of the ZooKeeper client protocol that is only bytes
// and numbers: frames, the jute encoding, operation numbers, error codes and
// the request records. It has no state, clock or socket.
//
// # Frame
//
// A packet is a big-endian int32 length and that many bytes, at most MaxFrame.
//
// # Jute
//
// Integers are big-endian; a bool is one byte; a buffer is an int32 length
// (-1 is null) and the bytes; a string is a buffer of UTF-8; a vector is an
// int32 count (-1 is null) and its items. There are no tags: both sides know
// the record from the operation number.
//
// # Packets
//
// The first packet of a connection is a ConnectRequest. Each later one is
// {int32 xid, int32 operation} and the record of that operation, answered by
// {int32 xid, int64 zxid, int32 error} and, only without an error, a record.
package wire
