package election_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl/election"
	"baton/store/record"
)

var t0 = time.Unix(1000, 0)

// three builds a view of three registered members that follow n1 in epoch 5.
func three(change ...func(*election.View)) election.View {
	v := election.View{Connected: true, Exists: true, Version: 7, Cluster: election.Cluster{
		ID: "c", Replicas: 3, Members: map[string]string{"n1": "i1", "n2": "i2", "n3": "i3"},
		Epoch: 5, Phase: election.PhaseElected, Leader: "n1"}}
	for i, n := range []string{"n1", "n2", "n3"} {
		v.Members = append(v.Members, election.Member{Node: n, Incarnation: "i" + n[1:], Sequence: uint64(10 + i),
			LastEpoch: 5, Position: -1, Sealed: 5, Weight: 1})
	}
	v.Members[0].Address = "n1:1"
	for _, f := range change {
		f(&v)
	}
	return v
}

func self(node string, change ...func(*election.Self)) election.Self {
	s := election.Self{Node: node, Incarnation: "i" + node[1:], ClusterID: "c", Replicas: 3, LastEpoch: 5, Sealed: 5,
		Following: 5, FollowingAt: "n1:1", LinkUp: true}
	if node == "n1" {
		s.Following, s.FollowingAt, s.LinkUp, s.Leading = 0, "", false, 5
	}
	for _, f := range change {
		f(&s)
	}
	if s.SealedHere == 6 {
		s.SealedFor = "b6"
	}
	return s
}

// watching has been connected to ZooKeeper since before the election began.
func watching(cfg ...election.Config) *election.Elector {
	e := election.New(append(cfg, election.Config{})[0])
	e.Decide(t0, election.View{Connected: true}, election.Self{Node: "n2", Incarnation: "i2", Replicas: 3})
	return e
}

func dead(s *election.Self) { s.LinkUp, s.LinkDead = false, 5 }

func sealing(sealed ...string) func(*election.View) {
	return func(v *election.View) {
		v.Cluster.Epoch, v.Cluster.Phase, v.Cluster.Leader, v.Cluster.Ballot = 6, election.PhaseSealing, "", "b6"
		for _, n := range sealed {
			for i := range v.Members {
				if v.Members[i].Node == n {
					v.Members[i].Sealed, v.Members[i].Position, v.Members[i].Ballot = 6, 100, "b6"
				}
			}
		}
	}
}

