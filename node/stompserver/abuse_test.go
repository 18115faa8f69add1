package stompserver_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/broker"
	"baton/node/broker/brokertest"
	"baton/node/broker/policy"
	"baton/node/stompserver"
)

// pipeListener accepts one end of pipes, for tests in a bubble of fake time.
type pipeListener struct {
	conns chan net.Conn
	end   chan struct{}
}

func newPipes() *pipeListener { return &pipeListener{make(chan net.Conn), make(chan struct{})} }

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.end:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.end); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipeListener) dial(t *testing.T) *client {
	a, b := net.Pipe()
	l.conns <- b
	return newClient(t, a)
}

// servePipes runs a server in the bubble of t.
func servePipes(t *testing.T, change ...func(*stompserver.Config)) *pipeListener {
	_, l := serveOnPipes(t, change...)
	return l
}

func serveOnPipes(t *testing.T, change ...func(*stompserver.Config)) (*stompserver.Server, *pipeListener) {
	l := newPipes()
	log := brokertest.NewLog()
	cfg := stompserver.Config{Listener: l, Broker: log.Broker(t)}
	for _, f := range change {
		f(&cfg)
	}
	s, err := stompserver.New(cfg)
	require.NoError(t, err)
	go s.Serve()
	t.Cleanup(func() { s.Close("end of test") })
	return s, l
}

func TestHeartBeats(t *testing.T) {
	t.Run("the server's come in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := servePipes(t).dial(t)
			f := c.connect("1.2", "heart-beat:0,1000")
			require.Equal(t, "1000,0", f.Get("heart-beat"))
			last := time.Now()
			for range 20 {
				b := make([]byte, 1)
				c.nc.SetReadDeadline(time.Now().Add(time.Minute))
				_, err := io.ReadFull(c.nc, b)
				require.NoError(t, err)
				require.Equal(t, "\n", string(b))
				require.LessOrEqual(t, time.Since(last), time.Second)
				require.Greater(t, time.Since(last), 500*time.Millisecond)
				last = time.Now()
			}
		})
	})
	t.Run("a silent client is cut after the grace", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := servePipes(t).dial(t)
			require.Equal(t, "0,1000", c.connect("1.2", "heart-beat:1000,0").Get("heart-beat"))
			for range 10 { // late by less than the grace
				<-time.After(1900 * time.Millisecond)
				c.raw("\n")
			}
			begin := time.Now()
			c.wantClosed()
			require.Equal(t, 2*time.Second, time.Since(begin))
		})
	})
	t.Run("none were agreed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := servePipes(t).dial(t)
			c.connect("1.2")
			<-time.After(24 * time.Hour)
			c.publish("q", "1")
		})
	})
}

// A CONNECT that never ends is cut 30 s after the connection was made, however
// busy the client is.
func TestSlowConnect(t *testing.T) {
	for name, drip := range map[string]string{"silent": "", "frame": "CONNECT\n" + strings.Repeat("a:b\n", 30), "beats": strings.Repeat("\n", 60)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := servePipes(t).dial(t)
				begin := time.Now()
				dripped := make(chan struct{})
				go func() {
					defer close(dripped)
					for _, b := range []byte(drip) {
						<-time.After(time.Second)
						if _, err := c.nc.Write([]byte{b}); err != nil {
							return
						}
					}
				}()
				c.nc.SetReadDeadline(begin.Add(time.Hour))
				_, err := c.dec.Next()
				require.Error(t, err)
				require.False(t, errors.Is(err, os.ErrDeadlineExceeded))
				require.Equal(t, 30*time.Second, time.Since(begin))
				<-dripped
			})
		})
	}
}

func TestSlowReaderIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := servePipes(t)
		slow, other, p := l.dial(t), l.dial(t), l.dial(t)
		slow.connect("1.2")
		other.connect("1.2")
		p.connect("1.2")
		slow.subscribe("q", "client")
		other.subscribe("r", "auto")
		p.publish("q", "1")
		begin := time.Now() // slow reads nothing from here on
		p.publish("r", "2")
		other.wantBodies("2")
		require.Less(t, time.Since(begin), time.Second)
		<-time.After(31 * time.Second)
		slow.wantClosed()
		other.subscribe("q", "client")
		require.Equal(t, "true", other.wantBodies("1")[0].Get("redelivered"))
	})
}

