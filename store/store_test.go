package store_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store"
	"baton/store/record"
	"baton/store/vfs"
)

func enqueue(b *record.Batch, queue, id string, body []byte) {
	e := record.Enqueue{Queue: queue, Message: record.Message{ID: id, Timestamp: 1700000000000, Priority: 4, Body: body}}
	b.Add(record.TypeEnqueue, e.AppendTo)
}

func TestStoreKeepsMessages(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"os": vfs.OS{}, "mem": vfs.NewMem()} {
		t.Run(name, func(t *testing.T) {
			cfg := store.Config{Dir: t.TempDir() + "/data", FS: fs, SegmentSize: 8 << 10}
			s, err := store.Open(cfg)
			require.NoError(t, err)
			_, err = store.Open(cfg)
			require.ErrorIs(t, err, store.ErrLocked)
			var end record.Position
			for i := range 100 {
				b := record.NewBatch(100)
				enqueue(b, "q", "m", make([]byte, 100+i))
				end, err = s.Log().Append(1, end, b)
				require.NoError(t, err)
			}
			require.NoError(t, s.Log().WaitFlushed(context.Background(), end))
			require.NoError(t, s.Apply(end, nil))
			dump, err := s.Index().Dump()
			require.NoError(t, err)
			require.NoError(t, s.Close())

			s, err = store.Open(cfg)
			require.NoError(t, err)
			require.Equal(t, end, s.Recovered().Log.Append)
			again, err := s.Index().Dump()
			require.NoError(t, err)
			require.Equal(t, dump, again)
			entries, err := s.Index().Scan("q", 5, 2)
			require.NoError(t, err)
			require.Len(t, entries, 2)
			e, err := s.Enqueued(entries[1].Position)
			require.NoError(t, err)
			require.Len(t, e.Message.Body, 105)
			require.NoError(t, s.Close())
		})
	}
}