func TestDecide(t *testing.T) {
	cases := []struct {
		name    string
		view    election.View
		self    election.Self
		kind    election.Kind
		suspect record.Epoch
		check   func(*testing.T, election.Decision)
	}{
		{name: "a healthy follower waits", view: three(), self: self("n2"), kind: election.Wait},
		{name: "a healthy leader waits", view: three(), self: self("n1"), kind: election.Wait},
		{name: "ZooKeeper away changes nothing for a leader", view: three(func(v *election.View) { v.Connected = false }), self: self("n1"), kind: election.Wait},
		{name: "one suspicion is no quorum", view: three(), self: self("n2", dead), kind: election.Wait, suspect: 5},
		{name: "two suspicions begin the next epoch, the first in line acts",
			view: three(func(v *election.View) { v.Members[2].Suspect = 5 }), self: self("n2", dead), kind: election.StartElection, suspect: 5,
			check: func(t *testing.T, d election.Decision) {
				require.Equal(t, record.Epoch(6), d.Cluster.Epoch)
				require.Equal(t, election.PhaseSealing, d.Cluster.Phase)
				require.Empty(t, d.Cluster.Leader)
			}},
		{name: "the second in line waits its turn",
			view: three(func(v *election.View) { v.Members[1].Suspect = 5 }), self: self("n3", dead), kind: election.Wait, suspect: 5,
			check: func(t *testing.T, d election.Decision) { require.Equal(t, time.Second, d.Wake) }},
		{name: "an expired session of the leader is no suspicion while the link works",
			view: three(func(v *election.View) { v.Members = v.Members[1:] }), self: self("n2"), kind: election.Wait},
		{name: "a leader that was gone before it was met is suspected",
			view: three(func(v *election.View) { v.Members = v.Members[1:] }), kind: election.Wait, suspect: 5,
			self: self("n2", func(s *election.Self) { s.Following, s.LinkUp = 0, false })},
		{name: "a restarted leader suspects itself",
			view: three(), self: self("n1", func(s *election.Self) { s.Leading = 0 }), kind: election.Wait, suspect: 5},
		{name: "a leader steps down for a higher epoch", view: three(sealing()), self: self("n1"), kind: election.StepDown},
		{name: "a follower seals although its link works", view: three(sealing()), self: self("n2"), kind: election.Seal},
		{name: "one promise is not enough", view: three(sealing("n2")), kind: election.Wait,
			self: self("n2", func(s *election.Self) { s.Sealed, s.SealedHere = 6, 6 })},
		{name: "two promises elect the newest log",
			view: three(sealing("n2", "n3"), func(v *election.View) { v.Members[2].Position = 101 }), kind: election.Elect,
			self: self("n2", func(s *election.Self) { s.Sealed, s.SealedHere = 6, 6 }),
			check: func(t *testing.T, d election.Decision) {
				require.Equal(t, "n3", d.Cluster.Leader)
				require.Contains(t, d.Reason, "highest position")
			}},
		{name: "a newer epoch beats a longer log",
			view: three(sealing("n2", "n3"), func(v *election.View) { v.Members[1].Position = 9999; v.Members[1].LastEpoch = 4 }), kind: election.Elect,
			self:  self("n2", func(s *election.Self) { s.Sealed, s.SealedHere = 6, 6 }),
			check: func(t *testing.T, d election.Decision) { require.Equal(t, "n3", d.Cluster.Leader) }},
		{name: "a wiped disk does not count",
			view: three(sealing("n2", "n3"), func(v *election.View) { v.Members[2].Incarnation = "new" }), kind: election.Wait,
			self: self("n2", func(s *election.Self) { s.Sealed, s.SealedHere = 6, 6 })},
		{name: "two member nodes of one process count once",
			view: three(sealing("n2"), func(v *election.View) {
				m := v.Members[1]
				m.Sequence = 40
				v.Members = append(v.Members, m)
			}), kind: election.Wait, self: self("n2", func(s *election.Self) { s.Sealed, s.SealedHere = 6, 6 })},
		{name: "a transfer's target wins a tie", kind: election.Elect,
			view:  three(sealing("n1", "n2", "n3"), func(v *election.View) { v.Cluster.Prefer = "n3" }),
			self:  self("n1", func(s *election.Self) { s.Leading, s.Sealed, s.SealedHere = 0, 6, 6 }),
			check: func(t *testing.T, d election.Decision) { require.Equal(t, "n3", d.Cluster.Leader) }},
		{name: "a transfer waits for its target to promise", kind: election.Wait,
			view:  three(sealing("n1", "n2"), func(v *election.View) { v.Cluster.Prefer = "n3" }),
			self:  self("n1", func(s *election.Self) { s.Leading, s.Sealed, s.SealedHere = 0, 6, 6 }),
			check: func(t *testing.T, d election.Decision) { require.Equal(t, time.Second, d.Wake) }},
		{name: "a transfer does not wait for a target that is gone", kind: election.Elect,
			view: three(sealing("n1", "n2"), func(v *election.View) { v.Cluster.Prefer = "n3"; v.Members = v.Members[:2] }),
			self: self("n1", func(s *election.Self) { s.Leading, s.Sealed, s.SealedHere = 0, 6, 6 })},
		{name: "a live voter with a later epoch is waited for", kind: election.Wait,
			view:  three(sealing("n2", "n3"), func(v *election.View) { v.Members[0].LastEpoch = 7 }),
			self:  self("n2", func(s *election.Self) { s.Sealed, s.SealedHere = 6, 6 }),
			check: func(t *testing.T, d election.Decision) { require.Equal(t, time.Second, d.Wake) }},
		{name: "the elected promotes", kind: election.Promote, self: self("n2", func(s *election.Self) { s.Sealed, s.SealedHere = 6, 6 }),
			view: three(sealing("n2", "n3"), func(v *election.View) { v.Cluster.Phase, v.Cluster.Leader = election.PhaseElected, "n2" })},
		{name: "the elected that was restarted does not", kind: election.Wait, suspect: 6, self: self("n2", func(s *election.Self) { s.Sealed, s.Following = 6, 0; s.LinkUp = false }),
			view: three(sealing("n2", "n3"), func(v *election.View) { v.Cluster.Phase, v.Cluster.Leader = election.PhaseElected, "n2" })},
		{name: "the loser waits for the address", kind: election.Wait, self: self("n3", func(s *election.Self) { s.Sealed, s.SealedHere, s.LinkUp, s.Following = 6, 6, false, 0 }),
			view: three(sealing("n2", "n3"), func(v *election.View) { v.Cluster.Phase, v.Cluster.Leader = election.PhaseElected, "n2" })},
		{name: "and follows it", kind: election.Follow, self: self("n3", func(s *election.Self) { s.Sealed, s.SealedHere, s.LinkUp, s.Following = 6, 6, false, 0 }),
			view: three(sealing("n2", "n3"), func(v *election.View) {
				v.Cluster.Phase, v.Cluster.Leader, v.Members[1].Address = election.PhaseElected, "n2", "n2:1"
			}),
			check: func(t *testing.T, d election.Decision) { require.Equal(t, "n2:1", d.Address) }},
		{name: "a stranger is refused", view: three(), self: self("n4"), kind: election.Refuse},
		{name: "another cluster's data is refused", view: three(), self: self("n2", func(s *election.Self) { s.ClusterID = "x" }), kind: election.Refuse},
		{name: "another size is refused", view: three(), self: self("n2", func(s *election.Self) { s.Replicas = 5 }), kind: election.Refuse},
		{name: "a wiped ZooKeeper: the leader forms the cluster again in its own epoch",
			view: three(func(v *election.View) { v.Exists = false; v.Cluster = election.Cluster{} }), kind: election.Form,
			self: self("n1", func(s *election.Self) { s.Voters = map[string]string{"n1": "i1", "n2": "i2"} }),
			check: func(t *testing.T, d election.Decision) {
				require.Equal(t, record.Epoch(5), d.Cluster.Epoch)
				require.Equal(t, "n1", d.Cluster.Leader)
				require.Len(t, d.Cluster.Members, 2)
			}},
		{name: "a wiped ZooKeeper: a leader waits for a quorum of its voters, a new disk is none", kind: election.Wait,
			view: three(func(v *election.View) { v.Exists = false; v.Members = v.Members[:2]; v.Members[1].Incarnation = "new" }),
			self: self("n1", func(s *election.Self) { s.Voters = map[string]string{"n1": "i1", "n2": "i2", "n3": "i3"} })},
		{name: "a wiped ZooKeeper: a leader that was succeeded steps down", kind: election.StepDown,
			view: three(func(v *election.View) { v.Exists = false; v.Members[2].Sealed = 6 }),
			self: self("n1", func(s *election.Self) { s.Voters = map[string]string{"n1": "i1", "n2": "i2", "n3": "i3"} })},
		{name: "a wiped ZooKeeper: a follower with a working link waits",
			view: three(func(v *election.View) { v.Exists = false }), self: self("n2"), kind: election.Wait},
		{name: "a wiped ZooKeeper: who knows the voters forms the cluster with them", kind: election.Form, view: forgotten(),
			self: self("n2", idle, func(s *election.Self) {
				s.History = election.Configuration{Replicas: 3, Members: map[string]string{"n1": "i1", "n2": "i2", "n3": "old"}}
			}),
			check: func(t *testing.T, d election.Decision) {
				require.Equal(t, map[string]string{"n1": "i1", "n2": "i2", "n3": "old"}, d.Cluster.Members)
				require.Equal(t, record.Epoch(5), d.Cluster.Epoch)
			}},
		{name: "a wiped ZooKeeper: who holds the newest epoch but cannot tell its voters does not form", kind: election.Wait,
			view: forgotten(), self: self("n2", idle)},
		{name: "a wiped ZooKeeper: without any history all members are waited for", kind: election.Wait,
			view: forgotten(func(v *election.View) {
				v.Members = v.Members[:2]
				v.Members[0].LastEpoch, v.Members[1].LastEpoch = 0, 0
			}),
			self:  self("n2", idle, func(s *election.Self) { s.LastEpoch = 0 }),
			check: func(t *testing.T, d election.Decision) { require.Contains(t, d.Reason, "2 of 3 members are there") }},
		{name: "without any history, but all are there", kind: election.Form,
			view: forgotten(func(v *election.View) {
				for i := range v.Members {
					v.Members[i].LastEpoch = 0
				}
			}), self: self("n2", idle, func(s *election.Self) { s.LastEpoch = 0 }),
			check: func(t *testing.T, d election.Decision) {
				require.Equal(t, map[string]string{"n2": "i2"}, d.Cluster.Members)
			}},
		{name: "a disk that comes to a cluster with a history counts when its leader says so", kind: election.Register,
			view: three(func(v *election.View) { delete(v.Cluster.Members, "n3"); v.Cluster.Restored = true }), self: self("n3"),
			check: func(t *testing.T, d election.Decision) {
				inc, ok := d.Cluster.Members["n3"]
				require.True(t, ok)
				require.Empty(t, inc)
			}},
		{name: "a disk without which there is no quorum counts at once", kind: election.Register,
			view: three(func(v *election.View) { delete(v.Cluster.Members, "n3"); delete(v.Cluster.Members, "n2") }), self: self("n3"),
			check: func(t *testing.T, d election.Decision) { require.Equal(t, "i3", d.Cluster.Members["n3"]) }},
		{name: "ZooKeeper rolled back: the leader asserts its epoch", kind: election.Elect, self: self("n1"),
			view:  three(func(v *election.View) { v.Cluster.Epoch, v.Cluster.Leader = 3, "n2" }),
			check: func(t *testing.T, d election.Decision) { require.Equal(t, record.Epoch(5), d.Cluster.Epoch) }},
		{name: "all disks are new: it says what to do", kind: election.Wait,
			view: three(func(v *election.View) {
				for i := range v.Members {
					v.Members[i].Incarnation, v.Members[i].Address = "new", ""
				}
			}), self: self("n2", func(s *election.Self) { s.Incarnation, s.Following, s.LinkUp, s.LinkDead = "new", 0, false, 5 }), suspect: 5,
			check: func(t *testing.T, d election.Decision) { require.Contains(t, d.Reason, "--discard-history") }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := watching().Decide(t0, c.view, c.self)
			require.Equal(t, c.kind.String(), d.Kind.String(), d.Reason)
			require.Equal(t, c.suspect, d.Suspect, d.Reason)
			if c.check != nil {
				c.check(t, d)
			}
		})
	}
}

