package stomp_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/stomp"
)

func TestNegotiate(t *testing.T) {
	for accept, want := range map[string]string{
		"": "1.0", "1.0": "1.0", "1.1": "1.1", "1.2": "1.2", "1.0,1.1,1.2": "1.2", "1.2,1.0": "1.2",
		" 1.1 , 1.0": "1.1", "1.1,9.9": "1.1",
	} {
		v, err := stomp.Negotiate(accept)
		require.NoError(t, err, accept)
		require.Equal(t, want, v.String(), accept)
	}
	for _, accept := range []string{"9.9", "1", "1.3,2.0", ",", "v1.2"} {
		_, err := stomp.Negotiate(accept)
		require.ErrorIs(t, err, stomp.ErrVersion, accept)
	}
}

func TestHeartBeat(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		in     string
		answer string
		pace   stomp.Pace
	}{
		{"", "0,0", stomp.Pace{}},
		{"0,0", "0,0", stomp.Pace{}},
		{"1000,0", "0,1000", stomp.Pace{Receive: 1000 * ms}},
		{"0,2000", "2000,0", stomp.Pace{Send: 2000 * ms}},
		{"1000,2000", "2000,1000", stomp.Pace{Send: 2000 * ms, Receive: 1000 * ms}},
		{"1,1", "100,100", stomp.Pace{Send: 100 * ms, Receive: 100 * ms}},
		{" 500 , 500 ", "500,500", stomp.Pace{Send: 500 * ms, Receive: 500 * ms}},
	} {
		h, err := stomp.ParseHeartBeat(c.in)
		require.NoError(t, err, c.in)
		answer, pace := stomp.AnswerHeartBeat(h, 100*ms)
		require.Equal(t, c.answer, answer.String(), c.in)
		require.Equal(t, c.pace, pace, c.in)
	}
	for _, in := range []string{"1", "a,b", "-1,0", "0,-1", "1,2,3", "99999999999,0", ","} {
		_, err := stomp.ParseHeartBeat(in)
		require.ErrorIs(t, err, stomp.ErrMalformed, in)
	}
}

// In 1.0 a line end in a value would begin another header; it becomes a space.
func TestHeaderInjectionIn10(t *testing.T) {
	got := stomp.AppendHeader(nil, stomp.V10, "a", "b\nmessage-id:1\r\n")
	require.Equal(t, "a:b message-id:1  \n", string(got))
}
