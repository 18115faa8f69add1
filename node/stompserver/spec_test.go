package stompserver_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/broker/brokertest"
	"baton/node/stomp"
	"baton/node/stompserver"
)

// The specification grants a receipt to every frame of a client but CONNECT.
func TestReceiptOfEveryFrame(t *testing.T) {
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		t.Run(version, func(t *testing.T) {
			log := brokertest.NewLog()
			_, address := startServer(t, log)
			c := dial(t, address, version)
			ask := func(command string, headers ...string) {
				t.Helper()
				c.frame(command, append(headers, "receipt:"+command)...)
				c.wantReceipt(command)
			}
			ask("SEND", "destination:/queue/q")
			ask("BEGIN", "transaction:t")
			ask("SEND", "destination:/queue/q", "transaction:t")
			ask("ABORT", "transaction:t")
			ask("BEGIN", "transaction:t")
			ask("SEND", "destination:/queue/q", "transaction:t")
			ask("COMMIT", "transaction:t")
			require.Equal(t, 2, log.Depth("q"))
			ask("SUBSCRIBE", "id:1", "destination:/queue/q", "ack:client-individual")
			names := func(f *stomp.Frame) []string {
				if version == "1.2" {
					return []string{"id:" + f.Get("ack")}
				}
				return []string{"subscription:1", "message-id:" + f.Get("message-id")}
			}
			got := c.wantBodies("", "")
			ask("ACK", names(got[0])...)
			if version != "1.0" {
				c.frame("NACK", append(names(got[1]), "receipt:NACK")...)
				c.wantBoth("NACK")
			}
			ask("UNSUBSCRIBE", "id:1")
			ask("DISCONNECT")
			c.wantClosed()
			require.Equal(t, 1, log.Depth("q"))
		})
	}
}

// An ERROR says in one line what is wrong and with which frame, and a refusal
// leaves the connection open.
func TestErrorFrame(t *testing.T) {
	_, address := startServer(t, brokertest.NewLog())
	c := dial(t, address, "1.2")
	c.frame("SEND", "destination:nowhere", `receipt:r\c1`)
	f := c.wantError("begin with /queue/")
	require.Equal(t, "r:1", f.Get("receipt-id"))
	require.Equal(t, f.Get("message"), string(f.Body))
	require.Equal(t, "text/plain", f.Get("content-type"))
	c.frame("SEND", "destination:nowhere")
	_, named := c.wantError("begin with /queue/").Lookup("receipt-id")
	require.False(t, named)
	c.publish("q", "1")

	// The frame that ends a connection is named, too.
	c.frame("MESSAGE", "receipt:r")
	require.Equal(t, "r", c.wantError("unknown command").Get("receipt-id"))
	c.wantClosed()

	// Who speaks no common version learns which there are.
	old := dialRaw(t, address)
	old.frame("CONNECT", "accept-version:0.9,3.0")
	require.Equal(t, "1.0,1.1,1.2", old.wantError("no common protocol version").Get("version"))
	old.wantClosed()
}

// What CONNECTED says is never escaped, and of what CONNECT says nothing is
// unescaped.
func TestConnectedIsNotEscaped(t *testing.T) {
	_, address := startServer(t, brokertest.NewLog(), func(c *stompserver.Config) { c.ServerName = "baton" })
	c := dialRaw(t, address)
	c.frame("CONNECT", "accept-version:1.2", "host:x", `request-id:a\cb:c\\`)
	f := c.want("CONNECTED")
	require.Equal(t, `a\cb:c\\`, f.Get("response-id"))
	require.Equal(t, "baton", f.Get("server"))
	other := dialRaw(t, address)
	other.frame("CONNECT", "accept-version:1.2")
	require.NotEqual(t, f.Get("session"), other.want("CONNECTED").Get("session"))
}

// Line ends between frames mean nothing; a NUL there is no frame.
func TestBetweenFrames(t *testing.T) {
	_, address := startServer(t, brokertest.NewLog())
	c := dialRaw(t, address)
	c.raw("\n\r\n\nCONNECT\r\naccept-version:1.2\r\n\r\n\x00\n\n\r\n")
	c.want("CONNECTED")
	c.dec.Configure(stomp.V12, stomp.Limits{})
	c.raw("\nSEND\r\ndestination:/queue/q\r\nreceipt:1\r\n\r\na\r\n\x00\n\n\nSEND\ndestination:/queue/q\nreceipt:2\n\nb\x00")
	c.wantReceipt("1")
	c.wantReceipt("2")
	c.subscribe("q", "auto")
	c.wantBodies("a\r\n", "b")
	c.raw("\n\x00SEND\ndestination:/queue/q\n\n\x00")
	c.wantError("malformed")
	c.wantClosed()
}

// Characters of four bytes pass unharmed, as a client sees them.
func TestFourByteCharacters(t *testing.T) {
	_, address := startServer(t, brokertest.NewLog())
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		c := dial(t, address, version)
		c.frame("SUBSCRIBE", "id:1", "destination:/queue/𝄞."+version, "receipt:s")
		c.wantReceipt("s")
		c.raw("SEND\ndestination:/queue/𝄞." + version + "\n𐍈:😀\n\n🂡\x00")
		f := c.wantBodies("🂡")[0]
		require.Equal(t, "😀", f.Get("𐍈"))
		require.Equal(t, "/queue/𝄞."+version, f.Get("destination"))
		c.frame("DISCONNECT")
		c.wantClosed()
	}
}

// Each limit cuts a frame while it arrives, and the answer names the limit.
func TestLimitsOfFrames(t *testing.T) {
	_, address := startServer(t, brokertest.NewLog(), func(c *stompserver.Config) {
		c.Limits = stomp.Limits{Command: 64, HeaderLine: 128, Headers: 10, HeaderBytes: 1024, Body: 4096}
	})
	bystander := dial(t, address, "1.2")
	for in, want := range map[string]string{
		strings.Repeat("S", 100):                                                     "command line, at most 64",
		"SEND\na:" + strings.Repeat("b", 200):                                        "header line, at most 128",
		"SEND\n" + strings.Repeat("a:b\n", 11):                                       "number of headers, at most 10",
		"SEND\n" + strings.Repeat("a:"+strings.Repeat("b", 120)+"\n", 9):             "bytes of headers, at most 1024",
		"SEND\ndestination:/queue/q\n\n" + strings.Repeat("x", 5000):                 "bytes of body, at most 4096",
		"SEND\ndestination:/queue/q\ncontent-length:4097\n\n":                        "bytes of body, at most 4096",
		"SEND\ndestination:/queue/q\ncontent-length:4294967296\n\n":                  "bytes of body, at most 4096",
		"SEND\ndestination:/queue/q\ncontent-length:99999999999999999999999999\n\nx": "not a number",
	} {
		c := dial(t, address, "1.2")
		c.raw(in) // no frame ends in it
		c.wantError(want)
		c.wantClosed()
	}
	bystander.publish("q", "1")
}
