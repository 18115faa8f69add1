package repl_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"baton/repl"
	"baton/store/record"
)

// TestFullDiskOfTheLeader: messages are refused, acks get through, and the
// leadership survives.
func TestFullDiskOfTheLeader(t *testing.T) {
	checkGoroutines(t)
	a, b, c := trio(t)
	a.mustCommit("x")
	a.log.SetFull(true)
	err := result(t, a.propose("y"))
	require.ErrorIs(t, err, repl.ErrFull)
	require.NotErrorIs(t, err, repl.ErrLog)
	require.NotErrorIs(t, err, repl.ErrInDoubt, "nothing was appended")
	out := make(chan error, 1)
	batch := record.NewBatch(64)
	batch.Add(record.TypeAck, record.Ack{Queue: "q", Sequences: []record.Sequence{1}}.AppendTo)
	a.leader.Propose(batch, func(err error) { out <- err })
	require.NoError(t, result(t, out))
	a.log.SetFull(false)
	a.mustCommit("z")
	sameLogs(t, a, b, c)
	require.Zero(t, a.journal.count("log failed"))
}

// TestFullDiskOfAFollower: it keeps its link and falls behind, the others go
// on, and it catches up when it can.
func TestFullDiskOfAFollower(t *testing.T) {
	checkGoroutines(t)
	a, b, c := trio(t)
	a.mustCommit("x")
	b.log.SetFull(true)
	end := b.log.Positions().Append
	for range 10 {
		a.mustCommit("y")
	}
	require.Equal(t, end, b.log.Positions().Append)
	require.True(t, b.follower.Status().Connected)
	b.log.SetFull(false)
	eventually(t, func() bool { return b.log.Positions().Append == a.log.Positions().Append }, "it catches up")
	sameLogs(t, a, b, c)
	require.Zero(t, b.journal.count("log failed"))
	require.Zero(t, b.journal.count("link lost"))

	t.Run("stop while it waits", func(t *testing.T) {
		b.log.SetFull(true)
		a.mustCommit("z")
		b.follower.Stop()
	})
}
