package index_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
)

// log builds batches that continue each other.
type log struct {
	end record.Position
	raw []byte
}

func (l *log) add(epoch record.Epoch, fill func(b *record.Batch)) []byte {
	b := record.NewBatch(100)
	fill(b)
	raw := b.Seal(epoch, l.end, 0, time.UnixMicro(1), b.Prepare())
	l.end += record.Position(len(raw))
	l.raw = append(l.raw, raw...)
	return raw
}

func put(b *record.Batch, queue string, bodies ...string) {
	for _, body := range bodies {
		e := record.Enqueue{Queue: queue, Message: record.Message{ID: body, Timestamp: int64(len(body)), Body: []byte(body)}}
		b.Add(record.TypeEnqueue, e.AppendTo)
	}
}

func ack(b *record.Batch, queue string, seqs ...record.Sequence) {
	b.Add(record.TypeAck, record.Ack{Queue: queue, Sequences: seqs}.AppendTo)
}

func open(t testing.TB, fs vfs.FS) *index.Index {
	t.Helper()
	ix, err := index.Open(fs, "/index")
	require.NoError(t, err)
	t.Cleanup(func() { ix.Close() })
	return ix
}

func dump(t testing.TB, ix *index.Index) string {
	t.Helper()
	d, err := ix.Dump()
	require.NoError(t, err)
	return d
}

// story is what a sink was told, one line each.
type story struct{ lines []string }

func (s *story) Enqueued(queue string, seq record.Sequence, at record.Position, size int, e *record.Enqueue) {
	s.lines = append(s.lines, fmt.Sprintf("+%s/%d %s", queue, seq, e.Message.Body))
}

func (s *story) Acked(queue string, seqs []record.Sequence) {
	s.lines = append(s.lines, fmt.Sprintf("-%s %v", queue, seqs))
}

func (s *story) Moved(queue string, seq record.Sequence, at record.Position, size int) {
	s.lines = append(s.lines, fmt.Sprintf("~%s/%d at %d", queue, seq, at))
}

func (s *story) Duplicate(queue string, e *record.Enqueue) {
	s.lines = append(s.lines, fmt.Sprintf("=%s %s %s", queue, e.Message.DedupID, e.Message.Body))
}

func (s *story) Redelivered(queue string, messages []record.Redelivered) {
	s.lines = append(s.lines, fmt.Sprintf("<%s %v", queue, messages))
}

func (s *story) QueueDeleted(queue string) { s.lines = append(s.lines, "x"+queue) }

func (s *story) Subscribed(at record.Position, sub *record.Subscribe) {
	s.lines = append(s.lines, fmt.Sprintf("*%s/%s %s", sub.ClientID, sub.Name, sub.Destination))
}

func (s *story) Unsubscribed(clientID, name string) {
	s.lines = append(s.lines, fmt.Sprintf("/%s/%s", clientID, name))
}

