package quorum_test

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/repl/quorum"
	"baton/store/record"
)

const all = quorum.QuorumDisk<<1 - 1

func TestSize(t *testing.T) {
	for replicas, want := range map[int]int{1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 7: 4} {
		require.Equal(t, want, quorum.Size(replicas), "%d replicas", replicas)
		require.Greater(t, 2*quorum.Size(replicas), replicas, "two quorums share a node")
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"quorum_disk":                      "quorum_disk",
		" local_disk , remote_mem":         "local_disk,remote_mem",
		"remote_mem,local_disk,remote_mem": "local_disk,remote_mem",
		"local_mem,local_disk,remote_mem,remote_disk,quorum_mem,quorum_disk": "local_mem,local_disk,remote_mem,remote_disk,quorum_mem,quorum_disk",
	} {
		p, err := quorum.Parse(in)
		require.NoError(t, err)
		require.Equal(t, want, p.String())
	}
	for _, in := range []string{"", ",", "quorum", "QUORUM_DISK", "quorum_disk,", "local_disk remote_mem", "none"} {
		p, err := quorum.Parse(in)
		require.ErrorIs(t, err, quorum.ErrPolicy, "%q", in)
		require.Zero(t, p)
	}
}

func TestEveryPolicyRoundTrips(t *testing.T) {
	for p := quorum.Policy(1); p <= all; p++ {
		require.True(t, p.Valid())
		q, err := quorum.Parse(p.String())
		require.NoError(t, err)
		require.Equal(t, p, q)
	}
	require.False(t, quorum.Policy(0).Valid())
	require.False(t, (all + 1).Valid())
}

// holds says in the words of the policy whether position pos is satisfied.
func holds(p quorum.Policy, replicas int, self quorum.Self, acks []quorum.Ack, pos record.Position) bool {
	var received, flushed int
	for _, a := range acks {
		if a.Received >= pos {
			received++
		}
		if a.Flushed >= pos {
			flushed++
		}
	}
	one := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	written, flush := self.Written >= pos, self.Flush >= pos
	return written &&
		(p&quorum.LocalDisk == 0 || flush) &&
		(p&quorum.RemoteMem == 0 || received >= replicas/2) &&
		(p&quorum.RemoteDisk == 0 || flushed >= replicas/2) &&
		(p&quorum.QuorumMem == 0 || 2*(received+one(written)) > replicas) &&
		(p&quorum.QuorumDisk == 0 || 2*(flushed+one(flush)) > replicas)
}

// naive tries every position from the top.
func naive(p quorum.Policy, replicas int, self quorum.Self, acks []quorum.Ack, start, current record.Position) record.Position {
	for pos := record.Position(4); pos > current; pos-- {
		if pos >= start && holds(p, replicas, self, acks, pos) {
			return pos
		}
	}
	return current
}

// TestCommitAgainstModel goes through every policy, up to 5 replicas, and all
// combinations of positions 0..3.
func TestCommitAgainstModel(t *testing.T) {
	n := 0
	for replicas := 1; replicas <= 5; replicas++ {
		top := record.Position(3)
		if replicas > 3 {
			top = 1 // the number of cases grows with the power of replicas
		}
		for voters := 0; voters < replicas; voters++ {
			each(top, voters+1, func(at []quorum.Ack) {
				self := quorum.Self{Written: at[0].Received, Flush: at[0].Flushed}
				for p := quorum.Policy(1); p <= all; p++ {
					if top > 1 && bits.OnesCount8(uint8(p)) > 2 {
						continue
					}
					for start := record.Position(0); start <= top; start++ {
						for current := record.Position(0); current <= self.Written; current++ {
							n++
							want := naive(p, replicas, self, at[1:], start, current)
							got := quorum.Commit(p, replicas, self, at[1:], start, current)
							if got != want {
								t.Fatalf("%s, %d replicas, self %v, acks %v, epoch start %d, current %d: got %d, want %d",
									p, replicas, self, at[1:], start, current, got, want)
							}
						}
					}
				}
			})
		}
	}
	t.Logf("%d cases", n)
	require.Greater(t, n, 100_000)
}

// each calls f with every choice of n pairs 0 <= Flushed <= Received <= top.
func each(top record.Position, n int, f func([]quorum.Ack)) {
	at := make([]quorum.Ack, n)
	var rec func(int)
	rec = func(i int) {
		if i == n {
			f(at)
			return
		}
		for r := record.Position(0); r <= top; r++ {
			for fl := record.Position(0); fl <= r; fl++ {
				at[i] = quorum.Ack{Received: r, Flushed: fl}
				rec(i + 1)
			}
		}
	}
	rec(0)
}

func TestCommit(t *testing.T) {
	self := func(written, flush record.Position) quorum.Self { return quorum.Self{Written: written, Flush: flush} }
	acks := func(pairs ...record.Position) (a []quorum.Ack) {
		for i := 0; i < len(pairs); i += 2 {
			a = append(a, quorum.Ack{Received: pairs[i], Flushed: pairs[i+1]})
		}
		return a
	}
	for name, c := range map[string]struct {
		policy         quorum.Policy
		replicas       int
		self           quorum.Self
		acks           []quorum.Ack
		start, current record.Position
		want           record.Position
	}{
		"one replica needs itself":                {quorum.QuorumDisk, 1, self(90, 80), nil, 10, 0, 80},
		"the slowest of three does not matter":    {quorum.QuorumDisk, 3, self(100, 90), acks(80, 70, 10, 5), 10, 0, 70},
		"followers without the leader's flush":    {quorum.QuorumDisk, 3, self(100, 0), acks(80, 70, 90, 60), 10, 0, 60},
		"remote alone leaves out the leader":      {quorum.RemoteDisk, 3, self(100, 0), acks(80, 70, 10, 5), 10, 0, 70},
		"nobody connected":                        {quorum.QuorumDisk, 3, self(100, 100), nil, 10, 20, 20},
		"local alone needs nobody":                {quorum.LocalDisk, 3, self(100, 90), nil, 10, 0, 90},
		"older epochs are not counted by alone":   {quorum.QuorumDisk, 3, self(100, 100), acks(99, 99), 100, 50, 50},
		"own epoch's record takes them along":     {quorum.QuorumDisk, 3, self(100, 100), acks(100, 100), 100, 50, 100},
		"never backwards":                         {quorum.QuorumDisk, 3, self(100, 100), acks(60, 60), 10, 80, 80},
		"a follower that claims more is not it":   {quorum.RemoteMem, 3, self(100, 100), acks(500, 500), 10, 0, 100},
		"all named must hold":                     {quorum.LocalDisk | quorum.RemoteMem, 3, self(100, 40), acks(90, 0), 10, 0, 40},
		"remote needs nobody with one replica":    {quorum.RemoteDisk, 1, self(100, 40), nil, 10, 0, 100},
		"an invalid policy commits nothing":       {0, 1, self(100, 100), nil, 10, 7, 7},
		"four replicas need three":                {quorum.QuorumMem, 4, self(100, 0), acks(90, 0), 10, 0, 0},
		"four replicas, three there":              {quorum.QuorumMem, 4, self(100, 0), acks(90, 0, 80, 0), 10, 0, 80},
		"more than eight replicas are sorted too": {quorum.QuorumMem, 11, self(100, 0), acks(1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 60, 0, 70, 0, 80, 0, 90, 0, 95, 0), 10, 0, 60},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, quorum.Commit(c.policy, c.replicas, c.self, c.acks, c.start, c.current))
		})
	}
}
