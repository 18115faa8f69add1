package main_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo/cluster"
	"baton/node/adminapi"
	"baton/node/client"
	"baton/node/supervisor"
)

// tally is what producers know of what they sent.
type tally struct {
	mu        sync.Mutex
	receipted map[string]bool
	doubtful  map[string]bool
}

func (a *tally) receipts() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.receipted)
}

// produce sends from n producers until stop is called; a message without a
// receipt is not sent again.
func produce(t *testing.T, c *cluster.Cluster, queue string, n int) (a *tally, stop func()) {
	t.Helper()
	a = &tally{receipted: map[string]bool{}, doubtful: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for p := range n {
		cl, err := client.New(client.Config{Addresses: c.StompAddresses()})
		require.NoError(t, err)
		wg.Go(func() {
			defer cl.Close()
			for i := 0; ctx.Err() == nil; i++ {
				body := fmt.Sprintf("%d-%06d", p, i)
				_, err := cl.Send(ctx, "/queue/"+queue, "", []byte(body), nil)
				a.mu.Lock()
				if err == nil {
					a.receipted[body] = true
				} else {
					a.doubtful[body] = true
				}
				a.mu.Unlock()
			}
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	t.Cleanup(stop)
	return a, stop
}

// drain takes everything out of a queue and returns how often each body came.
// A message of its own, which comes last, shows that all others were there: a
// queue may look empty a moment after the receipt of what is sent to it.
func drain(t *testing.T, c *cluster.Cluster, queue string) map[string]int {
	t.Helper()
	const last = "the last one"
	var mu sync.Mutex
	received := map[string]int{}
	cl, err := client.New(client.Config{Addresses: c.StompAddresses(), Resend: true})
	require.NoError(t, err)
	defer cl.Close()
	_, err = cl.Send(within(t), "/queue/"+queue, "", []byte(last), nil)
	require.NoError(t, err)
	_, err = cl.Subscribe(within(t), "/queue/"+queue, client.AckIndividual, 0, func(m *client.Message) {
		mu.Lock()
		received[string(m.Body)]++
		mu.Unlock()
		_ = m.AckStart(func(error) {}) // the depth tells what became of it
	})
	require.NoError(t, err)
	await(t, "it is drained", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return received[last] > 0
	})
	await(t, "all acks are committed", func() bool { return depthNow(c, queue) == 0 })
	mu.Lock()
	defer mu.Unlock()
	delete(received, last)
	return received
}

// depthNow is how many messages the leader's index has in a queue, -1 if nobody
// can say now. It is a moment behind the receipts of sends and acks.
func depthNow(c *cluster.Cluster, queue string) int {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	leader, err := c.Leader(ctx)
	if err != nil {
		return -1
	}
	queues, err := (&adminapi.Client{Address: c.AdminAddresses()[leader]}).Queues(ctx)
	if err != nil {
		return -1
	}
	for _, q := range queues {
		if q.Name == queue {
			return int(q.Depth)
		}
	}
	return 0
}

// exactlyOnce compares what came with what producers know.
func (a *tally) exactlyOnce(t *testing.T, received map[string]int) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	require.NotEmpty(t, a.receipted)
	for body := range a.receipted {
		require.Equal(t, 1, received[body], "%s was receipted", body)
	}
	for body, n := range received {
		require.True(t, a.receipted[body] || a.doubtful[body], "%s was never sent", body)
		require.Equal(t, 1, n, "%s", body)
	}
	t.Logf("%d receipted, %d in doubt, %d received", len(a.receipted), len(a.doubtful), len(received))
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, 2*time.Millisecond, what)
}

func chainsEqual(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	var chains cluster.Chains
	await(t, "chains can be compared", func() bool {
		chains = c.Chains(context.Background())
		return chains.Compared
	})
	require.True(t, chains.Equal, chains.Detail)
}

func TestAllKilledAtOnceUnderLoad(t *testing.T) {
	c := launch(t, nil)
	for round := range 3 {
		queue := fmt.Sprintf("orders-%d", round)
		a, stop := produce(t, c, queue, 8)
		await(t, "receipts", func() bool { return a.receipts() > 300 })
		require.NoError(t, c.KillAll())
		stop()
		require.NoError(t, c.StartAll())
		require.NoError(t, c.WaitHealthy(within(t)))
		a.exactlyOnce(t, drain(t, c, queue))
		chainsEqual(t, c)
	}
}

// raw is a STOMP connection to one node that never reconnects.
type raw struct {
	conn net.Conn
	in   *bufio.Reader
}

func dialRaw(t *testing.T, address string) *raw {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	r := &raw{conn, bufio.NewReader(conn)}
	r.write(t, "CONNECT\naccept-version:1.2\nhost:x\n\n\x00")
	require.Contains(t, r.frame(t), "CONNECTED\n")
	return r
}

func (r *raw) write(t *testing.T, frame string) {
	t.Helper()
	_, err := r.conn.Write([]byte(frame))
	require.NoError(t, err)
}

func (r *raw) send(queue, body string) string {
	return "SEND\ndestination:/queue/" + queue + "\nreceipt:" + body + "\ncontent-length:" + strconv.Itoa(len(body)) + "\n\n" + body + "\x00"
}

func (r *raw) frame(t *testing.T) string {
	t.Helper()
	require.NoError(t, r.conn.SetReadDeadline(time.Now().Add(patience)))
	s, err := r.in.ReadString(0)
	require.NoError(t, err)
	return s
}

// rest is all that still comes until the connection ends.
func (r *raw) rest(t *testing.T) string {
	t.Helper()
	require.NoError(t, r.conn.SetReadDeadline(time.Now().Add(patience)))
	var all []byte
	for {
		b, err := r.in.ReadByte()
		var timeout net.Error
		if err != nil {
			require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the connection stays open; it brought %q", all)
			return string(all)
		}
		all = append(all, b)
	}
}

// quickly is for tests in which somebody has to notice a silence.
func quickly(cfg *cluster.Config) { cfg.ElectionTimeout = 2 * time.Second }

// A leader that was frozen for longer than the others wait must not tell anyone
// that something is stored after another began to serve.
func TestFrozenLeaderAcknowledgesNothing(t *testing.T) {
	c := launch(t, quickly)
	old := leaderOf(t, c)
	stomp := map[string]string{}
	for i, name := range c.NodeNames() {
		stomp[name] = c.StompAddresses()[i]
	}
	held := dialRaw(t, stomp[old])
	held.write(t, held.send("held", "before"))
	require.Contains(t, held.frame(t), "receipt-id:before")

	a, stop := produce(t, c, "orders", 4)
	await(t, "receipts", func() bool { return a.receipts() > 100 })
	require.NoError(t, c.Pause(old))
	var next string
	await(t, "another node serves", func() bool {
		l, err := c.Leader(context.Background())
		next = l
		return err == nil && l != old
	})
	held.write(t, held.send("held", "after")) // read by the old leader when it wakes
	before := a.receipts()
	await(t, "receipts from the next leader", func() bool { return a.receipts() > before+100 })
	frozen := processOf(c, old)
	await(t, "it is frozen for long", func() bool { return time.Since(frozen.Since) > 5*time.Second })
	require.NoError(t, c.Resume(old))

	said := held.rest(t)
	require.NotContains(t, said, "RECEIPT", "the old leader acknowledges what it cannot have stored")
	require.NotContains(t, said, "ERROR", "a client that is to fail over sees a closed connection")
	require.NoError(t, c.WaitHealthy(within(t)))
	stop()

	require.Equal(t, next, leaderOf(t, c))
	require.Equal(t, frozen.PID, processOf(c, old).PID, "it was not restarted for that")
	await(t, "the old leader reports that it stepped down", func() bool {
		entries, _ := c.Events(0)
		for _, e := range entries {
			if e.Source == old && e.Kind == adminapi.KindSteppedDown {
				return true
			}
		}
		return false
	})
	s, err := (&adminapi.Client{Address: c.AdminAddresses()[old]}).Status(within(t))
	require.NoError(t, err)
	require.Equal(t, []string{adminapi.RoleFollower, next}, []string{s.Role, s.Leader})
	require.Zero(t, s.Clients.Connections)

	a.exactlyOnce(t, drain(t, c, "orders"))
	require.Equal(t, map[string]int{"before": 1}, drain(t, c, "held"))
	chainsEqual(t, c)
}

// A leader that is cut off from its followers writes what nobody will ever
// have: when it comes back that tail is moved aside.
func TestDivergentTailIsMovedAside(t *testing.T) {
	c := launch(t, quickly)
	old := leaderOf(t, c)
	var address string
	for i, name := range c.NodeNames() {
		if name == old {
			address = c.StompAddresses()[i]
		}
	}
	held := dialRaw(t, address)
	held.write(t, held.send("orders", "shared"))
	require.Contains(t, held.frame(t), "receipt-id:shared")

	require.NoError(t, c.Cut(old))
	held.write(t, held.send("orders", "lonely")) // written by the old leader, held by nobody else
	await(t, "another node serves", func() bool {
		l, err := c.Leader(context.Background())
		return err == nil && l != old
	})
	a, stop := produce(t, c, "others", 2)
	await(t, "receipts", func() bool { return a.receipts() > 50 })
	stop()
	require.NoError(t, c.Heal(old))
	require.NotContains(t, held.rest(t), "RECEIPT")
	require.NoError(t, c.WaitHealthy(within(t)))
	await(t, "the divergent tail was moved aside", func() bool {
		entries, _ := c.Events(0)
		for _, e := range entries {
			if e.Source == old && e.Kind == adminapi.KindTruncated {
				return true
			}
		}
		return false
	})
	require.Equal(t, map[string]int{"shared": 1}, drain(t, c, "orders"))
	a.exactlyOnce(t, drain(t, c, "others"))
	chainsEqual(t, c)
}

func processOf(c *cluster.Cluster, name string) supervisor.Status {
	for _, p := range c.Processes() {
		if p.Name == name {
			return p.Status
		}
	}
	return supervisor.Status{}
}