func TestApply(t *testing.T) {
	var l log
	l.add(1, func(b *record.Batch) {
		b.Add(record.TypeEpochStart, record.EpochStart{ClusterID: "c", Leader: "n1", Replicas: 3, Members: map[string]string{"n1": "i1"}}.AppendTo)
	})
	l.add(1, func(b *record.Batch) { put(b, "a", "one", "two"); put(b, "b", "three"); ack(b, "a", 1) })
	l.add(1, func(b *record.Batch) { put(b, "a", "four"); ack(b, "a", 2, 2, 9); ack(b, "none", 1) })
	l.add(2, func(b *record.Batch) { ack(b, "a", 1, 3); put(b, "a", "five") })

	mem := vfs.NewMem()
	ix := open(t, mem)
	var told story
	require.NoError(t, ix.Apply(l.raw, &told))
	require.Equal(t, []string{"+a/1 one", "+a/2 two", "+b/1 three", "-a [1]", "+a/3 four", "-a [2]", "-a [3]", "+a/4 five"}, told.lines)

	a, ok := ix.Queue("a")
	require.True(t, ok)
	require.Equal(t, uint64(1), a.Depth)
	require.Equal(t, []uint64{4, 3}, []uint64{a.Enqueued, a.Acked})
	entries, err := ix.Scan("a", 0, 10)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, record.Sequence(4), entries[0].Seq)
	require.Equal(t, uint64(entries[0].Size), a.Bytes)
	require.Equal(t, int64(4), entries[0].Timestamp)
	r, err := record.ParseRecord(l.raw[entries[0].Position:], entries[0].Position)
	require.NoError(t, err, "the entry says where its record is")
	require.Len(t, r.Body, entries[0].Size-record.RecordHeaderSize)
	require.Equal(t, uint64(4), ix.IgnoredAcks(), "twice acked, not yet given, no such queue, long gone")
	require.Len(t, ix.Queues(), 2)
	_, err = ix.Scan("none", 0, 1)
	require.ErrorIs(t, err, index.ErrNoQueue)

	pos, chain := ix.Applied()
	require.Equal(t, l.end, pos)
	var want uint64
	for _, b := range record.Batches(l.raw) {
		want = record.Chain(want, b)
	}
	require.Equal(t, want, chain)
	points := ix.Points()
	require.Equal(t, index.Point{Position: pos, Chain: chain}, points[len(points)-1])
	start, epoch, ok := ix.LastEpochStart()
	require.True(t, ok)
	require.Equal(t, record.Epoch(1), epoch)
	require.Equal(t, map[string]string{"n1": "i1"}, start.Members)
	require.Equal(t, record.Epoch(2), ix.AppliedEpoch())

	t.Run("again does nothing", func(t *testing.T) {
		before := dump(t, ix)
		told = story{}
		require.NoError(t, ix.Apply(l.raw, &told))
		require.Equal(t, before, dump(t, ix))
		require.Empty(t, told.lines)
	})
	before := dump(t, ix)
	require.NoError(t, ix.Close())
	ix = open(t, mem)
	require.Equal(t, before, dump(t, ix), "survives Close")
	_, epoch, ok = ix.LastEpochStart()
	require.True(t, ok)
	require.Equal(t, record.Epoch(1), epoch)
	t.Run("gap is refused", func(t *testing.T) {
		before := dump(t, ix)
		l.add(2, func(b *record.Batch) { put(b, "a", "x") })
		next := l.add(2, func(b *record.Batch) { put(b, "a", "y") })
		require.ErrorIs(t, ix.Apply(next, nil), index.ErrGap)
		require.Equal(t, before, dump(t, ix))
	})
}

func TestApplyStopsAtWhatItDoesNotKnow(t *testing.T) {
	for name, fill := range map[string]func(b *record.Batch){
		"type":       func(b *record.Batch) { b.Add(99, func(b []byte) []byte { return b }) },
		"body":       func(b *record.Batch) { b.Add(record.TypeAck, func(b []byte) []byte { return append(b, 0xff) }) },
		"body after": func(b *record.Batch) { put(b, "q", "x"); b.Add(record.TypeEnqueue, func(b []byte) []byte { return b }) },
	} {
		t.Run(name, func(t *testing.T) {
			var l log
			good := l.add(1, func(b *record.Batch) { put(b, "q", "good") })
			ix := open(t, vfs.NewMem())
			require.NoError(t, ix.Apply(good, nil))
			before := dump(t, ix)
			l.add(1, func(b *record.Batch) { put(b, "q", "also good") })
			l.add(1, fill)
			var told story
			for range 2 {
				err := ix.Apply(l.raw, &told)
				require.ErrorIs(t, err, index.ErrRecord)
				require.ErrorContains(t, err, "at position ")
				require.Equal(t, before, dump(t, ix), "all of a call or nothing")
				require.Empty(t, told.lines)
			}
		})
	}
}

// TestAnyCut applies a random log in pieces of every kind, with reopening, and
// always gets the same index.
func TestAnyCut(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	var l log
	ends := []record.Position{0}
	var given [4]record.Sequence
	for range 400 {
		l.add(1, func(b *record.Batch) {
			for range 1 + rng.IntN(6) {
				q := rng.IntN(len(given))
				name := fmt.Sprint("q", q)
				if given[q] > 0 && rng.IntN(2) == 0 {
					ack(b, name, 1+record.Sequence(rng.IntN(int(given[q])+1)), 1+record.Sequence(rng.IntN(int(given[q])+1)))
				} else {
					put(b, name, "x")
					given[q]++
				}
			}
		})
		ends = append(ends, l.end)
	}
	whole := open(t, vfs.NewMem())
	require.NoError(t, whole.Apply(l.raw, nil))
	want := dump(t, whole)
	for range 5 {
		mem := vfs.NewMem()
		ix := open(t, mem)
		for i := 0; i < len(ends)-1; {
			n := 1 + rng.IntN(30)
			j := min(len(ends)-1, i+n)
			require.NoError(t, ix.Apply(l.raw[ends[i]:ends[j]], nil))
			i = max(0, j-rng.IntN(3)) // some of it again
			if j == len(ends)-1 {
				break
			}
			if rng.IntN(20) == 0 {
				require.NoError(t, ix.Close())
				ix = open(t, mem)
			}
		}
		require.Equal(t, want, dump(t, ix))
	}
}

