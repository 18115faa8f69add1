package diverge_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl/diverge"
	"baton/store/record"
)

// bs lists epochs and where they begin.
func bs(pairs ...uint64) (b []record.EpochBoundary) {
	for i := 0; i < len(pairs); i += 2 {
		b = append(b, record.EpochBoundary{Epoch: record.Epoch(pairs[i]), Start: record.Position(pairs[i+1])})
	}
	return b
}

func TestDecide(t *testing.T) {
	leader := diverge.Log{End: 500, Boundaries: bs(1, 0, 3, 200, 5, 400)}
	trimmed := diverge.Log{Start: 250, End: 500, Boundaries: bs(3, 250, 5, 400)}
	for name, c := range map[string]struct {
		leader, follower diverge.Log
		kind             diverge.Kind
		at               record.Position
		reason           string
	}{
		"empty follower starts at 0":         {leader, diverge.Log{}, diverge.Continue, 0, ""},
		"prefix within the first epoch":      {leader, diverge.Log{End: 100, Boundaries: bs(1, 0)}, diverge.Continue, 100, ""},
		"ends where an epoch ends":           {leader, diverge.Log{End: 200, Boundaries: bs(1, 0)}, diverge.Continue, 200, ""},
		"all but the new epoch":              {leader, diverge.Log{End: 400, Boundaries: bs(1, 0, 3, 200)}, diverge.Continue, 400, ""},
		"has part of the current epoch":      {leader, diverge.Log{End: 450, Boundaries: bs(1, 0, 3, 200, 5, 400)}, diverge.Continue, 450, ""},
		"equal":                              {leader, diverge.Log{End: 500, Boundaries: bs(1, 0, 3, 200, 5, 400)}, diverge.Continue, 500, ""},
		"longer in an old epoch":             {leader, diverge.Log{End: 900, Boundaries: bs(1, 0)}, diverge.Truncate, 200, ""},
		"longer and old, equal end":          {leader, diverge.Log{End: 500, Boundaries: bs(1, 0)}, diverge.Truncate, 200, ""},
		"epoch the leader lacks":             {leader, diverge.Log{End: 300, Boundaries: bs(1, 0, 2, 150)}, diverge.Truncate, 150, ""},
		"epoch the leader lacks, past it":    {leader, diverge.Log{End: 900, Boundaries: bs(1, 0, 3, 200, 4, 350)}, diverge.Truncate, 350, ""},
		"no epoch in common":                 {leader, diverge.Log{End: 300, Boundaries: bs(2, 0)}, diverge.Truncate, 0, ""},
		"epochs of the leader forgotten":     {diverge.Log{End: 500, Boundaries: bs(3, 200, 5, 400)}, diverge.Log{End: 100, Boundaries: bs(1, 0)}, diverge.Snapshot, 0, "no epoch in common"},
		"epochs of the follower forgotten":   {diverge.Log{End: 500, Boundaries: bs(1, 0, 5, 400)}, diverge.Log{End: 300, Boundaries: bs(2, 250)}, diverge.Snapshot, 0, "no epoch in common"},
		"empty, epochs forgotten":            {diverge.Log{End: 500, Boundaries: bs(3, 200, 5, 400)}, diverge.Log{}, diverge.Continue, 0, ""},
		"empty, but the leader trimmed":      {trimmed, diverge.Log{}, diverge.Snapshot, 0, "snapshot"},
		"behind what the leader retains":     {trimmed, diverge.Log{End: 220, Boundaries: bs(1, 0, 3, 200)}, diverge.Snapshot, 220, "snapshot"},
		"parted before what it retains":      {leader, diverge.Log{Start: 300, End: 500, Boundaries: bs(2, 300)}, diverge.Snapshot, 0, "snapshot"},
		"leader trimmed, follower fits":      {trimmed, diverge.Log{End: 300, Boundaries: bs(1, 0, 3, 200)}, diverge.Continue, 300, ""},
		"follower trimmed, fits":             {leader, diverge.Log{Start: 260, End: 300, Boundaries: bs(3, 260)}, diverge.Continue, 300, ""},
		"more of the epoch than its leader":  {leader, diverge.Log{End: 510, Boundaries: bs(1, 0, 3, 200, 5, 400)}, diverge.Refuse, 0, "only up to 500"},
		"a later epoch":                      {leader, diverge.Log{End: 300, Boundaries: bs(1, 0, 6, 200)}, diverge.Refuse, 0, "above"},
		"an epoch that began elsewhere":      {leader, diverge.Log{End: 300, Boundaries: bs(1, 0, 3, 210)}, diverge.Refuse, 0, "different histories"},
		"bytes without an epoch":             {leader, diverge.Log{End: 300}, diverge.Refuse, 0, "no epoch"},
		"epochs out of order":                {leader, diverge.Log{End: 300, Boundaries: bs(3, 0, 1, 200)}, diverge.Refuse, 0, "out of order"},
		"two epochs at one place":            {leader, diverge.Log{End: 300, Boundaries: bs(1, 0, 3, 0)}, diverge.Refuse, 0, "out of order"},
		"an epoch past the end":              {leader, diverge.Log{End: 100, Boundaries: bs(1, 0, 3, 200)}, diverge.Refuse, 0, "out of order"},
		"starts past the end":                {leader, diverge.Log{Start: 200, End: 100}, diverge.Refuse, 0, "past its end"},
		"epoch 0":                            {leader, diverge.Log{End: 100, Boundaries: bs(0, 0)}, diverge.Refuse, 0, "out of order"},
		"nothing retained, position unknown": {leader, diverge.Log{Start: 300, End: 300}, diverge.Snapshot, 0, "snapshot"},
	} {
		t.Run(name, func(t *testing.T) {
			v := diverge.Decide(c.leader, c.follower, 5)
			require.Equal(t, c.kind, v.Kind, "%+v", v)
			require.Contains(t, v.Reason, c.reason)
			if c.kind != diverge.Refuse {
				require.Equal(t, c.at, v.At)
			}
		})
	}
}

