package node

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store/index"
	"baton/store/record"
)

// fakeMachine applies up to the end of its log at once.
type fakeMachine struct {
	mu           sync.Mutex
	end, applied record.Position
	err          error
}

func (m *fakeMachine) Apply(to record.Position, _ index.Sink) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.applied = max(m.applied, min(to, m.end))
	return m.err
}

func (m *fakeMachine) Applied() (record.Position, uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applied, 0
}

func (m *fakeMachine) Truncate(to record.Position) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end, m.applied = min(m.end, to), min(m.applied, to)
	return nil
}

func (m *fakeMachine) grow(to record.Position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end = to
}

func TestApplier(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	m := &fakeMachine{end: 100}
	a := newApplier(m)
	ended := make(chan error, 1)
	go func() { ended <- a.runApply(ctx) }()

	a.commit(40)
	require.NoError(t, a.wait(ctx, 40))
	a.commit(30)
	require.EqualValues(t, 40, a.position(), "what is committed stays so")

	a.commit(150) // known before the records are there
	require.NoError(t, a.wait(ctx, 100))
	short, stop := context.WithCancel(ctx)
	stop()
	require.ErrorIs(t, a.wait(short, 150), context.Canceled)
	m.grow(200) // and it finds them by itself
	require.NoError(t, a.wait(ctx, 150))

	require.NoError(t, a.truncate(120))
	require.EqualValues(t, 120, a.position(), "what is cut is not committed")

	m.mu.Lock()
	m.err = errors.New("disk gone")
	m.mu.Unlock()
	a.commit(180)
	require.ErrorContains(t, <-ended, "disk gone")
	require.ErrorContains(t, a.wait(ctx, 180), "disk gone", "who waits is told")
}

// TestApplierGathers shows who has to wait for the index, in virtual time:
// nobody who asks for it.
func TestApplierGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := &fakeMachine{end: 1000}
		a := newApplier(m)
		ended := make(chan error, 1)
		go func() { ended <- a.runApply(ctx) }()
		took := func(f func()) time.Duration {
			began := time.Now()
			f()
			return time.Since(began)
		}
		applied := func() record.Position {
			synctest.Wait()
			at, _ := m.Applied()
			return at
		}

		a.commit(10)
		require.EqualValues(t, 0, applied(), "a follower gathers what is committed")
		pause := time.NewTimer(applyPause)
		<-pause.C
		require.EqualValues(t, 10, applied())

		a.commit(20)
		require.EqualValues(t, 10, applied())
		require.Zero(t, took(func() { require.NoError(t, a.wait(ctx, 20)) }), "who waits does not wait for more")
		a.commit(30)
		require.Zero(t, took(func() { require.NoError(t, a.wait(ctx, 30)) }))

		a.setSink(noSink{})
		a.commit(40)
		require.EqualValues(t, 40, applied(), "a broker hears at once")

		cancel()
		require.NoError(t, <-ended)
	})
}

// A log that is installed over one of the same end is applied although nothing
// is committed anew.
func TestApplierAppliesAReplacedLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := &fakeMachine{end: 100}
		a := newApplier(m)
		ended := make(chan error, 1)
		go func() { ended <- a.runApply(ctx) }()
		a.commit(100)
		require.NoError(t, a.wait(ctx, 100))
		require.NoError(t, a.replace(100, func() error {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.applied = 0
			return nil
		}))
		a.commit(100) // as the leader repeats it
		<-time.After(time.Minute)
		applied, _ := m.Applied()
		require.EqualValues(t, 100, applied)
		cancel()
		require.NoError(t, <-ended)
	})
}

type noSink struct{ index.Sink }

// A broker reads the index when it is made, and proposes at once what is due.
// Were that applied before the applier knew the broker, consumers would not get
// it before the next message came.
func TestNothingIsAppliedWhileASinkIsMade(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m := &fakeMachine{end: 100}
	a := newApplier(m)
	ended := make(chan error, 1)
	go func() { ended <- a.runApply(ctx) }()
	require.NoError(t, a.makeSink(func() (index.Sink, error) {
		a.commit(100)
		require.False(t, a.run.TryLock(), "a round could run")
		at, _ := m.Applied()
		require.Zero(t, at)
		return noSink{}, nil
	}))
	require.NoError(t, a.wait(ctx, 100))
	require.ErrorIs(t, a.makeSink(func() (index.Sink, error) { return nil, errors.ErrUnsupported }), errors.ErrUnsupported)
	require.Equal(t, noSink{}, a.mu.sink)
	cancel()
	require.NoError(t, <-ended)
}
