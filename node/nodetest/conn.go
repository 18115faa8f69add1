package nodetest

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"time"

	"baton/node/stomp"
)

// Conn is a bare STOMP 1.2 connection to whichever node serves, for what
// node/client does not do. It does not reconnect, and returns the errors that a
// failing node causes. It is for one goroutine.
type Conn struct {
	nc      net.Conn
	dec     *stomp.Decoder
	pending []*stomp.Frame // read while a receipt was awaited
}

// Dial connects to the first of the addresses that serves. headers, of the form
// name:value, are added to CONNECT.
func Dial(addresses []string, headers ...string) (*Conn, error) {
	err := fmt.Errorf("no addresses")
	for _, a := range addresses {
		var nc net.Conn
		if nc, err = net.DialTimeout("tcp", a, time.Second); err != nil {
			continue
		}
		c := &Conn{nc: nc, dec: stomp.NewDecoder(nc, stomp.Limits{})}
		if err = c.Write(stomp.CmdConnect, "", append([]string{"accept-version:1.2", "host:test"}, headers...)...); err == nil {
			if _, err = c.Await(stomp.CmdConnected); err == nil {
				c.dec.Configure(stomp.V12, stomp.Limits{})
				return c, nil
			}
		}
		nc.Close()
	}
	return nil, fmt.Errorf("dial %s: %w", strings.Join(addresses, ", "), err)
}

// Close closes the connection without a DISCONNECT.
func (c *Conn) Close() { c.nc.Close() }

// Write sends a frame. The headers are of the form name:value, not escaped.
func (c *Conn) Write(command, body string, headers ...string) error {
	c.nc.SetWriteDeadline(time.Now().Add(Patience))
	_, err := c.nc.Write([]byte(command + "\n" + strings.Join(append(headers, ""), "\n") + "\n" + body + "\x00"))
	return err
}

// Ask is Write, and waits for the receipt. Messages that come meanwhile are
// kept for Next.
func (c *Conn) Ask(command, body string, headers ...string) error {
	if err := c.Write(command, body, append(headers, "receipt:asked")...); err != nil {
		return err
	}
	_, err := c.Await(stomp.CmdReceipt)
	return err
}

// Await returns the next frame of a kind and keeps the others for Next. An
// ERROR is an error.
func (c *Conn) Await(command string) (*stomp.Frame, error) {
	for {
		f, err := c.read()
		switch {
		case err != nil:
			return nil, err
		case f.Command == command:
			return f, nil
		case f.Command == stomp.CmdError:
			return nil, fmt.Errorf("the server says: %s", f.Get("message"))
		}
		c.pending = append(c.pending, f)
	}
}

// Next returns the next frame.
func (c *Conn) Next() (*stomp.Frame, error) {
	if len(c.pending) > 0 {
		f := c.pending[0]
		c.pending = c.pending[1:]
		return f, nil
	}
	return c.read()
}

func (c *Conn) read() (*stomp.Frame, error) {
	c.nc.SetReadDeadline(time.Now().Add(Patience))
	f, err := c.dec.Next()
	if err != nil {
		return nil, err
	}
	return &stomp.Frame{Command: f.Command, Headers: append([]stomp.Header(nil), f.Headers...), Body: bytes.Clone(f.Body)}, nil
}
