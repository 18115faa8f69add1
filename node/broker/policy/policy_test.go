package policy_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"baton/node/broker/destination"
	"baton/node/broker/policy"
)

func parse(t *testing.T, text string) (policy.Table, error) {
	t.Helper()
	var doc yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(text), &doc))
	return policy.Parse(doc.Content[0].Content[1])
}

// The example of the package comment is a file that works.
func TestDocumentedFile(t *testing.T) {
	src, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	var text strings.Builder
	for _, line := range regexp.MustCompile(`(?m)^//\t(.*)$`).FindAllStringSubmatch(string(src), -1) {
		text.WriteString(line[1] + "\n")
	}
	table, err := parse(t, text.String())
	require.NoError(t, err)
	require.Equal(t, policy.Policy{
		Redelivery: policy.Redelivery{Max: 6, Delay: time.Second, Multiplier: 2, MaxDelay: time.Minute, Nack: policy.NackRedeliver},
		DeadLetter: policy.DeadLetter{Queue: "DLQ.orders", Expired: true},
		Expiry:     policy.Expiry{Default: 24 * time.Hour, Max: 48 * time.Hour},
		Limits:     policy.Limits{Messages: 1000000, Bytes: 10 << 30, MessageSize: 1 << 20, Wait: 30 * time.Second},
		Prefetch:   100,
	}, table.Of(destination.Queue, "orders.eu"))
	require.Equal(t, policy.Default(), table.Of(destination.Queue, "others"))
	require.Equal(t, policy.Default(), table.Of(destination.Topic, "orders.eu"))
}

func TestFirstRuleCounts(t *testing.T) {
	table, err := parse(t, `
destinations:
  - match: /queue/a.b
    prefetch: 1
  - {match: "/queue/a.*", prefetch: 2, redelivery: {max: -1}}
  - match: "/queue/>"
    prefetch: 3
  - match: "/topic/>"
    prefetch: 4`)
	require.NoError(t, err)
	for name, want := range map[string]int{"a.b": 1, "a.c": 2, "a": 3, "a.b.c": 3} {
		require.Equal(t, want, table.Of(destination.Queue, name).Prefetch, name)
	}
	require.Equal(t, 4, table.Of(destination.Topic, "a.b").Prefetch)
	require.False(t, table.Of(destination.Queue, "a.c").Redelivery.Spent(1<<31))
	require.Equal(t, time.Second, table.Of(destination.Queue, "a.c").Redelivery.Delay, "what a rule does not say is the default")
}

func TestMistakesNameTheirLine(t *testing.T) {
	for body, want := range map[string]string{
		"destinations: 5":                                                                  "line 1: destinations is a list",
		"destinations:\n  - a":                                                             "line 2: expected lines",
		"destinations:\n  - prefetch: 5":                                                   "line 2: the rule has no match",
		"destinations:\n  - match: orders":                                                 "line 2: match: invalid destination",
		"destinations:\n  - match: /queue/a,/queue/b":                                      "line 2: match is",
		"destinations:\n  - match: /temp-queue/a":                                          "line 2: match is",
		"destinations:\n  - match: /queue/a\n    prefetch: 0":                              "line 3: prefetch is 0",
		"destinations:\n  - match: /queue/a\n    prefetch: 99999999999":                    "line 3: prefetch",
		"destinations:\n  - match: /queue/a\n    colour: red":                              `line 3: there is no option "colour"`,
		"destinations:\n  - match: /queue/a\n    match: /queue/b":                          `line 3: "match" stands there twice`,
		"destinations:\n  - match: /queue/a\n  - match: /queue/a":                          "line 3: there is a rule for /queue/a before",
		"destinations:\n  - match: /queue/a\n    redelivery:\n      max: -2":               "line 4: max",
		"destinations:\n  - match: /queue/a\n    redelivery:\n      delay: 5":              "line 4: \"5\" is not a time",
		"destinations:\n  - match: /queue/a\n    redelivery:\n      delay: -5s":            "line 4",
		"destinations:\n  - match: /queue/a\n    redelivery:\n      multiplier: 0.5":       "line 4: multiplier",
		"destinations:\n  - match: /queue/a\n    redelivery:\n      multiplier: NaN":       "line 4: multiplier",
		"destinations:\n  - match: /queue/a\n    redelivery:\n      nack: drop":            "line 4: nack",
		"destinations:\n  - match: /queue/a\n    redelivery:\n      nock: redeliver":       `line 4: there is no option "nock"`,
		"destinations:\n  - match: /queue/a\n    redelivery: 5":                            "line 3: expected lines",
		"destinations:\n  - match: /queue/a\n    dead-letter:\n      queue: a.>":           "line 4: queue is",
		"destinations:\n  - match: /queue/a\n    dead-letter:\n      queue: [a]":           "line 4: queue is",
		"destinations:\n  - match: /queue/a\n    dead-letter:\n      expired: yes":         "line 4: \"yes\" is neither",
		"destinations:\n  - match: /queue/a\n    limits:\n      messages: -1":              "line 4: \"-1\" is not a number",
		"destinations:\n  - match: /queue/a\n    limits:\n      bytes: 5MB":                "line 4: \"5MB\" is not a size",
		"destinations:\n  - match: /queue/a\n    limits:\n      bytes: 99999999999999 TiB": "line 4",
	} {
		_, err := parse(t, body)
		require.ErrorContains(t, err, want, body)
	}
}

func TestDelays(t *testing.T) {
	r := policy.Redelivery{Max: 3, Delay: time.Second, Multiplier: 2, MaxDelay: 5 * time.Second}
	for n, want := range []time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 5 * time.Second, 5: 5 * time.Second} {
		require.Equal(t, want, r.DelayOf(uint32(n)), n)
	}
	require.Equal(t, 5*time.Second, r.DelayOf(1<<32-1))
	require.Zero(t, policy.Redelivery{}.DelayOf(1<<32-1))
	require.Zero(t, policy.Redelivery{Multiplier: 1000, MaxDelay: time.Second}.DelayOf(1<<32-1))
	require.Equal(t, 7*time.Second, policy.Redelivery{Delay: 7 * time.Second}.DelayOf(9), "a delay above the maximum is meant")
	require.False(t, r.Spent(3))
	require.True(t, r.Spent(4))
	require.True(t, policy.Redelivery{}.Spent(1))
}

func TestDeadline(t *testing.T) {
	const now = 1_000_000
	for _, x := range []struct {
		def, max   time.Duration
		wish, want int64
	}{
		{0, 0, 0, 0}, {0, 0, 5, 5}, {time.Second, 0, 0, now + 1000}, {time.Second, 0, now + 9000, now + 9000},
		{0, time.Second, 0, now + 1000}, {0, time.Second, now + 9000, now + 1000}, {0, time.Second, now + 10, now + 10},
		{9 * time.Second, time.Second, 0, now + 1000},
	} {
		require.Equal(t, x.want, policy.Expiry{Default: x.def, Max: x.max}.Deadline(now, x.wish), "%+v", x)
	}
}

func TestKeeps(t *testing.T) {
	d := policy.Default().DeadLetter
	require.True(t, d.Keeps(false, true))
	require.True(t, d.Keeps(true, true))
	require.False(t, d.Keeps(false, false))
	d.NonPersistent, d.Expired = true, false
	require.True(t, d.Keeps(false, false))
	require.False(t, d.Keeps(true, true))
	d.Discard = true
	require.False(t, d.Keeps(false, true))
}
