package tally_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl/progress"
	"baton/repl/quorum"
	"baton/repl/tally"
)

var t0 = time.Unix(1000, 0)

// attached is a member whose disk d holds everything up to 100.
func attached(t *testing.T, p *tally.Peer) {
	t.Helper()
	p.Prog.Sent(100)
	_, err := p.Prog.Acked(100, 100, 100, t0)
	require.NoError(t, err)
}

func member(t *testing.T, voter, incarnation string) *tally.Peer {
	t.Helper()
	p := tally.New(progress.Config{Disk: true}, t0)
	p.SetVoter(voter)
	p.Attached(incarnation, 0, 100, t0)
	attached(t, &p)
	return &p
}

func TestCounts(t *testing.T) {
	require.True(t, member(t, "d1", "d1").Counts())
	require.False(t, member(t, "d1", "d2").Counts(), "another disk")
	require.False(t, member(t, "", "").Counts(), "no disk is registered")
	p := member(t, "d1", "d1")
	p.Prog.Lost()
	require.Len(t, p.Acks(nil), 1, "what a lost session acknowledged stays in that log")
	p.Attached("d1", 0, 100, t0)
	require.Equal(t, []quorum.Ack{{}}, p.Acks(nil), "a new session starts from nothing, and counts once")
	p = member(t, "d1", "d1")
	p.Replaced("d1", t0)
	require.Equal(t, []quorum.Ack{{}}, p.Acks(nil))
	require.False(t, p.InSync())
}

func TestLearnerTakesTheOldDisksPlace(t *testing.T) {
	line := tally.Line{Commit: 100, EpochEnd: 50, Fenced: true}
	p := member(t, "d1", "d2")
	require.False(t, p.LearnerCaughtUp(tally.Line{Commit: 40, EpochEnd: 50, Fenced: true}, t0), "what is committed is not known yet")
	require.False(t, p.LearnerCaughtUp(tally.Line{Commit: 101, EpochEnd: 50, Fenced: true}, t0), "behind")
	require.True(t, p.LearnerCaughtUp(line, t0))
	require.False(t, p.LearnerCaughtUp(line, t0.Add(tally.LearnerInterval-1)), "told a moment ago")
	require.True(t, p.LearnerCaughtUp(line, t0.Add(tally.LearnerInterval)))
	p.Attached("d1", 0, 100, t0)
	attached(t, p)
	require.False(t, p.Counts(), "the new disk may have been registered meanwhile")
	require.True(t, p.LearnerCaughtUp(line, t0.Add(3*tally.LearnerInterval)), "the old one is offered as well")
	p.SetVoter("d1")
	require.True(t, p.Counts())
	require.False(t, p.LearnerCaughtUp(line, t0.Add(9*tally.LearnerInterval)))
}

func TestAdvance(t *testing.T) {
	r := tally.Rule{Policy: quorum.QuorumDisk, Replicas: 3, EpochEnd: 50}
	acks := member(t, "d1", "d1").Acks(nil)
	require.EqualValues(t, 80, r.Advance(quorum.Self{Written: 90, Flush: 80}, acks, 10))
	require.EqualValues(t, 10, r.Advance(quorum.Self{Written: 90, Flush: 80}, nil, 10))
	require.EqualValues(t, 10, r.Advance(quorum.Self{Written: 90, Flush: 40}, acks, 10), "not before a record of its own epoch")
	require.EqualValues(t, 95, r.Advance(quorum.Self{Written: 90, Flush: 80}, acks, 95), "known from before")
}
