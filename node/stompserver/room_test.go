package stompserver_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/stompserver"
)

// largeBody is large enough to come for longer than anybody waits, at the least
// rate.
const largeBody = 3 << 20

// serveLarge runs a server that has memory for two large bodies at a time.
func serveLarge(t *testing.T) (*stompserver.Server, *pipeListener) {
	return serveOnPipes(t, func(cfg *stompserver.Config) {
		cfg.BodyMemory, cfg.Limits.Body = 4*largeBody, largeBody
	})
}

func largeHead(receipt string, sized bool) string {
	head := "SEND\ndestination:/queue/q\nreceipt:" + receipt + "\n"
	if sized {
		head += fmt.Sprintf("content-length:%d\n", largeBody)
	}
	return head + "\n"
}

// nextWithin reads a frame.
func (c *client) nextWithin(t *testing.T, d time.Duration) (command, what string) {
	t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(d))
	f, err := c.dec.Next()
	require.NoError(t, err)
	return f.Command, f.Get("receipt-id") + f.Get("message")
}

// drip sends a byte at a time until the connection ends.
func (c *client) drip(every time.Duration, bytes int) {
	c.nc.SetWriteDeadline(time.Time{})
	for {
		if _, err := c.nc.Write(make([]byte, bytes)); err != nil {
			return
		}
		<-time.After(every)
	}
}

// Large bodies take turns when they are more than there is memory for, and all
// of them arrive.
func TestLargeBodiesTakeTurns(t *testing.T) {
	for name, sized := range map[string]bool{"their length known": true, "their end unknown": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, l := serveLarge(t)
				body := bytes.Repeat([]byte("x"), largeBody)
				var clients sync.WaitGroup
				for i := range 10 {
					c := l.dial(t)
					c.connect("1.2")
					clients.Go(func() {
						for stored := false; !stored; {
							c.nc.SetWriteDeadline(time.Time{})
							io.WriteString(c.nc, largeHead("r", sized))
							for at := 0; at < len(body); at += 16 << 10 {
								c.nc.Write(body[at : at+16<<10])
								<-time.After(time.Millisecond)
							}
							io.WriteString(c.nc, "\x00")
							c.nc.SetReadDeadline(time.Now().Add(time.Minute))
							f, err := c.dec.Next()
							if stored = err == nil && f.Command == "RECEIPT"; !stored {
								if sized || err == nil && !strings.Contains(f.Get("message"), "no memory for a large body") {
									t.Errorf("client %d: %v %v", i, f, err)
									return
								}
								c.nc.Close() // one that grows may find no room halfway
								c = l.dial(t)
								c.connect("1.2")
							}
						}
					})
				}
				most := int64(0)
				done := make(chan struct{})
				go func() { clients.Wait(); close(done) }()
				for open := true; open; {
					select {
					case <-done:
						open = false
					case <-time.After(5 * time.Millisecond):
						most = max(most, s.Stats().BodyBytes)
					}
				}
				synctest.Wait() // room is given back a moment after the receipt
				require.LessOrEqual(t, most, int64(4*largeBody))
				require.Greater(t, most, int64(largeBody))
				require.Zero(t, s.Stats().BodyBytes)
			})
		})
	}
}

// Those who claim much and send little are left in peace until somebody else
// wants their room; then he gets it.
func TestSlowLargeBodiesGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := serveLarge(t)
		var slow []*client
		for range 2 {
			c := l.dial(t)
			c.connect("1.2")
			c.raw(largeHead("slow", true))
			go c.drip(500*time.Millisecond, 1)
			slow = append(slow, c)
		}
		<-time.After(5 * time.Minute)
		require.EqualValues(t, 4*largeBody, s.Stats().BodyBytes)
		c := l.dial(t)
		c.connect("1.2")
		began := time.Now()
		c.nc.SetWriteDeadline(time.Time{})
		c.raw(largeHead("fast", true) + strings.Repeat("x", largeBody) + "\x00")
		command, what := c.nextWithin(t, time.Minute)
		require.Equal(t, []string{"RECEIPT", "fast"}, []string{command, what})
		require.LessOrEqual(t, time.Since(began), 2*time.Second)
		// One of them had to go, or both if they were looked at together.
		told := make(chan string, len(slow))
		for _, c := range slow {
			go func() {
				c.nc.SetReadDeadline(time.Now().Add(time.Minute))
				f, err := c.dec.Next()
				if err != nil {
					told <- ""
					return
				}
				told <- f.Get("message")
			}()
		}
		var why string
		for range slow {
			why += <-told
		}
		require.Contains(t, why, "bytes a second while others wait")
		for _, c := range slow {
			c.nc.Close()
		}
		<-time.After(time.Second)
		require.Zero(t, s.Stats().BodyBytes)
	})
}

// Who waits for room is told after a while; small messages need none, and who
// is gone waits no more.
func TestNoRoomForALargeBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := serveLarge(t)
		ask := func(receipt string) *client {
			c := l.dial(t)
			c.connect("1.2")
			c.raw(largeHead(receipt, true))
			return c
		}
		for range 2 { // slow, and not too slow
			go ask("busy").drip(100*time.Millisecond, 7<<10)
		}
		synctest.Wait()
		began := time.Now()
		late, last := ask("late"), ask("last")
		synctest.Wait()
		require.Equal(t, 2, s.Stats().BodyWaiting)
		small := l.dial(t)
		small.connect("1.2")
		small.publish("q", "small")
		for _, c := range []*client{late, last} {
			command, what := c.nextWithin(t, time.Minute)
			require.Equal(t, "ERROR", command)
			require.Contains(t, what, "no memory for a large body")
		}
		require.Equal(t, 30*time.Second, time.Since(began))
		ask("until the leadership ends")
		synctest.Wait()
		require.Equal(t, 1, s.Stats().BodyWaiting)
		s.CutOff("end of test")
		synctest.Wait()
		<-time.After(time.Second) // the slow ones find out
		require.Equal(t, stompserver.Stats{}, stompserver.Stats{BodyBytes: s.Stats().BodyBytes, BodyWaiting: s.Stats().BodyWaiting})
	})
}
