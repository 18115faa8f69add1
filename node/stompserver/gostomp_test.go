package stompserver_test

import (
	"fmt"
	"testing"
	"time"

	gostomp "github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	"github.com/stretchr/testify/require"

	"baton/node/broker/brokertest"
)

// A client of somebody else's, in all versions.
func TestGoStomp(t *testing.T) {
	for _, version := range []gostomp.Version{gostomp.V10, gostomp.V11, gostomp.V12} {
		for _, mode := range []gostomp.AckMode{gostomp.AckAuto, gostomp.AckClient, gostomp.AckClientIndividual} {
			t.Run(fmt.Sprintf("%s %s", version, mode), func(t *testing.T) {
				goStomp(t, version, mode)
			})
		}
	}
}

func goStomp(t *testing.T, version gostomp.Version, mode gostomp.AckMode) {
	log := brokertest.NewLog()
	_, address := startServer(t, log)
	conn, err := gostomp.Dial("tcp", address,
		gostomp.ConnOpt.AcceptVersion(version), gostomp.ConnOpt.Login("ann", "secret"),
		gostomp.ConnOpt.HeartBeat(5*time.Second, 5*time.Second),
		gostomp.ConnOpt.UnsubscribeReceiptTimeout(time.Second))
	require.NoError(t, err)
	require.Equal(t, version, conn.Version())
	for i := range 20 {
		err := conn.Send("/queue/q", "text/plain", fmt.Appendf(nil, "body %d\x00", i),
			gostomp.SendOpt.Receipt, gostomp.SendOpt.Header("k", `a:b\c`))
		require.NoError(t, err)
	}
	require.Equal(t, 20, log.Depth("q"))
	sub, err := conn.Subscribe("/queue/q", mode, gostomp.SubscribeOpt.Header("activemq.prefetchSize", "7"))
	require.NoError(t, err)
	for i := range 20 {
		m := <-sub.C
		require.NoError(t, m.Err)
		require.Equal(t, fmt.Sprintf("body %d\x00", i), string(m.Body))
		require.Equal(t, "text/plain", m.ContentType)
		require.Equal(t, `a:b\c`, m.Header.Get("k"))
		require.NotEmpty(t, m.Header.Get(frame.MessageId))
		if mode != gostomp.AckAuto && (mode != gostomp.AckClient || i%5 == 4) {
			require.NoError(t, conn.Ack(m))
		}
	}
	eventually(t, "acks", func() bool { return log.Depth("q") == 0 })
	// A fast receipt gets past this client's Unsubscribe, which then waits in
	// vain; the receipt has closed the channel in any case.
	if err := sub.Unsubscribe(); err != nil {
		require.ErrorIs(t, err, &gostomp.ErrUnsubscribeReceiptTimeout)
	}
	_, open := <-sub.C
	require.False(t, open)
	require.NoError(t, conn.Disconnect())
}
