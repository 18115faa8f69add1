package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store"
	"baton/store/record"
	"baton/store/vfs"
)

// modelBatch is a batch that the workload appended.
type modelBatch struct {
	at, end record.Position
	epoch   record.Epoch
	id      string // of its first message
}

// model is what the store must hold.
type model struct {
	batches []modelBatch
	flushed record.Position // reported as flushed
	sealed  record.Epoch    // reported as sealed
	commit  record.Position

	// In flight when the crash came: either outcome is right.
	sealing    record.Epoch
	truncating bool
	truncateTo record.Position

	next    int                        // message ids
	depth   map[string]record.Sequence // messages ever, by queue
	history []string
}

func (m *model) end() record.Position {
	if len(m.batches) == 0 {
		return 0
	}
	return m.batches[len(m.batches)-1].end
}

func (m *model) cutTo(p record.Position) {
	for len(m.batches) > 0 && m.end() > p {
		m.batches = m.batches[:len(m.batches)-1]
	}
	m.flushed, m.commit = min(m.flushed, p), min(m.commit, p)
}

func seedOf(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("BATON_SEED"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		seed = v
	}
	t.Logf("BATON_SEED=%d", seed)
	return seed
}

// TestCrash runs a random workload until the machine or the process dies at a
// random call to the disk, opens the store again and compares it with the
// model, many times over on the same directory.
func TestCrash(t *testing.T) {
	seed := seedOf(t)
	lives := 40
	if testing.Short() {
		lives = 15
	}
	for run := range 2 {
		rng := rand.New(rand.NewPCG(seed, uint64(run)))
		m := &model{depth: map[string]record.Sequence{}}
		disk := vfs.NewMem()
		for life := range lives {
			var calls atomic.Int64
			dieAt := int64(rng.IntN(200))
			if rng.IntN(4) == 0 {
				dieAt /= 10
			}
			hook := vfs.NewHook(disk, func(op vfs.Op) error {
				if op.Changes() && calls.Add(1) > dieAt {
					return vfs.ErrCrashed
				}
				return nil
			})
			where := fmt.Sprintf("seed %d run %d life %d", seed, run, life)
			s, err := store.Open(crashConfig(hook))
			if err == nil {
				check(t, where, s, m)
				workload(t, where, rng, s, m)
			} else {
				requireCrash(t, err, where)
			}
			reborn := disk.Kill
			if rng.IntN(3) > 0 {
				crashSeed := rng.Uint64()
				reborn = func() *vfs.Mem { return disk.Crash(crashSeed) }
			}
			disk = reborn()
			if s != nil {
				s.Close()
			}
		}
		s, err := store.Open(crashConfig(disk))
		require.NoError(t, err)
		check(t, fmt.Sprintf("seed %d run %d end", seed, run), s, m)
		require.NoError(t, s.Close())
	}
}

// requireCrash: the key-value store passes on some errors as text.
func requireCrash(t *testing.T, err error, where string) {
	if !strings.Contains(err.Error(), vfs.ErrCrashed.Error()) {
		require.ErrorIs(t, err, vfs.ErrCrashed, where)
	}
}

func crashConfig(fs vfs.FS) store.Config {
	return store.Config{Dir: "/node/data", FS: fs, SegmentSize: 4 << 10}
}

// workload ends with the first error, which must be that of the crash.
func workload(t *testing.T, where string, rng *rand.Rand, s *store.Store, m *model) {
	for range 150 {
		var err error
		switch n := rng.IntN(100); {
		case n < 60:
			err = appendSome(rng, s, m)
		case n < 75:
			end := m.end()
			if err = s.Log().WaitFlushed(context.Background(), end); err == nil {
				m.flushed = end
			}
		case n < 80:
			m.sealing = m.sealed + record.Epoch(rng.IntN(2))
			if err = s.Seal(m.sealing); err == nil {
				m.sealed = m.sealing
			}
		case n < 83 && len(m.batches) > 0:
			// Mostly the end is cut, seldom nearly everything.
			i := len(m.batches) - 1 - rng.IntN(min(len(m.batches), 1+rng.IntN(20)))
			m.truncating, m.truncateTo = true, m.batches[i].at
			if err = s.Truncate(m.truncateTo); err == nil {
				m.truncating = false
				m.cutTo(m.truncateTo)
			}
		default:
			if m.commit < m.end() {
				m.commit += record.Position(rng.IntN(int(m.end()-m.commit) + 1))
			}
			err = s.Apply(m.commit, nil)
			if at, _ := s.Applied(); err == nil && at > m.commit {
				t.Fatalf("%s: applied %d beyond %d", where, at, m.commit)
			}
		}
		if err != nil {
			requireCrash(t, err, where)
			return
		}
	}
}

