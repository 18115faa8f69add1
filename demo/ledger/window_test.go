package ledger_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"baton/demo/ledger"
)

// finish sends n messages of which nothing can become any more.
func finish(l *ledger.Ledger, p, n int) {
	for range n {
		k := l.Sent(p)
		l.Receipted(k)
		l.Received(k, ledger.Delivery{MessageID: "m", Connection: 1})
		l.Acked(k)
	}
}

// A ledger holds the newest messages and those whose fate is open, however many
// were sent.
func TestALongRunIsHeldInBoundedMemory(t *testing.T) {
	l := &ledger.Ledger{}
	p := l.AddProducer(true)
	open := 0
	for i := range 250 {
		finish(l, p, 4000)
		if i%10 == 0 { // a failover leaves a doubt behind
			l.InDoubt(l.Sent(p))
			open++
		}
	}
	require.Equal(t, uint64(1_000_000), l.Summary().Acked)
	require.LessOrEqual(t, l.Held(), 10_000+open)
	require.Empty(t, l.Summary().Violations(true))
}

// What is said of a message does not depend on how many were sent since.
func TestVerdictsOnOldMessages(t *testing.T) {
	l := &ledger.Ledger{}
	p := l.AddProducer(true)
	at := ledger.Delivery{MessageID: "m", Connection: 1}
	again := ledger.Delivery{MessageID: "m", Connection: 2, Redelivered: true}
	over, lost, late, doubt, unacked, waiting := l.Sent(p), l.Sent(p), l.Sent(p), l.Sent(p), l.Sent(p), l.Sent(p)
	for _, k := range []ledger.Key{over, lost, late, unacked} {
		l.Receipted(k)
	}
	l.InDoubt(doubt)
	for _, k := range []ledger.Key{over, unacked} {
		l.Received(k, at)
	}
	l.Acked(over)
	finish(l, p, 50_000)
	require.Equal(t, []ledger.Key{lost, late}, l.Missing(10))
	require.Equal(t, []ledger.Key{lost}, l.Missing(1))

	before := l.Summary()
	l.Received(over, again)
	require.Equal(t, before.Duplicates+1, l.Summary().Duplicates, "again after its ack")
	l.Received(unacked, again)
	require.Equal(t, before.Redelivered+1, l.Summary().Redelivered, "its ack was not confirmed")
	l.Acked(unacked)
	l.Received(unacked, again)
	require.Equal(t, before.Duplicates+2, l.Summary().Duplicates)
	l.Received(late, at)
	require.Equal(t, before.OutOfOrder+1, l.Summary().OutOfOrder)
	l.Received(doubt, at)
	require.Equal(t, before.Recovered+1, l.Summary().Recovered)
	l.Received(ledger.Key{Producer: p, Seq: before.Sent + 1}, at)
	require.Equal(t, uint64(1), l.Summary().Phantom)
	l.Resent(waiting)
	l.Receipted(waiting)
	require.Equal(t, []ledger.Key{lost, waiting}, l.Missing(10))
	require.Equal(t, uint64(2), l.Summary().Outstanding)
	require.Panics(t, func() { l.Receipted(over) }, "it has its outcome")
	finish(l, p, 50_000)
	require.Equal(t, []ledger.Key{lost, waiting}, l.Missing(10), "and after as many again")
}
