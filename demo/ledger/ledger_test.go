package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo/ledger"
)

// play runs a history of one ordered producer. Words: "s" sends the next
// message; "r2" "x2" "d2" receipt, refuse, doubt message 2; "g2" delivers it,
// with "!" flagged redelivered, "/3" on connection 3, "=b" with message-id b,
// "~" corrupt; "a2" confirms its ack.
func play(t *testing.T, l *ledger.Ledger, history string) ledger.Summary {
	p := l.AddProducer(true)
	for w := range strings.FieldsSeq(history) {
		if w == "s" {
			l.Sent(p)
			continue
		}
		verb, rest := w[0], w[1:]
		d := ledger.Delivery{MessageID: "a", Connection: 1}
		if i := strings.IndexAny(rest, "!/=~"); i >= 0 {
			for marks := rest[i:]; marks != ""; {
				switch marks[0] {
				case '!':
					d.Redelivered, marks = true, marks[1:]
				case '~':
					d.Corrupt, marks = true, marks[1:]
				case '/':
					d.Connection, marks = int(marks[1]-'0'), marks[2:]
				case '=':
					d.MessageID, marks = marks[1:2], marks[2:]
				}
			}
			rest = rest[:i]
		}
		n, err := strconv.ParseUint(rest, 10, 64)
		require.NoError(t, err)
		k := ledger.Key{Producer: p, Seq: n}
		switch verb {
		case 'r':
			l.Receipted(k)
		case 'x':
			l.Refused(k)
		case 'd':
			l.InDoubt(k)
		case 'g':
			l.Received(k, d)
		case 'a':
			l.Acked(k)
		}
	}
	return l.Summary()
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name, history string
		want          ledger.Summary
		violations    []string
	}{
		{"all well", "s r1 g1 a1 s g2 r2 a2", ledger.Summary{Sent: 2, Receipted: 2, Received: 2, Acked: 2}, nil},
		{"lost", "s r1 s r2 g2 a2", ledger.Summary{Sent: 2, Receipted: 2, Received: 1, Acked: 1, Outstanding: 1}, []string{"1 lost"}},
		{"delivery edited out", "s r1 s r2 s r3 g1 g3", ledger.Summary{Sent: 3, Receipted: 3, Received: 2, Outstanding: 1}, []string{"1 lost"}},
		{"never sent", "s r1 g1 g2", ledger.Summary{Sent: 1, Receipted: 1, Received: 1, Phantom: 1}, []string{"1 never sent"}},
		{"in doubt, gone", "s d1", ledger.Summary{Sent: 1, InDoubt: 1}, nil},
		{"in doubt, recovered", "s d1 g1", ledger.Summary{Sent: 1, InDoubt: 1, Received: 1, Recovered: 1}, nil},
		{"recovered before the doubt", "s g1 d1", ledger.Summary{Sent: 1, InDoubt: 1, Received: 1, Recovered: 1}, nil},
		{"refused, came true", "s x1 g1", ledger.Summary{Sent: 1, Refused: 1, Received: 1, Recovered: 1}, nil},
		{"redelivered after a failover", "s r1 g1 g1/2", ledger.Summary{Sent: 1, Receipted: 1, Received: 1, Redelivered: 1}, nil},
		{"redelivered twice", "s r1 g1 g1/2 g1!/2", ledger.Summary{Sent: 1, Receipted: 1, Received: 1, Redelivered: 2}, nil},
		{"redelivered, flagged", "s r1 g1 g1!", ledger.Summary{Sent: 1, Receipted: 1, Received: 1, Redelivered: 1}, nil},
		{"twice on one connection", "s r1 g1 g1", ledger.Summary{Sent: 1, Receipted: 1, Received: 1, Duplicates: 1}, []string{"1 duplicated"}},
		{"twice on the second connection", "s r1 g1 g1/2 g1/2", ledger.Summary{Sent: 1, Receipted: 1, Received: 1, Redelivered: 1, Duplicates: 1}, []string{"1 duplicated"}},
		{"after its ack", "s r1 g1 a1 g1!/2", ledger.Summary{Sent: 1, Receipted: 1, Received: 1, Acked: 1, Duplicates: 1}, []string{"1 duplicated"}},
		{"stored twice", "s r1 g1 g1=b!/2", ledger.Summary{Sent: 1, Receipted: 1, Received: 1, Duplicates: 1}, []string{"1 duplicated"}},
		{"out of order", "s r1 s r2 g2 g1", ledger.Summary{Sent: 2, Receipted: 2, Received: 2, OutOfOrder: 1}, []string{"1 out of order"}},
		{"out of order, receipt later", "s s r2 g2 g1 r1", ledger.Summary{Sent: 2, Receipted: 2, Received: 2, OutOfOrder: 1}, []string{"1 out of order"}},
		{"late but in doubt", "s s r2 g2 g1 d1", ledger.Summary{Sent: 2, Receipted: 1, InDoubt: 1, Received: 2, Recovered: 1}, nil},
		{"a redelivery is not out of order", "s r1 s r2 g1 g2 g1!/2", ledger.Summary{Sent: 2, Receipted: 2, Received: 2, Redelivered: 1}, nil},
		{"corrupt", "s r1 g1~", ledger.Summary{Sent: 1, Receipted: 1, Received: 1, Corrupt: 1}, []string{"1 corrupt"}},
		{"acked twice counts once", "s r1 g1 a1 a1", ledger.Summary{Sent: 1, Receipted: 1, Received: 1, Acked: 1}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := play(t, &ledger.Ledger{}, c.history)
			require.Equal(t, c.want, got)
			require.Equal(t, c.violations, got.Violations(true))
		})
	}
}

