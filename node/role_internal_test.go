package node

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/adminapi"
	"baton/repl/election"
	"baton/store"
	"baton/zkclient/group"
)

func TestRoleLoopLooksAgainInTime(t *testing.T) {
	now := time.Unix(1000, 0)
	soon := now.Add(20 * time.Millisecond)
	for name, c := range map[string]struct {
		r    role
		wake time.Duration
		want time.Duration
	}{
		"nothing to do":                         {want: time.Second},
		"the elector asks for it":               {wake: 30 * time.Millisecond, want: 30 * time.Millisecond},
		"a write that lost a race":              {r: role{retryAt: soon}, want: 20 * time.Millisecond},
		"a write whose pause is over":           {r: role{retryAt: now.Add(-time.Second)}, want: time.Second},
		"the end of standing back":              {r: role{unfitUntil: soon}, want: 20 * time.Millisecond},
		"an elected node that is alone":         {r: role{aloneUntil: soon}, want: 20 * time.Millisecond},
		"the first of several":                  {r: role{retryAt: soon, unfitUntil: now.Add(time.Minute)}, wake: 30 * time.Millisecond, want: 20 * time.Millisecond},
		"a long wait of the elector is cut off": {wake: time.Minute, want: time.Second},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want+time.Millisecond, c.r.pause(now, c.wake)) })
	}
}

func TestVotersCountOnce(t *testing.T) {
	v := election.View{Cluster: election.Cluster{Members: map[string]string{"n1": "a", "n2": "b", "n3": "c"}},
		Members: []election.Member{{Node: "n1", Incarnation: "a"}, {Node: "n2", Incarnation: "b"}, {Node: "n2", Incarnation: "b", Sequence: 1},
			{Node: "n3", Incarnation: "wiped"}, {Node: "n4", Incarnation: "d"}}}
	require.Equal(t, 2, voters(v))
	require.Equal(t, 1, voters(v, "n1"))
	require.Equal(t, 1, voters(v, "n2"))
}

func TestWhatIsWrittenIsWhatIsRead(t *testing.T) {
	c := election.Cluster{ID: "id", Replicas: 3, Members: map[string]string{"n1": "a", "n2": "b"}, Epoch: 7, Phase: election.PhaseSealing, Prefer: "n2", Ballot: "b",
		Old: election.Configuration{Replicas: 1, Members: map[string]string{"n1": "a"}}, Restored: true}
	d := clusterData(c)
	require.Equal(t, c, viewOf(group.Snapshot{Connected: true, Cluster: &d}).Cluster)
}

// A link promises its leader's epoch while the role loop decides on an older
// one: that is no reason to end the node.
func TestPromiseThatALinkHasOvertaken(t *testing.T) {
	s, err := store.Open(store.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer s.Close()
	r := &role{n: &Node{store: s, failed: make(chan error, 1)}}
	require.NoError(t, s.Seal(7))
	done, again := r.writePromise(6)
	require.False(t, done)
	require.True(t, again)
	require.EqualValues(t, 7, r.self.Sealed, "the next decision sees it")
	require.Empty(t, r.n.failed)
	done, _ = r.writePromise(8)
	require.True(t, done)
	require.EqualValues(t, 8, s.Meta().Sealed)
}

// The first member of a path has the sequence 0, and is a namesake like others.
func TestNamesakes(t *testing.T) {
	member := func(sequence uint64, node, process, state string) group.Member {
		return group.Member{Sequence: sequence, Data: group.MemberData{Node: node, Process: process, State: state}}
	}
	for name, c := range map[string]struct {
		from    uint64
		members []group.Member
		want    uint64
		none    bool
	}{
		"nobody":                       {none: true},
		"others only":                  {members: []group.Member{member(0, "n2", "p", "follower")}, none: true},
		"itself":                       {members: []group.Member{member(0, "n1", "own", "follower")}, none: true},
		"the first of all":             {members: []group.Member{member(0, "n1", "p", "follower")}},
		"the newest of two":            {members: []group.Member{member(0, "n1", "p", ""), member(3, "n1", "q", ""), member(4, "n2", "r", "")}, want: 3},
		"one that was refused":         {members: []group.Member{member(0, "n1", "p", adminapi.RoleRefused)}, none: true},
		"none that came before it":     {from: 4, members: []group.Member{member(3, "n1", "p", "")}, none: true},
		"one that came right after it": {from: 4, members: []group.Member{member(4, "n1", "p", "")}, want: 4},
	} {
		t.Run(name, func(t *testing.T) {
			r := &role{n: &Node{cfg: Config{ID: "n1"}, process: "own"}, snap: group.Snapshot{Connected: true, Members: c.members}}
			m, ok := r.namesake(c.from)
			require.Equal(t, !c.none, ok)
			require.Equal(t, c.want, m.Sequence)
		})
	}
}

// A twin that removed the member node of a process has joined after it: the
// process ends before it joins anew and is the newest.
func TestRemovedByATwin(t *testing.T) {
	member := func(sequence uint64, process string) group.Member {
		return group.Member{Eid: strconv.FormatUint(sequence, 10), Sequence: sequence, Data: group.MemberData{Node: "n1", Process: process}}
	}
	begin := func() *role {
		r := &role{n: &Node{cfg: Config{ID: "n1"}, process: "first", failed: make(chan error, 1)}}
		r.snap = group.Snapshot{Connected: true, Reads: 1, Self: "1", Members: []group.Member{member(1, "first")}}
		r.superseded()
		require.Empty(t, r.n.failed)
		return r
	}
	r := begin()
	r.snap = group.Snapshot{Connected: true, Reads: 1, Members: []group.Member{member(2, "twin")}}
	r.superseded()
	require.Len(t, r.n.failed, 1)

	r = begin() // its session ended, and another process may have been given the id
	r.snap = group.Snapshot{Connected: true, Reads: 2, Members: []group.Member{member(2, "twin")}}
	r.superseded()
	require.Empty(t, r.n.failed, "whether it may join is asked")

	r = begin() // it was not removed by a twin
	r.snap = group.Snapshot{Connected: true, Reads: 1}
	r.superseded()
	require.Empty(t, r.n.failed)
}
