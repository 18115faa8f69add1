// Package vfs is the only door between the store and a disk. FS and File are
// the few operations the store needs; OS does them on the real disk, Mem in
// memory with a model of power loss. Hook, Faults and Disk stand in front of
// either: Hook asks a function before each call, Faults fails, shortens, slows
// or falsifies the calls that its rules name, Disk runs out of space, Losable
// plays a power loss to its end on real files.
//
// What the store may assume of any FS, and what it may not:
//
//   - Content and size of a file are on stable storage when Sync returns, and
//     not before. Between two Syncs the disk keeps any subset of the written
//     512-byte sectors.
//   - A name (created, renamed or removed) is on stable storage when SyncDir
//     of its directory returns, and not before. Rename is atomic.
//   - After a failed Sync nothing is known about the data, and another Sync
//     that succeeds proves nothing: the caller must give up the file.
package vfs
