package stompserver_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/stomp"
)

// patience bounds every wait: the machine may be busy.
const patience = time.Minute

// client is a raw STOMP client whose every step a test can see.
type client struct {
	t     *testing.T
	nc    net.Conn
	dec   *stomp.Decoder
	early []*stomp.Frame // read while something else was waited for
}

func dialRaw(t *testing.T, address string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	require.NoError(t, err)
	return newClient(t, nc)
}

func newClient(t *testing.T, nc net.Conn) *client {
	t.Cleanup(func() { nc.Close() })
	return &client{t: t, nc: nc, dec: stomp.NewDecoder(nc, stomp.Limits{Body: 64 << 20})}
}

// dial connects and speaks the version.
func dial(t *testing.T, address, version string, headers ...string) *client {
	t.Helper()
	c := dialRaw(t, address)
	c.connect(version, headers...)
	return c
}

func (c *client) connect(version string, headers ...string) *stomp.Frame {
	c.t.Helper()
	c.frame("CONNECT", append([]string{"accept-version:" + version, "host:test"}, headers...)...)
	f := c.want("CONNECTED")
	require.Equal(c.t, version, f.Get("version"))
	v, _ := stomp.Negotiate(version)
	c.dec.Configure(v, stomp.Limits{Body: 64 << 20})
	return f
}

func (c *client) raw(s string) {
	c.t.Helper()
	c.nc.SetWriteDeadline(time.Now().Add(patience))
	_, err := io.WriteString(c.nc, s)
	require.NoError(c.t, err)
}

func (c *client) frame(command string, headers ...string) {
	c.t.Helper()
	c.raw(command + "\n" + strings.Join(append(headers, ""), "\n") + "\n\x00")
}

func (c *client) send(queue, body string, headers ...string) {
	c.t.Helper()
	c.raw("SEND\ndestination:/queue/" + queue + "\n" + strings.Join(append(headers, ""), "\n") + "\n" + body + "\x00")
}

// publish sends with a receipt and waits for it.
func (c *client) publish(queue string, bodies ...string) {
	c.t.Helper()
	for _, b := range bodies {
		c.send(queue, b, "receipt:p-"+b)
		require.Equal(c.t, "p-"+b, c.want("RECEIPT").Get("receipt-id"))
	}
}

func (c *client) next() (*stomp.Frame, error) {
	if len(c.early) > 0 {
		f := c.early[0]
		c.early = c.early[1:]
		return f, nil
	}
	return c.read()
}

func (c *client) read() (*stomp.Frame, error) {
	c.nc.SetReadDeadline(time.Now().Add(patience))
	f, err := c.dec.Next()
	if err != nil {
		return nil, err
	}
	return &stomp.Frame{Command: f.Command, Headers: append([]stomp.Header(nil), f.Headers...), Body: bytes.Clone(f.Body)}, nil
}

// tryNext is next for a client that may have nothing to read.
func (c *client) tryNext() (*stomp.Frame, error) {
	c.nc.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	f, err := c.dec.Next()
	if err != nil {
		return nil, err
	}
	return &stomp.Frame{Command: f.Command, Headers: append([]stomp.Header(nil), f.Headers...), Body: bytes.Clone(f.Body)}, nil
}

func (c *client) want(command string) *stomp.Frame {
	c.t.Helper()
	f, err := c.next()
	require.NoError(c.t, err, "waiting for %s", command)
	require.Equal(c.t, command, f.Command, "%v %s", f.Headers, f.Body)
	return f
}

func (c *client) wantReceipt(id string) {
	c.t.Helper()
	require.Equal(c.t, id, c.want("RECEIPT").Get("receipt-id"))
}

func (c *client) wantError(text string) *stomp.Frame {
	c.t.Helper()
	f := c.want("ERROR")
	require.Contains(c.t, f.Get("message"), text)
	require.NotContains(c.t, f.Get("message"), "\n")
	require.NotContains(c.t, f.Get("message"), ".go")
	return f
}

// wantBodies expects messages with these bodies, in this order.
func (c *client) wantBodies(bodies ...string) []*stomp.Frame {
	c.t.Helper()
	var all []*stomp.Frame
	for _, b := range bodies {
		f := c.want("MESSAGE")
		require.Equal(c.t, b, string(f.Body))
		all = append(all, f)
	}
	return all
}

// wantSilence proves that nothing comes: the answer to a refused frame is next.
func (c *client) wantSilence() {
	c.t.Helper()
	c.frame("ABORT")
	c.wantError("needs a transaction")
}

// wantClosed expects the end of the stream without another frame.
func (c *client) wantClosed() {
	c.t.Helper()
	f, err := c.next()
	require.Error(c.t, err, "%v", f)
	require.False(c.t, errors.Is(err, os.ErrDeadlineExceeded), "connection is still open")
}

func (c *client) subscribe(queue, ack string, headers ...string) {
	c.t.Helper()
	c.frame("SUBSCRIBE", append([]string{"id:s-" + queue, "destination:/queue/" + queue, "ack:" + ack, "receipt:sub"}, headers...)...)
	c.wantReceipt("sub")
}

// ack settles a message in the way of STOMP 1.2.
func (c *client) ack(f *stomp.Frame, headers ...string) {
	c.t.Helper()
	c.frame("ACK", append([]string{"id:" + f.Get("ack")}, headers...)...)
}

// wantBoth expects a receipt and a message, in any order.
func (c *client) wantBoth(receipt string) *stomp.Frame {
	c.t.Helper()
	var message *stomp.Frame
	for range 2 {
		f, err := c.next()
		require.NoError(c.t, err)
		if f.Command == "MESSAGE" {
			message = f
			continue
		}
		require.Equal(c.t, receipt, f.Get("receipt-id"))
	}
	require.NotNil(c.t, message)
	return message
}

func numbers(from, to int) []string {
	var all []string
	for i := from; i <= to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, patience, time.Millisecond, what)
}
