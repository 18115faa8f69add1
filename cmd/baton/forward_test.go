package main_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/client"
	"baton/node/client/clienttest"
)

// brokerForTest is a broker in this process that can be told to misbehave.
func brokerForTest(t *testing.T) *clienttest.Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s, err := clienttest.New(clienttest.Config{Listener: ln}, nil)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func fill(t *testing.T, s *clienttest.Server, queue string, n int) {
	t.Helper()
	c, err := client.New(client.Config{Addresses: []string{s.Addr()}})
	require.NoError(t, err)
	defer c.Close()
	for i := range n {
		_, err := c.Send(within(t), queue, "text/x", fmt.Append(nil, i), map[string]string{"color": "r:e\\d", "expires": "0", "timestamp": "7"})
		require.NoError(t, err)
	}
}

func TestForward(t *testing.T) {
	t.Run("acknowledged after every target's receipt, stored once", func(t *testing.T) {
		from, a, b := brokerForTest(t), brokerForTest(t), brokerForTest(t)
		fill(t, from, "/queue/q", 200)
		b.Mute(true) // it stores, and tells nobody; it does not answer CONNECT either
		p := start(t, "forward", "q", "--uri", from.Addr(), "--to", a.Addr(), "--to", "stomp://"+b.Addr(), "--to-queue", "r", "--count", "200")
		b.Mute(false)
		await(t, "the first is stored", func() bool { return b.Stats().Enqueued > 0 })
		b.Mute(true)
		await(t, "the window is full or all is there", func() bool { return a.Stats().Enqueued > b.Stats().Enqueued/2 })
		await(t, "all are there or acknowledged", func() bool { return from.Stats().Acked+from.Depth("/queue/q") == 200 })
		require.LessOrEqual(t, from.Stats().Acked, b.Stats().Enqueued)
		b.Mute(false) // first: a CONNECT that nobody answers would be waited for
		b.Drop()
		require.NoError(t, p.cmd.Wait())
		for _, s := range []*clienttest.Server{a, b} {
			require.Equal(t, 200, s.Depth("/queue/r"))
		}
		require.Zero(t, from.Depth("/queue/q"))
		o := baton(t, "", "receive", "r", "--uri", a.Addr(), "--count", "1", "--json")
		require.Contains(t, o.stdout, `"color":"r:e\\d"`)
		require.Contains(t, o.stdout, `"content-type":"text/x"`)
		require.Contains(t, o.stdout, `"timestamp":"7"`)
		require.Contains(t, o.stdout, `"baton-dedup-id":"forward-`)
		require.NotContains(t, o.stdout, "expires")
	})
	t.Run("a message that comes again is stored once", func(t *testing.T) {
		from, to := brokerForTest(t), brokerForTest(t)
		fill(t, from, "/queue/q", 50)
		once := []string{"forward", "q", "--uri", from.Addr(), "--to", to.Addr(), "--count", "50"}
		p := start(t, once...)
		await(t, "under way", func() bool { return to.Stats().Enqueued > 0 })
		from.Drop() // acks are lost, messages come again
		require.NoError(t, p.cmd.Wait())
		require.Zero(t, from.Depth("/queue/q"))
		require.Equal(t, 50, to.Depth("/queue/q"))
	})
	t.Run("what a target refuses stays", func(t *testing.T) {
		from, to := brokerForTest(t), brokerForTest(t)
		fill(t, from, "/queue/q", 3)
		to.Refuse("no room for you")
		o := baton(t, "", "forward", "q", "--uri", from.Addr(), "--to", to.Addr(), "--idle", "1s")
		require.Equal(t, 1, o.code)
		require.Contains(t, o.stderr, "which stays in the queue")
		require.Contains(t, o.stderr, "no room for you")
		require.Equal(t, 3, from.Depth("/queue/q"))
	})
	t.Run("ends when nothing comes, and with ctrl+c", func(t *testing.T) {
		from, to := brokerForTest(t), brokerForTest(t)
		fill(t, from, "/queue/q", 10)
		o := baton(t, "", "forward", "q", "--uri", from.Addr(), "--to", to.Addr(), "--idle", "2s")
		require.Equal(t, outcome{stderr: "10 forwarded from /queue/q to /queue/q of 1 brokers\n"}, o)
		p := start(t, "forward", "q", "--uri", from.Addr(), "--to", to.Addr())
		fill(t, from, "/queue/q", 1)
		await(t, "forwarded", func() bool { return from.Depth("/queue/q") == 0 })
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGINT))
		require.NoError(t, p.cmd.Wait())
	})
	for args, want := range map[string]string{
		"forward":          "name the queue to take from",
		"forward q":        "--to is missing",
		"forward q --to x": "--to",
		"forward q --uri a:1,b:1 --to stomp://b:1": "is where the messages come from",
	} {
		t.Run(args, func(t *testing.T) { baton(t, "", strings.Fields(args)...).refused(t, 2, want) })
	}
}

// What baton send and baton forward have sent is there once, though a leader
// dies under each.
func TestSendAndForwardThroughALeaderKill(t *testing.T) {
	const n = 600
	c := launch(t, nil)
	var lines strings.Builder
	for i := range n {
		fmt.Fprintln(&lines, i)
	}
	kill := func(enough func() bool) {
		t.Helper()
		await(t, "half way", enough)
		l := leaderOf(t, c)
		require.NoError(t, c.Kill(l))
		require.NoError(t, c.Start(l))
	}
	run := func(in string, args ...string) (wait func()) {
		cmd := exec.Command(os.Getenv(builtAs), args...)
		cmd.Env, cmd.Stdin = cleanEnv(), strings.NewReader(in)
		var said bytes.Buffer
		cmd.Stderr = &said
		require.NoError(t, cmd.Start())
		stuck := time.AfterFunc(4*patience, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) }) // it says where it hangs
		return func() {
			err := cmd.Wait()
			stuck.Stop()
			require.NoError(t, err, &said)
			require.Contains(t, said.String(), fmt.Sprint(n))
		}
	}
	sent := run(lines.String(), "send", "a", "--uri", uri(c))
	kill(func() bool { return depthNow(c, "a") > n/10 })
	sent()
	await(t, "all are there", func() bool { return depthNow(c, "a") == n })
	require.NoError(t, c.WaitHealthy(within(t)))

	forwarded := run("", "forward", "a", "--uri", uri(c), "--to", uri(c), "--to-queue", "b", "--count", fmt.Sprint(n))
	kill(func() bool { return depthNow(c, "b") > n/10 })
	forwarded()
	await(t, "none is left", func() bool { return depthNow(c, "a") == 0 })
	got := drain(t, c, "b")
	require.Len(t, got, n)
	for body, times := range got {
		require.Equal(t, 1, times, body)
	}
}

// A message whose ack is in doubt comes again, and is printed once.
func TestReceivePrintsEachMessageOnce(t *testing.T) {
	from := brokerForTest(t)
	fill(t, from, "/queue/q", 300)
	p := start(t, "receive", "q", "--uri", from.Addr(), "--count", "300")
	for _, share := range []int{20, 100, 200} {
		await(t, "some are acknowledged", func() bool { return from.Stats().Acked >= share })
		from.Drop()
	}
	seen := map[string]bool{}
	for l := range p.lines {
		require.False(t, seen[l], "message %s was printed twice", l)
		seen[l] = true
	}
	require.NoError(t, p.cmd.Wait())
	require.Len(t, seen, 300)
	require.Zero(t, from.Depth("/queue/q"))
}