// TestGrowing: one replica holds the data, two empty ones join it. The two are
// a quorum of three, and must not elect without the one.
func TestGrowing(t *testing.T) {
	old := election.Configuration{Replicas: 1, Members: map[string]string{"n1": "i1"}}
	v := election.View{Connected: true, Members: []election.Member{
		{Node: "n1", Incarnation: "i1", Sequence: 1, LastEpoch: 5, Position: -1, Sealed: 5},
		{Node: "n2", Incarnation: "i2", Sequence: 2, Position: -1},
		{Node: "n3", Incarnation: "i3", Sequence: 3, Position: -1}}}
	d := election.New(election.Config{}).Decide(t0, v, election.Self{Node: "n1", Incarnation: "i1", ClusterID: "c", Replicas: 3, LastEpoch: 5, Sealed: 5, History: old})
	require.Equal(t, election.Form, d.Kind)
	require.Equal(t, old, d.Cluster.Old)

	grown := three(sealing("n2", "n3"), func(v *election.View) { v.Cluster.Old = old })
	n2 := self("n2", func(s *election.Self) { s.Sealed, s.SealedHere = 6, 6 })
	require.Equal(t, election.Wait, watching().Decide(t0, grown, n2).Kind, "without the one that holds the data")
	grown = three(sealing("n1", "n2"), func(v *election.View) { v.Cluster.Old = old })
	d = watching().Decide(t0, grown, self("n1", func(s *election.Self) { s.Leading, s.Sealed, s.SealedHere = 0, 6, 6 }))
	require.Equal(t, election.Elect, d.Kind)

	lead := three(func(v *election.View) { v.Cluster.Old = old })
	require.Equal(t, election.Wait, election.New(election.Config{}).Decide(t0, lead, self("n1")).Kind, "nothing is committed under the new quorum")
	d = election.New(election.Config{}).Decide(t0, lead, self("n1", func(s *election.Self) { s.Ready = true }))
	require.Equal(t, election.Register, d.Kind)
	require.Zero(t, d.Cluster.Old)
	require.Equal(t, "n1", d.Cluster.Leader)
}

