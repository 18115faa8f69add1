package store_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store"
	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
	"baton/store/wal"
)

// TestIndexOutwaitsAFullDisk: Apply waits for space and goes on, and what the
// index holds then is what the log says.
func TestIndexOutwaitsAFullDisk(t *testing.T) {
	mem := vfs.NewMem()
	faults := vfs.NewFaults(mem)
	cfg := store.Config{Dir: "/data", FS: faults}
	s := openStore(t, cfg)
	// The index waits for many messages before it writes.
	many := func(n int) []record.Position {
		at := []record.Position{s.Log().Positions().Append}
		for i := range n {
			b := record.NewBatch(1 << 16)
			for range 2000 {
				enqueue(b, "q1", "m", nil)
			}
			end, err := s.Log().Append(1, at[i], b)
			require.NoError(t, err)
			at = append(at, end)
		}
		require.NoError(t, s.Log().WaitFlushed(t.Context(), at[n]))
		return at
	}
	at := many(60)
	require.NoError(t, s.Apply(at[20], nil))

	full := make(chan struct{}, 100)
	inIndex := func(op vfs.Op) bool {
		return strings.Contains(op.Name, "/index/") && (op.Kind == vfs.OpWrite || op.Kind == vfs.OpCreate) ||
			strings.Contains(op.Name, "probe") && op.Kind == vfs.OpWrite
	}
	faults.Set(vfs.Rule{Match: inIndex, Times: -1, Err: vfs.ErrFull, Short: 10, Before: func(vfs.Op) {
		select {
		case full <- struct{}{}:
		default:
		}
	}})
	done := make(chan error, 1)
	go func() { done <- s.Apply(at[60], nil) }()
	for range 3 { // the write, and some looks for space
		select {
		case <-full:
		case err := <-done:
			t.Fatalf("Apply ended on a full disk: %v", err)
		}
	}
	_, err := s.Index().Scan("q1", 0, 5)
	require.NoError(t, err, "what is there can be read")
	faults.Set()
	require.NoError(t, <-done)
	applied, _ := s.Applied()
	require.Equal(t, at[60], applied)
	require.Equal(t, rebuild(t, s, at[60]), dump(t, s))

	t.Run("close ends the wait", func(t *testing.T) {
		more := many(40)
		for len(full) > 0 {
			<-full
		}
		faults.Set(vfs.Rule{Match: inIndex, Times: -1, Err: vfs.ErrFull, Before: func(vfs.Op) {
			select {
			case full <- struct{}{}:
			default:
			}
		}})
		go func() { done <- s.Apply(more[40], nil) }()
		<-full
		s.Close() // the index cannot be closed well either
		require.ErrorIs(t, <-done, store.ErrClosed)
		faults.Set()
		s := openStore(t, cfg)
		require.NoError(t, s.Apply(more[40], nil))
		require.Equal(t, rebuild(t, s, more[40]), dump(t, s))
	})
}

// TestFullDiskIsDrained: on a disk without one free byte acks are stored and
// take effect, a promise is kept, the log is shortened, and what that frees
// lets the log take messages again. Nothing is lost.
func TestFullDiskIsDrained(t *testing.T) {
	disk := vfs.NewDisk(vfs.NewMem(), 48<<20)
	cfg := store.Config{Dir: "/data", FS: disk, SegmentSize: 8 << 20}
	s := openStore(t, cfg)
	send := func() error {
		b := record.NewBatch(64 << 10)
		for range 16 {
			enqueue(b, "q1", "m", make([]byte, 4096))
		}
		end, err := s.Log().Append(1, s.Log().Positions().Append, b)
		if err == nil {
			require.NoError(t, s.Log().WaitFlushed(t.Context(), end))
			require.NoError(t, s.Apply(end, nil))
		}
		return err
	}
	sent := record.Sequence(0)
	for err := error(nil); err == nil; {
		if err = send(); err == nil {
			sent += 16
		} else {
			require.ErrorIs(t, err, wal.ErrFull)
		}
	}
	disk.SetFree(0)
	require.NoError(t, s.Seal(5), "a promise finds room")
	require.NoError(t, s.Seal(6), "and the next")

	trimmed := 0
	for from := record.Sequence(1); from <= sent; from += 16 {
		a := record.Ack{Queue: "q1"}
		for i := range record.Sequence(16) {
			a.Sequences = append(a.Sequences, from+i)
		}
		b := record.NewBatch(1 << 10)
		b.Add(record.TypeAck, a.AppendTo)
		end, err := s.Log().AppendUrgent(6, s.Log().Positions().Append, b)
		require.NoError(t, err)
		require.NoError(t, s.Log().WaitFlushed(t.Context(), end))
		require.NoError(t, s.Apply(end, nil))
		q, _ := s.Index().Queue("q1")
		require.EqualValues(t, sent-from-15, q.Depth, "an ack takes effect at once")
		did, err := s.Trim(t.Context(), everywhere)
		require.NoError(t, err)
		trimmed += did.Segments
	}
	require.NotZero(t, trimmed)
	space, end := s.Log().Subscribe(0)
	defer end()
	for s.Log().Full() {
		<-space
	}
	require.NoError(t, s.Close())
	s = openStore(t, cfg)
	require.EqualValues(t, 6, s.Meta().Sealed)
	b := record.NewBatch(1 << 10)
	enqueue(b, "q1", "m", make([]byte, 4096))
	at, err := s.Log().Append(6, 0, b)
	require.NoError(t, err, "service resumes")
	require.NoError(t, s.Log().WaitFlushed(t.Context(), at))
	require.NoError(t, s.Apply(at, nil))
	live := dump(t, s)
	require.NoError(t, s.Close())
	require.NoError(t, index.Wipe(disk, "/data/index"))
	s = openStore(t, cfg)
	require.NoError(t, s.Apply(at, nil))
	require.Equal(t, live, dump(t, s))
}

