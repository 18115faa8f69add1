package record_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/record"
)

func sampleMove() record.Move {
	return record.Move{Sequence: 7, From: 1 << 40, Enqueue: record.Enqueue{Queue: "orders", Message: record.Message{
		ID: "ID-n1-1-9", Timestamp: 1700000000000, Priority: 4, Transient: true,
		Headers: []record.HeaderField{{Name: "a", Value: "b"}}, Body: []byte("body"),
	}}}
}

func TestMove(t *testing.T) {
	want := sampleMove()
	b := want.AppendTo(nil)
	got, err := record.ParseMove(b)
	require.NoError(t, err)
	require.Equal(t, want, got)
	head := len(b) - len("body")
	for n := range head {
		_, err := record.ParseMove(b[:n])
		require.Error(t, err, "cut to %d bytes, before the message's body begins", n)
	}
	e, err := record.ParseMessage(record.Record{Type: record.TypeMove, Body: b})
	require.NoError(t, err)
	require.Equal(t, want.Enqueue, e)
	e, err = record.ParseMessage(record.Record{Type: record.TypeEnqueue, Body: want.Enqueue.AppendTo(nil)})
	require.NoError(t, err)
	require.Equal(t, want.Enqueue, e)
	require.Equal(t, "move", record.TypeMove.String())
}

func FuzzParseMove(f *testing.F) {
	b := sampleMove().AppendTo(nil)
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := record.ParseMove(b)
		if err != nil {
			return
		}
		again, err := record.ParseMove(m.AppendTo(nil))
		require.NoError(t, err)
		require.True(t, bytes.Equal(m.AppendTo(nil), again.AppendTo(nil)))
	})
}
