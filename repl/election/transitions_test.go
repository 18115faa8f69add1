package election_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"baton/repl/election"
)

// A node with a damaged log promises like any other, but must not be elected on
// it, however long it takes until the log is replaced.
func TestDamagedLogIsNoCandidate(t *testing.T) {
	s := self("n2")
	s.DidDamage("its log is damaged")
	s.DidSeal(6, "b6")
	position, ballot := s.Candidacy(100)
	require.EqualValues(t, -1, position)
	require.Empty(t, ballot)
	s.Unfit = "" // that has an end of its own
	s.DidSeal(7, "b7")
	position, _ = s.Candidacy(100)
	require.EqualValues(t, -1, position)

	elected := three(sealing("n2", "n3"), func(v *election.View) { v.Cluster.Phase, v.Cluster.Leader = election.PhaseElected, "n2" })
	found := self("n2", idle)
	found.DidSeal(6, "b6") // it was a candidate before the damage was found
	require.Equal(t, election.Promote, watching().Decide(t0, elected, found).Kind)
	found.DidDamage("its log is damaged")
	d := watching().Decide(t0, elected, found)
	require.Equal(t, election.Wait, d.Kind)
	require.EqualValues(t, 6, d.Suspect, "the others elect another")

	require.False(t, election.MayInstall(6, 7), "the end of the old log may have been published")
	require.True(t, election.MayInstall(7, 7))
	s.DidInstall()
	s.DidSeal(8, "b8")
	position, ballot = s.Candidacy(100)
	require.EqualValues(t, 100, position)
	require.Equal(t, "b8", ballot)
}

// A promise is used up by following and by leading.
func TestPromiseIsUsedUp(t *testing.T) {
	for name, use := range map[string]func(*election.Self){
		"following":         func(s *election.Self) { s.DidFollow(election.Step{Epoch: 6, Address: "n1:1"}) },
		"leading":           func(s *election.Self) { s.DidPromote(6, map[string]string{"n2": "i2"}) },
		"failing to lead":   func(s *election.Self) { s.DidPromote(0, nil) },
		"a later promise":   func(s *election.Self) { s.DidPromise(7) },
		"standing back now": func(s *election.Self) { s.Unfit = "the port is taken"; s.DidSeal(7, "b7") },
	} {
		t.Run(name, func(t *testing.T) {
			s := self("n2", idle)
			s.DidSeal(6, "b6")
			use(&s)
			position, ballot := s.Candidacy(100)
			require.EqualValues(t, -1, position)
			require.Empty(t, ballot)
		})
	}
}

// What was written is the view until the watch brings it, unless the watch was
// faster or another connection came between.
func TestOwnWriteIsSeenAtOnce(t *testing.T) {
	v := three()
	v.Reads = 3
	next := election.Step{Kind: election.StartElection, Cluster: election.Next(v.Cluster, 5, "", "b")}
	w := v
	w.Wrote(next, 7, 3)
	require.EqualValues(t, 8, w.Version)
	require.EqualValues(t, 6, w.Cluster.Epoch)
	w = v
	w.Wrote(next, 7, 2)
	require.Equal(t, v, w, "of another connection")
	w.Version = 9
	w.Wrote(next, 7, 3)
	require.EqualValues(t, 9, w.Version, "the watch was faster")
	var empty election.View
	empty.Wrote(election.Step{Kind: election.Form, Cluster: v.Cluster}, -1, 0)
	require.True(t, empty.Exists)
	require.Zero(t, empty.Version)
	require.True(t, election.StartElection.Once() && election.Elect.Once())
	require.False(t, election.Register.Once() || election.Form.Once())
}
