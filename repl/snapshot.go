package repl

import (
	"context"
	"fmt"

	"baton/repl/wire"
	"baton/store/record"
)

// Giver lets a leader give its whole log to a follower that lacks what the
// leader no longer retains.
type Giver interface {
	// Give holds the log from its start to an end at or above the append
	// position of the moment of the call. ctx ends with the session.
	Give(ctx context.Context) (Given, error)
}

// Given is a snapshot being sent. Its methods are called by one goroutine at a
// time.
type Given interface {
	// Describe says what will come: the log from start to end, and the bytes
	// that the other side's Taker understands, at most wire.MaxManifest.
	Describe() (start, end record.Position, manifest []byte)
	// Next returns the chunk that begins where w says, at most max bytes unless
	// one batch is larger, and where the one after it begins. No data: that was
	// all. What w says comes from a peer and is to be checked.
	Next(w wire.Want, max int) (wire.Chunk, wire.Want, error)
	// Release is called once, at the end.
	Release()
}

// Taker lets a follower take in its leader's whole log, aside from its own.
type Taker interface {
	// Take begins or goes on with a snapshot. The manifest is a peer's.
	Take(manifest []byte) (Taken, error)
}

// Taken is a snapshot being received. Its methods are called by one goroutine
// at a time.
type Taken interface {
	// Want says which chunk comes next, and how far the log is.
	Want() (w wire.Want, at record.Position, complete bool)
	// Write keeps a chunk, which is a peer's, if it is the one that is wanted.
	Write(c wire.Chunk) error
	// Finish verifies the whole and makes it durable. It is not in use yet.
	Finish(ctx context.Context) error
	// Close is called once, at the end. What was written is kept, so that the
	// next Take can go on.
	Close() error
}

// SnapshotEvent is a snapshot that is being sent or received, or was.
type SnapshotEvent struct {
	Node       string // the other side
	Start, End record.Position
	Resumed    record.Position // where the transfer began; Start if it is a new one
	Reason     string          // why the log is not caught up instead; "" on the receiving side
}

func (e SnapshotEvent) String() string {
	return fmt.Sprintf("log from %d to %d", e.Start, e.End)
}

// transfer is the progress of a snapshot.
type transfer struct {
	SnapshotEvent
	at record.Position
}

// sentChunk is one in flight.
type sentChunk struct {
	end  wire.Want // where the chunk after it begins
	size int
}

// flight is what was sent of a snapshot and not yet acknowledged.
type flight struct {
	chunks []sentChunk
	bytes  int
}

func (f *flight) sent(end wire.Want, size int) {
	f.chunks = append(f.chunks, sentChunk{end, size})
	f.bytes += size
}

// landed takes out what the follower has.
func (f *flight) landed(w wire.Want) {
	for len(f.chunks) > 0 && !before(w, f.chunks[0].end) {
		f.bytes -= f.chunks[0].size
		f.chunks = f.chunks[1:]
	}
}

// before tells whether a is an earlier place in a snapshot than b.
func before(a, b wire.Want) bool {
	return a.Part < b.Part || a.Part == b.Part && a.At < b.At
}