// forgotten is a ZooKeeper without a cluster node, before which n2 stands first.
func forgotten(change ...func(*election.View)) election.View {
	return three(append([]func(*election.View){func(v *election.View) {
		v.Exists, v.Cluster = false, election.Cluster{}
		v.Members[0].Address = ""
		v.Members[0].Sequence, v.Members[1].Sequence = 11, 10
	}}, change...)...)
}

// idle has no leader.
func idle(s *election.Self) { s.Following, s.FollowingAt, s.LinkUp = 0, "", false }

// Without any history even a grace that has passed is not enough.
func TestFormWithoutHistoryWaitsForAll(t *testing.T) {
	e := election.New(election.Config{})
	v := forgotten(func(v *election.View) {
		v.Members = v.Members[:2]
		v.Members[0].LastEpoch, v.Members[1].LastEpoch = 0, 0
	})
	for at := time.Duration(0); at < 10*time.Second; at += 100 * time.Millisecond {
		d := e.Decide(t0.Add(at), v, self("n2", idle, func(s *election.Self) { s.LastEpoch = 0 }))
		require.Equal(t, election.Wait, d.Kind, d.Reason)
	}
}

// An election that was decided is not decided again: the promises that it
// counted were used.
func TestZooKeeperForgetsAnOutcome(t *testing.T) {
	seen := func(node string, change ...func(*election.Self)) (*election.Elector, election.Self) {
		e := election.New(election.Config{})
		s := self(node, append([]func(*election.Self){func(s *election.Self) { s.Sealed, s.SealedHere, s.Leading = 6, 6, 0 }, idle}, change...)...)
		e.Decide(t0, three(sealing("n2", "n3"), func(v *election.View) {
			v.Cluster.Phase, v.Cluster.Leader = election.PhaseElected, "n3"
		}), s)
		return e, s
	}
	t.Run("the election is open again", func(t *testing.T) {
		e, s := seen("n1")
		d := e.Decide(t0, three(sealing("n2", "n3")), s)
		require.Equal(t, election.StartElection, d.Kind, d.Reason)
		require.Equal(t, record.Epoch(7), d.Cluster.Epoch)
	})
	t.Run("another one was elected for the same epoch", func(t *testing.T) {
		e, s := seen("n1")
		d := e.Decide(t0, three(sealing("n2", "n3"), func(v *election.View) {
			v.Cluster.Phase, v.Cluster.Leader = election.PhaseElected, "n2"
		}), s)
		require.Equal(t, election.StartElection, d.Kind, d.Reason)
	})
	t.Run("an older leader is shown", func(t *testing.T) {
		e, s := seen("n2", func(s *election.Self) { s.Sealed, s.SealedHere = 5, 0 })
		d := e.Decide(t0, three(func(v *election.View) { v.Members[0].Sequence = 30 }), s)
		require.Equal(t, election.StartElection, d.Kind, d.Reason)
		require.Equal(t, record.Epoch(7), d.Cluster.Epoch)
	})
}