func TestOutstandingIsLostOnlyAfterTheDrain(t *testing.T) {
	l := &ledger.Ledger{}
	s := play(t, l, "s r1 s r2 s r3 g2")
	require.Empty(t, s.Violations(false))
	require.Equal(t, []string{"2 lost"}, s.Violations(true))
	require.Equal(t, []ledger.Key{{Seq: 1}, {Seq: 3}}, l.Missing(10))
	require.Len(t, l.Missing(1), 1)
}

func TestOrderNeedsOneConsumer(t *testing.T) {
	l := &ledger.Ledger{}
	p := l.AddProducer(false)
	a, b := l.Sent(p), l.Sent(p)
	l.Receipted(a)
	l.Receipted(b)
	l.Received(b, ledger.Delivery{})
	l.Received(a, ledger.Delivery{})
	require.Zero(t, l.Summary().OutOfOrder)
}

func TestOneOutcome(t *testing.T) {
	l := &ledger.Ledger{}
	k := l.Sent(l.AddProducer(true))
	l.Receipted(k)
	require.Panics(t, func() { l.InDoubt(k) })
	require.Panics(t, func() { l.Receipted(ledger.Key{Producer: 5, Seq: 1}) })
}

// A random valid history has no violation; with one receipted delivery taken
// out it has exactly one message lost.
func TestRandomHistories(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("BATON_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("BATON_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		l, n := &ledger.Ledger{}, 1+r.IntN(200)
		p := l.AddProducer(true)
		skip, skipped := r.IntN(n), uint64(0)
		conn := 1
		for i := range n {
			k := l.Sent(p)
			doubt := r.IntN(10) == 0
			if doubt {
				l.InDoubt(k)
			} else {
				l.Receipted(k)
			}
			if i == skip {
				if !doubt {
					skipped = 1
				}
				continue
			}
			id := fmt.Sprint(i)
			l.Received(k, ledger.Delivery{MessageID: id, Connection: conn})
			if r.IntN(10) == 0 {
				conn++
				l.Received(k, ledger.Delivery{MessageID: id, Connection: conn, Redelivered: true})
			}
			l.Acked(k)
		}
		s := l.Summary()
		require.Equal(t, skipped, s.Outstanding)
		require.Empty(t, s.Violations(false))
		require.Equal(t, uint64(n-1), s.Received)
	}
}

func TestKeys(t *testing.T) {
	k := ledger.Key{Producer: 3, Seq: 1042}
	got, err := ledger.ParseKey(k.String())
	require.NoError(t, err)
	require.Equal(t, k, got)
	for _, s := range []string{"", "3", "3-", "-1-2", "3-0", "03-1", "3-1x", " 3-1", "3--1"} {
		_, err := ledger.ParseKey(s)
		require.Error(t, err, s)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("3-1042")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := ledger.ParseKey(s); err == nil {
			require.Equal(t, s, k.String())
		}
	})
}
