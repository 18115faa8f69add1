package load_test

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo/load"
	"baton/node/client/clienttest"
	"baton/zkclient/ensemble/porttest"
)

// patience bounds every wait: the machine may be busy.
const patience = time.Minute

func listen(t *testing.T, addr string) net.Listener {
	ln, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	return ln
}

func serve(t *testing.T, ln net.Listener, journal *bytes.Buffer, again bool) *clienttest.Server {
	cfg := clienttest.Config{Listener: ln}
	var s *clienttest.Server
	var err error
	if journal != nil {
		cfg.Journal = journal
	}
	if again {
		s, err = clienttest.New(cfg, bytes.NewReader(journal.Bytes()))
	} else {
		s, err = clienttest.New(cfg, nil)
	}
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func start(t *testing.T, cfg load.Config) *load.Load {
	l, err := load.Start(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func received(t *testing.T, l *load.Load, n uint64) {
	t.Helper()
	require.Eventually(t, func() bool { return l.Summary().Received >= n }, patience, 5*time.Millisecond, "%+v", l.Summary())
}

func TestAllWell(t *testing.T) {
	s := serve(t, listen(t, "127.0.0.1:0"), nil, false)
	var receipts atomic.Int64
	l := start(t, load.Config{
		Addresses: []string{s.Addr()}, Rate: 2000, Queues: []string{"a", "b"}, Consumers: 3,
		OnReceipt: func(connected, at time.Time) {
			if at.After(connected) {
				receipts.Add(1)
			}
		},
	})
	received(t, l, 500)
	require.Eventually(t, func() bool { r := l.Rates(); return r.Sent > 0 && r.Received > 0 }, patience, 10*time.Millisecond)
	require.NoError(t, l.Drain(within(t, patience)))
	sum := l.Summary()
	require.Empty(t, sum.Violations(true))
	require.Equal(t, sum.Sent, sum.Receipted)
	require.Equal(t, sum.Sent, sum.Received)
	require.Equal(t, int64(sum.Receipted), receipts.Load())
	require.Eventually(t, func() bool { return s.Depth("/queue/a")+s.Depth("/queue/b") == 0 }, patience, time.Millisecond, "acked")
	r := l.Rates()
	require.Greater(t, r.SendP50, time.Duration(0))
	require.GreaterOrEqual(t, r.SendP99, r.SendP50)
	require.Greater(t, r.GapMax, time.Duration(0))
}

func TestFailoverLosesNothing(t *testing.T) {
	journal := &bytes.Buffer{}
	first, second := listen(t, "127.0.0.1:0"), porttest.Address(t)
	a := serve(t, first, journal, false)
	l := start(t, load.Config{Addresses: []string{a.Addr(), second}, Rate: 1000})
	received(t, l, 200)
	a.Close()
	n := l.Summary().Received
	b := serve(t, listen(t, second), journal, true)
	received(t, l, n+200)
	require.NoError(t, l.Drain(within(t, patience)))
	sum := l.Summary()
	require.Empty(t, sum.Violations(true), "%+v", sum)
	require.Zero(t, sum.InDoubt, "what was in doubt was sent again")
	require.LessOrEqual(t, sum.Resent, uint64(4), "one per producer at most")
	require.Equal(t, sum.Receipted, sum.Received)
	require.Eventually(t, func() bool { return b.Depth("/queue/demo.orders") == 0 }, patience, time.Millisecond, "acked")
}

// A producer that cannot know whether its message was stored sends it again,
// and it is there once.
func TestResentIsStoredOnce(t *testing.T) {
	journal := &bytes.Buffer{}
	first, second := listen(t, "127.0.0.1:0"), porttest.Address(t)
	a := serve(t, first, journal, false)
	l := start(t, load.Config{Addresses: []string{a.Addr(), second}, Rate: 1000})
	received(t, l, 20)
	a.Mute(true) // stores on, and tells nobody
	n := a.Stats().Enqueued
	require.Eventually(t, func() bool { return a.Stats().Enqueued > n }, patience, time.Millisecond)
	a.Close()
	b := serve(t, listen(t, second), journal, true)
	received(t, l, l.Summary().Received+50)
	require.NoError(t, l.Drain(within(t, patience)))
	sum := l.Summary()
	require.Empty(t, sum.Violations(true), "%+v", sum)
	require.Positive(t, sum.Resent)
	require.Positive(t, b.Stats().Duplicates)
	require.Equal(t, sum.Sent, sum.Received)
}

// The judge must see what a broker that forgets does.
func TestLossIsSeen(t *testing.T) {
	first, second := listen(t, "127.0.0.1:0"), porttest.Address(t)
	a := serve(t, first, nil, false)
	l := start(t, load.Config{Addresses: []string{a.Addr(), second}, Rate: 1000, Prefetch: 1})
	received(t, l, 50)
	a.Hold(true) // stores and confirms, delivers nothing
	// Some of them are on their way.
	require.Eventually(t, func() bool { return l.Summary().Outstanding > 50 }, patience, time.Millisecond)
	a.Close()
	serve(t, listen(t, second), nil, false) // knows nothing of them
	require.ErrorIs(t, l.Drain(within(t, time.Second)), context.DeadlineExceeded)
	sum := l.Summary()
	require.Greater(t, sum.Outstanding, uint64(10))
	require.NotEmpty(t, sum.Violations(true))
	require.Empty(t, sum.Violations(false))
	require.Len(t, l.Missing(5), 5)
}

func TestRefusedAndRate(t *testing.T) {
	s := serve(t, listen(t, "127.0.0.1:0"), nil, false)
	s.Refuse("no quorum")
	l := start(t, load.Config{Addresses: []string{s.Addr()}})
	require.Zero(t, l.Rate())
	l.SetRate(500)
	require.Eventually(t, func() bool { return l.Summary().Refused > 10 }, patience, time.Millisecond)
	s.Refuse("")
	received(t, l, 10)
	l.SetRate(0)
	require.NoError(t, l.Drain(within(t, patience)))
	sum := l.Summary()
	require.Equal(t, sum.Sent, sum.Receipted+sum.Refused)
	require.Empty(t, sum.Violations(true))
}

func TestDrainThatFails(t *testing.T) {
	s := serve(t, listen(t, "127.0.0.1:0"), nil, false)
	l := start(t, load.Config{Addresses: []string{s.Addr()}, Rate: 500})
	received(t, l, 20)
	s.Hold(true)
	require.Eventually(t, func() bool { return l.Summary().Outstanding > 0 }, patience, time.Millisecond)
	s.Close()
	require.ErrorIs(t, l.Drain(within(t, 400*time.Millisecond)), context.DeadlineExceeded, "nobody serves")
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]load.Config{
		"no address":        {},
		"bad address":       {Addresses: []string{"x"}},
		"negative rate":     {Addresses: []string{"a:1"}, Rate: -1},
		"bad queue":         {Addresses: []string{"a:1"}, Queues: []string{"a/b"}},
		"huge body":         {Addresses: []string{"a:1"}, BodySize: 1 << 30},
		"too few consumers": {Addresses: []string{"a:1"}, Queues: []string{"a", "b"}, Consumers: 1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load.Start(c)
			require.Error(t, err)
		})
	}
}
