package repltest_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/repl"
	"baton/repl/repltest"
	"baton/store/record"
)

func TestLogKeepsTheContract(t *testing.T) {
	repltest.CheckLog(t, func(*testing.T) repl.Log { return repltest.NewLog() })
}

func message() *record.Batch {
	b := record.NewBatch(64)
	b.Add(record.TypeAck, record.Ack{Queue: "q", Sequences: []record.Sequence{1}}.AppendTo)
	return b
}

func TestLogHoldsWhatATestHolds(t *testing.T) {
	l := repltest.NewLog()
	_, err := l.Append(1, 0, message())
	require.NoError(t, err)
	one := l.Positions().Append
	l.HoldFlush(true)
	_, err = l.Append(1, 0, message())
	require.NoError(t, err)
	two := l.Positions().Append
	l.HoldWrites(true)
	three, err := l.Append(1, 0, message())
	require.NoError(t, err)
	require.Equal(t, record.Positions{Append: three, Written: two, Flush: one, Epoch: 1}, l.Positions())
	b, err := l.ReadInto(nil, two, 1<<20)
	require.NoError(t, err)
	require.Empty(t, b, "what is not written cannot be read")
	l.Crash()
	require.Equal(t, record.Positions{Append: one, Written: one, Flush: one, Epoch: 1}, l.Positions())

	require.NoError(t, l.Err())
	l.Fail(errors.New("gone"))
	_, err = l.Append(1, 0, message())
	require.ErrorIs(t, err, repltest.ErrClosed)
	require.ErrorIs(t, l.Err(), repltest.ErrClosed)
}
