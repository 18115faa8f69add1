package index_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
)

func sampleBase() index.Base {
	return index.Base{
		Position: 1 << 33, Epoch: 7, Chain: 0xfedcba9876543210, StartEpoch: 6,
		Start: record.EpochStart{ClusterID: "c", Leader: "n1", Replicas: 3, Members: map[string]string{"n1": "i1", "n2": "i2"}},
		IDs:   9, Floor: 1 << 20,
		Queues: []index.BaseQueue{
			{Name: "orders", ID: 1, Next: 1 << 40, Enqueued: 1<<40 - 1, Duplicates: 7}, {Name: "", ID: 2, Next: 1}, {Name: "ä/ö", ID: 8, Next: 9, Enqueued: 8},
		},
		Subscriptions: []index.Subscription{
			{Subscribe: record.Subscribe{ClientID: "c1", Name: "prices", Destination: "stocks.>", Selector: "a > 1", NoLocal: true}, Position: 1 << 33},
			{Subscribe: record.Subscribe{ClientID: "c1", Destination: "stocks"}, Position: 5},
		},
	}
}

func sampleTrim() index.Trim {
	return index.Trim{Base: 1 << 33, Applied: 1<<33 + 5000, Void: []record.Position{1<<33 + 1, 1<<33 + 900}}
}

func TestBaseBytes(t *testing.T) {
	for _, want := range []index.Base{sampleBase(), {Position: 5, Queues: []index.BaseQueue{}}} {
		b := want.Encode()
		got, err := index.DecodeBase(b)
		require.NoError(t, err)
		require.Equal(t, want, got)
		refused(t, b, func(b []byte) error { _, err := index.DecodeBase(b); return err })
	}
	for _, want := range []index.Trim{sampleTrim(), {}} {
		b := want.Encode()
		got, err := index.DecodeTrim(b)
		require.NoError(t, err)
		require.Equal(t, want, got)
		refused(t, b, func(b []byte) error { _, err := index.DecodeTrim(b); return err })
	}
}

// refused: nothing but the whole is accepted.
func refused(t *testing.T, b []byte, decode func([]byte) error) {
	for n := range b {
		require.ErrorIs(t, decode(b[:n]), index.ErrBase, "cut to %d bytes", n)
		flipped := append([]byte{}, b...)
		flipped[n] ^= 1
		require.ErrorIs(t, decode(flipped), index.ErrBase, "byte %d flipped", n)
	}
	require.ErrorIs(t, decode(append(append([]byte{}, b...), 0)), index.ErrBase)
}

// TestEarlierBase: a directory of an earlier version can still be opened.
func TestEarlierBase(t *testing.T) {
	want := sampleBase()
	want.IDs, want.Floor, want.Subscriptions = 3, 0, nil
	want.Queues[0].Duplicates, want.Queues[2].ID = 0, 3
	b := []byte("BTNBASE1\x01\x00\x00\x00")
	start := want.Start.AppendTo(nil)
	for _, v := range []uint64{uint64(want.Position), uint64(want.Epoch), want.Chain, uint64(want.StartEpoch), uint64(len(start))} {
		b = binary.AppendUvarint(b, v)
	}
	b = binary.AppendUvarint(append(b, start...), 3)
	for _, q := range want.Queues {
		for _, v := range []uint64{q.ID, uint64(q.Next), q.Enqueued, uint64(len(q.Name))} {
			b = binary.AppendUvarint(b, v)
		}
		b = append(b, q.Name...)
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	got, err := index.DecodeBase(b)
	require.NoError(t, err)
	require.Equal(t, want, got)
	refused(t, b, func(b []byte) error { _, err := index.DecodeBase(b); return err })
}

func FuzzDecodeBase(f *testing.F) {
	f.Add(sampleBase().Encode())
	f.Add(index.Base{}.Encode())
	f.Add([]byte("BTNBASE1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, b := range [][]byte{data, framed("BTNBASE1", 1, data), framed("BTNBASE1", 2, data)} {
			got, err := index.DecodeBase(b)
			if err != nil {
				require.ErrorIs(t, err, index.ErrBase)
				continue
			}
			again, err := index.DecodeBase(got.Encode())
			require.NoError(t, err)
			require.Equal(t, got, again)
		}
	})
}

func FuzzDecodeTrim(f *testing.F) {
	f.Add(sampleTrim().Encode())
	f.Add([]byte("BTNTRIM1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, b := range [][]byte{data, framed("BTNTRIM1", 1, data)} {
			got, err := index.DecodeTrim(b)
			if err != nil {
				require.ErrorIs(t, err, index.ErrBase)
				continue
			}
			again, err := index.DecodeTrim(got.Encode())
			require.NoError(t, err)
			require.Equal(t, got, again)
		}
	})
}

