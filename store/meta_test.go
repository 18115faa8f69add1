package store

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDecodeMeta(t *testing.T) {
	m := Meta{ClusterID: "c", Node: "n1", Incarnation: "abc", Sealed: 7, HasLog: true}
	b, err := encodeMeta(m)
	require.NoError(t, err)
	got, err := decodeMeta(b)
	require.NoError(t, err)
	require.Equal(t, m, got)
	for n := range len(b) - 1 {
		_, err := decodeMeta(b[:n])
		require.ErrorIs(t, err, ErrMeta, "cut at %d", n)
	}
	text := string(b)
	for _, c := range []struct {
		name, from, to string
		want           error
	}{
		{"another sealed epoch", `"sealed":7`, `"sealed":8`, ErrMeta},
		{"newer version", `"version":1`, `"version":2`, ErrVersion},
		{"no version", `"version":1`, `"version":0`, ErrMeta},
		{"no meta", `"meta"`, `"mta"`, ErrMeta},
	} {
		_, err := decodeMeta([]byte(strings.Replace(text, c.from, c.to, 1)))
		require.ErrorIs(t, err, c.want, c.name)
	}
}

func FuzzDecodeMeta(f *testing.F) {
	b, err := encodeMeta(Meta{Incarnation: "abc", Sealed: 7})
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(`{"version":1,"crc32c":0,"meta":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil {
			return
		}
		b, err = encodeMeta(m)
		require.NoError(t, err)
		again, err := decodeMeta(b)
		require.NoError(t, err)
		require.Equal(t, m, again)
	})
}
