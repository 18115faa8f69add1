package transport_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl/transport"
	"baton/repl/wire"
	"baton/store/record"
)

func identity(node, token string) transport.Identity {
	return transport.Identity{ClusterID: "c1", Node: node, Incarnation: node + "-a", Token: []byte(token)}
}

// tcp returns both ends of a loopback connection.
func tcp(t *testing.T) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	client, err = net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	server, err = ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

type outcome struct {
	conn *transport.Conn
	peer transport.Peer
	err  error
}

// shake runs both sides at once.
func shake(client, server net.Conn, f, l transport.Options) (follower, leader outcome) {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		leader.conn, leader.peer, leader.err = transport.Accept(server, l)
	}()
	follower.conn, follower.peer, follower.err = transport.Connect(client, f, "n1")
	wg.Wait()
	return follower, leader
}

// options bound what a test waits for: the machine may be busy.
func options(id transport.Identity, epoch record.Epoch) transport.Options {
	return transport.Options{Identity: id, Epoch: epoch, Handshake: time.Minute, Idle: time.Minute}
}

func TestHandshake(t *testing.T) {
	for name, token := range map[string]string{"token": "secret", "no token on both sides": ""} {
		t.Run(name, func(t *testing.T) {
			client, server := tcp(t)
			f, l := shake(client, server, options(identity("n2", token), 4), options(identity("n1", token), 5))
			require.NoError(t, f.err)
			require.NoError(t, l.err)
			require.Equal(t, transport.Peer{Node: "n2", Incarnation: "n2-a", Epoch: 4}, l.peer)
			require.Equal(t, transport.Peer{Node: "n1", Epoch: 5}, f.peer)
			require.Equal(t, client.LocalAddr().String(), l.conn.Remote())

			batches := bytes.Repeat([]byte("x"), 3<<20)
			go l.conn.SendAppend(5, 7, batches)
			epoch, body, err := f.conn.Next()
			require.NoError(t, err)
			require.EqualValues(t, 5, epoch)
			require.True(t, bytes.Equal(batches, body.(wire.Append).Batches))
			require.EqualValues(t, 7, body.(wire.Append).Commit)
		})
	}
}

func TestMismatchesAreToldToBothSides(t *testing.T) {
	for name, c := range map[string]struct {
		f, l transport.Identity
		code wire.Code
	}{
		"token":              {identity("n2", "a"), identity("n1", "b"), wire.CodeToken},
		"follower has none":  {identity("n2", ""), identity("n1", "b"), wire.CodeToken},
		"leader has none":    {identity("n2", "a"), identity("n1", ""), wire.CodeToken},
		"wrong node":         {identity("n2", "a"), identity("n3", "a"), wire.CodeWrongNode},
		"talking to itself":  {identity("n1", "a"), identity("n1", "a"), wire.CodeStranger},
		"cluster, and token": {transport.Identity{ClusterID: "c2", Node: "n2"}, identity("n1", "b"), wire.CodeCluster},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := tcp(t)
			f, l := shake(client, server, options(c.f, 1), options(c.l, 1))
			var theirs, ours *transport.RefusedError
			require.ErrorAs(t, f.err, &theirs)
			require.ErrorAs(t, l.err, &ours)
			require.Equal(t, c.code, theirs.Code)
			require.Equal(t, theirs.Refuse, ours.Refuse, "one sentence on both sides")
			require.True(t, theirs.ByPeer)
			require.False(t, ours.ByPeer)
			require.NotContains(t, theirs.Text+ours.Text, "secret")
		})
	}
}