// An election that is found open, and not seen to begin, may have been decided:
// ZooKeeper may have gone back. What was promised for it then counts no more.
func TestElectionThatWasNotSeenToBegin(t *testing.T) {
	open := three(sealing("n2", "n3"))
	s := self("n2", idle, func(s *election.Self) { s.Sealed, s.SealedHere = 6, 6 })
	t.Run("is not decided, but followed by another", func(t *testing.T) {
		e := election.New(election.Config{})
		d := e.Decide(t0, open, s)
		require.Equal(t, election.Wait, d.Kind)
		require.Equal(t, time.Second, d.Wake)
		d = e.Decide(t0.Add(time.Second), open, s)
		for at := time.Second; d.Kind == election.Wait && at < 5*time.Second; at += time.Second {
			d = e.Decide(t0.Add(at), open, s)
		}
		require.Equal(t, election.StartElection, d.Kind, d.Reason)
		require.Equal(t, record.Epoch(7), d.Cluster.Epoch)
		require.NotEqual(t, "b6", d.Cluster.Ballot)
	})
	t.Run("is not decided after another connection", func(t *testing.T) {
		e := watching()
		again := open
		again.Reads++
		require.Equal(t, election.Wait, e.Decide(t0, again, s).Kind)
		require.Equal(t, election.Elect, watching().Decide(t0, open, s).Kind)
	})
	t.Run("a promise for another beginning of the same epoch does not count", func(t *testing.T) {
		v := three(sealing("n2", "n3"), func(v *election.View) { v.Members[2].Ballot = "older" })
		require.Equal(t, election.Wait, watching().Decide(t0, v, s).Kind)
	})
	t.Run("who promised the epoch for another beginning asks for the next", func(t *testing.T) {
		other := s
		other.SealedFor = "older"
		e := watching()
		d := e.Decide(t0, open, other)
		for at := time.Second; d.Kind == election.Wait && at < 5*time.Second; at += time.Second {
			d = e.Decide(t0.Add(at), open, other)
		}
		require.Equal(t, election.StartElection, d.Kind, d.Reason)
		require.Contains(t, d.Reason, "was begun before")
	})
	t.Run("nor does it lead", func(t *testing.T) {
		v := three(sealing("n2", "n3"), func(v *election.View) { v.Cluster.Phase, v.Cluster.Leader = election.PhaseElected, "n2" })
		require.Equal(t, election.Promote, watching().Decide(t0, v, s).Kind)
		other := s
		other.SealedFor = "older"
		require.Equal(t, election.Wait, watching().Decide(t0, v, other).Kind)
	})
}