// move makes the batch b move an entry of what l holds.
func move(l *log, b *record.Batch, queue string, seq record.Sequence, from record.Position) {
	r, err := record.ParseRecord(l.raw[from:], from)
	if err != nil {
		panic(err)
	}
	e, err := record.ParseMessage(r)
	if err != nil {
		panic(err)
	}
	b.Add(record.TypeMove, record.Move{Sequence: seq, From: from, Enqueue: e}.AppendTo)
}

func positions(t *testing.T, ix *index.Index, queue string) map[record.Sequence]record.Position {
	entries, err := ix.Scan(queue, 0, 10_000)
	require.NoError(t, err)
	out := map[record.Sequence]record.Position{}
	for _, e := range entries {
		out[e.Seq] = e.Position
	}
	return out
}

// TestMove: what was acknowledged before its move stays gone, also where the
// ack is not in the log any more.
func TestMove(t *testing.T) {
	var l log
	mem := vfs.NewMem()
	ix := open(t, mem)
	var told story
	apply := func(fill func(b *record.Batch)) {
		require.NoError(t, ix.Apply(l.add(1, fill), &told))
	}
	apply(func(b *record.Batch) { put(b, "q", "one", "two", "three", "four") })
	at := positions(t, ix, "q")
	before, _ := ix.Queue("q")
	apply(func(b *record.Batch) { ack(b, "q", 2) })
	cut := l.end // what is below goes
	base := ix.Base()
	ix.Divide()
	apply(func(b *record.Batch) {
		move(&l, b, "q", 1, at[1])
		move(&l, b, "q", 2, at[2]) // acknowledged below the cut
		move(&l, b, "q", 3, at[3])
		move(&l, b, "q", 4, at[4])
	})
	moved := positions(t, ix, "q")
	require.NotContains(t, moved, record.Sequence(2))
	for seq, p := range moved {
		require.Greater(t, p, cut, seq)
	}
	require.Contains(t, told.lines, fmt.Sprintf("~q/1 at %d", moved[1]))
	apply(func(b *record.Batch) {
		move(&l, b, "q", 1, at[1]) // was moved already
		ack(b, "q", 3)
		move(&l, b, "q", 3, moved[3]) // acknowledged above the cut
	})
	require.Equal(t, moved[1], positions(t, ix, "q")[1])
	after, _ := ix.Queue("q")
	require.EqualValues(t, 2, after.Depth)
	require.EqualValues(t, 2, after.Acked)
	require.Less(t, after.Bytes, before.Bytes)
	oldest, live := ix.OldestLive()
	require.True(t, live)
	require.Equal(t, cut, oldest, "where the records begin that the messages were moved to")

	trim, ok, err := ix.TrimAt(cut)
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, trim.Void, 2, "of 2, and the second of 1")
	apply(func(b *record.Batch) {
		move(&l, b, "q", 2, at[2]) // and after the trim
		put(b, "q", "five")
	})

	again := open(t, vfs.NewMem())
	require.NoError(t, again.Begin(base, trim))
	for h, b := range record.Batches(l.raw) {
		if h.Position < cut {
			continue
		}
		if h.End() <= trim.Applied {
			_, known, err := again.TrimAt(cut)
			require.NoError(t, err)
			require.False(t, known, "it cannot tell before it has come to where the other was")
		}
		require.NoError(t, again.Apply(b, nil))
	}
	require.Equal(t, dump(t, ix), dump(t, again))
	second, ok, err := again.TrimAt(cut)
	require.NoError(t, err)
	require.True(t, ok)
	first, _, err := ix.TrimAt(cut)
	require.NoError(t, err)
	require.Equal(t, first, second, "it knows of the same void moves")

	apply(func(b *record.Batch) { ack(b, "q", 1, 4, 5) })
	_, live = ix.OldestLive()
	require.False(t, live)
	ix.Divide()
	from := l.end
	apply(func(b *record.Batch) { put(b, "q", "six") })
	oldest, live = ix.OldestLive()
	require.True(t, live)
	require.Equal(t, from, oldest)
	require.Zero(t, ix.LiveBytes(0, from))
	require.NotZero(t, ix.LiveBytes(from, from+1))
	require.NoError(t, ix.ForgetBelow(l.end))
	trim, _, err = ix.TrimAt(0)
	require.NoError(t, err)
	require.Empty(t, trim.Void)
}

// BenchmarkBase is what each end of a segment costs the applier, but for the
// disk.
func BenchmarkBase(b *testing.B) {
	const queues = 100_000
	ix := open(b, vfs.NewMem())
	var l log
	for i := range queues / 1000 {
		require.NoError(b, ix.Apply(l.add(1, func(bt *record.Batch) {
			for n := range 1000 {
				put(bt, fmt.Sprintf("orders.%d", i*1000+n), "x")
			}
		}), nil))
	}
	b.Run(fmt.Sprintf("queues=%d", queues), func(b *testing.B) {
		size := 0
		for b.Loop() {
			size = len(ix.Base().Encode())
		}
		b.ReportMetric(float64(size), "bytes")
	})
}
