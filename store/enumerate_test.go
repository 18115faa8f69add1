package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store"
	"baton/store/record"
	"baton/store/vfs"
)

// crashModes are what a crash leaves of what was not synced.
var crashModes = []struct {
	name  string
	crash func(m *vfs.Mem, seed uint64) *vfs.Mem
}{
	{"everything unsynced is lost", func(m *vfs.Mem, _ uint64) *vfs.Mem { return m.Drop() }},
	{"everything is kept", func(m *vfs.Mem, _ uint64) *vfs.Mem { return m.Kill() }},
	{"any sector and name is lost, kept or garbled", func(m *vfs.Mem, seed uint64) *vfs.Mem { return m.Tear(seed) }},
}

// countdown is a file system that dies at the nth call that changes something.
func countdown(disk *vfs.Mem, dieAt int) (*vfs.Hook, func() int) {
	var mu sync.Mutex
	calls := 0
	hook := vfs.NewHook(disk, func(op vfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if op.Changes() {
			calls++
		}
		if dieAt > 0 && calls >= dieAt {
			return vfs.ErrCrashed
		}
		return nil
	})
	return hook, func() int {
		mu.Lock()
		defer mu.Unlock()
		return calls
	}
}

// script is a small fixed workload with everything in it that a store does to
// its disk. It ends with the first error.
func script(s *store.Store, m *model) error {
	rng := rand.New(rand.NewPCG(1, 2))
	group := func(n int) error {
		for range n {
			if err := appendSome(rng, s, m); err != nil {
				return err
			}
		}
		end := m.end()
		if err := s.Log().WaitFlushed(context.Background(), end); err != nil {
			return err
		}
		m.flushed = end
		return nil
	}
	apply := func() error {
		m.commit = m.end()
		return s.Apply(m.commit, nil)
	}
	seal := func(e record.Epoch) error {
		m.sealing = e
		err := s.Seal(e)
		if err == nil {
			m.sealed = e
		}
		return err
	}
	for _, step := range []func() error{
		func() error { return seal(1) },
		func() error { return group(3) },
		apply,
		func() error { return group(6) }, // rolls
		func() error { return seal(2) },
		apply,
		func() error { return group(2) },
		func() error {
			m.truncating, m.truncateTo = true, m.batches[len(m.batches)-5].at
			err := s.Truncate(m.truncateTo)
			if err == nil {
				m.truncating = false
				m.cutTo(m.truncateTo)
			}
			return err
		},
		func() error { return group(4) },
		apply,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// live runs the script on a disk that dies at a call, and returns the disk and
// what must be on it. The calls that the log's goroutines make in the background
// may come in another order in another run, so which call dies is counted, and
// what it is differs a little from run to run.
func live(t *testing.T, dieAt int) (*vfs.Mem, *model, int) {
	disk := vfs.NewMem()
	hook, calls := countdown(disk, dieAt)
	m := &model{depth: map[string]record.Sequence{}}
	s, err := store.Open(crashConfig(hook))
	if err == nil {
		if err = script(s, m); err == nil {
			err = s.Close()
		} else {
			defer s.Close()
		}
	}
	if err != nil {
		requireCrash(t, err, fmt.Sprintf("call %d", dieAt))
	}
	return disk, m, calls()
}

// clone keeps the model for another recovery of the same disk.
func (m *model) clone() *model {
	c := *m
	c.batches = append([]modelBatch(nil), m.batches...)
	return &c
}

// TestCrashAtEveryCall ends the machine at every single call of the script that
// changes the disk, in every mode, and compares what a restart finds with the
// model. Of one restart in 20 (of all with BATON_EXHAUSTIVE) every call is ended
// as well, and it is started again.
func TestCrashAtEveryCall(t *testing.T) {
	_, _, total := live(t, 0)
	require.Greater(t, total, 80, "the script is too small to tell anything")
	sample := 20 // one recovery in so many
	if os.Getenv("BATON_EXHAUSTIVE") != "" {
		sample = 1
	}
	var points, again atomic.Int64
	t.Run("modes", func(t *testing.T) {
		for i, mode := range crashModes {
			t.Run(mode.name, func(t *testing.T) {
				t.Parallel()
				for dieAt := 1; dieAt <= total; dieAt++ {
					where := fmt.Sprintf("call %d, %s", dieAt, mode.name)
					disk, m, _ := live(t, dieAt)
					found := mode.crash(disk, uint64(dieAt))
					points.Add(1)
					if (dieAt+7*i)%sample == 0 {
						again.Add(int64(crashRecovery(t, where, found.Clone(), m, i)))
					}
					reopenTwice(t, where, found, m)
				}
			})
		}
	})
	t.Logf("%d calls change the disk; %d crashes of the workload, %d of a recovery", total, points.Load(), again.Load())
	require.EqualValues(t, total*len(crashModes), points.Load(), "every call in every mode")
	require.Greater(t, again.Load(), points.Load()/int64(sample), "recoveries that were crashed at every one of their calls")
}

// crashRecovery ends a recovery at each of its calls.
func crashRecovery(t *testing.T, where string, found *vfs.Mem, m *model, mode int) (crashes int) {
	for dieAt := 1; ; dieAt++ {
		at := fmt.Sprintf("%s, then call %d of the recovery", where, dieAt)
		disk := found.Clone()
		hook, _ := countdown(disk, dieAt)
		s, err := store.Open(crashConfig(hook))
		if err == nil {
			s.Close() // its background work dies somewhere in between
			return crashes
		}
		requireCrash(t, err, at)
		crashes++
		reopenTwice(t, at, crashModes[mode].crash(disk, uint64(dieAt)), m.clone())
	}
}

// reopenTwice: a second recovery finds what the first one left.
func reopenTwice(t *testing.T, where string, disk *vfs.Mem, m *model) {
	var first string
	for i := range 2 {
		s, err := store.Open(crashConfig(disk))
		require.NoError(t, err, where)
		check(t, where, s, m)
		d, err := s.Index().Dump()
		require.NoError(t, err, where)
		if i == 0 {
			first = d
		} else {
			require.Equal(t, first, d, "%s: opened again", where)
			require.Zero(t, s.Recovered().Log.TornBytes, "%s: opened again", where)
		}
		require.NoError(t, s.Close(), where)
	}
}