// A disk that comes late promises what it sees: should ZooKeeper forget, it is
// told from one that never was in a cluster. Seed 1977836693752750.
func TestLateDiskPromises(t *testing.T) {
	fresh := self("n3", idle, func(s *election.Self) { s.Incarnation, s.LastEpoch, s.Sealed = "new", 0, 0 })
	d := election.New(election.Config{}).Decide(t0, three(), fresh)
	require.Equal(t, election.Promise, d.Kind)
	require.Equal(t, record.Epoch(5), d.Epoch)
	fresh.Sealed = 5
	require.Equal(t, election.Follow, election.New(election.Config{}).Decide(t0, three(), fresh).Kind)
}

// Of three, two were there for the election and one of these lost its disk
// before anything was committed: the third counts as soon as it registered.
// Seed 1977836693753145.
func TestNewcomersCount(t *testing.T) {
	c := three().Cluster
	s := self("n1", func(s *election.Self) { s.Voters = map[string]string{"n1": "i1", "n3": "i3"} })
	require.Equal(t, map[string]string{"n2": "i2"}, election.Newcomers(c, s))
	s.Voters["n2"] = ""
	require.Empty(t, election.Newcomers(c, s), "known, and brought up to date first")
	delete(s.Voters, "n2")
	c.Epoch = 6
	require.Empty(t, election.Newcomers(c, s), "registered in another epoch")
	c.Epoch, s.Leading = 5, 0
	require.Empty(t, election.Newcomers(c, s), "does not lead")
}

func TestMayReplace(t *testing.T) {
	c := three().Cluster
	require.True(t, election.MayReplace(c, "n3", "new", 2), "a quorum of the others holds everything")
	require.False(t, election.MayReplace(c, "n3", "new", 1), "alone with a disk that has forgotten its promises")
	require.True(t, election.MayReplace(c, "n3", "i3", 1), "it came by itself, for the first time")
}

func TestFirstStart(t *testing.T) {
	e := election.New(election.Config{})
	s := election.Self{Node: "n1", Incarnation: "i1", Replicas: 3}
	v := election.View{Connected: true, Members: []election.Member{{Node: "n1", Incarnation: "i1", Position: -1}}}
	require.Equal(t, election.Wait, e.Decide(t0, v, s).Kind, "alone it does not begin")
	v.Members = append(v.Members, election.Member{Node: "n2", Incarnation: "i2", Sequence: 1, Position: -1})
	d := e.Decide(t0, v, s)
	require.Equal(t, election.Wait, d.Kind, "a quorum waits a moment for the third")
	require.Equal(t, 200*time.Millisecond, d.Wake)
	d = e.Decide(t0.Add(d.Wake), v, s)
	require.Equal(t, election.Form, d.Kind)

	v.Exists, v.Cluster = true, d.Cluster
	v.Cluster.ID = "fresh"
	d2 := election.New(election.Config{}).Decide(t0, v, election.Self{Node: "n2", Incarnation: "i2", Replicas: 3})
	require.Equal(t, election.Register, d2.Kind)
	require.Len(t, d2.Cluster.Members, 2)
	v.Cluster = d2.Cluster
	e.Decide(t0.Add(time.Second), v, s)
	d = e.Decide(t0.Add(2*time.Second), v, s)
	require.Equal(t, election.StartElection, d.Kind)
	require.Equal(t, record.Epoch(1), d.Cluster.Epoch)
}

