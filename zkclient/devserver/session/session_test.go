package session_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver/session"
)

func ids(sessions []*session.Session) (ids []int64) {
	for _, s := range sessions {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestExpiry(t *testing.T) {
	start := time.Now()
	at := func(millis int) time.Time { return start.Add(time.Duration(millis) * time.Millisecond) }
	const second = 1000 * time.Millisecond
	cases := []struct {
		name string
		run  func(t *testing.T, tr *session.Tracker)
	}{
		{"exactly at the timeout, the earliest first", func(t *testing.T, tr *session.Tracker) {
			tr.Add(1, nil, 3*second, start)
			tr.Add(2, nil, second, start)
			tr.Add(3, nil, 2*second, start)
			require.Empty(t, tr.Expire(at(999)))
			next, ok := tr.Next()
			require.True(t, ok)
			require.True(t, next.Equal(at(1000)))
			require.Equal(t, []int64{2}, ids(tr.Expire(at(1000))))
			require.Equal(t, []int64{3, 1}, ids(tr.Expire(at(9000))))
			require.Zero(t, tr.Len())
			_, ok = tr.Next()
			require.False(t, ok)
		}},
		{"a session heard from lives on", func(t *testing.T, tr *session.Tracker) {
			s := tr.Add(1, nil, second, start)
			s.Heard(at(900))
			require.Empty(t, tr.Expire(at(1899)))
			next, _ := tr.Next()
			require.True(t, next.Equal(at(1900)))
			require.Equal(t, []int64{1}, ids(tr.Expire(at(1900))))
		}},
		{"a removed session does not expire", func(t *testing.T, tr *session.Tracker) {
			s := tr.Add(1, nil, second, start)
			tr.Add(2, nil, second, start)
			tr.Remove(s)
			tr.Remove(s)
			require.Nil(t, tr.Get(1))
			require.Equal(t, []int64{2}, ids(tr.Expire(at(5000))))
		}},
		{"another timeout counts from its time", func(t *testing.T, tr *session.Tracker) {
			s := tr.Add(1, nil, 10*second, start)
			tr.SetTimeout(s, second, at(500))
			require.Empty(t, tr.Expire(at(1499)))
			require.Equal(t, []int64{1}, ids(tr.Expire(at(1500))))
		}},
		{"prolonged by the time the server stood still, never into the future", func(t *testing.T, tr *session.Tracker) {
			tr.Add(1, nil, second, start)
			tr.Prolong(400*time.Millisecond, at(1200))
			require.Empty(t, tr.Expire(at(1399)))
			tr.Prolong(time.Hour, at(1399))
			require.Empty(t, tr.Expire(at(2398)))
			require.Equal(t, []int64{1}, ids(tr.Expire(at(2399))))
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, session.NewTracker(start)) })
	}
}

func TestAuthentic(t *testing.T) {
	s := session.NewTracker(time.Now()).Add(1, []byte("0123456789abcdef"), time.Second, time.Now())
	require.True(t, s.Authentic([]byte("0123456789abcdef")))
	for _, wrong := range []string{"", "0123456789abcde", "0123456789abcdeX", "0123456789abcdef0"} {
		require.False(t, s.Authentic([]byte(wrong)), wrong)
	}
}
