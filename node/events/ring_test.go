package events_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/events"
)

func TestReaderGetsWhatCameAfter(t *testing.T) {
	r := events.New("n1", 10, nil)
	r.Add("a", 1, "first", "k", "v")
	r.Add("b", 2, "second")
	got, err := r.After(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, "v", got[0].Fields["k"])
	require.Equal(t, "n1", got[1].Node)
	got, err = r.After(t.Context(), 1)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, uint64(2), got[0].Seq)
}

func TestReaderWaitsForTheNextEvent(t *testing.T) {
	r := events.New("n1", 10, nil)
	r.Add("a", 0, "first")
	done := make(chan string, 1)
	go func() {
		got, err := r.After(context.Background(), 1)
		done <- fmt.Sprintf("%d %v %s", len(got), err, got[0].Kind)
	}()
	r.Add("b", 0, "second")
	select {
	case s := <-done:
		require.Equal(t, "1 <nil> b", s)
	case <-time.After(time.Minute):
		t.Fatal("reader was not woken")
	}
}

func TestReaderEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := events.New("n1", 1, nil).After(ctx, 0)
	require.ErrorIs(t, err, context.Canceled)
}

func TestSlowReaderIsToldWhatItMissed(t *testing.T) {
	r := events.New("n1", 3, nil)
	for i := range 8 {
		r.Add(fmt.Sprint(i), 0, "x")
	}
	got, err := r.After(t.Context(), 1)
	require.ErrorIs(t, err, events.ErrMissed)
	require.Len(t, got, 3)
	require.Equal(t, uint64(6), got[0].Seq)
}

func TestSequenceOfAnEarlierProcessBeginsAnew(t *testing.T) {
	r := events.New("n1", 3, nil)
	r.Add("a", 0, "x")
	got, err := r.After(t.Context(), 500)
	require.NoError(t, err)
	require.Len(t, got, 1)
}