// TestHeadFollowsAcksOutOfOrder: with acks out of order the head must not stay
// behind for ever, or each scan would walk over all that was ever acked.
func TestHeadFollowsAcksOutOfOrder(t *testing.T) {
	var l log
	mem := vfs.NewMem()
	ix := open(t, mem)
	const n = 5000
	apply := func(fill func(b *record.Batch)) {
		require.NoError(t, ix.Apply(l.add(1, fill), nil))
	}
	apply(func(b *record.Batch) {
		for range n {
			put(b, "q", "x")
		}
	})
	for i := record.Sequence(1); i+1 < n-10; i += 2 {
		apply(func(b *record.Batch) { ack(b, "q", i+1, i) })
	}
	q, _ := ix.Queue("q")
	entries, err := ix.Scan("q", 0, 1)
	require.NoError(t, err)
	require.LessOrEqual(t, q.Head, entries[0].Seq, "none below the head")
	require.Greater(t, q.Head+2000, entries[0].Seq)
	require.NoError(t, ix.Close())
	ix = open(t, mem)
	again, err := ix.Scan("q", 0, 1)
	require.NoError(t, err)
	require.Equal(t, entries, again)
}

func TestDamage(t *testing.T) {
	fresh := func() *vfs.Mem {
		mem := vfs.NewMem()
		ix := open(t, mem)
		var l log
		for i := range 50 {
			require.NoError(t, ix.Apply(l.add(1, func(b *record.Batch) { put(b, fmt.Sprint("q", i), "x") }), nil))
		}
		require.NoError(t, ix.Close())
		return mem
	}
	infos, err := fresh().List("/index")
	require.NoError(t, err)
	require.NotEmpty(t, infos)
	for _, info := range infos {
		t.Run("missing "+info.Name, func(t *testing.T) {
			mem := fresh()
			require.NoError(t, mem.Remove("/index/"+info.Name))
			ix, err := index.Open(mem, "/index")
			if err != nil {
				require.ErrorIs(t, err, index.ErrCorrupt)
			} else {
				// A lost journal is a loss of the end: an older state.
				at, _ := ix.Applied()
				require.Zero(t, at)
				require.NoError(t, ix.Close())
			}
		})
		t.Run("flipped bits in "+info.Name, func(t *testing.T) {
			mem := fresh()
			f, err := mem.Open("/index/" + info.Name)
			require.NoError(t, err)
			b := make([]byte, info.Size)
			_, err = f.ReadAt(b, 0)
			require.NoError(t, err)
			if len(b) == 0 {
				t.Skip("file is empty")
			}
			b[len(b)/2] ^= 0x40
			_, err = f.WriteAt(b, 0)
			require.NoError(t, err)
			_, err = index.Open(mem, "/index")
			require.ErrorIs(t, err, index.ErrCorrupt)
			require.NoError(t, index.Wipe(mem, "/index"))
			left, err := mem.List("/index")
			require.NoError(t, err)
			require.Empty(t, left)
			at, _ := open(t, mem).Applied()
			require.Zero(t, at)
		})
	}
}

func TestPointsAreSparseFurtherBack(t *testing.T) {
	var l log
	a, b := open(t, vfs.NewMem()), open(t, vfs.NewMem())
	for range 400 {
		l.add(1, func(b *record.Batch) { put(b, "q", string(make([]byte, 50_000))) })
	}
	require.NoError(t, a.Apply(l.raw, nil))
	for h, raw := range record.Batches(l.raw) {
		if h.Position < l.end/2 {
			require.NoError(t, b.Apply(raw, nil))
		}
	}
	points := a.Points()
	require.LessOrEqual(t, len(points), 256)
	require.True(t, slices.IsSortedFunc(points, func(x, y index.Point) int { return int(x.Position) - int(y.Position) }))
	common := 0
	for _, p := range b.Points() {
		if slices.Contains(points, p) {
			common++
		}
	}
	require.Greater(t, common, 5, "nodes that are 10 MB apart can be compared")
}

func BenchmarkApply(b *testing.B) {
	for _, acks := range []bool{false, true} {
		b.Run(fmt.Sprintf("acks=%v", acks), func(b *testing.B) {
			ix, err := index.Open(vfs.OS{}, b.TempDir())
			require.NoError(b, err)
			defer ix.Close()
			var l log
			var seq record.Sequence
			body := string(make([]byte, 1024))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if n%256 == 0 {
					b.StopTimer()
					l.raw = nil
					l.add(1, func(bt *record.Batch) {
						for range 256 {
							seq++
							put(bt, "q", body)
							if acks {
								ack(bt, "q", seq)
							}
						}
					})
					b.StartTimer()
					require.NoError(b, ix.Apply(l.raw, nil))
				}
				n++
			}
		})
	}
}
