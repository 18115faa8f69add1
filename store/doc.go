// Package store is one node's data directory: the log (store/wal), the index
// derived from it (store/index), and META, the few facts that are neither. It
// keeps them consistent with each other, over crashes as well.
//
//	DIR/lock        locked while a process has the store open
//	DIR/META        cluster id, node id, incarnation, sealed epoch; see Meta
//	DIR/log/        segments, see package wal; START and *.base, see index.Trim and
//	                index.Base: what it takes to begin above position 0
//	DIR/index/      see package index; may be deleted while the node is down
//	DIR/incoming/   a log that is being received, see package snapshot
//	DIR/install/    one that is complete and about to replace DIR/log
//	DIR/replaced/   one that was replaced and is being removed
//	DIR/damaged-N/  one that could not be opened and was moved aside
//	DIR/diverged/   tails that were cut off, for people to look at
//
// META is one JSON object: "version" (1), "crc32c" of the bytes of "meta", and
// "meta". It is replaced as a whole: written aside, synced, renamed, directory
// synced.
package store
