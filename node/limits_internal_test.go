package node

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/stompserver"
)

func TestLimitsAreChecked(t *testing.T) {
	require.Empty(t, Limits{}.validate())
	require.Empty(t, DefaultLimits().validate())
	for want, l := range map[string]Limits{
		"--max-body is 209715200, at most 104857600":   {Body: 200 << 20, BodyMemory: 1 << 30, OutputMemory: 1 << 30},
		"--body-memory is 1048576, which is less than": {BodyMemory: 1 << 20},
		"--output-memory is 1048576, which is less":    {OutputMemory: 1 << 20},
		"--max-headers is 1001, at most 1000":          {Headers: 1001},
		"--max-connections is negative":                {Connections: -1},
		"--connect-timeout is negative: it is a time":  {ConnectTimeout: -1},
		"--transaction-memory is 1024, which is less":  {TransactionMemory: 1024},
		"--max-transaction-size is 1073741824, at":     {TransactionSize: 1 << 30, TransactionMemory: 1 << 30},
		"--max-header-line is 1048576, at most":        {HeaderLine: 1 << 20},
	} {
		errs := l.validate()
		require.Len(t, errs, 1, want)
		require.True(t, strings.HasPrefix(errs[0].Error(), want), errs[0].Error())
	}
}

// Every limit reaches who enforces it: with each of them changed, nothing of the
// configuration of broker and server is as it is by default.
func TestLimitsAreUsed(t *testing.T) {
	l := Limits{Connections: 1, ConnectionsPerAddress: 2, Subscriptions: 3, Body: 4, HeaderLine: 5, Headers: 6, BodyMemory: 7,
		ConnectTimeout: 8, WriteTimeout: 9, Transactions: 10, TransactionSize: 11, TransactionMemory: 12, TransactionTimeout: 13,
		OutputMemory: 14, TopicMemory: 15, ProposalMemory: 16, WaitingMemory: 17}
	for i, x := range l.list() {
		require.EqualValues(t, i+1, x.value, "%s is not in the list where it belongs", x.flag)
	}
	var b broker.Config
	l.forBroker(&b)
	require.Equal(t, broker.Config{Transactions: 10, TransactionBytes: 11, TransactionMemory: 12, TransactionTimeout: 13,
		MemoryBytes: 15, ProposalBytes: 16, WaitingBytes: 17}, b)
	var s stompserver.Config
	l.forServer(&s)
	require.Equal(t, []any{1, 2, 3, 4, 5, 6, int64(7), time.Duration(8), time.Duration(9), int64(14)},
		[]any{s.MaxConnections, s.MaxConnectionsPerAddress, s.MaxSubscriptions, s.Limits.Body, s.Limits.HeaderLine, s.Limits.Headers,
			s.BodyMemory, s.ConnectTimeout, s.WriteTimeout, s.OutputMemory})
}

// The defaults that operators read are those of the packages.
func TestDefaultLimitsAreAccepted(t *testing.T) {
	l := Limits{}.withDefaults()
	require.Equal(t, DefaultLimits(), l)
	log := brokertest.NewLog()
	b := log.Broker(t, l.forBroker)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	s := stompserver.Config{Listener: ln, Broker: b}
	l.forServer(&s)
	require.NoError(t, s.Validate())
}