// entry of a modelled log: which leader's write it was. Position = index.
type entry struct {
	epoch record.Epoch
	n     int
}

func boundaries(log []entry) diverge.Log {
	l := diverge.Log{End: record.Position(len(log))}
	for i, e := range log {
		if i == 0 || log[i-1].epoch != e.epoch {
			l.Boundaries = append(l.Boundaries, record.EpochBoundary{Epoch: e.epoch, Start: record.Position(i)})
		}
	}
	return l
}

// TestDecideOnRandomHistories lets elections leave logs as they may and checks
// that the answer is exactly the common prefix.
func TestDecideOnRandomHistories(t *testing.T) {
	seed := seedOf(t)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20_000 {
		logs := make([][]entry, 3)
		for epoch := record.Epoch(1); epoch <= record.Epoch(1+r.IntN(6)); epoch++ {
			lead := r.IntN(3)
			for n := range 1 + r.IntN(3) {
				logs[lead] = append(logs[lead], entry{epoch, n})
			}
			for f := range logs {
				if f == lead || r.IntN(2) == 0 {
					continue
				}
				v := diverge.Decide(boundaries(logs[lead]), boundaries(logs[f]), epoch)
				common := 0
				for common < len(logs[f]) && common < len(logs[lead]) && logs[f][common] == logs[lead][common] {
					common++
				}
				want := diverge.Continue
				if common < len(logs[f]) {
					want = diverge.Truncate
				}
				if v.Kind != want || int(v.At) != common {
					t.Fatalf("leader %v\nfollower %v\ngot %+v, common prefix %d", logs[lead], logs[f], v, common)
				}
				// The follower takes the prefix and some of the rest.
				to := common + r.IntN(len(logs[lead])-common+1)
				logs[f] = append([]entry(nil), logs[lead][:to]...)
			}
		}
	}
}

func seedOf(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("BATON_SEED"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		seed = v
	}
	t.Logf("BATON_SEED=%d", seed)
	return seed
}