// A client that stops reading costs a bounded amount of memory, and its
// messages stay in the queue.
func TestOutputIsBounded(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log, func(c *stompserver.Config) { c.MaxOutput = 64 << 10 })
	p := dial(t, address, "1.2")
	const n, size = 100, 256 << 10
	for i := range n {
		p.send("q", strings.Repeat("x", size), "receipt:"+strconv.Itoa(i))
		p.wantReceipt(strconv.Itoa(i))
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c := dial(t, address, "1.2")
	c.nc.(*net.TCPConn).SetReadBuffer(64 << 10)
	c.subscribe("q", "client-individual")
	c.want("MESSAGE")
	p.publish("other", "1") // others are served meanwhile
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(16<<20))
	for range n - 1 { // and when it reads again, everything comes
		c.want("MESSAGE")
	}
}

// Receipts that nobody reads stop the reading of frames.
func TestUnreadReceiptsAreBackPressure(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log, func(c *stompserver.Config) { c.MaxOutput = 16 << 10 })
	c := dial(t, address, "1.2")
	c.nc.(*net.TCPConn).SetReadBuffer(8 << 10)
	frame := "ABORT\nreceipt:" + strings.Repeat("r", 8000) + "\n\n\x00"
	sent := 0
	for {
		c.nc.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := io.WriteString(c.nc, frame); err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			break
		}
		sent += len(frame)
		require.Less(t, sent, 256<<20, "the server reads without end")
	}
}

func TestConnectionFlood(t *testing.T) {
	s, address := startServer(t, brokertest.NewLog(), func(c *stompserver.Config) { c.MaxConnections = 20 })
	var kept []*client
	for range 20 {
		kept = append(kept, dial(t, address, "1.2"))
	}
	for range 50 {
		c := dialRaw(t, address)
		c.wantError("too many connections")
		c.wantClosed()
	}
	eventually(t, "the refused are counted", func() bool { return s.Stats().Refused == 50 && s.Stats().Connections == 20 })
	kept[0].publish("q", "1")
	kept[0].frame("DISCONNECT")
	kept[0].wantClosed()
	kept[0].nc.Close()
	eventually(t, "room", func() bool { return s.Stats().Connections == 19 })
	dial(t, address, "1.2").publish("q", "2")
}

func TestConnectionsPerAddress(t *testing.T) {
	s, address := startServer(t, brokertest.NewLog(), func(c *stompserver.Config) { c.MaxConnectionsPerAddress = 2 })
	a := dial(t, address, "1.2")
	dial(t, address, "1.2")
	dialRaw(t, address).wantError("too many connections")
	a.nc.Close()
	eventually(t, "room", func() bool { return s.Stats().Connections == 1 })
	dial(t, address, "1.2")
}

// goroutines counts those of servers and brokers: the index below a log of a
// test has some of its own, which come and go.
func goroutines() (n int) {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for g := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(g, "baton/node/stompserver.(*conn)") || strings.Contains(g, "baton/node/broker.(*") {
			n++
		}
	}
	return n
}

func TestNothingIsLeftOfBadConnections(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("BATON_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		require.NoError(t, err)
		seed = n
	}
	t.Logf("BATON_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	log := brokertest.NewLog()
	s, address := startServer(t, log, func(c *stompserver.Config) {
		c.Broker.Close() // every fifth connection takes the message and breaks
		c.Broker = log.Broker(t, func(b *broker.Config) {
			b.Policies = brokertest.Policies(func(p *policy.Policy) { p.Redelivery.Max = -1 })
		})
	})
	dial(t, address, "1.2").publish("q", "1")
	base := goroutines()
	hello := "CONNECT\naccept-version:1.2\n\n\x00"
	for i := range 1000 {
		nc, err := net.Dial("tcp", address)
		require.NoError(t, err)
		switch i % 5 {
		case 0:
			b := make([]byte, rng.IntN(2000))
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			nc.Write(b)
		case 1:
			io.WriteString(nc, hello+"SEND\ndestination:/queue/q\ncontent-length:1000000\n\nabc")
		case 2:
			io.WriteString(nc, hello+"SUBSCRIBE\nid:1\ndestination:/queue/q\nack:client\n\n\x00SUBSCRIBE\nid:1\n\n\x00")
		case 3:
			io.WriteString(nc, hello+"SEND\n:\n\n\x00")
		case 4:
			fmt.Fprintf(nc, "%.*s", rng.IntN(len(hello)), hello)
		}
		nc.Close()
	}
	eventually(t, "connections end", func() bool { return s.Stats().Connections == 1 })
	eventually(t, "goroutines end", func() bool { return goroutines() <= base })
	require.Zero(t, s.Stats().Panics)
	c := dial(t, address, "1.2")
	c.subscribe("q", "auto")
	c.wantBodies("1")
}
