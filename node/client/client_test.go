package client_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/client"
	"baton/node/client/clienttest"
	"baton/zkclient/ensemble/porttest"
)

// patience bounds every wait: the machine may be busy.
const patience = time.Minute

func listen(t *testing.T, addr string) net.Listener {
	ln, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	return ln
}

// freeAddr returns an address at which nobody listens.
func freeAddr(t *testing.T) string { return porttest.Address(t) }

func serve(t *testing.T, addr string, change func(*clienttest.Config)) *clienttest.Server {
	cfg := clienttest.Config{Listener: listen(t, addr)}
	if change != nil {
		change(&cfg)
	}
	s, err := clienttest.New(cfg, nil)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func connect(t *testing.T, cfg client.Config) *client.Client {
	c, err := client.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestFindsTheLeader(t *testing.T) {
	s := serve(t, "127.0.0.1:0", nil)
	silent := listen(t, "127.0.0.1:0") // accepts through its backlog, like a paused node
	defer silent.Close()
	dead := freeAddr(t)
	began := time.Now()
	// To wait for the silent address would take longer than the test does.
	c := connect(t, client.Config{Addresses: []string{silent.Addr().String(), dead, s.Addr()}, ConnectTimeout: 10 * patience})
	r, err := c.Send(within(t), "/queue/a", "text/plain", []byte("hi"), map[string]string{"k": "v:1"})
	require.NoError(t, err)
	require.Equal(t, s.Addr(), r.Server)
	require.Equal(t, c.ConnectedAt(), r.ConnectedAt)
	require.True(t, r.At.After(r.ConnectedAt) && r.ConnectedAt.After(began))
	require.Equal(t, s.Addr(), c.Server())
}

func TestSendFailsOver(t *testing.T) {
	a := serve(t, "127.0.0.1:0", nil)
	second := freeAddr(t)
	c := connect(t, client.Config{Addresses: []string{a.Addr(), second}})
	_, err := c.Send(within(t), "/queue/a", "", []byte("1"), nil)
	require.NoError(t, err)
	gone := c.ConnectedAt()
	a.Close()
	require.Eventually(t, func() bool { return c.Server() == "" }, patience, time.Millisecond)
	b := serve(t, second, nil)
	r, err := c.Send(within(t), "/queue/a", "", []byte("2"), nil)
	require.NoError(t, err)
	require.Equal(t, b.Addr(), r.Server)
	require.True(t, r.ConnectedAt.After(gone))
	require.Equal(t, 2, c.Connections())
}

func TestInDoubt(t *testing.T) {
	t.Run("connection lost", func(t *testing.T) {
		s := serve(t, "127.0.0.1:0", nil)
		c := connect(t, client.Config{Addresses: []string{s.Addr()}, ReceiptTimeout: 10 * patience})
		require.NoError(t, c.Wait(within(t)))
		s.Mute(true)
		errs := make(chan error, 8)
		for range cap(errs) { // many share the connection, all are woken
			go func() {
				_, err := c.Send(within(t), "/queue/a", "", []byte("x"), nil)
				errs <- err
			}()
		}
		require.Eventually(t, func() bool { return s.Depth("/queue/a") == cap(errs) }, patience, time.Millisecond)
		s.Drop()
		for range cap(errs) {
			err := <-errs
			require.ErrorIs(t, err, client.ErrInDoubt)
			require.NotErrorIs(t, err, context.DeadlineExceeded, "nobody's patience had to end")
		}
	})
	t.Run("patience ended", func(t *testing.T) {
		s := serve(t, "127.0.0.1:0", nil)
		c := connect(t, client.Config{Addresses: []string{s.Addr()}, ReceiptTimeout: 20 * time.Millisecond})
		patient := connect(t, client.Config{Addresses: []string{s.Addr()}})
		require.NoError(t, c.Wait(within(t)))
		require.NoError(t, patient.Wait(within(t)))
		s.Mute(true)
		_, err := c.Send(within(t), "/queue/a", "", nil, nil)
		require.ErrorIs(t, err, client.ErrInDoubt)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		done := make(chan error, 1)
		go func() {
			_, err := patient.Send(ctx, "/queue/b", "", nil, nil)
			done <- err
		}()
		require.Eventually(t, func() bool { return s.Depth("/queue/b") == 1 }, patience, time.Millisecond)
		cancel()
		err = <-done
		require.ErrorIs(t, err, client.ErrInDoubt)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("sent again if so configured, under the same name", func(t *testing.T) {
		s := serve(t, "127.0.0.1:0", nil)
		c := connect(t, client.Config{Addresses: []string{s.Addr()}, Resend: true})
		require.NoError(t, c.Wait(within(t)))
		for i, headers := range []map[string]string{{"id": "7"}, nil, {client.DedupHeader: "mine"}} {
			s.Mute(true)
			done := make(chan error, 1)
			go func() {
				r, err := c.Send(within(t), "/queue/a", "", []byte("x"), headers)
				if err == nil && r.Attempts != 2 {
					err = fmt.Errorf("sent %d times", r.Attempts)
				}
				done <- err
			}()
			require.Eventually(t, func() bool { return s.Depth("/queue/a") == i+1 }, patience, time.Millisecond)
			s.Mute(false) // first: a CONNECT that nobody answers would be waited for
			s.Drop()
			require.NoError(t, <-done)
			require.Equal(t, i+1, s.Depth("/queue/a"))
			require.Equal(t, i+1, s.Stats().Duplicates)
		}
		r, err := c.Send(within(t), "/queue/a", "", []byte("x"), map[string]string{client.DedupHeader: "mine"})
		require.NoError(t, err)
		require.Equal(t, 1, r.Attempts)
		require.Equal(t, 3, s.Depth("/queue/a"), "the caller's name is the one that counts")
	})
	t.Run("what the server refuses and may still store", func(t *testing.T) {
		s := serve(t, "127.0.0.1:0", nil)
		s.Doubt("no quorum")
		c := connect(t, client.Config{Addresses: []string{s.Addr()}})
		_, err := c.Send(within(t), "/queue/a", "", []byte("x"), nil)
		require.ErrorIs(t, err, client.ErrInDoubt)
		require.ErrorIs(t, err, client.ErrRefused)
		require.ErrorContains(t, err, "no quorum")
		again := connect(t, client.Config{Addresses: []string{s.Addr()}, Resend: true})
		done := make(chan error, 1)
		go func() {
			_, err := again.Send(within(t), "/queue/a", "", []byte("x"), nil)
			done <- err
		}()
		require.Eventually(t, func() bool { return s.Stats().Duplicates > 2 }, patience, time.Millisecond)
		s.Doubt("")
		require.NoError(t, <-done)
		require.Equal(t, 2, s.Depth("/queue/a"))
	})
	t.Run("in doubt remains in doubt when nobody serves any more", func(t *testing.T) {
		s := serve(t, "127.0.0.1:0", nil)
		c := connect(t, client.Config{Addresses: []string{s.Addr()}, Resend: true, Timeout: time.Second})
		require.NoError(t, c.Wait(within(t)))
		s.Mute(true)
		done := make(chan error, 1)
		go func() {
			_, err := c.Send(within(t), "/queue/a", "", []byte("x"), nil)
			done <- err
		}()
		require.Eventually(t, func() bool { return s.Depth("/queue/a") == 1 }, patience, time.Millisecond)
		s.Close()
		err := <-done
		require.ErrorIs(t, err, client.ErrInDoubt)
		require.ErrorIs(t, err, client.ErrNoServer)
	})
}

func TestSilentServerIsLeft(t *testing.T) {
	t.Run("for one that serves", func(t *testing.T) {
		a := serve(t, "127.0.0.1:0", nil)
		second := freeAddr(t)
		c := connect(t, client.Config{Addresses: []string{a.Addr(), second}, ProbeAfter: 30 * time.Millisecond, HeartBeat: -1})
		require.NoError(t, c.Wait(within(t)))
		a.Mute(true)
		b := serve(t, second, nil)
		_, err := c.Send(within(t), "/queue/a", "", nil, nil)
		require.ErrorIs(t, err, client.ErrInDoubt)
		r, err := c.Send(within(t), "/queue/a", "", nil, nil)
		require.NoError(t, err)
		require.Equal(t, b.Addr(), r.Server)
	})
	t.Run("when heart-beats stop", func(t *testing.T) {
		a := serve(t, "127.0.0.1:0", nil)
		lost := make(chan error, 1)
		c := connect(t, client.Config{
			Addresses: []string{a.Addr()}, HeartBeat: 60 * time.Millisecond,
			OnDisconnect: func(_ string, err error) {
				select {
				case lost <- err:
				default:
				}
			},
		})
		require.NoError(t, c.Wait(within(t)))
		a.Mute(true)
		select {
		case err := <-lost:
			require.ErrorContains(t, err, "nothing heard")
		case <-time.After(patience):
			t.Fatal("still connected")
		}
	})
	t.Run("but not for nobody", func(t *testing.T) {
		a := serve(t, "127.0.0.1:0", nil)
		c := connect(t, client.Config{Addresses: []string{a.Addr(), freeAddr(t)}, ProbeAfter: 10 * time.Millisecond})
		require.NoError(t, c.Wait(within(t)))
		a.Refuse("")
		ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
		defer cancel()
		a.Mute(true)
		_, err := c.Send(ctx, "/queue/a", "", nil, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 1, c.Connections())
	})
	t.Run("by an idle consumer that is told to look around", func(t *testing.T) {
		a := serve(t, "127.0.0.1:0", nil)
		second := freeAddr(t)
		c := connect(t, client.Config{Addresses: []string{a.Addr(), second}, IdleProbe: 50 * time.Millisecond, ProbeAfter: 20 * time.Millisecond})
		require.NoError(t, c.Wait(within(t)))
		b := serve(t, second, nil) // a still answers heart-beats, like a leader that was cut off
		require.Eventually(t, func() bool { return b.Stats().Connects > 0 && c.Server() == b.Addr() || c.Connections() > 1 }, patience, time.Millisecond)
	})
}

func TestRefused(t *testing.T) {
	t.Run("login", func(t *testing.T) {
		s := serve(t, "127.0.0.1:0", func(c *clienttest.Config) { c.Passcode = "a:b\\c" })
		c := connect(t, client.Config{Addresses: []string{s.Addr(), freeAddr(t)}, Passcode: "wrong"})
		_, err := c.Send(within(t), "/queue/a", "", nil, nil)
		require.ErrorIs(t, err, client.ErrRefused)
		require.ErrorContains(t, err, "wrong passcode")
		_, err = c.Subscribe(within(t), "/queue/a", client.AckAuto, 1, func(*client.Message) {})
		require.ErrorIs(t, err, client.ErrRefused)
	})
	t.Run("send", func(t *testing.T) {
		s := serve(t, "127.0.0.1:0", nil)
		c := connect(t, client.Config{Addresses: []string{s.Addr()}})
		s.Refuse("no quorum")
		_, err := c.Send(within(t), "/queue/a", "", nil, nil)
		require.ErrorIs(t, err, client.ErrRefused)
		require.ErrorContains(t, err, "no quorum")
		s.Refuse("")
		_, err = c.Send(within(t), "/queue/a", "", nil, nil)
		require.NoError(t, err)
	})
	t.Run("subscription", func(t *testing.T) {
		s := serve(t, "127.0.0.1:0", nil)
		c := connect(t, client.Config{Addresses: []string{s.Addr()}})
		_, err := c.Subscribe(within(t), "nonsense", client.AckAuto, 1, func(*client.Message) {})
		require.ErrorIs(t, err, client.ErrRefused)
		_, err = c.Subscribe(within(t), "/queue/a", "sometimes", 1, nil)
		require.Error(t, err)
	})
	t.Run("nobody there", func(t *testing.T) {
		c := connect(t, client.Config{Addresses: []string{freeAddr(t)}, Timeout: 500 * time.Millisecond})
		_, err := c.Send(within(t), "/queue/a", "", nil, nil)
		require.ErrorIs(t, err, client.ErrNoServer)
		require.ErrorContains(t, err, "refused")
		_, err = c.Subscribe(within(t), "/queue/a", client.AckAuto, 1, func(*client.Message) {})
		require.ErrorIs(t, err, client.ErrNoServer)
		c = connect(t, client.Config{Addresses: []string{freeAddr(t)}, MaxReconnectAttempts: 2})
		require.ErrorIs(t, c.Wait(within(t)), client.ErrNoServer)
	})
}

func TestSubscriptionSurvives(t *testing.T) {
	var journal bytes.Buffer
	first, second := listen(t, "127.0.0.1:0"), freeAddr(t)
	a, err := clienttest.New(clienttest.Config{Listener: first, Journal: &journal}, nil)
	require.NoError(t, err)
	c := connect(t, client.Config{Addresses: []string{a.Addr(), second}})
	for i := range 6 {
		_, err := c.Send(within(t), "/queue/a", "", []byte(fmt.Sprint(i)), nil)
		require.NoError(t, err)
	}
	type got struct {
		body        string
		redelivered bool
		conn        int
	}
	var mu sync.Mutex
	var all []got
	confirmed := make(chan error, 100)
	keep := make(chan *client.Message, 1)
	sub, err := c.Subscribe(within(t), "/queue/a", client.AckIndividual, 3, func(m *client.Message) {
		mu.Lock()
		all = append(all, got{string(m.Body), m.Redelivered, m.Connection})
		mu.Unlock()
		if string(m.Body) == "1" && m.Connection == 1 {
			keep <- m // not acknowledged
			return
		}
		if err := m.AckStart(func(err error) { confirmed <- err }); err != nil {
			confirmed <- err
		}
	})
	require.NoError(t, err)
	for range 5 {
		require.NoError(t, <-confirmed)
	}
	stale := <-keep
	a.Close()
	b, err := clienttest.New(clienttest.Config{Listener: listen(t, second)}, &journal)
	require.NoError(t, err)
	t.Cleanup(b.Close)
	require.NoError(t, <-confirmed, "only the message without ack comes again")
	require.ErrorIs(t, stale.Ack(within(t)), client.ErrStale)
	require.ErrorIs(t, stale.AckStart(nil), client.ErrStale)
	require.Zero(t, b.Depth("/queue/a"))
	mu.Lock()
	require.Equal(t, []got{{"0", false, 1}, {"1", false, 1}, {"2", false, 1}, {"3", false, 1}, {"4", false, 1}, {"5", false, 1}, {"1", false, 2}}, all)
	mu.Unlock()
	require.NoError(t, sub.Close())
	<-sub.Done()
	require.ErrorIs(t, sub.Err(), client.ErrClosed)
	_, err = c.Send(within(t), "/queue/a", "", []byte("7"), nil)
	require.NoError(t, err)
	require.Equal(t, 1, b.Depth("/queue/a"))
}

func TestSubscribeWaitsForAServer(t *testing.T) {
	addr := freeAddr(t)
	c := connect(t, client.Config{Addresses: []string{addr}})
	got := make(chan string, 1)
	done := make(chan error, 1)
	go func() {
		_, err := c.Subscribe(within(t), "/queue/a", client.AckAuto, 1, func(m *client.Message) { got <- string(m.Body) }, client.WithHeader("selector", "a = 1"))
		done <- err
	}()
	serve(t, addr, nil)
	require.NoError(t, <-done)
	_, err := c.Send(within(t), "/queue/a", "", []byte("late"), nil)
	require.NoError(t, err)
	require.Equal(t, "late", <-got)
}

func TestCloseLeavesNothing(t *testing.T) {
	s := serve(t, "127.0.0.1:0", nil)
	before := runtime.NumGoroutine()
	for range 10 {
		c, err := client.New(client.Config{Addresses: []string{s.Addr(), freeAddr(t)}})
		require.NoError(t, err)
		_, err = c.Subscribe(within(t), "/queue/a", client.AckIndividual, 10, func(*client.Message) {})
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.NoError(t, c.Close())
		_, err = c.Send(within(t), "/queue/a", "", nil, nil)
		require.ErrorIs(t, err, client.ErrClosed)
		_, err = c.Subscribe(within(t), "/queue/a", client.AckAuto, 1, nil)
		require.ErrorIs(t, err, client.ErrClosed)
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, patience, 5*time.Millisecond, "%s", stacks())
}

func stacks() string {
	b := make([]byte, 64<<10)
	return string(b[:runtime.Stack(b, true)])
}

func TestCloseWhileSilent(t *testing.T) {
	s := serve(t, "127.0.0.1:0", nil)
	c, err := client.New(client.Config{Addresses: []string{s.Addr()}, ReceiptTimeout: 10 * patience})
	require.NoError(t, err)
	require.NoError(t, c.Wait(within(t)))
	s.Mute(true)
	done := make(chan error, 1)
	go func() {
		_, err := c.Send(within(t), "/queue/a", "", nil, nil)
		done <- err
	}()
	require.Eventually(t, func() bool { return s.Depth("/queue/a") == 1 }, patience, time.Millisecond)
	require.NoError(t, c.Close())
	err = <-done
	require.ErrorIs(t, err, client.ErrInDoubt)
	require.NotErrorIs(t, err, context.DeadlineExceeded, "nobody's patience had to end")
}

func TestServerThatTalksNonsense(t *testing.T) {
	for name, answer := range map[string]string{
		"wrong frame":      "RECEIPT\nreceipt-id:1\n\n\x00",
		"not stomp":        "HTTP/1.1 400 Bad Request\r\n\r\n",
		"impossible size":  "CONNECTED\ncontent-length:9223372036854775807\n\n\x00",
		"negative size":    "CONNECTED\ncontent-length:-5\n\n\x00",
		"ends in a header": "CONNECTED\nversion",
	} {
		t.Run(name, func(t *testing.T) {
			ln := listen(t, "127.0.0.1:0")
			defer ln.Close()
			go func() {
				for {
					c, err := ln.Accept()
					if err != nil {
						return
					}
					c.Write([]byte(answer))
					c.(*net.TCPConn).CloseWrite()
				}
			}()
			c := connect(t, client.Config{Addresses: []string{ln.Addr().String()}, MaxReconnectAttempts: 2})
			require.ErrorIs(t, c.Wait(within(t)), client.ErrNoServer)
		})
	}
}

func TestParseURI(t *testing.T) {
	good := []struct {
		in   string
		want client.Config
	}{
		{"a:1", client.Config{Addresses: []string{"a:1"}}},
		{"a:1, b:2,a:1", client.Config{Addresses: []string{"a:1", "b:2"}}},
		{"[::1]:61613", client.Config{Addresses: []string{"[::1]:61613"}}},
		{"stomp://me:s%3Acret@a:1", client.Config{Addresses: []string{"a:1"}, Login: "me", Passcode: "s:cret"}},
		{"tcp://a:1?timeout=5", client.Config{Addresses: []string{"a:1"}, Timeout: 5 * time.Millisecond}},
		{"failover:(stomp://a:1,stomp://b:2)", client.Config{Addresses: []string{"a:1", "b:2"}}},
		{"failover://(stomp://a:1)", client.Config{Addresses: []string{"a:1"}}},
		{"FAILOVER:stomp://a:1,stomp://b:2?randomize=false", client.Config{Addresses: []string{"a:1", "b:2"}}},
		{"failover:(stomp://a:1)?initialReconnectDelay=5&maxReconnectDelay=100&maxReconnectAttempts=3&timeout=-1&randomize=true",
			client.Config{Addresses: []string{"a:1"}, InitialReconnectDelay: 5 * time.Millisecond, MaxReconnectDelay: 100 * time.Millisecond, MaxReconnectAttempts: 3}},
		{"failover:(a:1)?maxReconnectAttempts=-1", client.Config{Addresses: []string{"a:1"}}},
	}
	for _, c := range good {
		t.Run(c.in, func(t *testing.T) {
			got, err := client.ParseURI(c.in)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.NoError(t, got.Validate())
		})
	}
	for _, in := range []string{
		"", "a", "a:", ":1", "a:0", "a:70000", "a:x", "failover:", "failover:()", "failover:(stomp://a:1", "failover:(stomp://a:1)x",
		"ws://a:1", "stomp://a:1/path", "failover:(stomp://a:1?x=y)", "failover:(stomp://a:1)?jms.prefetch=1", "failover:(a:1)?timeout=soon",
		"failover:(a:1)?timeout=-2", "failover:(a:1)?maxReconnectAttempts=0", "failover:(a:1)?randomize=maybe", "a:1,,b:2", "a b:1",
		strings.Repeat("a:1,", 70) + "a:1",
	} {
		t.Run("bad "+in, func(t *testing.T) {
			_, err := client.ParseURI(in)
			require.ErrorIs(t, err, client.ErrURI)
		})
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("failover:(stomp://me:pw@a:61613,stomp://b:61623)?maxReconnectDelay=500&randomize=false")
	f.Add("stomp://[::1]:61613")
	f.Add("a:1,b:2")
	f.Fuzz(func(t *testing.T, in string) {
		c, err := client.ParseURI(in)
		if err != nil {
			require.ErrorIs(t, err, client.ErrURI)
			return
		}
		require.NotEmpty(t, c.Addresses)
		// What was understood can be said again in the plain form.
		again, err := client.ParseURI(strings.Join(c.Addresses, ","))
		require.NoError(t, err)
		require.Equal(t, c.Addresses, again.Addresses)
	})
}
