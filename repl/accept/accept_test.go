package accept_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"baton/repl/accept"
	"baton/store/record"
)

func TestEpoch(t *testing.T) {
	for _, c := range []struct {
		name                   string
		said, followed, sealed record.Epoch
		verdict                accept.Verdict
		by                     record.Epoch
	}{
		{"of the followed epoch", 5, 5, 5, accept.Take, 0},
		{"before the promise to the leader is made", 5, 5, 4, accept.Take, 0},
		{"this node promised more", 5, 5, 6, accept.Over, 6},
		{"the other node is further", 7, 5, 5, accept.Over, 7},
		{"what was promised here counts first", 9, 5, 6, accept.Over, 6},
		{"the other node is behind", 4, 5, 5, accept.TooOld, 0},
		{"behind, but this node promised more", 4, 5, 6, accept.Over, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, by := accept.Epoch(c.said, c.followed, c.sealed)
			require.Equal(t, c.verdict, v)
			require.Equal(t, c.by, by)
		})
	}
}

func TestPosition(t *testing.T) {
	l := accept.Log{Start: 10, End: 100, Known: 60, Fenced: true}
	for _, c := range []struct {
		name     string
		at       record.Position
		truncate bool
		verdict  accept.Verdict
	}{
		{"goes on at the end", 100, false, accept.Take},
		{"cut above what is committed", 60, true, accept.Take},
		{"cut below it", 59, true, accept.NotBelow},
		{"cut below the start", 9, true, accept.Garbled},
		{"past the end", 101, true, accept.Garbled},
		{"shorter without a cut", 60, false, accept.Garbled},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, why := accept.Position(c.at, c.truncate, l)
			require.Equal(t, c.verdict, v, why)
			require.Equal(t, c.verdict == accept.Take, why == "")
		})
	}
	l.Fenced = false
	v, _ := accept.Position(59, true, l)
	require.Equal(t, accept.Take, v, "a policy that does not survive failovers may lose what it committed")
}

func TestBatch(t *testing.T) {
	for _, c := range []struct {
		name    string
		at      record.Position
		epoch   record.Epoch
		verdict accept.Verdict
	}{
		{"continues the log", 100, 4, accept.Take},
		{"begins a later epoch", 100, 6, accept.Take},
		{"leaves a gap", 101, 4, accept.Garbled},
		{"comes twice", 99, 4, accept.Garbled},
		{"of an earlier epoch than the last", 100, 3, accept.Garbled},
		{"of a later epoch than the leader's", 100, 7, accept.Garbled},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, why := accept.Batch(c.at, c.epoch, 100, 4, 6)
			require.Equal(t, c.verdict, v, why)
		})
	}
}