func appendSome(rng *rand.Rand, s *store.Store, m *model) error {
	b := record.NewBatch(1000)
	first := strconv.Itoa(m.next)
	for range 1 + rng.IntN(4) {
		queue := fmt.Sprintf("q%d", rng.IntN(5))
		if rng.IntN(3) == 0 && m.depth[queue] > 0 {
			a := record.Ack{Queue: queue}
			for range 1 + rng.IntN(5) {
				a.Sequences = append(a.Sequences, 1+record.Sequence(rng.IntN(int(m.depth[queue])+2)))
			}
			b.Add(record.TypeAck, a.AppendTo)
			continue
		}
		m.depth[queue]++
		enqueue(b, queue, first, make([]byte, rng.IntN(600)))
		m.next++
	}
	epoch := record.Epoch(1)
	if n := len(m.batches); n > 0 {
		epoch = m.batches[n-1].epoch
	}
	if rng.IntN(20) == 0 {
		epoch++
		e := record.EpochStart{ClusterID: "c", Leader: first, Replicas: 3, Members: map[string]string{"n1": "x"}}
		b.Add(record.TypeEpochStart, e.AppendTo)
	}
	at := m.end()
	var end record.Position
	var err error
	if rng.IntN(2) == 0 {
		end, err = s.Log().Append(epoch, m.commit, b)
	} else {
		end, err = s.Log().AppendRaw(b.Seal(epoch, at, m.commit, time.UnixMicro(1), b.Prepare()))
	}
	if err == nil {
		m.batches = append(m.batches, modelBatch{at, end, epoch, first})
	}
	return err
}

// check compares a store that was just opened with the model, and takes over
// what the crash decided.
func check(t *testing.T, where string, s *store.Store, m *model) {
	pos := s.Log().Positions()
	require.Equal(t, pos.Append, pos.Flush, where)
	if m.truncating && pos.Append < m.flushed {
		require.GreaterOrEqual(t, pos.Append, min(m.flushed, m.truncateTo), "%s: lost what was flushed and not cut", where)
	} else {
		require.GreaterOrEqual(t, pos.Append, m.flushed, "%s: lost what was flushed", where)
	}
	require.LessOrEqual(t, pos.Append, m.end(), where)
	m.truncating = false
	m.cutTo(pos.Append)
	require.Equal(t, m.end(), pos.Append, "%s: the log ends inside a batch", where)
	m.flushed = pos.Append

	for i := 0; i < len(m.batches); {
		raw, err := s.Log().Read(m.batches[i].at, 64<<10)
		require.NoError(t, err, where)
		for h, b := range record.Batches(raw) {
			want := m.batches[i]
			require.Equal(t, want, modelBatch{h.Position, h.End(), h.Epoch, firstID(t, b, want.id)}, where)
			i++
		}
	}
	var boundaries []record.EpochBoundary
	for _, b := range m.batches {
		if n := len(boundaries); n == 0 || boundaries[n-1].Epoch < b.epoch {
			boundaries = append(boundaries, record.EpochBoundary{Epoch: b.epoch, Start: b.at})
		}
	}
	require.Equal(t, boundaries, s.Log().EpochBoundaries(), where)

	sealed := s.Meta().Sealed
	if sealed != m.sealing {
		require.Equal(t, m.sealed, sealed, where)
	}
	m.sealed, m.sealing = sealed, sealed
	require.False(t, s.Recovered().LogLost, where)

	applied, _ := s.Applied()
	require.LessOrEqual(t, applied, pos.Append, where)
	require.LessOrEqual(t, s.Recovered().Log.Commit, pos.Append, where)
	checkIndex(t, where, s, applied)
}

func firstID(t *testing.T, b []byte, otherwise string) string {
	for r := range record.Records(b) {
		if r.Type == record.TypeEnqueue {
			e, err := record.ParseEnqueue(r.Body)
			require.NoError(t, err)
			return e.Message.ID
		}
	}
	return otherwise // a batch of acks has none
}

// checkIndex compares the index with one made from the log from nothing.
func checkIndex(t *testing.T, where string, s *store.Store, applied record.Position) {
	live, err := s.Index().Dump()
	require.NoError(t, err, where)
	require.Equal(t, rebuild(t, s, applied), live, "%s: index is not what the log says", where)
}