func TestNextInLineActsAfterATimeout(t *testing.T) {
	e := election.New(election.Config{ElectionTimeout: time.Second})
	v := three(func(v *election.View) { v.Members[1].Suspect = 5 })
	require.Equal(t, election.Wait, e.Decide(t0, v, self("n3", dead)).Kind)
	require.Equal(t, election.StartElection, e.Decide(t0.Add(time.Second), v, self("n3", dead)).Kind)
}

func TestElectedThatPublishesNoAddressIsSuspected(t *testing.T) {
	e := election.New(election.Config{ElectionTimeout: time.Second})
	v := three(func(v *election.View) { v.Members[0].Address = "" })
	s := self("n2", func(s *election.Self) { s.Following, s.LinkUp = 0, false })
	require.Zero(t, e.Decide(t0, v, s).Suspect)
	require.Equal(t, record.Epoch(5), e.Decide(t0.Add(time.Second), v, s).Suspect)
}

func TestHopelessSealingIsPaced(t *testing.T) {
	e := election.New(election.Config{ElectionTimeout: time.Second})
	v := three(sealing("n2"), func(v *election.View) { v.Members = v.Members[1:]; v.Members[1].Sealed = 6 })
	s := self("n2", func(s *election.Self) { s.Sealed, s.SealedHere = 6, 6 })
	require.Equal(t, election.Wait, e.Decide(t0, v, s).Kind, "not one election after the other")
	require.Equal(t, election.Wait, e.Decide(t0.Add(240*time.Millisecond), v, s).Kind)
	require.Equal(t, election.StartElection, e.Decide(t0.Add(250*time.Millisecond), v, s).Kind)
}

func TestStuckSealingIsFollowedByTheNextEpoch(t *testing.T) {
	e := election.New(election.Config{ElectionTimeout: time.Second})
	v := three(sealing("n2"))
	s := self("n2", func(s *election.Self) { s.Sealed, s.SealedHere = 6, 6 })
	require.Equal(t, election.Wait, e.Decide(t0, v, s).Kind)
	for at := time.Second; at <= 5*time.Second; at += time.Second {
		if d := e.Decide(t0.Add(at), v, s); d.Kind == election.StartElection {
			require.Equal(t, record.Epoch(7), d.Cluster.Epoch)
			return
		}
	}
	t.Fatal("no further election was begun")
}

// A quorum that promised and takes no part does so in the next epoch too: the
// epochs must not race.
func TestLostSealingIsNotTriedAgainAtOnce(t *testing.T) {
	e := election.New(election.Config{ElectionTimeout: time.Second})
	v := three(sealing("n1", "n2"), func(v *election.View) { v.Members[0].Position, v.Members[1].Position = -1, -1 })
	s := self("n1", func(s *election.Self) { s.Leading, s.Sealed = 0, 6 })
	d := e.Decide(t0, v, s)
	require.Equal(t, election.Wait, d.Kind)
	require.Equal(t, 250*time.Millisecond, d.Wake)
	require.Equal(t, election.StartElection, e.Decide(t0.Add(d.Wake), v, s).Kind)
}

func TestHistoryOfALargerClusterIsNotTakenOver(t *testing.T) {
	v := election.View{Connected: true, Members: []election.Member{{Node: "n3", Incarnation: "i3", LastEpoch: 5, Position: -1}}}
	s := election.Self{Node: "n3", Incarnation: "i3", ClusterID: "c", Replicas: 1, LastEpoch: 5, Sealed: 5,
		History: election.Configuration{Replicas: 3, Members: map[string]string{"n1": "i1", "n2": "i2", "n3": "i3"}}}
	d := election.New(election.Config{}).Decide(t0, v, s)
	require.Equal(t, election.Form, d.Kind)
	require.Equal(t, map[string]string{"n3": "i3"}, d.Cluster.Members)
	require.Equal(t, "c", d.Cluster.ID)
}

func TestRuleIsTheOneThatTheWinnerNeeded(t *testing.T) {
	v := three(sealing("n1", "n2", "n3"), func(v *election.View) { v.Members[2].Weight = 9 })
	s := self("n1", func(s *election.Self) { s.Leading, s.Sealed, s.SealedHere = 0, 6, 6 })
	d := watching().Decide(t0, v, s)
	require.Equal(t, election.Elect, d.Kind)
	require.Equal(t, "n3 leads epoch 6: highest weight", d.Reason)
}
