package destination_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/broker/destination"
)

func TestAppend(t *testing.T) {
	type D = destination.Destination
	for text, want := range map[string][]D{
		"/queue/a":                      {{Kind: destination.Queue, Name: "a"}},
		" /queue/a ":                    {{Kind: destination.Queue, Name: "a"}},
		"/queue/a/b c":                  {{Kind: destination.Queue, Name: "a/b c"}},
		"/queue//":                      {{Kind: destination.Queue, Name: "/"}},
		"/queue/ä.*x":                   {{Kind: destination.Queue, Name: "ä.*x"}},
		"/queue/a.*":                    {{Kind: destination.Queue, Name: "a.*", Pattern: true}},
		"/topic/*":                      {{Kind: destination.Topic, Name: "*", Pattern: true}},
		"/topic/*.b.>":                  {{Kind: destination.Topic, Name: "*.b.>", Pattern: true}},
		"/topic/>":                      {{Kind: destination.Topic, Name: ">", Pattern: true}},
		"/queue/>a":                     {{Kind: destination.Queue, Name: ">a"}},
		"/queue/a,/topic/b , /queue/c":  {{Kind: destination.Queue, Name: "a"}, {Kind: destination.Topic, Name: "b"}, {Kind: destination.Queue, Name: "c"}},
		"/queue/a,/queue/a,/topic/a":    {{Kind: destination.Queue, Name: "a"}, {Kind: destination.Topic, Name: "a"}},
		"/temp-queue/x":                 {{Kind: destination.TempQueue, Name: "x"}},
		"/temp-topic/x":                 {{Kind: destination.TempTopic, Name: "x"}},
		"/remote-temp-queue/ID:x-1:2:3": {{Kind: destination.RemoteTempQueue, Name: "ID:x-1:2:3"}},
		"/remote-temp-topic/x":          {{Kind: destination.RemoteTempTopic, Name: "x"}},
	} {
		got, err := destination.Append(nil, text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, why := range map[string]string{
		"":                                    "it is empty",
		"a":                                   "must begin with",
		"queue/a":                             "must begin with",
		"/queues/a":                           "must begin with",
		"/queue/a,b":                          "must begin with",
		"/queue/a,":                           "it is empty",
		",":                                   "it is empty",
		"/queue/":                             "name is empty",
		"/queue":                              "must begin with",
		"/queue/a.>.b":                        "must be the last",
		"/queue/a?consumer.priority=1":        "question mark",
		"/queue/a\x01b":                       "control character",
		"/queue/\x01" + "4a":                  "control character",
		"/queue/a\x7fb":                       "control character",
		"/queue/\xc2\x85":                     "control character",
		"/queue/\xff":                         "not UTF-8",
		"/temp-queue/*":                       "no wildcards",
		"/queue/" + strings.Repeat("a", 1025): "1025 bytes, at most 1024",
		strings.Join(numbered("/queue/", destination.PartsMax+1), ","):                   "more than 64 parts",
		"/queue/a," + strings.Join(numbered("/topic/", destination.PartsMax), ",") + ",": "more than 64 parts",
	} {
		kept := []destination.Destination{{Name: "kept"}}
		got, err := destination.Append(kept, text)
		require.ErrorIs(t, err, destination.ErrInvalid, text)
		require.ErrorContains(t, err, why, text)
		require.Equal(t, kept, got)
	}
}

func numbered(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(prefix, i)
	}
	return all
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"a", []string{"a"}, []string{"b", "a.b", "aa", "."}},
		{"a.b", []string{"a.b"}, []string{"a", "a.b.c", "a.c"}},
		{"*", []string{"a", ""}, []string{"a.b", "."}},
		{"a.*", []string{"a.b", "a."}, []string{"a", "a.b.c", "b.b"}},
		{"*.b", []string{"a.b"}, []string{"b", "a.c", "a.b.c"}},
		{"a.*.c", []string{"a.b.c"}, []string{"a.c", "a.b.b.c", "a.b.d"}},
		{">", []string{"a", "a.b", "a.b.c"}, nil},
		{"a.>", []string{"a", "a.b", "a.b.c"}, []string{"b", "aa", "aa.b"}},
		{"a.*.>", []string{"a.b", "a.b.c"}, []string{"a", "b.b"}},
		{"*.b.>", []string{"a.b", "a.b.c.d"}, []string{"b", "a", "a.c.b"}},
		{"a*", []string{"a*"}, []string{"ab"}},
	} {
		var tree destination.Tree[string]
		tree.Add(c.pattern, c.pattern)
		check := func(name string, want bool) {
			require.Equal(t, want, destination.Matches(c.pattern, name), "%s for %s", c.pattern, name)
			found := false
			for range tree.StandingFor(name) {
				found = true
			}
			require.Equal(t, want, found, "tree: %s for %s", c.pattern, name)
			var names destination.Tree[string]
			names.Add(name, name)
			found = false
			for range names.Matching(c.pattern) {
				found = true
			}
			require.Equal(t, want, found, "names: %s for %s", c.pattern, name)
		}
		for _, n := range c.yes {
			check(n, true)
		}
		for _, n := range c.no {
			check(n, false)
		}
	}
}

func TestNamesOfTheLog(t *testing.T) {
	for p := range uint8(10) {
		name := destination.Lane("a.b", p)
		require.Equal(t, p != 4, destination.Internal(name))
		q, got := destination.SplitLane(name)
		require.Equal(t, "a.b", q)
		require.Equal(t, p, got)
	}
	require.Equal(t, "a", destination.Lane("a", 4))
	q, p := destination.SplitLane("\x01")
	require.Equal(t, "\x01", q)
	require.Equal(t, uint8(4), p)

	name := destination.Durable("client:1", "sub one", 17)
	require.True(t, destination.Internal(name))
	for _, n := range []string{name, destination.Lane(name, 9)} {
		client, sub, number, ok := destination.SplitDurable(n)
		require.True(t, ok)
		require.Equal(t, "client:1", client)
		require.Equal(t, "sub one", sub)
		require.Equal(t, uint64(17), number)
	}
	for _, n := range []string{"a", "\x02a", "\x02a\x00b", "\x02a\x00b\x00c", "\x02a\x00b\x00\x00"} {
		_, _, _, ok := destination.SplitDurable(n)
		require.False(t, ok, "%q", n)
	}
	require.True(t, destination.Internal(destination.Schedule))
	_, err := destination.CheckName(destination.Schedule)
	require.Error(t, err)

	for _, id := range []string{"", "a\x00b", "\x01", "a\nb", "\xff", strings.Repeat("a", 513)} {
		require.ErrorIs(t, destination.CheckIdentity("client id", id), destination.ErrInvalid, "%q", id)
	}
	require.NoError(t, destination.CheckIdentity("client id", "ID:host-1.2 ü"))
}

func TestVirtualTopics(t *testing.T) {
	require.Equal(t, "Consumer.*.VirtualTopic.Orders.EU", destination.VirtualQueues("VirtualTopic.Orders.EU"))
	require.Empty(t, destination.VirtualQueues("Orders"))
	require.Equal(t, "VirtualTopic.Orders.EU", destination.VirtualTopic("Consumer.A.VirtualTopic.Orders.EU"))
	for _, q := range []string{"Consumer.A", "Consumer.A.Orders", "Consumer.A.B.VirtualTopic.X", "X.Consumer.A.VirtualTopic.X", "Consumer.A.VirtualTopic."} {
		require.Empty(t, destination.VirtualTopic(q), q)
	}
	require.True(t, destination.Matches(destination.VirtualQueues("VirtualTopic.X"), "Consumer.A.VirtualTopic.X"))
}