// TestFullIndexUsesItsReserve: the index goes on with the space that its file
// held, and the file is made again when there is space.
func TestFullIndexUsesItsReserve(t *testing.T) {
	const reserve = 8 << 20
	disk := vfs.NewDisk(vfs.NewMem(), 1<<30)
	s := openStore(t, store.Config{Dir: "/data", FS: disk, SegmentSize: 2 * reserve})
	path := filepath.Join("/data", "reserve-index")
	var at []record.Position
	for range 60 { // of which the index holds back the last part
		b := record.NewBatch(1 << 20)
		for range 2000 {
			enqueue(b, "q1", "m", make([]byte, 200))
		}
		end, err := s.Log().Append(1, 0, b)
		require.NoError(t, err)
		at = append(at, end)
	}
	end := at[59]
	require.NoError(t, s.Log().WaitFlushed(t.Context(), end))
	require.NoError(t, s.Apply(at[39], nil), "more than a segment")
	require.Eventually(t, func() bool {
		info, err := disk.Stat(path)
		return err == nil && info.Size == reserve
	}, time.Minute, time.Millisecond)
	disk.SetFree(0)
	require.NoError(t, s.Apply(end, nil))
	require.True(t, s.Log().Full(), "the log leaves to the index what there is")
	info, err := disk.Stat(path)
	require.True(t, err != nil || info.Size < reserve, "the index has used the reserve")
	space, unsubscribe := s.Log().Subscribe(0)
	defer unsubscribe()
	disk.SetFree(64 << 20)
	for s.Log().Full() {
		<-space
	}
	info, err = disk.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, reserve, info.Size)
	require.Equal(t, rebuild(t, s, end), dump(t, s))
}

// TestOpenOnAFullDisk: the space that the reserve took is there for what the
// index writes when it is opened.
func TestOpenOnAFullDisk(t *testing.T) {
	disk := vfs.NewDisk(vfs.NewMem(), 1<<30)
	cfg := store.Config{Dir: "/data", FS: disk}
	s := openStore(t, cfg)
	b := record.NewBatch(100)
	enqueue(b, "q1", "m", nil)
	end, err := s.Log().Append(1, 0, b)
	require.NoError(t, err)
	require.NoError(t, s.Log().WaitFlushed(t.Context(), end))
	require.NoError(t, s.Apply(end, nil))
	require.NoError(t, s.Close())
	disk.SetFree(0)
	s = openStore(t, cfg)
	require.NoError(t, s.Apply(end, nil))
	q, _ := s.Index().Queue("q1")
	require.EqualValues(t, 1, q.Depth)
}

// TestBaseFileLeavesRoomForAPromise: the small files of retention use a part of
// the reserve only, or no promise could be made until the disk has space again.
func TestBaseFileLeavesRoomForAPromise(t *testing.T) {
	disk := vfs.NewDisk(vfs.NewMem(), 64<<20)
	full := false
	fs := vfs.NewHook(disk, func(op vfs.Op) error {
		// The disk is full from the moment at which a base file is made.
		if op.Kind == vfs.OpCreate && strings.Contains(op.Name, ".base") && !full {
			full = true
			disk.SetFree(0)
		}
		return nil
	})
	s := openStore(t, store.Config{Dir: "/data", FS: fs, SegmentSize: 2 << 20})
	for !full {
		b := record.NewBatch(64 << 10)
		enqueue(b, "q1", "m", make([]byte, 60<<10))
		end, err := s.Log().Append(1, s.Log().Positions().Append, b)
		require.NoError(t, err)
		require.NoError(t, s.Log().WaitFlushed(t.Context(), end))
		require.NoError(t, s.Apply(end, nil))
	}
	disk.SetFree(0) // somebody else took what was left
	require.NoError(t, s.Seal(5))
	require.NoError(t, s.Close())
}
