package throughput

import (
	"context"
	"fmt"
	"time"
)

const (
	rawReplicas = 3
	rawFrame    = 16 // bytes that a log adds to a message, at least
)

// Raw measures what is left of a cluster when everything but its I/O is taken
// away. This process, as the client, sends one batch at a time over loopback to
// another, which writes it to a zero-filled file, followed by an fdatasync, and
// sends it to two more processes, which do the same. It answers when two of the
// three are done, as quorum_disk asks. What every cluster of three processes
// and a client has to pay is in it: three syncs on one disk, four wake-ups of
// another process one after the other. writers is how many messages wait at a
// time, and so how many make up a batch. The result is in messages per second.
//
// command starts such a process; to it are added what ServeRaw is given: the
// directory for the file, the address to connect to, and the number of
// followers. All processes have ended when Raw returns.
func Raw(ctx context.Context, command []string, dir string, size, writers int, d time.Duration) (float64, error) {
	batch := make([]byte, writers*(size+rawFrame))
	if len(batch) > rawFile {
		return 0, fmt.Errorf("throughput: %d messages of %d bytes are more than the raw limit is measured with", writers, size)
	}
	leader, err := startRaw(ctx, command, dir, rawReplicas-1)
	if err != nil {
		return 0, err
	}
	defer leader.close()
	if err := leader.append(batch); err != nil { // all are connected then
		return 0, err
	}
	began, batches := time.Now(), 0
	for ctx.Err() == nil && time.Since(began) < d {
		if err := leader.append(batch); err != nil {
			return 0, err
		}
		batches++
	}
	return float64(batches*writers) / time.Since(began).Seconds(), ctx.Err()
}
