package store_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store"
	"baton/store/record"
	"baton/store/vfs"
)

// fullScript fills a disk, and makes promises, acknowledges and trims on it
// without a free byte. It notes what was promised and what was flushed.
type fullScript struct {
	disk    *vfs.Disk
	sealed  record.Epoch
	flushed record.Position
	acked   bool
	trimmed bool
}

func (f *fullScript) run(s *store.Store) error {
	const messages = 24
	add := func(b *record.Batch) error {
		put := s.Log().Append
		if b.Urgent() {
			put = s.Log().AppendUrgent
		}
		end, err := put(6, 0, b)
		if err == nil {
			err = s.Log().WaitFlushed(context.Background(), end)
		}
		if err == nil {
			f.flushed = end
			err = s.Apply(end, nil)
		}
		return err
	}
	seal := func(e record.Epoch) error {
		err := s.Seal(e)
		if err == nil {
			f.sealed = e
		}
		return err
	}
	for range messages {
		b := record.NewBatch(600)
		enqueue(b, "q1", "m", make([]byte, 500))
		if err := add(b); err != nil {
			return err
		}
	}
	f.disk.SetFree(0)
	for _, e := range []record.Epoch{5, 6} {
		if err := seal(e); err != nil {
			return err
		}
	}
	a := record.Ack{Queue: "q1"}
	for seq := range record.Sequence(messages) {
		a.Sequences = append(a.Sequences, seq+1)
	}
	b := record.NewBatch(100)
	b.Add(record.TypeAck, a.AppendTo)
	if err := add(b); err != nil {
		return err
	}
	f.acked = true
	did, err := s.Trim(context.Background(), everywhere)
	f.trimmed = did.Segments > 0
	if err == nil {
		err = seal(7)
	}
	return err
}

// TestFullDiskCrashPoints ends the machine at each call that changes the disk
// while it is full: what was promised and flushed is there afterwards.
func TestFullDiskCrashPoints(t *testing.T) {
	seed := seedOf(t)
	points := 0
	for dieAt := int64(0); ; dieAt++ {
		where := fmt.Sprintf("seed %d, dies before call %d", seed, dieAt)
		mem := vfs.NewMem()
		f := &fullScript{disk: vfs.NewDisk(mem, 1<<20)}
		var calls atomic.Int64
		s, err := store.Open(crashConfig(vfs.NewHook(f.disk, func(op vfs.Op) error {
			if op.Changes() && calls.Add(1) > dieAt {
				return vfs.ErrCrashed
			}
			return nil
		})))
		if err == nil {
			err = f.run(s)
		}
		if err != nil {
			requireCrash(t, err, where)
		}
		after := mem.Kill()
		if dieAt%2 == 0 {
			after = mem.Crash(seed + uint64(dieAt))
		}
		if s != nil {
			s.Close()
		}
		again, oerr := store.Open(crashConfig(after))
		require.NoError(t, oerr, where)
		require.GreaterOrEqual(t, again.Meta().Sealed, f.sealed, where)
		end := again.Log().Positions().Append
		require.GreaterOrEqual(t, end, f.flushed, where)
		require.NoError(t, again.Apply(end, nil), where)
		dump(t, again)
		if q, ok := again.Index().Queue("q1"); ok && f.acked {
			require.Zero(t, q.Depth, where)
		}
		require.NoError(t, again.Close())
		if err == nil {
			require.True(t, f.trimmed, "a full disk does not keep the log from being shortened")
			break
		}
		points++
	}
	t.Logf("%d crash points", points)
}
