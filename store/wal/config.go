package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"baton/store/record"
	"baton/store/vfs"
)

// DefaultSegmentSize is Config.SegmentSize if it is 0.
const DefaultSegmentSize = 64 << 20

// Limits.
const (
	minSegmentSize = 4 << 10
	maxSegmentSize = 1 << 40
	zeroChunk      = 1 << 20  // bytes of zeros written at a time
	fillFraction   = 16       // of that is used up before the filler looks again
	spareSyncBytes = 16 << 20 // of zeros in a spare between two syncs
	readChunk      = 1 << 20
	markFraction   = 64 // a flush mark is written every 1/64 of a segment
	maxOpenFiles   = 64 // sealed segments kept open for readers
	gatherMax      = 500 * time.Microsecond
	paceBytes      = 32 << 10 // queued, for which a sync does not wait any longer
	paceCallers    = 32       // who wait for a sync, above which none is put off for them
	bufferMax      = 4 << 20  // bytes of a write buffer that is kept
	queueMax       = 8 << 10  // appends of a queue that is kept
	// How long a full disk is left alone before it is asked again.
	fullPauseMin = 50 * time.Millisecond
	fullPauseMax = time.Second
)

// Errors. Test with errors.Is; CorruptionError with errors.As.
var (
	// ErrFailed means that an earlier I/O error ended the log: nothing can be
	// appended or flushed any more. It wraps that error.
	ErrFailed = errors.New("wal: the log failed and accepts nothing more")
	// ErrFull means that the disk is full. Nothing was appended; it works again
	// by itself when there is space.
	ErrFull = errors.New("wal: disk full")
	// ErrClosed means that Close was called.
	ErrClosed = errors.New("wal: log is closed")
	// ErrBelowStart means that the position is no longer retained.
	ErrBelowStart = errors.New("wal: position is below the start of the log")
	// ErrPosition means that the position is beyond the end of the log or not
	// where a batch begins.
	ErrPosition = errors.New("wal: no batch begins at the position")
	// ErrGap means that raw batches do not continue the log.
	ErrGap = errors.New("wal: batch does not continue the log")
	// ErrEpoch means that a raw batch is of an older epoch than the log's end.
	ErrEpoch = errors.New("wal: batch goes back in epoch")
	// ErrTruncated means that the awaited position was cut off.
	ErrTruncated = errors.New("wal: position was truncated")
	// ErrVersion means that a newer program wrote the segment.
	ErrVersion = errors.New("wal: unknown segment version")
)

// CorruptionError says that bytes which had been written are not what they
// were. Nothing is cut or skipped because of it.
type CorruptionError struct {
	File     string
	Position record.Position
	Expected string
	Found    string
	Hint     string // what the operator can do
	Err      error  // cause, may be nil
}

func (e *CorruptionError) Error() string {
	return fmt.Sprintf("wal: %s is damaged at position %d: expected %s, found %s; %s",
		e.File, e.Position, e.Expected, e.Found, e.Hint)
}

func (e *CorruptionError) Unwrap() error { return e.Err }

const (
	hintRestore = "the node does not start with it: restore the file from a copy, or empty the data directory so that the node copies everything from its peers"
	hintUpgrade = "start it with the program version that wrote it, or a newer one"
)

// Config says where the log is and how it behaves. Dir is required.
type Config struct {
	Dir string // the data directory; the log is in Dir/log
	FS  vfs.FS // nil: the operating system's
	// Name of the log's directory in Dir, "log" if empty. Another one is for
	// a log that is received and not in use yet.
	Name string

	// SegmentSize is how many bytes of batches a segment takes, 64 MiB if 0.
	SegmentSize int64
	// FlushInterval is the least time between two syncs; 0 syncs as soon as
	// something was written. Longer ones are for the memory sync policies.
	FlushInterval time.Duration
	// QueueBytes bounds what is appended and not yet written, 64 MiB if 0;
	// Append waits beyond it. A single larger batch is still accepted.
	QueueBytes int64
	// ReserveBytes is space on the disk that is held ready for what still has
	// to be written when the disk is full (AppendUrgent), 4 MiB if 0. It is at
	// most a quarter of SegmentSize.
	ReserveBytes int64
	// Start is a position that the log must reach back to: a log whose oldest
	// segment begins above it has lost segments.
	Start record.Position
	// Boundaries are the epochs that began before Start, for the header of
	// the first segment of a log that is made here.
	Boundaries []record.EpochBoundary

	Logger *slog.Logger     // nil: silent
	Now    func() time.Time // nil: time.Now; stamps the batches
}

func (c Config) withDefaults() Config {
	if c.FS == nil {
		c.FS = vfs.OS{}
	}
	if c.Name == "" {
		c.Name = logDir
	}
	if c.SegmentSize == 0 {
		c.SegmentSize = DefaultSegmentSize
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = 64 << 20
	}
	if c.ReserveBytes == 0 {
		c.ReserveBytes = 4 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	if c.Dir == "" {
		return errors.New("wal: no directory given")
	}
	if s := c.SegmentSize; s != 0 && (s < minSegmentSize || s > maxSegmentSize) {
		return fmt.Errorf("wal: segment size %d is not within %d and %d bytes", s, minSegmentSize, int64(maxSegmentSize))
	}
	if c.FlushInterval < 0 {
		return fmt.Errorf("wal: flush interval %s is negative", c.FlushInterval)
	}
	if c.ReserveBytes < 0 {
		return fmt.Errorf("wal: reserve of %d bytes is negative", c.ReserveBytes)
	}
	if c.QueueBytes < 0 {
		return fmt.Errorf("wal: queue bound %d is negative", c.QueueBytes)
	}
	return nil
}
