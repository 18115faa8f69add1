package client_test

import (
	"testing"

	"github.com/go-stomp/stomp/v3/server"
	"github.com/stretchr/testify/require"

	"baton/node/client"
)

// A server that was not written for this client. Its acks are left out: it wants
// the header of STOMP 1.1 from a client of 1.2.
func TestAgainstGoStompServer(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	go server.Serve(ln) // ends with the listener
	t.Cleanup(func() { ln.Close() })
	c := connect(t, client.Config{Addresses: []string{ln.Addr().String()}})
	bodies := []string{"one", "two\x00with a NUL", ""}
	for _, body := range bodies {
		_, err := c.Send(within(t), "/queue/a", "text/plain", []byte(body), map[string]string{"odd": "a:b\\c\nd"})
		require.NoError(t, err)
	}
	got := make(chan *client.Message, 10)
	sub, err := c.Subscribe(within(t), "/queue/a", client.AckAuto, 1, func(m *client.Message) { got <- m })
	require.NoError(t, err)
	for _, body := range bodies {
		m := <-got
		require.Equal(t, body, string(m.Body))
		require.Equal(t, "a:b\\c\nd", m.Header.Get("odd"))
		require.Equal(t, "text/plain", m.ContentType)
	}
	require.NoError(t, sub.Close())
}
