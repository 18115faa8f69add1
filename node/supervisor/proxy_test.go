package supervisor_test

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/supervisor"
)

// echo serves connections that send back what they get.
func echo(t *testing.T) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	return ln
}

func proxy(t *testing.T, target string) *supervisor.Proxy {
	p, err := supervisor.NewProxy(supervisor.ProxyConfig{Name: "a->b", Target: target})
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

func dial(t *testing.T, addr string) net.Conn {
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, s string) {
	_, err := c.Write([]byte(s))
	require.NoError(t, err)
}

func hear(t *testing.T, c net.Conn, s string, d time.Duration) error {
	require.NoError(t, c.SetReadDeadline(time.Now().Add(d)))
	b := make([]byte, len(s))
	_, err := io.ReadFull(c, b)
	if err == nil {
		require.Equal(t, s, string(b))
	}
	return err
}

// refused says that a connection to addr ends at once, while it is made or after.
func refused(t *testing.T, addr string) {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		defer c.Close()
		err = hear(t, c, "x", patience)
	}
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestProxy(t *testing.T) {
	const long, short = patience, 30 * time.Millisecond
	t.Run("passes bytes and the end of the stream", func(t *testing.T) {
		p := proxy(t, echo(t).Addr().String())
		c := dial(t, p.Addr())
		say(t, c, "hello")
		require.NoError(t, hear(t, c, "hello", long))
		require.NoError(t, c.(*net.TCPConn).CloseWrite())
		require.ErrorIs(t, hear(t, c, "x", long), io.EOF)
		require.Eventually(t, func() bool { return p.State().Connections == 0 }, long, time.Millisecond)
		require.Equal(t, uint64(10), p.State().Bytes)
	})
	t.Run("silent cut holds everything until healed", func(t *testing.T) {
		p := proxy(t, echo(t).Addr().String())
		c := dial(t, p.Addr())
		say(t, c, "a")
		require.NoError(t, hear(t, c, "a", long))
		p.Cut(supervisor.CutSilent)
		require.True(t, p.State().Cut)
		say(t, c, "b")
		fresh := dial(t, p.Addr())
		say(t, fresh, "c")
		require.ErrorIs(t, hear(t, c, "b", short), os.ErrDeadlineExceeded)
		require.ErrorIs(t, hear(t, fresh, "c", short), os.ErrDeadlineExceeded)
		p.Heal()
		require.NoError(t, hear(t, c, "b", long))
		require.NoError(t, hear(t, fresh, "c", long))
	})
	t.Run("a peer that dies behind a silent cut is not noticed until healed", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close()
		p := proxy(t, ln.Addr().String())
		c := dial(t, p.Addr())
		peer, err := ln.Accept()
		require.NoError(t, err)
		p.Cut(supervisor.CutSilent)
		peer.Close()
		require.ErrorIs(t, hear(t, c, "x", short), os.ErrDeadlineExceeded)
		p.Heal()
		require.ErrorIs(t, hear(t, c, "x", long), io.EOF)
	})
	t.Run("reset cut ends connections and refuses new ones", func(t *testing.T) {
		p := proxy(t, echo(t).Addr().String())
		c := dial(t, p.Addr())
		say(t, c, "a")
		require.NoError(t, hear(t, c, "a", long))
		p.Cut(supervisor.CutReset)
		require.Error(t, hear(t, c, "b", long))
		refused(t, p.Addr())
		p.Heal()
		c = dial(t, p.Addr())
		say(t, c, "d")
		require.NoError(t, hear(t, c, "d", long))
	})
	t.Run("target down ends the connection at once", func(t *testing.T) {
		ln := echo(t)
		require.NoError(t, ln.Close())
		refused(t, proxy(t, ln.Addr().String()).Addr())
	})
	t.Run("delays and throttles", func(t *testing.T) {
		p := proxy(t, echo(t).Addr().String())
		c := dial(t, p.Addr())
		p.Delay(20 * time.Millisecond)
		began := time.Now()
		say(t, c, "slow")
		require.NoError(t, hear(t, c, "slow", long))
		require.GreaterOrEqual(t, time.Since(began), 40*time.Millisecond, "each way")
		p.Delay(0)
		p.Throttle(10_000)
		began = time.Now()
		msg := string(make([]byte, 1000))
		say(t, c, msg)
		require.NoError(t, hear(t, c, msg, long))
		require.GreaterOrEqual(t, time.Since(began), 90*time.Millisecond)
	})
	t.Run("refuses beyond its bound", func(t *testing.T) {
		p, err := supervisor.NewProxy(supervisor.ProxyConfig{Target: echo(t).Addr().String(), ConnectionsMax: 1})
		require.NoError(t, err)
		defer p.Close()
		c := dial(t, p.Addr())
		say(t, c, "a")
		require.NoError(t, hear(t, c, "a", long))
		refused(t, p.Addr())
	})
	t.Run("closes while cut and busy", func(t *testing.T) {
		p := proxy(t, echo(t).Addr().String())
		c := dial(t, p.Addr())
		p.Cut(supervisor.CutSilent)
		c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		c.Write(make([]byte, 8<<20)) // more than the proxy will hold
		require.NoError(t, p.Close())
		_, err := net.Dial("tcp", p.Addr())
		require.Error(t, err)
	})
	t.Run("needs a target and a free port", func(t *testing.T) {
		_, err := supervisor.NewProxy(supervisor.ProxyConfig{})
		require.Error(t, err)
		ln := echo(t)
		_, err = supervisor.NewProxy(supervisor.ProxyConfig{Name: "x", Listen: ln.Addr().String(), Target: "127.0.0.1:1"})
		require.ErrorContains(t, err, "open proxy x")
	})
}