// proxy copies frames between two connections and lets a test change them.
func proxy(t *testing.T, change func(fromFollower bool, n int, frame []byte) []byte) (client, server net.Conn, frames func() [][]byte) {
	client, a := tcp(t)
	b, server := tcp(t)
	var mu sync.Mutex
	var seen [][]byte
	copyFrames := func(from, to net.Conn, follower bool) {
		defer to.Close()
		for n := 0; ; n++ {
			head := make([]byte, wire.HeaderSize)
			if _, err := io.ReadFull(from, head); err != nil {
				return
			}
			frame := append(head, make([]byte, binary.LittleEndian.Uint32(head)-wire.HeaderSize)...)
			if _, err := io.ReadFull(from, frame[wire.HeaderSize:]); err != nil {
				return
			}
			mu.Lock()
			seen = append(seen, bytes.Clone(frame))
			mu.Unlock()
			if _, err := to.Write(change(follower, n, frame)); err != nil {
				return
			}
		}
	}
	go copyFrames(a, b, true)
	go copyFrames(b, a, false)
	return client, server, func() [][]byte {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

func same(_ bool, _ int, frame []byte) []byte { return frame }

func TestTokenIsNeverSent(t *testing.T) {
	client, server, frames := proxy(t, same)
	f, l := shake(client, server, options(identity("n2", "open sesame"), 1), options(identity("n1", "open sesame"), 1))
	require.NoError(t, f.err)
	require.NoError(t, l.err)
	require.Len(t, frames(), 4)
	for _, b := range frames() {
		require.NotContains(t, string(b), "open sesame")
	}
}

func TestRecordedHandshakeIsRefused(t *testing.T) {
	client, server, frames := proxy(t, same)
	f, l := shake(client, server, options(identity("n2", "s"), 1), options(identity("n1", "s"), 1))
	require.NoError(t, f.err)
	require.NoError(t, l.err)
	hello, proof := frames()[0], frames()[2]

	client, server = tcp(t)
	done := make(chan error, 1)
	go func() {
		_, _, err := transport.Accept(server, options(identity("n1", "s"), 1))
		done <- err
	}()
	_, err := client.Write(append(hello, proof...))
	require.NoError(t, err)
	var r *transport.RefusedError
	require.ErrorAs(t, <-done, &r)
	require.Equal(t, wire.CodeToken, r.Code)
}

// TestNothingInTheHandshakeCanBeChanged rewrites each frame with a valid
// checksum; what the proofs cover must be noticed.
func TestNothingInTheHandshakeCanBeChanged(t *testing.T) {
	rewrite := func(frame []byte, epoch record.Epoch, change func(wire.Body) wire.Body) []byte {
		f, err := wire.NewReader(bytes.NewReader(frame)).Next()
		require.NoError(t, err)
		b, err := f.Parse()
		require.NoError(t, err)
		return wire.AppendFrame(nil, epoch, change(b))
	}
	keep := func(b wire.Body) wire.Body { return b }
	for name, change := range map[string]func(bool, int, []byte) []byte{
		"epoch of the hello": func(follower bool, n int, b []byte) []byte {
			if follower && n == 0 {
				return rewrite(b, 9, keep)
			}
			return b
		},
		"incarnation": func(follower bool, n int, b []byte) []byte {
			if follower && n == 0 {
				return rewrite(b, 1, func(b wire.Body) wire.Body { h := b.(wire.Hello); h.Incarnation = "x"; return h })
			}
			return b
		},
		"node": func(follower bool, n int, b []byte) []byte {
			if follower && n == 0 {
				return rewrite(b, 1, func(b wire.Body) wire.Body { h := b.(wire.Hello); h.Node = "n3"; return h })
			}
			return b
		},
		"epoch of the challenge": func(follower bool, n int, b []byte) []byte {
			if !follower && n == 0 {
				return rewrite(b, 9, keep)
			}
			return b
		},
		"nonce": func(follower bool, n int, b []byte) []byte {
			if !follower && n == 0 {
				return rewrite(b, 1, func(b wire.Body) wire.Body { c := b.(wire.Challenge); c.Nonce[0] ^= 1; return c })
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, server, _ := proxy(t, change)
			f, l := shake(client, server, options(identity("n2", "s"), 1), options(identity("n1", "s"), 1))
			require.Error(t, f.err)
			var r *transport.RefusedError
			require.ErrorAs(t, l.err, &r)
			require.Equal(t, wire.CodeToken, r.Code)
		})
	}
	t.Run("welcome of an impostor", func(t *testing.T) {
		client, server, _ := proxy(t, func(follower bool, n int, b []byte) []byte {
			if !follower && n == 1 {
				return rewrite(b, 1, func(wire.Body) wire.Body { return wire.Welcome{} })
			}
			return b
		})
		f, l := shake(client, server, options(identity("n2", "s"), 1), options(identity("n1", "s"), 1))
		var r *transport.RefusedError
		require.ErrorAs(t, f.err, &r)
		require.Equal(t, wire.CodeToken, r.Code)
		require.NoError(t, l.err)
		_, body, err := l.conn.Next()
		require.NoError(t, err)
		require.Equal(t, wire.CodeToken, body.(wire.Refuse).Code, "the leader is told")
	})
	t.Run("a proof cannot be sent back as a welcome", func(t *testing.T) {
		var proof []byte
		client, server, _ := proxy(t, func(follower bool, n int, b []byte) []byte {
			if follower && n == 1 {
				proof = bytes.Clone(b)
			}
			if !follower && n == 1 {
				return rewrite(proof, 1, func(p wire.Body) wire.Body { return wire.Welcome{MAC: p.(wire.Proof).MAC} })
			}
			return b
		})
		f, _ := shake(client, server, options(identity("n2", "s"), 1), options(identity("n1", "s"), 1))
		require.Error(t, f.err)
	})
}

func TestOtherProtocolVersion(t *testing.T) {
	later := func(b []byte) []byte { b[5] = wire.Version + 1; return b }
	t.Run("of the follower", func(t *testing.T) {
		client, server := tcp(t)
		go client.Write(later(wire.AppendFrame(nil, 1, wire.Hello{})))
		_, _, err := transport.Accept(server, options(identity("n1", ""), 1))
		var r *transport.RefusedError
		require.ErrorAs(t, err, &r)
		require.Equal(t, wire.CodeVersion, r.Code)
		require.Contains(t, r.Text, "upgrade the older")
		f, err := wire.NewReader(client).Next()
		require.NoError(t, err)
		require.Equal(t, wire.TypeRefuse, f.Type)
	})
	t.Run("of the leader", func(t *testing.T) {
		client, server := tcp(t)
		go func() {
			wire.NewReader(server).Next()
			server.Write(later(wire.AppendFrame(nil, 1, wire.Challenge{})))
		}()
		_, _, err := transport.Connect(client, options(identity("n2", ""), 1), "n1")
		var r *transport.RefusedError
		require.ErrorAs(t, err, &r)
		require.Equal(t, wire.CodeVersion, r.Code)
	})
}

func TestHandshakeIsBounded(t *testing.T) {
	quick := options(identity("n1", ""), 1)
	quick.Handshake = 50 * time.Millisecond
	t.Run("a peer that says nothing", func(t *testing.T) {
		_, server := tcp(t)
		_, _, err := transport.Accept(server, quick)
		require.ErrorIs(t, err, transport.ErrSilent)
	})
	t.Run("a peer that says it slowly", func(t *testing.T) {
		client, server := tcp(t)
		hello := wire.AppendFrame(nil, 1, wire.Hello{})
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for _, c := range hello {
				select {
				case <-tick.C:
				case <-stop:
					return
				}
				client.Write([]byte{c})
			}
		}()
		_, _, err := transport.Accept(server, quick)
		close(stop)
		<-stopped
		require.ErrorIs(t, err, transport.ErrSilent)
	})
	t.Run("a peer that sends too much", func(t *testing.T) {
		client, server := tcp(t)
		go client.Write(wire.AppendFrame(nil, 1, wire.Append{Batches: make([]byte, wire.MaxHandshake)}))
		_, _, err := transport.Accept(server, options(identity("n1", ""), 1))
		require.ErrorIs(t, err, wire.ErrTooLarge)
	})
	t.Run("a peer that sends something else", func(t *testing.T) {
		client, server := tcp(t)
		go client.Write([]byte("GET / HTTP/1.1\r\nHost: broker\r\n\r\n"))
		_, _, err := transport.Accept(server, options(identity("n1", ""), 1))
		require.Error(t, err)
	})
	t.Run("a frame out of turn", func(t *testing.T) {
		client, server := tcp(t)
		go client.Write(wire.AppendFrame(nil, 1, wire.Proof{}))
		_, _, err := transport.Accept(server, options(identity("n1", ""), 1))
		var r *transport.RefusedError
		require.ErrorAs(t, err, &r)
		require.Equal(t, wire.CodeProtocol, r.Code)
	})
}

// socketLike is an end of a pipe at which nobody has to read a write of nothing.
type socketLike struct{ net.Conn }

func (c socketLike) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return c.Conn.Write(b)
}

func TestSilenceAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		client, server := socketLike{a}, socketLike{b}
		defer client.Close()
		defer server.Close()
		o := options(identity("n1", ""), 1)
		o.Idle = 100 * time.Millisecond
		f, l := shake(client, server, options(identity("n2", ""), 1), o)
		require.NoError(t, f.err)
		require.NoError(t, l.err)
		// A frame that takes longer than Idle but keeps coming is not silence.
		frame := wire.AppendFrame(nil, 1, wire.Append{Batches: make([]byte, 20)})
		go func() {
			for _, c := range frame {
				<-time.After(10 * time.Millisecond)
				client.Write([]byte{c})
			}
		}()
		began := time.Now()
		_, _, err := l.conn.Next()
		require.NoError(t, err)
		require.Greater(t, time.Since(began), 2*o.Idle)
		began = time.Now()
		_, _, err = l.conn.Next()
		require.ErrorIs(t, err, transport.ErrSilent)
		require.Equal(t, o.Idle, time.Since(began))
	})
}
