package stompserver_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"

	"baton/node/broker/brokertest"
	"baton/node/stompserver"
)

// startServer serves log until the end of the test and returns its address.
func startServer(t testing.TB, log *brokertest.Log, change ...func(*stompserver.Config)) (*stompserver.Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stompserver.Config{Listener: l, Broker: log.Broker(t)}
	for _, f := range change {
		f(&cfg)
	}
	s, err := stompserver.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve() }()
	t.Cleanup(func() {
		s.Close("end of test")
		<-ended
	})
	return s, l.Addr().String()
}

// benchClient is a client that costs little itself.
type benchClient struct {
	nc net.Conn
	r  *bufio.Reader
}

func dialBench(b *testing.B, address string) *benchClient {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	c := &benchClient{nc, bufio.NewReaderSize(nc, 64<<10)}
	c.write(b, []byte("CONNECT\naccept-version:1.2\nhost:x\n\n\x00"))
	c.frame(b)
	return c
}

func (c *benchClient) write(b *testing.B, p []byte) {
	if _, err := c.nc.Write(p); err != nil {
		b.Fatal(err)
	}
}

func (c *benchClient) frame(b *testing.B) []byte {
	f, err := c.r.ReadSlice(0)
	if err != nil {
		b.Fatal(err)
	}
	return f
}

func benchSend(size int) []byte {
	return fmt.Appendf(nil, "SEND\ndestination:/queue/bench\nreceipt:r\ncontent-type:text/plain\n\n%s\x00", strings.Repeat("x", size))
}

func benchPublish(b *testing.B, window int) {
	_, address := startServer(b, brokertest.NewLog())
	c := dialBench(b, address)
	send := benchSend(1024)
	b.ReportAllocs()
	b.SetBytes(1024)
	b.ResetTimer()
	// Half a window at a time, so that the pipe never runs dry.
	step := max(window/2, 1)
	burst := bytes.Repeat(send, step)
	for sent, got := 0, 0; got < b.N; {
		for sent < b.N && sent+step-got <= window {
			n := min(step, b.N-sent)
			c.write(b, burst[:n*len(send)])
			sent += n
		}
		for range min(step, sent-got) {
			c.frame(b)
			got++
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

func BenchmarkPublishSync(b *testing.B)      { benchPublish(b, 1) }
func BenchmarkPublishWindow256(b *testing.B) { benchPublish(b, 256) }

func BenchmarkConsume(b *testing.B) {
	for _, mode := range []string{"auto", "client", "client-individual"} {
		b.Run(mode, func(b *testing.B) { benchConsume(b, mode) })
	}
}

// benchConsume reads b.N messages that are in the queue already; acks have no
// receipts and go out when the client has read all that it has.
func benchConsume(b *testing.B, mode string) {
	log := brokertest.NewLog()
	_, address := startServer(b, log)
	p := dialBench(b, address)
	send := benchSend(1024)
	go func() {
		for range b.N {
			p.nc.Write(send)
		}
	}()
	for range b.N {
		p.frame(b)
	}
	c := dialBench(b, address)
	b.ReportAllocs()
	b.SetBytes(1024)
	b.ResetTimer()
	c.write(b, fmt.Appendf(nil, "SUBSCRIBE\nid:1\ndestination:/queue/bench\nack:%s\n\n\x00", mode))
	var acks []byte
	for i := range b.N {
		f := c.frame(b)
		if mode == "auto" {
			continue
		}
		at := bytes.Index(f, []byte("ack:"))
		id := f[at+4:]
		id = id[:bytes.IndexByte(id, '\n')]
		acks = fmt.Appendf(acks, "ACK\nid:%s\n\n\x00", id)
		if c.r.Buffered() == 0 || i == b.N-1 || len(acks) > 8<<10 {
			c.write(b, acks)
			acks = acks[:0]
		}
	}
	for log.Depth("bench") > 0 {
		runtime.Gosched()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}
