package group_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/zkclient/group"
)

func TestMemberJSON(t *testing.T) {
	d := group.MemberData{ID: "c", Position: 42, Weight: 1, Node: "n1", Incarnation: "x", Epoch: 3, Sealed: 4, Suspect: 3, State: "follower", Clients: "h:1", Admin: "h:2"}
	b, err := json.Marshal(d)
	require.NoError(t, err)
	require.Equal(t, `{"id":"c","container":null,"address":null,"position":42,"weight":1,"elected":null,`+
		`"node":"n1","incarnation":"x","epoch":3,"sealed":4,"suspect":3,"state":"follower","clients":"h:1","admin":"h:2"}`, string(b))
	got, err := group.DecodeMember(b)
	require.NoError(t, err)
	require.Equal(t, d, got)
	for n := range b { // a torn write is never taken for a member
		_, err := group.DecodeMember(b[:n])
		require.ErrorIs(t, err, group.ErrMalformed, "%d bytes", n)
	}
	_, err = group.DecodeMember([]byte(`{"id":"` + strings.Repeat("x", 64<<10) + `"}`))
	require.ErrorIs(t, err, group.ErrMalformed)
	_, err = group.DecodeMember([]byte(`null`))
	require.ErrorIs(t, err, group.ErrMalformed)
	_, err = group.DecodeMember([]byte(`{"position":1e99}`))
	require.ErrorIs(t, err, group.ErrMalformed)
}

func TestClusterJSON(t *testing.T) {
	c := clusterOf(7, "n1")
	b, err := json.Marshal(c)
	require.NoError(t, err)
	require.Equal(t, `{"clusterId":"k","replicas":3,"members":{"n1":{"incarnation":"i1"}},"epoch":7,"phase":"elected","leader":"n1"}`, string(b))
	got, err := group.DecodeCluster(b)
	require.NoError(t, err)
	require.True(t, c.Equal(got))
	for n := range b {
		_, err := group.DecodeCluster(b[:n])
		require.ErrorIs(t, err, group.ErrMalformed, "%d bytes", n)
	}
	clone := got.Clone()
	clone.Members["n2"] = group.Registration{}
	require.False(t, clone.Equal(got))
}

func TestParseName(t *testing.T) {
	for _, row := range []struct {
		name, eid string
		sequence  uint64
		ok        bool
	}{
		{"00000000000", "0000000000", 0, true},
		{"00000000017", "0000000017", 17, true},
		{"02147483647", "2147483647", 2147483647, true},
		{"cluster", "", 0, false},
		{"0", "", 0, false},
		{"000000000", "", 0, false},
		{"0-2147483648", "", 0, false}, // ZooKeeper's counter has run over
		{"10000000000", "", 0, false},
		{"0+000000001", "", 0, false},
		{"0" + strings.Repeat("9", 30), "", 0, false},
	} {
		eid, sequence, ok := group.ParseName(row.name)
		require.Equal(t, row.ok, ok, row.name)
		require.Equal(t, row.sequence, sequence, row.name)
		if ok {
			require.Equal(t, row.eid, eid, row.name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(activemqMaster))
	f.Add([]byte(activemqSlave))
	f.Add([]byte(`{"clusterId":"k","replicas":3,"members":{"n1":{"incarnation":"i1"}},"epoch":7,"phase":"elected","leader":"n1"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := group.DecodeMember(b); err == nil {
			again, err := json.Marshal(d)
			require.NoError(t, err)
			got, err := group.DecodeMember(again)
			if err == nil { // invalid UTF-8 grows when it is replaced
				require.Equal(t, d, got)
			}
		}
		if c, err := group.DecodeCluster(b); err == nil {
			again, err := json.Marshal(c)
			require.NoError(t, err)
			got, err := group.DecodeCluster(again)
			if err == nil {
				require.True(t, c.Equal(got))
			}
		}
		group.ParseName(string(b))
	})
}
